//! `cargo bench --bench chat -- [NAME]... [OPTION]...`: hushd under load, beside the raw ceiling.
//!
//! Every server runs on one processor and the load on another where there are two; every run has a
//! fresh server; the servers take turns within each round. A name runs the jobs that contain it.
//!
//! - `--rounds N` (3): the median of more rounds is steadier
//! - `--peer 'NAME=COMMAND'`: another server, which must say at which address of 127.0.0.1 it listens
//! - `--each`: the ceiling also with one write per message and client
//! - `--without-hushd`: only the others
//! - `--plot DIRECTORY`: also deliveries per second and memory over the number of clients, as SVG

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints"
)]

mod contestants;
mod jobs;
mod plot;
mod table;

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use contestants::{Contestant, SWITCHED_OFF, be_the_ceiling};
use hushd_ceiling::Writes;
use hushd_load::process::pin;
use jobs::{JOBS, Job};
use table::Row;

struct Options {
    names: Vec<String>,
    rounds: usize,
    contestants: Vec<Contestant>,
    plot: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    be_the_ceiling()?;
    let options = options(std::env::args().skip(1))?;
    let processors = thread::available_parallelism()?.get();
    let load_on = processors.min(2) - 1;
    pin(load_on)?;
    let off: Vec<_> = SWITCHED_OFF
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    println!("hushd with {}.", off.join(" "));
    println!(
        "Median of {} rounds, ± half the range; bold: the ratio to the first row.",
        options.rounds
    );
    let start = Instant::now();
    let chosen = |job: &&Job| {
        options.names.is_empty()
            || options
                .names
                .iter()
                .any(|name| job.name.contains(name.as_str()))
    };
    let jobs = JOBS.iter().filter(chosen);
    let done: Vec<_> = jobs.map(|job| (job, run(job, &options, load_on))).collect();
    if done.len() > 1 {
        table::summary(&done);
    }
    if let Some(directory) = &options.plot {
        plot::draw(directory, &options.contestants, load_on)?;
    }
    println!("\n{:.0} s in all.", start.elapsed().as_secs_f64());
    Ok(())
}

fn run(job: &Job, options: &Options, load_on: usize) -> Vec<Row> {
    let contestants = options
        .contestants
        .iter()
        .filter(|&one| job.ceiling || !matches!(one, Contestant::Ceiling(_)));
    let mut rows: Vec<_> = contestants
        .map(|one| {
            (
                one,
                Row {
                    name: one.name().to_owned(),
                    rounds: Vec::new(),
                },
            )
        })
        .collect();
    for _ in 0..options.rounds {
        for (contestant, row) in &mut rows {
            // A server that failed once is not run again.
            if row.rounds.iter().all(Result::is_ok) {
                let figures = contestant
                    .start(load_on)
                    .and_then(|server| (job.run)(&server));
                row.rounds.push(figures.map_err(|error| error.to_string()));
            }
        }
    }
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    if !rows.is_empty() {
        table::print(job.title, job.figures, &rows);
    }
    rows
}

fn options(mut args: impl Iterator<Item = String>) -> io::Result<Options> {
    let mut options = Options {
        names: Vec::new(),
        rounds: 3,
        contestants: vec![Contestant::Ceiling(Writes::Gathered), Contestant::Hushd],
        plot: None,
    };
    while let Some(arg) = args.next() {
        let mut value = || {
            args.next()
                .ok_or_else(|| io::Error::other(format!("{arg} needs a value")))
        };
        match arg.as_str() {
            // Cargo adds this argument.
            "--bench" => {}
            "--rounds" => options.rounds = value()?.parse().map_err(io::Error::other)?,
            "--plot" => options.plot = Some(value()?.into()),
            "--each" => options.contestants.push(Contestant::Ceiling(Writes::Each)),
            "--without-hushd" => options
                .contestants
                .retain(|contestant| *contestant != Contestant::Hushd),
            "--peer" => {
                let peer = value()?;
                let (name, command) = peer
                    .split_once('=')
                    .ok_or_else(|| io::Error::other("--peer NAME=COMMAND"))?;
                let command = command.split_whitespace().map(str::to_owned).collect();
                options.contestants.push(Contestant::Peer {
                    name: name.to_owned(),
                    command,
                });
            }
            option if option.starts_with("--") => {
                return Err(io::Error::other(format!("unknown option {option}")));
            }
            _ => options.names.push(arg),
        }
    }
    Ok(options)
}
