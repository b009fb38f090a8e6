//! Scenarios in which clients send messages to a room.

use std::io;
use std::time::Duration;

use super::{Load, Measured};
use crate::crowd::Happened;
use crate::process::Process;
use crate::tally::Timed;

const LONG: Duration = Duration::from_millis(100);

/// One of `clients` talks. It sends its next message when all clients have received the last one. The unit
/// is a delivery.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn broadcast(load: &mut Load, clients: usize, time: Duration) -> io::Result<Measured> {
    let path = load.path.clone();
    let talker = load.fill(clients, |_| path.clone())?[0];
    load.crowd.tally.timed = Timed::Every;
    let measured = load.run(
        time,
        |tally| tally.deliveries,
        |crowd, _| {
            if crowd.tally.deliveries >= crowd.tally.expected {
                crowd.say(talker, crowd.now());
            }
            Ok(LONG)
        },
    )?;
    Ok(Measured {
        faults: load.faults()?,
        ..measured
    })
}

/// `talkers` of `clients` talk. Each sends its next message when its last one has come back to itself. The
/// unit is a delivery; the round trip is timed; memory is measured before the first message.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn many(
    load: &mut Load,
    clients: usize,
    talkers: usize,
    time: Duration,
) -> io::Result<Measured> {
    let path = load.path.clone();
    let ids = load.fill(clients, |_| path.clone())?;
    let memory = load.process.map(Process::memory).transpose()?;
    // Spread over the order in which they came, as a server is likely to keep them.
    let talking: Vec<_> = (0..talkers)
        .map(|talker| ids[talker * clients / talkers])
        .collect();
    for &id in &talking {
        load.crowd.say(id, load.crowd.now());
    }
    let measured = load.run(
        time,
        |tally| tally.deliveries,
        |crowd, happened| {
            for what in happened {
                if let Happened::Heard(id) = *what {
                    crowd.say(id, crowd.now());
                }
            }
            Ok(LONG)
        },
    )?;
    Ok(Measured {
        memory,
        faults: load.faults()?,
        ..measured
    })
}

/// All of `clients` in turn send `rate` messages a second at fixed moments, however slow the server is.
/// The unit is a delivery; each is timed from the moment at which its message was due.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn steady(load: &mut Load, clients: usize, rate: f64, time: Duration) -> io::Result<Measured> {
    let path = load.path.clone();
    let ids = load.fill(clients, |_| path.clone())?;
    load.crowd.tally.timed = Timed::Every;
    let (start, mut said) = (load.crowd.now(), 0_u64);
    let due = |said: u64| start + (said as f64 * 1e9 / rate) as u64;
    let measured = load.run(
        time,
        |tally| tally.deliveries,
        |crowd, _| {
            let now = crowd.now();
            while due(said) <= now {
                crowd.say(ids[said as usize % ids.len()], due(said));
                said += 1;
            }
            // Waits in whole milliseconds and looks around in the last one.
            Ok(Duration::from_millis((due(said) - now) / 1_000_000))
        },
    )?;
    Ok(Measured {
        faults: load.faults()?,
        ..measured
    })
}
