//! One run: clients come, talk and go, the server turns, and after every turn all that must be so is
//! looked at.

mod checks;
mod come;
mod engine;
mod read;
mod sent;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use hushd::engine::{Embedded, Engine};
use hushd::http::{Origins, Page, Routes, Site};
use hushd::ids::ConnectionRef;
use hushd::server::{Census, Counts, Phase, Server};

use crate::client::Client;
use crate::late::{Journal, Late, Lateness};
use crate::model::Log;
use crate::person::Person;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::view::{Memory, Seats};
use crate::world::{Simulated, World};

/// The server's clock ticks: it may be as much early as two ticks.
const TICKS: Duration = Duration::from_millis(200);

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The number that stands for its trace.
    pub trace: u64,
    /// Events in it.
    pub events: u64,
    /// Turns of the server.
    pub turns: usize,
    /// What the server has counted.
    pub counts: Counts,
}

/// What stands behind the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineKind {
    /// It answers at once.
    Embedded,
    /// It answers when it likes to.
    Late,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineKind::Embedded => "embedded",
            EngineKind::Late => "late",
        })
    }
}

/// Runs what a source of choices decides.
///
/// # Errors
/// What the server did that it must not do.
pub fn run(mut random: Random, engine: EngineKind, print: bool) -> Result<Outcome, String> {
    let mut scenario = Scenario::new(&mut random);
    match engine {
        EngineKind::Embedded => play(scenario, random, Embedded, Journal::default(), print),
        EngineKind::Late => {
            scenario.repeats = true;
            let lateness = Lateness::new(&mut random, &scenario);
            let journal = Journal::default();
            if print {
                println!("{lateness:#?}");
            }
            let late = Late::new(&mut random, lateness, Rc::clone(&journal));
            play(scenario, random, late, journal, print)
        }
    }
}

fn play<E: Engine>(
    scenario: Scenario,
    random: Random,
    engine: E,
    journal: Journal,
    print: bool,
) -> Result<Outcome, String> {
    if print {
        println!("{scenario:#?}");
    }
    let mut run = Run::new(scenario, random, engine, journal, print)?;
    let outcome = run.play_out();
    let turns = run.turns;
    outcome.map_err(|wrong| format!("in turn {turns}: {wrong}"))
}

struct Run<E: Engine> {
    world: Rc<RefCell<World>>,
    server: Server<Simulated, E>,
    /// What the engine was asked and has answered in this turn, if it answers late.
    journal: Journal,
    /// Whose connection asked.
    askers: BTreeMap<ConnectionRef, usize>,
    scenario: Scenario,
    clients: Vec<Client>,
    persons: Vec<Person>,
    returns: usize,
    logs: Vec<Log>,
    seats: Vec<Seats>,
    /// Of each room, where the order of messages within this turn is not known: where the turn began.
    loose: Vec<Option<usize>>,
    /// Those of whom something was read that was still to be heard.
    deferred: Vec<usize>,
    /// Since when nobody is in each room, and when it last changed who is.
    empty_since: Vec<Option<u64>>,
    stirred_at: Vec<u64>,
    census: Census,
    counts: Counts,
    turns: usize,
    idle_turns: usize,
    /// The server was asked to end, and whether it has been told yet.
    asked_to_end: bool,
    ending: bool,
}

impl<E: Engine> Run<E> {
    fn new(
        scenario: Scenario,
        mut random: Random,
        engine: E,
        journal: Journal,
        print: bool,
    ) -> Result<Run<E>, String> {
        let site = Site {
            origins: Origins::new(Vec::new(), true),
            subprotocols: &["chat.v1", "chat"],
            deflate: true,
            page: Page::embedded(),
            routes: Routes::default(),
        };
        let seed = u128::from(random.bits()) << 64 | u128::from(random.bits());
        let trace = Trace::new(print);
        let offer = scenario.limits.budget.offer;
        let world = World::new(random, trace, scenario.weather, scenario.descriptors, offer);
        let world = Rc::new(RefCell::new(world));
        let network = Simulated(Rc::clone(&world));
        let server = Server::with_engine(network, engine, site, scenario.limits.clone(), seed)
            .map_err(|unfit| unfit.to_string())?;
        Ok(Run {
            world,
            server,
            journal,
            askers: BTreeMap::new(),
            logs: scenario
                .paths
                .iter()
                .map(|_| Log::new(2 * scenario.limits.rooms.max_message + 1024))
                .collect(),
            seats: vec![Seats::new(); scenario.paths.len()],
            loose: vec![None; scenario.paths.len()],
            deferred: Vec::new(),
            empty_since: vec![Some(0); scenario.paths.len()],
            stirred_at: vec![0; scenario.paths.len()],
            returns: scenario.returns,
            scenario,
            clients: Vec::new(),
            persons: Vec::new(),
            census: Census::default(),
            counts: Counts::default(),
            turns: 0,
            idle_turns: 0,
            asked_to_end: false,
            ending: false,
        })
    }

    fn play_out(&mut self) -> Result<Outcome, String> {
        for _ in 0..self.scenario.turns {
            if self.world.borrow().random.is_spent() {
                break;
            }
            self.come();
            self.step();
            self.turn()?;
        }
        if self.scenario.ends {
            self.end()?;
        } else {
            self.leave()?;
        }
        let world = self.world.borrow();
        Ok(Outcome {
            trace: world.trace.hash(),
            events: world.trace.events(),
            turns: self.turns,
            counts: self.counts,
        })
    }

    /// What the server remembers.
    fn memory(&self) -> Memory {
        let limits = &self.scenario.limits;
        let is_ample = limits.rooms.history_size_total >= 100 * limits.rooms.history_size
            && self.scenario.paths.len() <= limits.rooms.max_rooms;
        Memory {
            history: limits.rooms.history as u64,
            bytes: limits.rooms.history_size,
            ttl: limits.rooms.history_ttl.as_micros() as u64,
            is_ample,
        }
    }

    /// One turn of the server, and all that must be so behind it. Returns whether there is another.
    fn turn(&mut self) -> Result<bool, String> {
        let forgotten = self.forgotten();
        let at_the_door = self.is_somebody_at_the_door();
        let goes_on = self.server.turn().map_err(|error| error.to_string())?;
        self.turns += 1;
        self.check_wait(forgotten, at_the_door)?;
        let mut world = self.world.borrow_mut();
        if let Some(fault) = world.fault.take() {
            return Err(fault);
        }
        self.ending |= self.asked_to_end && world.signals.is_empty();
        let (reads, closed) = (
            std::mem::take(&mut world.reads),
            std::mem::take(&mut world.closed),
        );
        drop(world);
        self.census = self.server.census()?;
        self.before_reads();
        let events = std::mem::take(&mut *self.journal.borrow_mut());
        let mut events = VecDeque::from(events);
        self.engine_answered(&mut events)?;
        for &(number, upto) in &reads {
            self.was_read(number, upto - self.clients[number].unheard as u64)?;
        }
        for number in std::mem::take(&mut self.deferred) {
            let read = self.world.borrow().sockets[number].read;
            self.was_read(number, read - self.clients[number].unheard as u64)?;
        }
        self.engine_was_asked(events)?;
        self.see_who_left();
        for number in 0..self.clients.len() {
            self.was_sent(number)
                .map_err(|wrong| format!("{number} {wrong}"))?;
        }
        let counts = self.server.counts();
        for number in closed {
            self.check_end(number, &counts)
                .map_err(|wrong| format!("{number} {wrong}"))?;
        }
        self.counts = counts;
        self.check_census()?;
        self.look_around();
        Ok(goes_on)
    }

    /// Who has said something in an earlier turn that is, or was, still to be heard: where such are, the order of
    /// this turn's messages is not known yet.
    fn before_reads(&mut self) {
        let world = self.world.borrow();
        let squeezed = self.server.counts().partial_messages_over_total;
        let squeezed_just_now = squeezed > self.counts.partial_messages_over_total;
        self.loose.fill(None);
        for client in &mut self.clients {
            client.squeezed_just_now = squeezed_just_now;
            if client.unheard > 0 {
                if E::IMMEDIATE {
                    self.loose[client.room] = Some(self.logs[client.room].len());
                }
                self.deferred.push(client.number);
                client.unheard = 0;
            }
            // Whoever has just joined is not inside yet.
            client.ended_just_now = client.is_inside || client.position.is_none();
        }
        for resident in &self.census.residents {
            if let Some(number) = world.by_key[resident.key.0 as usize] {
                let client = &mut self.clients[number];
                client.unheard = resident.unheard;
                client.ended_just_now &= resident.phase != Phase::Open;
            }
        }
    }

    /// Whose names are free again.
    fn see_who_left(&mut self) {
        let world = self.world.borrow();
        let mut stays = vec![false; self.clients.len()];
        for resident in &self.census.residents {
            if let Some(number) = world.by_key[resident.key.0 as usize] {
                stays[number] = resident.phase == Phase::Open;
            }
        }
        for client in self.clients.iter().filter(|client| !stays[client.number]) {
            self.logs[client.room].names.go(client.number, self.turns);
        }
    }

    /// Who is in which room.
    fn look_around(&mut self) {
        let world = self.world.borrow();
        let mut is_empty = vec![true; self.logs.len()];
        let mut inside = vec![false; self.clients.len()];
        for resident in &self.census.residents {
            let Some(number) = world.by_key[resident.key.0 as usize] else {
                continue;
            };
            let client = &mut self.clients[number];
            if resident.phase == Phase::Open || client.granted == Some(true) {
                is_empty[client.room] = false;
            }
            if resident.phase == Phase::Open {
                inside[number] = true;
                if let Some(seen_at) = client
                    .view
                    .member()
                    .and_then(|member| self.seats[client.room].get_mut(&member))
                {
                    *seen_at = world.clock;
                }
            }
        }
        for (client, is_inside) in self.clients.iter_mut().zip(inside) {
            if client.is_inside != is_inside {
                self.stirred_at[client.room] = world.clock;
            }
            client.is_inside = is_inside;
        }
        for (since, is_empty) in self.empty_since.iter_mut().zip(is_empty) {
            *since = is_empty.then(|| since.unwrap_or(world.clock));
        }
    }
}
