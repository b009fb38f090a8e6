//! The command: runs seeds, as many as are asked for, and says which of them fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use hushd_simulation::{EngineKind, Outcome, Random, run, run_seed};

/// Failures that are told: more would not say more.
const TOLD: usize = 10;

/// Runs hushd in a simulated world, once for each seed, and looks at everything after every turn.
#[derive(Parser)]
struct Cli {
    /// Run this seed only
    #[arg(long)]
    seed: Option<u64>,

    /// Let the bytes of this file decide: what a fuzzer has found
    #[arg(long, conflicts_with = "seed")]
    bytes: Option<PathBuf>,

    /// What stands behind the server
    #[arg(long, value_enum, default_value_t = EngineKind::Embedded)]
    engine: EngineKind,

    /// Print everything that happens
    #[arg(long)]
    trace: bool,

    /// How many seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,

    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(seed) = cli.seed {
        return tell(
            &format!("seed {seed}"),
            run_seed(seed, cli.engine, cli.trace),
        );
    }
    if let Some(path) = cli.bytes {
        let outcome = match std::fs::read(&path) {
            Ok(bytes) => run(Random::of_bytes(&bytes), cli.engine, cli.trace),
            Err(error) => Err(error.to_string()),
        };
        return tell(&path.display().to_string(), outcome);
    }
    let (from, to) = (cli.from, cli.from.saturating_add(cli.seeds));
    let (next, turns, failed) = (AtomicU64::new(from), AtomicU64::new(0), AtomicUsize::new(0));
    let met = Mutex::new(BTreeMap::new());
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failures: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            let mut seen = BTreeMap::new();
            loop {
                // Seeds are given out in order and then finished: the lowest that fail are always the same.
                let enough = failed.load(Ordering::Relaxed) >= TOLD;
                let seed = next.fetch_add(u64::from(!enough), Ordering::Relaxed);
                if seed >= to || enough {
                    if let Ok(mut met) = met.lock() {
                        add(&mut met, seen);
                    }
                    return failures;
                }
                match run_seed(seed, cli.engine, false) {
                    Ok(outcome) => {
                        turns.fetch_add(outcome.turns as u64, Ordering::Relaxed);
                        add(&mut seen, named(&outcome.counts.to_string()));
                    }
                    Err(wrong) => {
                        failed.fetch_add(1, Ordering::Relaxed);
                        failures.push((seed, wrong));
                    }
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    });
    failures.sort();
    println!(
        "{} seeds, {} turns, in {:.1} s",
        next.load(Ordering::Relaxed).min(to) - from,
        turns.load(Ordering::Relaxed),
        began.elapsed().as_secs_f64()
    );
    for (name, count) in met.into_inner().unwrap_or_default() {
        println!("{count:>12} {name}");
    }
    for (seed, wrong) in failures.iter().take(TOLD) {
        println!("seed {seed} fails {wrong}");
        let engine = cli.engine;
        println!(
            "    cargo run --release -p hushd-simulation -- --engine {engine} --seed {seed} --trace"
        );
    }
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell(what: &str, outcome: Result<Outcome, String>) -> ExitCode {
    match outcome {
        Ok(outcome) => {
            println!("{what}: {outcome:?}");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            println!("{what} fails {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// What the server counted: `name=value`, several times.
fn named(counts: &str) -> BTreeMap<String, u64> {
    counts
        .split_whitespace()
        .filter_map(|count| count.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap_or(0)))
        .collect()
}

fn add(to: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>) {
    for (name, count) in from {
        *to.entry(name).or_default() += count;
    }
}
