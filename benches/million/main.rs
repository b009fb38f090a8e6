//! `cargo bench --bench million`: the server's own logic with a million clients, without the kernel.
//!
//! A kernel would need four gigabytes and a core of its own for them. Here the sockets are simulated, and
//! only what hushd itself takes is measured: memory, processor time, and how long a turn takes.
//!
//! `-- --phase NAME` does one fixed piece of work with a thousand clients instead, inside a function
//! called `fixed_work`, for a profiler that counts instructions (`benches/instructions/run`).

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../../tests/network/mod.rs"]
#[allow(dead_code)]
mod network;

use std::cell::RefCell;
use std::error::Error;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use hushd::http::{Origins, Page, Routes, Site};
use hushd::server::{Budget, Limits, Server};
use hushd_load::process::{Process, thread_time};
use network::{COUNTED, Simulated, World, frame, written};

const MILLION: u32 = 1_000_000;

/// Turns over which one is averaged.
const TURNS: u64 = 10_000;

/// Length of a server's frame with a payload of 64 bytes.
const HEARD: u64 = 66;
/// A client's message, and a client's ping, of 64 bytes.
static SAID: LazyLock<Vec<u8>> = LazyLock::new(|| frame(0x1, &[b'x'; 64]));
static PING: LazyLock<Vec<u8>> = LazyLock::new(|| frame(0x9, &[b'x'; 64]));

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip_while(|arg| arg != "--phase").skip(1);
    match args.next() {
        Some(phase) => fixed(&phase),
        None => million(),
    }
}

/// Server, its world, and the longest turn where that is measured.
struct Stage {
    server: Server<Simulated<COUNTED>>,
    world: Rc<RefCell<World>>,
    longest: Option<Duration>,
    clients: u32,
}

impl Stage {
    fn new(clients: u32, ping_interval: Duration) -> Result<Self, Box<dyn Error>> {
        Self::within(clients, ping_interval, Budget::default())
    }

    /// Server whose turns stay within this budget.
    fn within(
        clients: u32,
        ping_interval: Duration,
        budget: Budget,
    ) -> Result<Self, Box<dyn Error>> {
        let world = World::counted(clients);
        let site = Site {
            origins: Origins::new(Vec::new(), true),
            subprotocols: &["chat"],
            deflate: false,
            page: Page::embedded(),
            routes: Routes::default(),
        };
        let limits = Limits {
            max_connections: MILLION as usize,
            max_per_address: 0,
            message_rate: 0,
            byte_rate: 0,
            ping_rate: 0,
            ping_interval,
            budget,
            ..Limits::default()
        };
        let server = Server::new(Simulated(Rc::clone(&world)), site, limits, 1)?;
        Ok(Self {
            server,
            world,
            longest: None,
            clients,
        })
    }

    /// Turns until nothing is left to do.
    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            match &mut self.longest {
                None => {
                    self.server.turn()?;
                }
                Some(longest) => {
                    let before = thread_time();
                    self.server.turn()?;
                    *longest = (*longest).max(thread_time() - before);
                }
            }
            if self.world.borrow().asleep {
                return Ok(());
            }
        }
    }

    fn arrive(&mut self) -> Result<(), Box<dyn Error>> {
        self.world.borrow_mut().arrive(self.clients);
        self.settle()
    }

    /// The first `talkers` clients say `count` messages each. Returns the number of deliveries.
    fn talk(&mut self, talkers: u32, count: u32) -> Result<u64, Box<dyn Error>> {
        let before = written();
        for talker in 0..talkers {
            self.world.borrow_mut().repeat(talker, &SAID, count);
        }
        self.settle()?;
        let deliveries = (written() - before) / HEARD;
        let expected = u64::from(talkers) * u64::from(count) * u64::from(self.clients);
        if deliveries != expected {
            return Err(format!("{deliveries} deliveries, not {expected}").into());
        }
        Ok(deliveries)
    }
}

fn million() -> Result<(), Box<dyn Error>> {
    let process = Process(std::process::id());
    println!("\n### a million: {MILLION} simulated clients in one room\n");
    println!("| what | measured | goal |\n|---|---|---|");
    let mut stage = Stage::new(MILLION, Duration::from_secs(30))?;
    let base = process.memory()?;
    stage.longest = Some(Duration::ZERO);

    let (arrived, _) = timed(|| stage.arrive())?;
    println!(
        "| user time per handshake | {:.2} us | |",
        each(arrived, MILLION.into())
    );
    let memory = (process.memory()? - base) as f64;
    println!(
        "| memory in all | {:.1} MB | at most 100 MB |",
        memory / 1e6
    );

    for (talkers, count, what) in [
        (1, 1, "one message"),
        (1, 100, "100 of one client"),
        (1_000, 1, "one of 1,000 each"),
    ] {
        let (time, deliveries) = timed(|| stage.talk(talkers, count))?;
        let nanos = each(time, deliveries) * 1e3;
        println!("| user time per delivery, {what} | {nanos:.1} ns | at most 100 ns |");
    }
    println!(
        "| longest turn | {:.2} ms | at most 10 ms |",
        stage.longest.unwrap_or_default().as_secs_f64() * 1e3
    );
    let memory = (process.memory()? - base) as f64;
    println!(
        "| memory in all, after that | {:.1} MB | at most 100 MB |",
        memory / 1e6
    );

    // No client is pinged before 30 s of silence: until then the sweep only looks.
    let start = stage.world.borrow().time();
    let (time, turns) = timed(|| {
        let mut turns = 0;
        while stage.world.borrow().time() < start + Duration::from_secs(20) {
            stage.server.turn()?;
            turns += 1;
        }
        Ok(turns)
    })?;
    let share = time.as_secs_f64() / (stage.world.borrow().time() - start).as_secs_f64();
    println!(
        "| sweep for silent clients | {:.3}% of a core, {turns} turns in 20 s | under 1% |",
        share * 100.0
    );
    drop(stage);
    let [few, many] = [publish(10)?, publish(MILLION)?];
    println!("| publishing, to 10 and to a million | {few:.0} and {many:.0} ns | the same |");
    let [one, many] = [rest(0)?, rest(9_999)?];
    println!(
        "| a quiet turn, with 1 and with 10,000 rooms | {one:.0} and {many:.0} ns | the same |"
    );
    Ok(())
}

/// Nanoseconds of a turn that publishes one message in a room of so many clients, and writes to one of them.
fn publish(clients: u32) -> Result<f64, Box<dyn Error>> {
    let budget = Budget {
        visits: 1,
        ..Budget::default()
    };
    let mut stage = Stage::within(clients, Duration::ZERO, budget)?;
    stage.arrive()?;
    let (time, turns) = timed(|| {
        for _ in 0..TURNS {
            stage.world.borrow_mut().repeat(0, &SAID, 1);
            stage.server.turn()?;
        }
        Ok(TURNS)
    })?;
    Ok(each(time, turns) * 1e3)
}

/// Nanoseconds of a turn in which nothing happens, with one room and so many others.
fn rest(other_rooms: u32) -> Result<f64, Box<dyn Error>> {
    let mut stage = Stage::new(other_rooms + 1, Duration::ZERO)?;
    stage.world.borrow_mut().other_rooms = other_rooms;
    stage.arrive()?;
    let (time, turns) = timed(|| {
        for _ in 0..TURNS {
            stage.server.turn()?;
        }
        Ok(TURNS)
    })?;
    Ok(each(time, turns) * 1e3)
}

fn timed<T>(
    work: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<(Duration, T), Box<dyn Error>> {
    let before = thread_time();
    let done = work()?;
    Ok((thread_time() - before, done))
}

fn each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

/// The work of one phase. Returns how many units it was.
type Work = fn(&mut Stage) -> Result<u64, Box<dyn Error>>;

fn fixed(phase: &str) -> Result<(), Box<dyn Error>> {
    let mut stage = Stage::new(1_000, Duration::ZERO)?;
    let work: Work = match phase {
        "handshakes" => |stage| stage.arrive().map(|()| stage.clients.into()),
        "one-talks" => |stage| (0..20).map(|_| stage.talk(1, 1)).sum(),
        "many-talk" => |stage| (0..20).map(|_| Ok(stage.talk(200, 1)? / 1_000)).sum(),
        "pings" => |stage| {
            for client in 0..stage.clients {
                stage.world.borrow_mut().repeat(client, &PING, 1);
            }
            stage.settle().map(|()| stage.clients.into())
        },
        "departures" => |stage| {
            for client in 0..stage.clients {
                stage.world.borrow_mut().leave(client);
            }
            stage.settle().map(|()| stage.clients.into())
        },
        _ => return Err("a phase is handshakes, one-talks, many-talk, pings or departures".into()),
    };
    if phase != "handshakes" {
        stage.arrive()?;
        stage.talk(1, 1)?;
    }
    println!("{}", fixed_work(&mut stage, work)?);
    Ok(())
}

#[inline(never)]
fn fixed_work(stage: &mut Stage, work: Work) -> Result<u64, Box<dyn Error>> {
    black_box(work)(stage)
}
