//! What a stranger can do to a server, done to one where a hundred honest clients chat.
//!
//! After each attack the process lives, the honest clients have missed nothing, its memory has never
//! been above what the limits add up to, and every descriptor has come back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod closing;
mod frames;
mod heads;
mod limits;
mod logs;
mod origins;
mod pressure;
mod requests;
mod returns;
mod talkers;

use common::crowd::Crowd;
use common::{Server, eventually};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Honest clients beside each attack.
const HONEST: usize = 100;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Runs a server with these options, an honest crowd in its room `/honest`, and the attack beside
/// them. `cap` is what the attack may cost in memory, in bytes: the limits that it runs into.
fn attacked(name: &str, options: &[&str], cap: u64, attack: impl FnOnce(&mut Server)) {
    let start = Instant::now();
    let mut server = Server::start(options);
    let crowd = Crowd::join(&server, "/honest", HONEST);
    let (descriptors, memory) = (server.descriptors(), server.memory());

    attack(&mut server);

    assert!(server.is_alive(), "{name}: hushd has died");
    assert!(
        eventually(|| server.descriptors() <= descriptors),
        "{name}: {} descriptors are left of {descriptors}",
        server.descriptors()
    );
    let delays = crowd.verify();
    let grown = server.peak_memory().saturating_sub(memory);
    assert!(grown <= cap + MARGIN, "{name}: grew by {} KiB", grown / KIB);
    report(name, &delays, grown, start.elapsed());
}

/// What the allocator and pages touched for the first time may add to what is counted.
const MARGIN: u64 = 4 * MIB;

/// One line for each attack, into the file that `ATTACKS_REPORT` names: how late the honest were.
fn report(name: &str, delays: &[Duration], grown: u64, took: Duration) {
    let Ok(path) = std::env::var("ATTACKS_REPORT") else {
        return;
    };
    let at = |share: usize| {
        delays
            .get(delays.len() * share / 1000)
            .or(delays.last())
            .copied()
    };
    let mut line = format!("{name:<44} {:>8} deliveries", delays.len());
    for (label, share) in [("p50", 500), ("p99", 990), ("max", 1000)] {
        let _ = write!(
            line,
            "  {label} {:>6.1} ms",
            at(share).unwrap_or_default().as_secs_f64() * 1e3
        );
    }
    let _ = writeln!(
        line,
        "  memory {:>+7} KiB  took {:.1} s",
        grown / KIB,
        took.as_secs_f64()
    );
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

/// The size of a heavy attack: in full under `tests/attacks/run`, a sixteenth in `cargo test`.
fn scaled(full: usize) -> usize {
    if std::env::var_os("ATTACKS_IN_FULL").is_some() {
        full
    } else {
        full / 16
    }
}
