//! Scenarios in which clients send no messages.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::{Load, Measured, PATIENCE};
use crate::crowd::{ClientId, Happened};
use crate::tally::Faults;

/// All of `clients` ping, each again as soon as its pong is there. The unit is a pong.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn ping(load: &mut Load, clients: usize, time: Duration) -> io::Result<Measured> {
    let path = load.path.clone();
    for id in load.fill(clients, |_| path.clone())? {
        load.crowd.ping(id, load.crowd.now());
    }
    let measured = load.run(
        time,
        |tally| tally.pongs,
        |crowd, happened| {
            for what in happened {
                if let Happened::Ponged(id) = *what {
                    crowd.ping(id, crowd.now());
                }
            }
            Ok(Duration::from_millis(100))
        },
    )?;
    let latency = load.crowd.tally.pong_latency.clone();
    Ok(Measured {
        latency,
        faults: load.faults()?,
        ..measured
    })
}

/// `count` clients connect, each in a room of its own, and stay.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn rooms(load: &mut Load, count: usize) -> io::Result<()> {
    load.fill(count, |number| format!("/room-{number}"))
        .map(drop)
}

/// What idle clients cost the server.
#[derive(Clone, Debug)]
pub struct Idle {
    /// Bytes of the server's memory for each client that has only connected.
    pub fresh: f64,
    /// The same after each has received a message and a pong.
    pub used: f64,
    /// The server's memory with all of them, in bytes.
    pub memory: u64,
    /// The share of one processor that the server takes while nothing happens.
    pub busy: f64,
    /// What went wrong.
    pub faults: Faults,
}

/// `few` clients connect, receive a message and ping; then more clients do the same, until they are
/// `clients`; then nothing happens for `time`. Memory per client is the slope between the two numbers.
///
/// # Errors
///
/// The system's errors, a client that the server refuses, and an unknown process.
pub fn idle(load: &mut Load, few: usize, clients: usize, time: Duration) -> io::Result<Idle> {
    let process = load
        .process
        .ok_or_else(|| io::Error::other("whose memory? The server's process id is needed"))?;
    let path = load.path.clone();
    let mut ids = load.fill(few, |_| path.clone())?;
    stir(load, &ids)?;
    let base = process.memory()?;
    ids.extend(load.fill(clients - few, |_| path.clone())?);
    thread::sleep(Duration::from_millis(500));
    let fresh = process.memory()?;
    stir(load, &ids)?;
    thread::sleep(Duration::from_millis(500));
    let used = process.memory()?;
    let slope = |memory: u64| (memory as f64 - base as f64) / (clients - few) as f64;
    let before = process.cpu()?;
    let (mut happened, start) = (Vec::new(), Instant::now());
    while let Some(left) = time
        .checked_sub(start.elapsed())
        .filter(|left| !left.is_zero())
    {
        load.crowd.turn(left, &mut happened)?;
    }
    let busy = (process.cpu()? - before).as_secs_f64() / start.elapsed().as_secs_f64();
    Ok(Idle {
        fresh: slope(fresh),
        used: slope(used),
        memory: used,
        busy,
        faults: load.faults()?,
    })
}

/// Each client receives one message and pings once.
fn stir(load: &mut Load, ids: &[ClientId]) -> io::Result<()> {
    load.crowd.say(ids[0], load.crowd.now());
    for &id in ids {
        load.crowd.ping(id, load.crowd.now());
    }
    let pongs = load.crowd.tally.pongs + ids.len() as u64;
    let (mut happened, start) = (Vec::new(), Instant::now());
    while load.crowd.tally.pongs < pongs || load.crowd.tally.deliveries < load.crowd.tally.expected
    {
        load.crowd.turn(Duration::from_millis(100), &mut happened)?;
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other("messages or pongs are missing"));
        }
    }
    Ok(())
}
