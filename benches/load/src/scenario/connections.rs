//! Scenarios in which clients connect, or connect and leave.

use std::io;
use std::time::{Duration, Instant};

use super::{Load, Measured, PATIENCE, WINDOW};
use crate::crowd::Happened;

/// `count` clients connect, a hundred at a time, and stay. The unit is a whole handshake.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn connect(load: &mut Load, count: usize) -> io::Result<Measured> {
    come(load, count, |_, _| {})
}

/// `count` clients connect, and close their connection as soon as the server has answered. The unit
/// is one such visit.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn churn(load: &mut Load, count: usize) -> io::Result<Measured> {
    come(load, count, |load, id| load.crowd.close(id))
}

fn come(
    load: &mut Load,
    count: usize,
    mut then: impl FnMut(&mut Load, usize),
) -> io::Result<Measured> {
    let path = load.path.clone();
    let (mut begun, mut open, mut happened) = (0, 0, Vec::new());
    let (cpu, start) = (load.cpu()?, Instant::now());
    let mut last = start;
    while open < count {
        while begun < count && begun - open < WINDOW {
            load.crowd.open(&path)?;
            begun += 1;
        }
        load.crowd.turn(Duration::from_millis(100), &mut happened)?;
        for what in &happened {
            match *what {
                Happened::Opened(id) => {
                    open += 1;
                    last = Instant::now();
                    then(load, id);
                }
                Happened::Dropped(id) => {
                    return Err(io::Error::other(format!("client {id} was refused")));
                }
                Happened::Heard(_) | Happened::Ponged(_) => {}
            }
        }
        if last.elapsed() > PATIENCE {
            return Err(io::Error::other(format!(
                "only {open} of {count} clients could connect"
            )));
        }
    }
    let time = start.elapsed();
    // The server still has work with the last clients, such as closing their connections.
    std::thread::sleep(Duration::from_millis(50));
    let cpu = load
        .cpu()?
        .zip(cpu)
        .map(|(now, before)| now.saturating_sub(before));
    Ok(Measured {
        units: count as u64,
        time,
        cpu,
        faults: load.crowd.tally.faults,
        ..Measured::default()
    })
}
