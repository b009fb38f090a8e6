//! What the clients do. Each scenario returns one [`Measured`], in a unit of its own.

mod connections;
mod pressure;
mod quiet;
mod talk;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use connections::{churn, connect};
pub use pressure::{overload, stall};
pub use quiet::{Idle, idle, ping, rooms};
pub use talk::{broadcast, many, steady};

use crate::crowd::{ClientId, Crowd, Happened};
use crate::process::Process;
use crate::tally::{Faults, Tally, Times};

/// Connections on their way at once, well below any server's backlog.
const WINDOW: usize = 100;
/// After so long without an arrival, what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause between the last handshake and the first message, because a server may still be adding the member.
const SETTLE: Duration = Duration::from_millis(200);

/// The server under load, and how to talk to it.
pub struct Load {
    /// The clients.
    pub crowd: Crowd,
    /// The room, as the path of the request.
    pub path: String,
    /// The server's process, if it is on this machine.
    pub process: Option<Process>,
}

/// What a scenario found.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// How much was done: handshakes, deliveries or pongs.
    pub units: u64,
    /// In this time.
    pub time: Duration,
    /// The processor time that the server took for it.
    pub cpu: Option<Duration>,
    /// The server's memory, where a scenario looks at it, in bytes.
    pub memory: Option<u64>,
    /// From the moment something was due until it was there.
    pub latency: Times,
    /// What went wrong.
    pub faults: Faults,
}

impl Measured {
    /// Units per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.units as f64 / self.time.as_secs_f64()
    }

    /// Server time per unit, in microseconds.
    #[must_use]
    pub fn micros_each(&self) -> Option<f64> {
        self.cpu
            .map(|cpu| cpu.as_secs_f64() * 1e6 / self.units as f64)
    }

    /// The share of one processor that the server used.
    #[must_use]
    pub fn busy(&self) -> Option<f64> {
        self.cpu
            .map(|cpu| cpu.as_secs_f64() / self.time.as_secs_f64())
    }
}

impl Load {
    /// A load on `server`, with messages of `size` bytes.
    ///
    /// # Errors
    ///
    /// Errors of `epoll_create`.
    pub fn new(
        server: SocketAddr,
        path: &str,
        size: usize,
        process: Option<Process>,
    ) -> io::Result<Self> {
        let crowd = Crowd::new(server, &server.to_string(), size)?;
        Ok(Self {
            crowd,
            path: path.to_owned(),
            process,
        })
    }

    fn cpu(&self) -> io::Result<Option<Duration>> {
        self.process.map(Process::cpu).transpose()
    }

    /// Opens `count` more clients, in the rooms that `path` names, and waits until the server is
    /// ready for them.
    fn fill(&mut self, count: usize, path: impl Fn(usize) -> String) -> io::Result<Vec<ClientId>> {
        let (mut ids, mut open, mut happened) = (Vec::with_capacity(count), 0, Vec::new());
        let mut last = Instant::now();
        while open < count {
            while ids.len() < count && ids.len() - open < WINDOW {
                ids.push(self.crowd.open(&path(ids.len()))?);
            }
            self.crowd.turn(Duration::from_millis(100), &mut happened)?;
            let opened = happened
                .iter()
                .filter(|what| matches!(what, Happened::Opened(_)))
                .count();
            if opened > 0 {
                last = Instant::now();
            }
            open += opened;
            if let Some(Happened::Dropped(id)) = happened
                .iter()
                .find(|what| matches!(what, Happened::Dropped(_)))
            {
                return Err(io::Error::other(format!(
                    "the server does not take client {id}"
                )));
            }
            if last.elapsed() > PATIENCE {
                return Err(io::Error::other(format!(
                    "only {open} of {count} clients could connect"
                )));
            }
        }
        let settled = Instant::now() + SETTLE;
        while Instant::now() < settled {
            self.crowd.turn(SETTLE, &mut happened)?;
        }
        Ok(ids)
    }

    /// Lets the clients `act` after each turn, warms up for a tenth of `time` and measures for all of
    /// it. `act` gives back how long the next turn may wait.
    fn run(
        &mut self,
        time: Duration,
        units: fn(&Tally) -> u64,
        mut act: impl FnMut(&mut Crowd, &[Happened]) -> io::Result<Duration>,
    ) -> io::Result<Measured> {
        let mut happened = Vec::new();
        let mut begun = None;
        let start = Instant::now();
        loop {
            let wait = act(&mut self.crowd, &happened)?;
            self.crowd.turn(wait, &mut happened)?;
            match begun {
                None if start.elapsed() * 10 >= time => {
                    self.crowd.tally.latency.clear();
                    self.crowd.tally.pong_latency.clear();
                    begun = Some((Instant::now(), units(&self.crowd.tally), self.cpu()?));
                }
                Some((begun, before, cpu)) if begun.elapsed() >= time => {
                    let (time, cpu_now) = (begun.elapsed(), self.cpu()?);
                    return Ok(Measured {
                        units: units(&self.crowd.tally) - before,
                        time,
                        cpu: cpu_now
                            .zip(cpu)
                            .map(|(now, before)| now.saturating_sub(before)),
                        latency: self.crowd.tally.latency.clone(),
                        ..Measured::default()
                    });
                }
                None | Some(_) => {}
            }
        }
    }

    /// Waits until all clients have received what was sent, and returns everything that went wrong.
    fn faults(&mut self) -> io::Result<Faults> {
        let mut happened = Vec::new();
        let (mut heard, mut last) = (self.crowd.tally.deliveries, Instant::now());
        while self.crowd.tally.deliveries < self.crowd.tally.expected && last.elapsed() < PATIENCE {
            self.crowd.turn(Duration::from_millis(10), &mut happened)?;
            if self.crowd.tally.deliveries > heard {
                (heard, last) = (self.crowd.tally.deliveries, Instant::now());
            }
        }
        // Messages that no client should receive may still be on their way.
        let settled = Instant::now() + SETTLE;
        while Instant::now() < settled {
            self.crowd.turn(SETTLE, &mut happened)?;
        }
        let tally = &self.crowd.tally;
        Ok(Faults {
            lost: tally.expected.saturating_sub(tally.deliveries),
            ..tally.faults
        })
    }
}
