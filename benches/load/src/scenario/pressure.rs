//! Latency of quiet clients while the server is overloaded.

use std::io;
use std::time::{Duration, Instant};

use super::{Load, Measured, PATIENCE};
use crate::crowd::{ClientId, Crowd, Happened};

/// Clients that ping at fixed moments, in a room of their own.
struct Pingers {
    period: u64,
    /// The client, when its next ping is due, and whether it still waits for a pong.
    pingers: Vec<(ClientId, u64, bool)>,
}

const PINGERS: usize = 100;
const PERIOD: Duration = Duration::from_millis(20);
/// Connections begun and messages said between two looks at the pingers, so that the load
/// generator's own work does not show as the server's.
const STRIDE: usize = 8;

impl Pingers {
    fn new(load: &mut Load) -> io::Result<Self> {
        let ids = load.fill(PINGERS, |_| "/quiet".into())?;
        let (now, period) = (load.crowd.now(), PERIOD.as_nanos() as u64);
        let due = |at: usize| now + period * at as u64 / PINGERS as u64;
        let pingers = ids
            .into_iter()
            .enumerate()
            .map(|(at, id)| (id, due(at), false))
            .collect();
        Ok(Self { period, pingers })
    }

    /// Sends the pings that are due. A ping that has to wait for the last one's pong counts from when it was due.
    fn act(&mut self, crowd: &mut Crowd, happened: &[Happened]) {
        let first = self.pingers[0].0;
        for what in happened {
            if let Happened::Ponged(id) = *what {
                self.pingers[id - first].2 = false;
            }
        }
        let now = crowd.now();
        for (id, due, waiting) in &mut self.pingers {
            if !*waiting && *due <= now {
                crowd.ping(*id, *due);
                (*due, *waiting) = (*due + self.period, true);
            }
        }
    }
}

/// `arrivals` clients connect as fast as they can, while a hundred others, connected long before, ping
/// fifty times a second each. The unit is an arrival; the pings are timed.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn stall(load: &mut Load, arrivals: usize) -> io::Result<Measured> {
    let mut pingers = Pingers::new(load)?;
    let path = load.path.clone();
    let mut happened = Vec::new();
    let warm = Instant::now() + Duration::from_millis(500);
    while Instant::now() < warm {
        load.crowd.turn(Duration::ZERO, &mut happened)?;
        pingers.act(&mut load.crowd, &happened);
    }
    load.crowd.tally.pong_latency.clear();
    let (cpu, start) = (load.cpu()?, Instant::now());
    let (mut begun, mut open) = (0, 0);
    while open < arrivals {
        for _ in 0..STRIDE.min(arrivals - begun) {
            load.crowd.open(&path)?;
            begun += 1;
        }
        load.crowd.turn(Duration::ZERO, &mut happened)?;
        pingers.act(&mut load.crowd, &happened);
        open += happened
            .iter()
            .filter(|what| matches!(what, Happened::Opened(_)))
            .count();
        if start.elapsed() > PATIENCE * 10 {
            return Err(io::Error::other(format!(
                "only {open} of {arrivals} clients could connect"
            )));
        }
    }
    let time = start.elapsed();
    let cpu = load
        .cpu()?
        .zip(cpu)
        .map(|(now, before)| now.saturating_sub(before));
    let latency = load.crowd.tally.pong_latency.clone();
    Ok(Measured {
        units: arrivals as u64,
        time,
        cpu,
        latency,
        faults: load.faults()?,
        ..Measured::default()
    })
}

/// `talkers` of `clients` send all that their sockets take, while a hundred others ping in another
/// room. The unit is a delivery; the pings are timed; memory is the most that was seen.
///
/// # Errors
///
/// The system's errors, and a client that the server refuses.
pub fn overload(
    load: &mut Load,
    clients: usize,
    talkers: usize,
    time: Duration,
) -> io::Result<Measured> {
    let path = load.path.clone();
    let ids = load.fill(clients, |_| path.clone())?;
    let mut pingers = Pingers::new(load)?;
    let process = load.process;
    let (mut memory, mut looked) = (None, Instant::now());
    let measured = load.run(
        time,
        |tally| tally.deliveries,
        |crowd, happened| {
            pingers.act(crowd, happened);
            for &id in &ids[..talkers] {
                for _ in 0..STRIDE {
                    if !crowd.is_full(id) {
                        crowd.say(id, crowd.now());
                    }
                }
            }
            if looked.elapsed() > Duration::from_millis(200) {
                looked = Instant::now();
                memory = memory.max(process.map(|process| process.memory()).transpose()?);
            }
            Ok(Duration::ZERO)
        },
    )?;
    let latency = load.crowd.tally.pong_latency.clone();
    Ok(Measured {
        memory,
        latency,
        faults: load.faults()?,
        ..measured
    })
}
