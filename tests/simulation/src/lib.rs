//! The whole server above the kernel, run against simulated sockets, a simulated clock and clients that
//! chat, flood, cheat, stall, vanish and come back, all of it decided by one seed.
//!
//! After every turn the run looks at all that must be so: what each client was written is exactly what
//! its room has heard, in order, each message once, be it plain, in JSON or compressed; whoever comes back in
//! `chat.v1` is the same member, hears exactly what it missed and is published once, and is told who is here
//! so that every name is there once; nobody is owed anything that nobody will offer; no
//! readiness is forgotten when the server goes to sleep; nothing exceeds its limit and no deadline is
//! overdue; whoever is sent away has given reason; the server's counters and lists are what a census
//! finds; and its entries are the open sockets. The same seed gives the same trace, byte for byte.
//!
//! The server runs with its embedded engine, or with one that answers late: then all that was read is asked of the
//! engine once and in order, and all that the engine has committed is heard in that order, with its seqs.

mod client;
mod late;
mod model;
mod names;
mod person;
mod random;
mod run;
mod scenario;
mod trace;
mod view;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use random::Random;
pub use run::{EngineKind, Outcome, run};

/// Runs one seed. Panics of the server are failures like others.
///
/// # Errors
/// What went wrong.
pub fn run_seed(seed: u64, engine: EngineKind, print: bool) -> Result<Outcome, String> {
    let run = || run(Random::of_seed(seed), engine, print);
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("the server panics: {}", said.unwrap_or("?")))
    })
}
