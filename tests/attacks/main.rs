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
mod holdings;
mod limits;
mod logs;
mod origins;
mod pressure;
mod requests;
mod returns;
mod talkers;

use common::crowd::{Crowd, Delays};
use common::{Server, eventually};
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

/// One line for each attack, into the file that `ATTACKS_REPORT` names, the latest p99 first: how late
/// the honest were, and how much of that is their own.
fn report(name: &str, delays: &Delays, grown: u64, took: Duration) {
    let Ok(path) = std::env::var("ATTACKS_REPORT") else {
        return;
    };
    let at = |delays: &[Duration], share: usize| {
        let place = (delays.len() * share / 1000).min(delays.len() - 1);
        delays[place].as_secs_f64() * 1e3
    };
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    writeln!(
        file,
        "{:>7.1} {:>7.1} {:>7.1} {:>8.1} {:>8.1} {:>8} {:>+7} {:>6.1}  {name}",
        at(&delays.deliveries, 990),
        at(&delays.deliveries, 500),
        at(&delays.deliveries, 1000),
        at(&delays.own, 990),
        at(&delays.own, 1000),
        delays.deliveries.len(),
        grown / KIB,
        took.as_secs_f64()
    )
    .unwrap();
}

/// What the others are to be compared with.
#[test]
fn nobody_does_anything() {
    attacked("nothing", &[], 0, |_| {
        std::thread::sleep(Duration::from_secs(scaled(16) as u64));
    });
}

/// The size of a heavy attack: in full under `tests/attacks/run`, a sixteenth in `cargo test`.
fn scaled(full: usize) -> usize {
    if std::env::var_os("ATTACKS_IN_FULL").is_some() {
        full
    } else {
        full / 16
    }
}
