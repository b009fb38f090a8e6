//! One run: clients come, talk and go, the server turns, and after every turn all that must be so is
//! looked at.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hushd::http::{Origins, Page, Site};
use hushd::server::{Census, Counts, Limits, Phase, Server, Signal};

use serde_json::Value;

use crate::client::{Client, Mark, Opening, Reading};
use crate::model::{Hearing, Log, Saying};
use crate::person::Person;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::view::{Joining, Memory, Request, Seats};
use crate::wire::Heard;
use crate::world::{self, Simulated, Socket, State, World};

/// Connections above the limit that the server takes, to tell them so.
const SURPLUS: usize = 16;

/// The server's clock ticks: it may be as much early as two ticks.
const TICKS: Duration = Duration::from_millis(200);

/// Turns in which nothing happens and the server still does not want to wait.
const IDLE_TURNS: usize = 64;

/// Turns in which everybody must have gone.
const LAST_TURNS: usize = 20_000;

/// For so long at least a message is known by its id, and for so long at most.
const KNOWN: u64 = 60_000_000;
const UNKNOWN: u64 = 181_000_000;

/// So many of the latest messages of a session are known.
const KNOWN_OF_ONE: usize = 64;

/// By then every change of who is here has been announced.
const ANNOUNCED: u64 = 5_000_000;

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

/// Runs what a source of choices decides.
///
/// # Errors
/// What the server did that it must not do.
pub fn run(mut random: Random, print: bool) -> Result<Outcome, String> {
    let scenario = Scenario::new(&mut random);
    if print {
        println!("{scenario:#?}");
    }
    let mut run = Run::new(scenario, random, print)?;
    let outcome = run.play_out();
    let turns = run.turns;
    outcome.map_err(|wrong| format!("in turn {turns}: {wrong}"))
}

/// Somebody connects, for the first time or again.
fn connect(
    clients: &mut Vec<Client>,
    persons: &mut [Person],
    person: Option<usize>,
    scenario: &Scenario,
    world: &mut World,
    random: &mut Random,
) {
    let address = world::address(random);
    let rooms = [random.scaled(6_000), random.scaled(30_000)];
    let [inbound, outbound] = rooms.map(|room| room as usize + 16);
    let number = world.connect(address, inbound, outbound);
    let mut person = person.map(|person| &mut persons[person]);
    if let Some(person) = &mut person {
        person.client = number;
    }
    clients.push(Client::new(random, number, scenario, person.as_deref()));
}

/// Whether the server took somebody only to tell it that there is no room.
fn is_surplus(socket: &Socket, limits: &Limits) -> bool {
    let [all, from_there] = socket.before;
    let is_loopback = socket.address.to_canonical().is_loopback();
    let counts = limits.max_per_address > 0 && (limits.count_loopback || !is_loopback);
    all >= limits.max_connections || counts && from_there >= limits.max_per_address as usize
}

struct Run {
    world: Rc<RefCell<World>>,
    server: Server<Simulated>,
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

impl Run {
    fn new(scenario: Scenario, mut random: Random, print: bool) -> Result<Run, String> {
        let site = Site {
            origins: Origins::new(Vec::new(), true),
            subprotocols: &["chat.v1", "chat"],
            deflate: true,
            page: Page::embedded(),
        };
        let seed = u128::from(random.bits()) << 64 | u128::from(random.bits());
        let trace = Trace::new(print);
        let offer = scenario.limits.budget.offer;
        let world = World::new(random, trace, scenario.weather, scenario.descriptors, offer);
        let world = Rc::new(RefCell::new(world));
        let network = Simulated(Rc::clone(&world));
        let server = Server::new(network, site, scenario.limits.clone(), seed)
            .map_err(|unfit| unfit.to_string())?;
        Ok(Run {
            world,
            server,
            logs: scenario
                .paths
                .iter()
                .map(|_| Log::new(2 * scenario.limits.max_message + 1024))
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

    /// Newcomers.
    fn come(&mut self) {
        let world = &mut *self.world.borrow_mut();
        let mut random = world.random.clone();
        let crowd = if random.once_in(30) { 8 } else { 1 };
        for _ in 0..crowd {
            let strangers = self.clients.len() - (self.scenario.returns - self.returns);
            if strangers < self.scenario.clients && random.once_in(4) {
                let person = self.scenario.chat.is_some_and(|chat| random.once_in(chat));
                let person = person.then(|| {
                    let number = self.persons.len();
                    let room = random.below(self.scenario.paths.len());
                    self.persons.push(Person::new(number, room));
                    number
                });
                connect(
                    &mut self.clients,
                    &mut self.persons,
                    person,
                    &self.scenario,
                    world,
                    &mut random,
                );
            }
        }
        for person in 0..self.persons.len() {
            let client = &mut self.clients[self.persons[person].client];
            let is_over =
                client.is_gone() || client.dismissed.is_some() || client.granted == Some(false);
            if self.returns > 0 && random.once_in(if is_over { 4 } else { 200 }) {
                self.returns -= 1;
                // The old connection may still hang there.
                client.vanished = true;
                connect(
                    &mut self.clients,
                    &mut self.persons,
                    Some(person),
                    &self.scenario,
                    world,
                    &mut random,
                );
            }
        }
        world.random = random;
    }

    fn step(&mut self) {
        let world = &mut *self.world.borrow_mut();
        for client in &mut self.clients {
            if world.random.once_in(2) {
                let person = client.person.map(|person| &mut self.persons[person]);
                client.step(world, &self.scenario, person);
            }
        }
    }

    /// What the server remembers.
    fn memory(&self) -> Memory {
        let limits = &self.scenario.limits;
        let is_ample = limits.histories_bytes >= 100 * limits.history_bytes
            && self.scenario.paths.len() <= limits.max_rooms;
        Memory {
            history: limits.history as u64,
            bytes: limits.history_bytes,
            ttl: limits.history_ttl.as_micros() as u64,
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
        for &(number, upto) in &reads {
            self.was_read(number, upto - self.clients[number].unheard as u64)?;
        }
        for number in std::mem::take(&mut self.deferred) {
            let read = self.world.borrow().sockets[number].read;
            self.was_read(number, read - self.clients[number].unheard as u64)?;
        }
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
        self.loose.fill(None);
        for client in &mut self.clients {
            if client.unheard > 0 {
                self.loose[client.room] = Some(self.logs[client.room].len());
                self.deferred.push(client.number);
                client.unheard = 0;
            }
            client.ended_just_now = client.is_inside;
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

    /// Whether those who are told who is here know it.
    fn unannounced(&self, number: usize) -> Option<String> {
        let clock = self.world.borrow().clock;
        let client = &self.clients[number];
        client.view.member()?;
        if clock - self.stirred_at[client.room] < ANNOUNCED || self.asked_to_end {
            return None;
        }
        let inside = || {
            self.clients
                .iter()
                .filter(|other| other.is_inside && other.room == client.room)
        };
        let known = &self.logs[client.room].names;
        let names: Vec<String> = inside()
            .filter_map(|other| known.name(other.number).map(str::to_owned))
            .collect();
        client.view.is_up_to_date(inside().count(), &names).err()
    }

    /// What the server would forget if it went to sleep now.
    fn forgotten(&self) -> Option<String> {
        let world = self.world.borrow();
        for resident in &self.census.residents {
            let number = world.by_key[resident.key.0 as usize]?;
            if world.lies_unread(number) && !resident.unread {
                return Some(format!("{number} has sent something that nobody reads"));
            }
            if resident.blocked && world.is_never_told_of_room(number) {
                return Some(format!("nobody will say that {number} has room again"));
            }
            let client = &self.clients[number];
            if resident.phase == Phase::Open && !resident.blocked && !resident.room_busy {
                let missing = client
                    .position
                    .map(|position| position.max(client.skip))
                    .and_then(|position| self.logs[client.room].missing(position, usize::MAX));
                if let Some(missing) = missing {
                    return Some(format!("{number} has not been written {missing:?}"));
                }
                if !client.pings.is_empty() {
                    return Some(format!("{number} has not been answered its ping"));
                }
                if client.person.is_some() && client.position.is_some() {
                    let log = &self.logs[client.room];
                    let missing = client.view.missing(self.memory(), log);
                    if let Some(missing) = missing.or_else(|| self.unannounced(number)) {
                        return Some(format!("{number} was not told: {missing}"));
                    }
                }
            }
        }
        None
    }

    /// Whether somebody waits to be accepted, and the server was told.
    fn is_somebody_at_the_door(&self) -> bool {
        let world = self.world.borrow();
        world.listening && !world.door.is_empty() && !world.newcomers
    }

    fn check_wait(&mut self, forgotten: Option<String>, at_the_door: bool) -> Result<(), String> {
        let world = self.world.borrow();
        let in_a_hurry = world.patience == Some(Duration::ZERO);
        self.idle_turns = if in_a_hurry && !world.stirred {
            self.idle_turns + 1
        } else {
            0
        };
        if self.idle_turns > IDLE_TURNS {
            return Err("the server spins".into());
        }
        let paused = world
            .patience
            .is_some_and(|patience| patience <= Duration::from_millis(100))
            || self.census.residents.len() >= self.scenario.limits.max_connections + SURPLUS;
        match forgotten {
            Some(forgotten) if !in_a_hurry => Err(format!("the server sleeps, but {forgotten}")),
            _ if at_the_door && !paused => {
                Err("the server sleeps, but somebody is at the door".into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The server has read so far in a client's stream.
    fn was_read(&mut self, number: usize, upto: u64) -> Result<(), String> {
        self.check_debts(number)?;
        while let Some(mark) = self.clients[number].passed(upto) {
            let client = &mut self.clients[number];
            let log = &mut self.logs[client.room];
            if client.deaf {
                continue;
            }
            let here = self.loose[client.room].unwrap_or(log.len());
            match mark {
                Mark::Joins(at) => {
                    (client.position, client.charged) = (Some(here), at);
                    client.talks_at_once = upto > at;
                    self.joins(number, here);
                }
                Mark::Asks => {}
                Mark::Says(text, payload) => {
                    client.debts[0] += 1.0;
                    if !self.ending {
                        self.says(number, text, payload, None, true);
                    }
                }
                Mark::Chats(request) => {
                    client.debts[0] += 1.0;
                    if !self.ending {
                        self.chats(number, request, here);
                    }
                }
                Mark::Pings(payload) => {
                    client.debts[2] += 1.0;
                    client.pings.push_back(payload);
                }
                Mark::Closes => (client.closed, client.deaf, client.due) = (true, true, here),
                Mark::Violates => (client.violated, client.deaf, client.due) = (true, true, here),
            }
        }
        let client = &mut self.clients[number];
        if client.position.is_some() {
            client.debts[1] += (upto - client.charged) as f64;
            client.charged = upto;
        }
        // Pings that would take too long to pay are let off.
        let limits = &self.scenario.limits;
        let most = f64::from(limits.ping_rate) * (limits.ping_timeout.as_secs() + 1) as f64;
        client.debts[2] = client.debts[2].min(most);
        Ok(())
    }

    /// A request to join was read.
    fn joins(&mut self, number: usize, here: usize) {
        let memory = self.memory();
        let world = self.world.borrow();
        let client = &mut self.clients[number];
        let room = client.room;
        // In a turn whose order is not known, what else is said in it may come before this, or not.
        client.skip = match self.loose[room] {
            None => here,
            Some(_) => usize::MAX,
        };
        let jumped = world
            .jumped_at
            .is_some_and(|at| at + 1_000_000 > world.clock);
        if let Some(since) = self.empty_since[room] {
            let age = world.clock - since;
            if !memory.is_ample || jumped || age + TICKS.as_micros() as u64 * 4 > memory.ttl {
                self.logs[room].lives += 1;
            }
        }
        client.view.joining = Joining {
            at: here,
            loose: client.skip,
            clock: world.clock,
            life: self.logs[room].lives,
            jumped,
        };
        self.stirred_at[room] = world.clock;
        let (person, hello) = (client.person, client.view.hello.clone());
        if person.is_some() {
            let wanted = hello.name.filter(|(_, bad)| !bad).map(|(name, _)| name);
            let member = hello.session.zip(hello.member);
            let names = &mut self.logs[room].names;
            names.come(number, wanted, member, self.turns);
        }
        if hello.session.is_none() {
            return;
        }
        for other in &mut self.clients {
            if other.number != number && other.person == person {
                other.view.replaced = true;
                // The first byte of what is not allowed is no reason yet to send it away.
                if !other.deaf {
                    other.due = here;
                }
            }
        }
    }

    /// Somebody says something in `chat.v1`.
    fn chats(&mut self, number: usize, request: Request, here: usize) {
        let clock = self.world.borrow().clock;
        let client = &mut self.clients[number];
        client.view.ask(&request, here);
        let room = client.room;
        let (id, text) = match request {
            Request::Message { id, text } => (id, text),
            Request::Rename(name, false) => {
                self.stirred_at[room] = clock;
                let doubtful = self.clients[number].may_be_unheard();
                let names = &mut self.logs[room].names;
                names.rename(number, name, doubtful, self.turns);
                return;
            }
            _ => return,
        };
        let log = &self.logs[room];
        let mut is_new = true;
        let this = self.clients[number].view.member();
        let is_perhaps_this = |client: usize| {
            let that = self.clients[client].view.member();
            this.is_none() || that.is_none() || this == that
        };
        if let Some((before, at, certain)) = log.said(&id, is_perhaps_this) {
            let that = self.clients[before].view.member();
            let age = clock - at;
            if age < UNKNOWN {
                let clients = |client: usize| self.clients[client].view.member() == that;
                let is_known = certain
                    && this.is_some()
                    && that.is_some()
                    && age + 200_000 < KNOWN
                    && log.said_since(clients, at) < KNOWN_OF_ONE;
                self.clients[number].view.repeats(&id, !is_known, here);
                if is_known {
                    return;
                }
                is_new = false;
            }
        }
        self.says(number, true, text.into_bytes(), Some(id), is_new);
    }

    fn says(
        &mut self,
        number: usize,
        text: bool,
        payload: Vec<u8>,
        id: Option<String>,
        is_new: bool,
    ) {
        let at = self.world.borrow().clock;
        let client = &self.clients[number];
        let loose = self.loose[client.room].map(|_| self.turns);
        let certain = is_new && !client.may_be_unheard();
        let said = String::from_utf8_lossy(&payload);
        let mut world = self.world.borrow_mut();
        world.trace.note(at, ("Says", number, said, certain, loose));
        drop(world);
        let saying = Saying {
            text,
            payload,
            id,
            stint: self.logs[client.room].names.latest(number),
            certain,
            loose,
            at,
        };
        self.logs[client.room].say(client, saying);
    }

    /// Whoever is read has paid its debts but for one burst.
    fn check_debts(&mut self, number: usize) -> Result<(), String> {
        let clock = self.world.borrow().clock;
        let client = &mut self.clients[number];
        let seconds = (clock - client.paid_at) as f64 / 1e6;
        client.paid_at = clock;
        let limits = &self.scenario.limits;
        for (debt, (rate, burst)) in client.debts.iter_mut().zip([
            (limits.message_rate, limits.message_burst),
            (limits.byte_rate, limits.byte_rate),
            (limits.ping_rate, limits.ping_rate),
        ]) {
            let (rate, burst) = (f64::from(rate), f64::from(burst));
            *debt = (*debt - seconds * rate).max(0.0);
            let allowed = burst + rate * TICKS.as_secs_f64() + 1.0;
            if rate > 0.0 && !client.deaf && !client.terms.deflate && *debt > allowed {
                return Err(format!(
                    "{number} is read, but its debt is {debt} of {allowed}"
                ));
            }
        }
        Ok(())
    }

    /// The server has written to a client.
    fn was_sent(&mut self, number: usize) -> Result<(), String> {
        let fresh = std::mem::take(&mut self.world.borrow_mut().sockets[number].fresh);
        if fresh.is_empty() {
            return Ok(());
        }
        let client = &mut self.clients[number];
        client.ear.hear(&fresh);
        let head_only = client.asks_head;
        let terms = client.terms.clone();
        let memory = self.memory();
        while let Some(heard) = self.clients[number].ear.next(head_only, &terms)? {
            match heard {
                Heard::Response(status) => self.responded(number, status)?,
                Heard::Message(text, payload) => {
                    let client = &mut self.clients[number];
                    let Some(position) = &mut client.position else {
                        return Err("hears a message before it has joined".into());
                    };
                    let (log, seats) = (&mut self.logs[client.room], &mut self.seats[client.room]);
                    if client.person.is_none() {
                        log.hear(position, client.skip, &Hearing::Plain(text, &payload))?;
                        continue;
                    }
                    if !text {
                        return Err(format!("hears {payload:?}"));
                    }
                    let json: Value =
                        serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
                    let mut world = self.world.borrow_mut();
                    let clock = world.clock;
                    world.trace.note(clock, ("Hears", number, json.to_string()));
                    drop(world);
                    let note = client
                        .view
                        .hear(&json, position, number, memory, (log, seats))?;
                    let at = client.ear.heard;
                    client.notes.extend(note.map(|note| (at, note)));
                }
                Heard::Ping => {
                    let client = &mut self.clients[number];
                    client.asked += 1;
                    client.pinged_at = self.world.borrow().clock;
                }
                Heard::Pong(payload) => {
                    let client = &mut self.clients[number];
                    let Some(ping) = client.pings.iter().position(|ping| *ping == payload) else {
                        return Err("is answered a ping that it has not sent now".into());
                    };
                    client.pings.drain(..=ping);
                }
                Heard::Close(code) => self.dismissed(number, code)?,
            }
        }
        Ok(())
    }

    fn responded(&mut self, number: usize, status: u16) -> Result<(), String> {
        let world = self.world.borrow();
        let (limits, socket) = (&self.scenario.limits, &world.sockets[number]);
        let client = &mut self.clients[number];
        let is_late =
            world.clock - socket.accepted_at >= limits.handshake_timeout.as_micros() as u64;
        let is_shed = socket.key.is_none();
        let is_surplus = is_surplus(socket, limits);
        let is_scarce = is_surplus || self.scenario.paths.len() > limits.max_rooms;
        let is_due = match (client.opening, status) {
            (Opening::Upgrade, 101) => client.position.is_some() && !is_surplus,
            (Opening::Upgrade, 503) if client.position.is_some() && is_scarce => true,
            // Its room was full.
            (Opening::Upgrade, 503) if client.talks_at_once => true,
            (_, 503) => self.ending || is_shed || self.server.counts().heads_squeezed > 0,
            (_, 408) => is_late && client.position.is_none(),
            (Opening::Request(due), status) => status == due,
            (Opening::Upgrade | Opening::HalfHead, _) => false,
        };
        if !is_due {
            return Err(format!(
                "{:?} is answered {status}, surplus: {is_surplus} after {:?}",
                client.opening, socket.before
            ));
        }
        let granted = status == 101;
        (client.granted, client.status) = (Some(granted), Some(status));
        if !granted {
            (client.position, client.deaf) = (None, true);
        }
        self.logs[client.room].settle(number, granted)
    }

    fn dismissed(&mut self, number: usize, code: Option<u16>) -> Result<(), String> {
        let client = &mut self.clients[number];
        client.dismissed = Some(code);
        let counts = self.server.counts();
        let due = match code {
            Some(1001) => self.ending && (client.person.is_none() || client.view.said_bye),
            Some(4001) => client.view.replaced,
            Some(1002 | 1003 | 1007 | 1009) if client.violated => true,
            Some(1008) => counts.message_timeouts > 0,
            Some(1013) => counts.half_messages_squeezed > 0,
            None | Some(_) => client.closed,
        };
        if !due {
            return Err(format!("is dismissed with {code:?}"));
        }
        let upto = if code == Some(1001) {
            usize::MAX
        } else {
            client.due
        };
        let log = &self.logs[client.room];
        match client
            .position
            .and_then(|position| log.missing(position.max(client.skip), upto))
        {
            Some(missing) => Err(format!("is dismissed before it has heard {missing:?}")),
            None => Ok(()),
        }
    }

    /// Whether the server had a reason to close this one.
    fn check_end(&self, number: usize, counts: &Counts) -> Result<(), String> {
        let world = self.world.borrow();
        let (client, socket) = (&self.clients[number], &world.sockets[number]);
        let limits = &self.scenario.limits;
        let passed = |since: u64, time: Duration| {
            world.clock.saturating_sub(since) >= time.as_micros() as u64
        };
        let before = &self.counts;
        if socket.told_end || socket.told_broken || socket.key.is_none() {
            return Ok(());
        }
        if !socket.abandoned {
            return match socket.server_fin {
                Some(since) if passed(since, Duration::from_millis(900)) => Ok(()),
                Some(_) => Err("is closed before it could answer the end".into()),
                None => Err("is closed without a reason".into()),
            };
        }
        let slow = socket.lags;
        let has_jumped = world
            .jumped_at
            .is_some_and(|at| at + 1_000_000 > client.pinged_at);
        let reasons = [
            slow && counts.fell_behind > before.fell_behind,
            counts.owed_too_much > before.owed_too_much,
            counts.owed_squeezed > before.owed_squeezed,
            slow && counts.no_progress > before.no_progress
                && passed(socket.wrote_at, limits.progress_timeout),
            counts.silent > before.silent
                && passed(socket.read_at, limits.ping_interval + limits.ping_timeout)
                && !world.lies_unread(number)
                && (socket.was_full
                    || has_jumped
                    || passed(client.pinged_at, limits.ping_timeout - TICKS)),
            counts.close_timeouts > before.close_timeouts && client.deaf,
            counts.handshakes_squeezed > before.handshakes_squeezed && client.granted.is_none(),
        ];
        if reasons.contains(&true) {
            Ok(())
        } else {
            Err(format!("is dropped without a reason ({})", counts))
        }
    }

    fn check_census(&mut self) -> Result<(), String> {
        let world = &mut *self.world.borrow_mut();
        let limits = &self.scenario.limits;
        let here = self.census.residents.len();
        if here != world.held {
            return Err(format!(
                "{here} connections, but {} open sockets",
                world.held
            ));
        }
        // A ping or a Close may have come to what each was owed when all was last weighed.
        let owed = self.census.held[2];
        if owed > limits.max_owed_in_all + here * 512 && !self.asked_to_end {
            return Err(format!("{owed} bytes are owed to single clients in all"));
        }
        if here > limits.max_connections + SURPLUS {
            return Err(format!("{here} connections are too many"));
        }
        let members = self.census.residents.iter().filter(|resident| {
            let number = world.by_key[resident.key.0 as usize];
            let granted = number.and_then(|number| self.clients.get(number)?.granted);
            resident.phase == Phase::Open || granted == Some(true)
        });
        let members = members.count();
        if members > limits.max_connections {
            return Err(format!("{members} members are too many"));
        }
        for resident in &self.census.residents {
            let number = world.by_key[resident.key.0 as usize].unwrap_or(usize::MAX);
            let Some(client) = self.clients.get_mut(number) else {
                return Err(format!("{:?} is nobody's", resident.key));
            };
            if world.sockets[number].state != State::Held {
                return Err(format!("{number} is kept, but its socket is closed"));
            }
            if resident.owed > limits.max_owed + 1_000 {
                return Err(format!(
                    "{number} is owed {} bytes of its own",
                    resident.owed
                ));
            }
            let stuck = Duration::from_micros(world.clock - world.sockets[number].tried_at);
            let patience = limits.progress_timeout * 3 / 2 + Duration::from_secs(2);
            let is_stuck = resident.blocked && resident.phase == Phase::Open;
            if is_stuck && stuck > patience && world.jumped_at.is_none() {
                return Err(format!("{number} has taken nothing for {stuck:?}"));
            }
            if client.skip == usize::MAX {
                let said = self.logs[client.room].len();
                (client.skip, client.view.joining.loose) = (said, said);
            }
            client.deaf |= resident.phase == Phase::Closing;
        }
        Ok(())
    }

    /// The server is asked to end, and does.
    fn end(&mut self) -> Result<(), String> {
        self.world.borrow_mut().signals.push_back(Signal::End);
        self.asked_to_end = true;
        let hurries = self.world.borrow_mut().random.once_in(8);
        for turn in 0..LAST_TURNS {
            self.step();
            if hurries && turn == 10 {
                self.world.borrow_mut().signals.push_back(Signal::End);
            }
            if !self.turn()? {
                return self.check_farewell(hurries);
            }
        }
        Err("the server does not end".into())
    }

    /// Whoever reads has heard everything, and that this is the end.
    fn check_farewell(&self, hurried: bool) -> Result<(), String> {
        let world = self.world.borrow();
        if hurried || world.weather.jump > 0 {
            return Ok(());
        }
        for resident in &self.census.residents {
            let number = world.by_key[resident.key.0 as usize].unwrap_or(usize::MAX);
            let client = &self.clients[number];
            let reads = client.reading == Reading::Prompt && !client.is_gone();
            if reads && client.granted == Some(true) && client.dismissed.is_none() {
                return Err(format!("{number} was not told that the server ends"));
            }
        }
        Ok(())
    }

    /// Everybody leaves, and nothing stays behind.
    fn leave(&mut self) -> Result<(), String> {
        self.world.borrow_mut().quiet = true;
        for _ in 0..LAST_TURNS {
            {
                let world = &mut *self.world.borrow_mut();
                for client in &mut self.clients {
                    client.leave(world);
                }
                // Rooms with a memory are forgotten in their time.
                if world.held == 0 && world.door.is_empty() && self.census.rooms == 0 {
                    break;
                }
            }
            self.turn()?;
        }
        let Census {
            residents,
            rooms,
            lane_bytes,
            held,
            ..
        } = &self.census;
        if !residents.is_empty() || rooms + lane_bytes + held.iter().sum::<usize>() > 0 {
            return Err(format!("somebody or something is left: {:?}", self.census));
        }
        Ok(())
    }
}
