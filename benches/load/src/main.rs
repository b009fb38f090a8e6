//! The load generator's command line.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use hushd_load::process::{Process, pin};
use hushd_load::scenario::{self, Idle, Load, Measured};
use hushd_load::tally::Faults;

/// Puts a WebSocket chat server under load and verifies every byte that it sends.
///
/// The server may be any that sends each message of a room (the path of the URL) to all members, the
/// sender included. Exits with 1 if anything was lost, doubled, misordered or corrupt.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Args)]
struct Target {
    /// The server and the room: [ws://]HOST:PORT[/ROOM]
    url: String,
    /// The server's process id, to measure its processor time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// Bytes of each message, at least 24
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Offer permessage-deflate, which the server has to accept
    #[arg(long)]
    deflate: bool,
    /// Stay on this processor
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Clients connect and stay: handshakes per second
    Connect {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 10_000)]
        clients: usize,
    },
    /// Clients connect and close at once
    Churn {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 10_000)]
        clients: usize,
    },
    /// One client talks to all, its next message when all have heard the last
    Broadcast {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 1_000)]
        clients: usize,
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// Many clients talk to all, each its next message when its last has come back
    Many {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 200)]
        clients: usize,
        /// How many of the clients talk; all by default
        #[arg(long)]
        talkers: Option<usize>,
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// Messages at a fixed rate (an open loop): latency from when each was due
    Steady {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 1_000)]
        clients: usize,
        /// Messages per second
        #[arg(long, default_value_t = 1_000.0)]
        rate: f64,
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// All clients ping, each again when its pong is there
    Ping {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 1_000)]
        clients: usize,
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// Clients that do nothing: memory of each and processor time of all (needs --pid)
    Idle {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 19_000)]
        clients: usize,
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
    /// Pings of settled clients while others arrive all at once
    Stall {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 5_000)]
        arrivals: usize,
    },
    /// Some clients talk as fast as they can; pings of others in another room
    Overload {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 200)]
        clients: usize,
        #[arg(long, default_value_t = 10)]
        talkers: usize,
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
}

impl Target {
    fn load(&self) -> io::Result<Load> {
        if self.size < hushd_load::message::SHORTEST {
            return Err(io::Error::other("--size is at least 24"));
        }
        if let Some(cpu) = self.cpu {
            pin(cpu)?;
        }
        let address = self.url.strip_prefix("ws://").unwrap_or(&self.url);
        let (host, path) = address
            .split_once('/')
            .map_or((address, "/".into()), |(host, path)| {
                (host, format!("/{path}"))
            });
        let server: Option<SocketAddr> = host.to_socket_addrs()?.next();
        let server = server.ok_or_else(|| io::Error::other(format!("{host} has no address")))?;
        let mut load = Load::new(server, &path, self.size, self.pid.map(Process))?;
        load.crowd.deflate = self.deflate;
        Ok(load)
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse().scenario) {
        Ok(faults) if faults.none() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hushd-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(scenario: &Scenario) -> io::Result<Faults> {
    let time = |seconds: &f64| Duration::try_from_secs_f64(*seconds).map_err(io::Error::other);
    let (unit, measured) = match scenario {
        Scenario::Connect { target, clients } => (
            "handshakes",
            scenario::connect(&mut target.load()?, *clients)?,
        ),
        Scenario::Churn { target, clients } => {
            ("visits", scenario::churn(&mut target.load()?, *clients)?)
        }
        Scenario::Broadcast {
            target,
            clients,
            seconds,
        } => (
            "deliveries",
            scenario::broadcast(&mut target.load()?, *clients, time(seconds)?)?,
        ),
        Scenario::Many {
            target,
            clients,
            talkers,
            seconds,
        } => {
            let talkers = talkers.unwrap_or(*clients).min(*clients);
            (
                "deliveries",
                scenario::many(&mut target.load()?, *clients, talkers, time(seconds)?)?,
            )
        }
        Scenario::Steady {
            target,
            clients,
            rate,
            seconds,
        } => (
            "deliveries",
            scenario::steady(&mut target.load()?, *clients, *rate, time(seconds)?)?,
        ),
        Scenario::Ping {
            target,
            clients,
            seconds,
        } => (
            "pongs",
            scenario::ping(&mut target.load()?, *clients, time(seconds)?)?,
        ),
        Scenario::Idle {
            target,
            clients,
            seconds,
        } => {
            let few = (*clients / 19).max(1);
            return Ok(report_idle(&scenario::idle(
                &mut target.load()?,
                few,
                *clients,
                time(seconds)?,
            )?));
        }
        Scenario::Stall { target, arrivals } => {
            ("arrivals", scenario::stall(&mut target.load()?, *arrivals)?)
        }
        Scenario::Overload {
            target,
            clients,
            talkers,
            seconds,
        } => (
            "deliveries",
            scenario::overload(&mut target.load()?, *clients, *talkers, time(seconds)?)?,
        ),
    };
    Ok(report(unit, &measured))
}

fn report(unit: &str, measured: &Measured) -> Faults {
    println!(
        "{} {unit} in {:.2} s: {:.0} a second",
        measured.units,
        measured.time.as_secs_f64(),
        measured.rate()
    );
    if let (Some(micros), Some(busy)) = (measured.micros_each(), measured.busy()) {
        println!(
            "server: {micros:.3} us each, {:.1}% of a processor",
            busy * 100.0
        );
    }
    if let Some(memory) = measured.memory {
        println!("server: at most {:.1} MiB", memory as f64 / 1_048_576.0);
    }
    if measured.latency.count() > 0 {
        let millis = |share| measured.latency.quantile(share).as_secs_f64() * 1e3;
        println!(
            "latency: p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, longest {:.3} ms",
            millis(0.5),
            millis(0.9),
            millis(0.99),
            millis(1.0),
        );
    }
    println!("{}", measured.faults);
    measured.faults
}

fn report_idle(idle: &Idle) -> Faults {
    println!(
        "server: {:.0} bytes for each idle client, {:.0} after it was used",
        idle.fresh, idle.used
    );
    println!(
        "server: {:.1} MiB in all, {:.3}% of a processor",
        idle.memory as f64 / 1_048_576.0,
        idle.busy * 100.0
    );
    println!("{}", idle.faults);
    idle.faults
}
