//! What is measured: each job runs one scenario against a fresh server and returns its figures.

use std::io;
use std::time::Duration;

use hushd_load::scenario::{self, Measured};

use crate::contestants::Running;

/// One table.
pub(crate) struct Job {
    /// Any part of this name chooses the job on the command line.
    pub(crate) name: &'static str,
    /// What happens, in words.
    pub(crate) title: &'static str,
    /// What is measured, with its unit.
    pub(crate) figures: &'static [Figure],
    /// Which of them stands for the job in the summary.
    pub(crate) headline: usize,
    /// Whether the ceiling, which has one room and keeps no limits, can take part.
    pub(crate) ceiling: bool,
    /// Runs it once, against a fresh server.
    pub(crate) run: fn(&Running) -> io::Result<Vec<f64>>,
}

/// One column.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) digits: usize,
    /// Whether it is compared with the ceiling's.
    pub(crate) ratio: bool,
}

const fn plain(name: &'static str, digits: usize) -> Figure {
    Figure {
        name,
        digits,
        ratio: false,
    }
}

const fn ratio(name: &'static str, digits: usize) -> Figure {
    Figure {
        name,
        digits,
        ratio: true,
    }
}

const RATE: Figure = plain("k/s", 1);
const EACH: Figure = ratio("server us each", 3);
const P50: Figure = plain("p50 ms", 2);
const P99: Figure = plain("p99 ms", 2);

/// All jobs, in the order in which they run.
pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "connect",
        title: "connect: 10,000 clients shake hands and stay",
        figures: &[RATE, EACH],
        headline: 1,
        ceiling: true,
        run: |server| rate_and_each(scenario::connect(&mut server.load()?, 10_000)?),
    },
    Job {
        name: "churn",
        title: "churn: 10,000 clients shake hands and close",
        figures: &[RATE, EACH],
        headline: 1,
        ceiling: true,
        run: |server| rate_and_each(scenario::churn(&mut server.load()?, 10_000)?),
    },
    Job {
        name: "broadcast-1000",
        title: "broadcast: one talks to 1,000, and goes on when all have heard it (deliveries)",
        figures: &[RATE, EACH],
        headline: 1,
        ceiling: true,
        run: |server| rate_and_each(scenario::broadcast(&mut server.load()?, 1_000, TIME)?),
    },
    Job {
        name: "broadcast-10000",
        title: "broadcast: one talks to 10,000, and goes on when all have heard it (deliveries)",
        figures: &[RATE, EACH],
        headline: 1,
        ceiling: true,
        run: |server| rate_and_each(scenario::broadcast(&mut server.load()?, 10_000, TIME)?),
    },
    Job {
        name: "many-200",
        title: "many: 200 of 200 talk, each goes on when it has heard itself (deliveries)",
        figures: TALK,
        headline: 0,
        ceiling: true,
        run: |server| talk(scenario::many(&mut server.load()?, 200, 200, TIME)?),
    },
    Job {
        name: "many-1000",
        title: "many: 50 of 1,000 talk, each goes on when it has heard itself (deliveries)",
        figures: TALK,
        headline: 0,
        ceiling: true,
        run: |server| talk(scenario::many(&mut server.load()?, 1_000, 50, TIME)?),
    },
    Job {
        name: "pingpong",
        title: "ping-pong: 1,000 clients ping, each again when it has its pong",
        figures: &[RATE, EACH, P99],
        headline: 1,
        ceiling: true,
        run: |server| {
            let measured = checked(scenario::ping(&mut server.load()?, 1_000, TIME)?)?;
            Ok(vec![
                measured.rate() / 1e3,
                each(&measured),
                millis(&measured, 0.99),
            ])
        },
    },
    Job {
        name: "idle",
        title: "idle: 19,000 clients connect, hear one message, ping once and say nothing for 5 s",
        figures: &[
            plain("bytes per client", 0),
            plain("after use", 0),
            plain("MiB in all", 1),
            plain("% of a core", 3),
        ],
        headline: 1,
        ceiling: true,
        run: |server| {
            let idle = scenario::idle(&mut server.load()?, 1_000, 19_000, Duration::from_secs(5))?;
            Ok(vec![
                idle.fresh,
                idle.used,
                idle.memory as f64 / 1_048_576.0,
                idle.busy * 100.0,
            ])
        },
    },
    Job {
        name: "gather",
        title: "gather: 1,000 messages/s to 1,000 clients at fixed moments (deliveries)",
        figures: &[RATE, EACH, plain("% of a core", 1), P50, P99],
        headline: 2,
        ceiling: true,
        run: |server| {
            let measured = checked(scenario::steady(&mut server.load()?, 1_000, 1_000.0, TIME)?)?;
            let busy = measured.busy().unwrap_or(f64::NAN) * 100.0;
            let [p50, p99] = [0.5, 0.99].map(|share| millis(&measured, share));
            Ok(vec![measured.rate() / 1e3, each(&measured), busy, p50, p99])
        },
    },
    Job {
        name: "flat",
        title: "flat: server us per delivery, one talks to 100 and to 19,000",
        figures: &[ratio("to 100", 3), ratio("to 19,000", 3), ratio("rise", 2)],
        headline: 2,
        ceiling: true,
        run: |server| {
            let few = each(&checked(scenario::broadcast(
                &mut server.load()?,
                100,
                TIME,
            )?)?);
            let lots = each(&checked(scenario::broadcast(
                &mut server.load()?,
                19_000,
                TIME,
            )?)?);
            Ok(vec![few, lots, lots / few])
        },
    },
    Job {
        name: "rooms",
        title: "rooms: server us per ping of 100 clients, alone and beside 10,000 quiet rooms",
        figures: &[
            plain("alone", 3),
            plain("beside 10,000", 3),
            plain("rise", 2),
        ],
        headline: 2,
        ceiling: false,
        run: |server| {
            let mut load = server.load()?;
            let alone = each(&checked(scenario::ping(&mut load, 100, TIME)?)?);
            load.crowd.clear()?;
            scenario::rooms(&mut load, 9_999)?;
            let beside = each(&checked(scenario::ping(&mut load, 100, TIME)?)?);
            Ok(vec![alone, beside, beside / alone])
        },
    },
    Job {
        name: "stall",
        title: "stall: pings of 100 settled clients while 5,000 arrive at once",
        figures: &[plain("arrivals k/s", 1), P50, P99, plain("longest ms", 2)],
        headline: 2,
        ceiling: true,
        run: |server| {
            let measured = checked(scenario::stall(&mut server.load()?, 5_000)?)?;
            let [p50, p99, longest] = [0.5, 0.99, 1.0].map(|share| millis(&measured, share));
            Ok(vec![measured.rate() / 1e3, p50, p99, longest])
        },
    },
    Job {
        name: "overload",
        title: "overload: 10 of 200 say all that their sockets take; pings of 100 others in another room",
        figures: &[
            plain("deliveries k/s", 0),
            plain("MiB at most", 1),
            P50,
            P99,
        ],
        headline: 3,
        ceiling: false,
        run: |server| {
            let measured = checked(scenario::overload(&mut server.load()?, 200, 10, TIME)?)?;
            let memory = measured
                .memory
                .map_or(f64::NAN, |bytes| bytes as f64 / 1_048_576.0);
            let [p50, p99] = [0.5, 0.99].map(|share| millis(&measured, share));
            Ok(vec![measured.rate() / 1e3, memory, p50, p99])
        },
    },
];

const TALK: &[Figure] = &[ratio("k/s", 0), EACH, P50, P99];
const TIME: Duration = Duration::from_millis(1_500);

fn rate_and_each(measured: Measured) -> io::Result<Vec<f64>> {
    let measured = checked(measured)?;
    Ok(vec![measured.rate() / 1e3, each(&measured)])
}

fn talk(measured: Measured) -> io::Result<Vec<f64>> {
    let measured = checked(measured)?;
    let [p50, p99] = [0.5, 0.99].map(|share| millis(&measured, share));
    Ok(vec![measured.rate() / 1e3, each(&measured), p50, p99])
}

/// A server that does not deliver has no figures.
fn checked(measured: Measured) -> io::Result<Measured> {
    match measured.faults.none() {
        true => Ok(measured),
        false => Err(io::Error::other(measured.faults.to_string())),
    }
}

fn each(measured: &Measured) -> f64 {
    measured.micros_each().unwrap_or(f64::NAN)
}

fn millis(measured: &Measured, share: f64) -> f64 {
    measured.latency.quantile(share).as_secs_f64() * 1e3
}
