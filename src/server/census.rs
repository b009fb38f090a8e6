//! Consistency check: counts every connection and room one by one, and compares that with the running counters
//! and the queues. Only the tests and the simulation call it, the simulation after every turn.

use super::clock::ticks;
use super::connections::{Awaits, Connection, Flags, Reading, Stage};
use super::conversation::lane_of;
use super::queues::Deadline;
use super::{Network, Server};
use crate::chat::{Encoding, Room};
use crate::engine::Engine;
use crate::ids::{ConnectionKey, ConnectionRef};

/// A count of everything that the server holds, made anew from what it knows of each connection.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// All connections, in the order of their keys.
    pub residents: Vec<Resident>,
    pub rooms: usize,
    /// Bytes that all lanes reserve.
    pub room_buffer: usize,
    /// Bytes of unfinished heads, of unfinished messages, and owed to single clients, in this order.
    pub held: [usize; 3],
    pub archive_bytes: usize,
    /// Whether no queue holds work, so that the next turn waits for an event or a deadline.
    pub idle: bool,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    pub key: ConnectionKey,
    pub phase: Phase,
    /// The server has paused reading it: the client exceeded its rate, or its room is full.
    pub unread: bool,
    /// The last write filled its socket, and no event has said otherwise since.
    pub blocked: bool,
    /// Its room may have something that was not offered to it yet.
    pub room_busy: bool,
    /// Bytes of heap that are owed to it alone.
    pub owed: usize,
    /// Bytes that were read from it and wait to be decoded.
    pub unheard: usize,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its request head is not whole.
    Handshaking,
    /// Its request is granted, and it waits to be let into its room.
    Joining,
    Open,
    /// The server has sent or queued the last that this client hears.
    Closing,
}

macro_rules! ensure {
    ($fact:expr, $($otherwise:tt)+) => {
        if !$fact {
            return Err(format!($($otherwise)+));
        }
    };
}

/// How often a connection is in each of the lists that outlive a turn.
#[derive(Clone, Copy, Default)]
struct Listed {
    reads: u8,
    writes: u8,
    by_rate: u8,
    by_room: u8,
    handshakes: u8,
    closes: u8,
    fins: u8,
}

impl<N: Network, E: Engine> Server<N, E> {
    /// Counts everything, between two turns.
    ///
    /// # Errors
    /// One sentence about what is inconsistent, beyond its limit or overdue.
    pub fn census(&self) -> Result<Census, String> {
        let mut census = Census {
            rooms: self.rooms.len(),
            archive_bytes: self.rooms.iter().map(|(_, room)| room.archived()).sum(),
            idle: self.is_idle(),
            ..Census::default()
        };
        let heap = self.connections.check()?;
        census.held = [heap.heads, heap.partial_messages, heap.private];
        let listed = self.listed();
        let mut seated = 0;
        for (key, connection) in self.connections.iter() {
            self.check_lists(key, connection, listed[key.0 as usize])
                .map_err(|wrong| format!("{key:?} {wrong}"))?;
            self.check_patience(connection)
                .map_err(|wrong| format!("{key:?} {wrong}"))?;
            let room = connection
                .place()
                .and_then(|place| self.rooms.get(place.room));
            if let Some(place) = connection.place() {
                let seat = room.and_then(|room| room.members().get(place.seat as usize));
                ensure!(seat == Some(&key), "{key:?} sits where {seat:?} sits");
                seated += 1;
            }
            let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
            let room_busy = room.is_some_and(Room::is_busy);
            let owed = connection.outbox().holds();
            let is_owed = connection.outbox().has_unsent(lane);
            ensure!(
                !census.idle || !is_owed || room_busy || connection.is_blocked(),
                "{key:?} is owed something and nobody will offer it"
            );
            ensure!(
                !connection.is_blocked() || is_owed,
                "{key:?} is taken to be full and is owed nothing"
            );
            census.residents.push(Resident {
                key,
                phase: match connection.stage() {
                    Stage::Handshaking(_) => Phase::Handshaking,
                    Stage::Joining(_) => Phase::Joining,
                    Stage::Open(_) => Phase::Open,
                    Stage::Closing(_) => Phase::Closing,
                },
                unread: connection.reading.is_paused(),
                blocked: connection.is_blocked(),
                room_busy,
                owed,
                unheard: match connection.stage() {
                    Stage::Open(open) => open.undecoded(),
                    Stage::Joining(joining) => joining.rest.len(),
                    Stage::Handshaking(_) | Stage::Closing(_) => 0,
                },
            });
        }
        ensure!(
            census.archive_bytes == self.rooms.archived(),
            "archives are {} bytes, not {}",
            census.archive_bytes,
            self.rooms.archived()
        );
        census.room_buffer = self.check_rooms(seated)?;
        ensure!(
            census.room_buffer == self.rooms.lanes(),
            "lanes are {} bytes, not {}",
            census.room_buffer,
            self.rooms.lanes()
        );
        self.check_limits(&census)?;
        Ok(census)
    }

    /// How often each connection is in which list. Entries whose connections are gone do not count, least of all for
    /// the successors of those.
    fn listed(&self) -> Vec<Listed> {
        let mut listed = vec![Listed::default(); self.connections.key_bound()];
        let mut note = |connections: &mut dyn Iterator<Item = ConnectionRef>,
                        list: fn(&mut Listed) -> &mut u8| {
            for ConnectionRef { key, id } in connections {
                if self.connections.get(key).is_some_and(|c| c.id() == id) {
                    *list(&mut listed[key.0 as usize]) += 1;
                }
            }
        };
        note(&mut self.reads.iter(), |l| &mut l.reads);
        note(&mut self.writes.iter(), |l| &mut l.writes);
        note(&mut self.paused.iter_by_rate(), |l| &mut l.by_rate);
        let by_room = self.paused.iter_by_room();
        let mut by_room = by_room.flat_map(|(_, paused)| paused.iter().copied());
        note(&mut by_room, |l| &mut l.by_room);
        let of = |deadline| self.timers.view(deadline).iter().map(|(_, it)| it);
        note(&mut of(Deadline::Handshake), |l| &mut l.handshakes);
        note(&mut of(Deadline::Close), |l| &mut l.closes);
        note(&mut of(Deadline::Fin), |l| &mut l.fins);
        listed
    }

    fn check_lists(
        &self,
        key: ConnectionKey,
        connection: &Connection<N::Socket>,
        listed: Listed,
    ) -> Result<(), String> {
        let is_queued = connection.reading == Reading::Queued;
        let is_written = connection.flags.has(Flags::WRITE_QUEUED);
        for (is, times, list) in [
            (is_queued, listed.reads, "read"),
            (is_written, listed.writes, "write"),
        ] {
            ensure!(
                u8::from(is) == times,
                "is {times} times in the {list} queue"
            );
        }
        let is_resumed = match connection.reading {
            Reading::Idle | Reading::Queued => true,
            Reading::ByRate => listed.by_rate > 0,
            Reading::ByRoom => listed.by_room > 0,
            Reading::ByEngine => self.requests.resumes(ConnectionRef {
                key,
                id: connection.id(),
            }),
        };
        ensure!(is_resumed, "is paused for ever");
        let (awaited, list) = match connection.stage() {
            Stage::Handshaking(_) | Stage::Joining(_) => (listed.handshakes, "handshakes"),
            Stage::Open(_) => return Ok(()),
            Stage::Closing(closing) => match closing.awaits {
                Awaits::Close(_) | Awaits::Outbox => (listed.closes, "closings"),
                Awaits::Fin => (listed.fins, "drainings"),
            },
        };
        ensure!(awaited == 1, "stands {awaited} times among the {list}");
        Ok(())
    }

    /// Checks that the sweep has not left an open connection alone beyond its deadlines.
    fn check_patience(&self, connection: &Connection<N::Socket>) -> Result<(), String> {
        let (now, limits) = (self.tick(), &self.limits);
        let Stage::Open(open) = connection.stage() else {
            return Ok(());
        };
        let sweep = self.timers.view_sweep();
        let period = ticks(sweep.period()) + 2;
        let (stuck, patience) = (connection.stuck, sweep.timeouts().stuck);
        // The same slice is swept again with the next turn, but only for connections that are blocked then.
        let is_late = sweep.is_late();
        ensure!(
            stuck <= patience + 1 || is_late,
            "has taken nothing for {stuck} sweeps"
        );
        if connection.reading != Reading::Idle {
            return Ok(());
        }
        let pending = open.message_since().map_or(0, |since| now.since(since));
        ensure!(
            limits.message_timeout.is_zero() || pending <= ticks(limits.message_timeout) + period,
            "has taken {pending} ticks for a message"
        );
        ensure!(
            connection.last_received <= now,
            "will be heard in {:?}",
            connection.last_received
        );
        let silence = now.since(connection.last_received);
        let dead = ticks(limits.ping_interval + limits.ping_timeout) + 3 * period;
        ensure!(
            limits.ping_interval.is_zero()
                || limits.ping_timeout.is_zero()
                || silence <= dead
                || is_late,
            "has been silent for {silence} ticks"
        );
        Ok(())
    }

    /// Returns the bytes that all lanes reserve.
    fn check_rooms(&self, seated: usize) -> Result<usize, String> {
        let (mut members, mut reserved) = (0, 0);
        for (key, room) in self.rooms.iter() {
            let holders = || {
                room.members()
                    .iter()
                    .filter_map(|key| self.connections.get(*key))
            };
            members += room.members().len();
            reserved += room.reserved();
            let lagging = holders().filter(|c| c.flags.has(Flags::LAGS)).count();
            let times = self.run_queue.iter().filter(|room| *room == key).count();
            let is_queued = self.run_queue.is_queued(key);
            ensure!(
                times == usize::from(is_queued),
                "{key:?} is {times} times in the run queue"
            );
            ensure!(
                is_queued || !room.is_busy(),
                "{key:?} is busy, but not in the run queue"
            );
            for encoding in Encoding::all() {
                let follow =
                    |c: &&Connection<N::Socket>| c.place().is_some_and(|p| p.encoding == encoding);
                let Some(lane) = room.lane(encoding) else {
                    ensure!(!holders().any(|c| follow(&c)), "{key:?} lacks a lane");
                    continue;
                };
                ensure!(
                    holders().any(|c| follow(&c)),
                    "{key:?} has a lane without a subscriber"
                );
                let lags = |c: &&Connection<N::Socket>| follow(c) && c.flags.has(Flags::LAGS);
                let cursors = holders().filter(lags).map(|c| c.outbox().cursor());
                ensure!(
                    room.counts_slow_right(encoding, cursors),
                    "{key:?} has wrong counts of its lagging subscribers"
                );
                ensure!(
                    lane.reserved() <= lane.limit(),
                    "{key:?} has a lane beyond its limit"
                );
                ensure!(
                    room.is_busy() || lagging > 0 || lane.reserved() == 0,
                    "{key:?} keeps bytes that every subscriber has taken"
                );
            }
        }
        ensure!(
            members == seated,
            "{members} seats are taken by {seated} connections"
        );
        for (room, paused) in self.paused.iter_by_room() {
            let is_awaited = self.paused.has_room_deadline(room);
            ensure!(
                self.rooms
                    .get(room)
                    .is_some_and(|it| it.is_busy() || it.waits_for_slow(self.tick()) && is_awaited),
                "{paused:?} are paused by {room:?}, which will never be read again"
            );
        }
        Ok(reserved)
    }

    fn check_limits(&self, census: &Census) -> Result<(), String> {
        let limits = &self.limits;
        let now = self.tick();
        let ([heads, partial_messages, _], archives) = (census.held, census.archive_bytes);
        for (found, limit, what) in [
            (census.rooms, limits.rooms.max_rooms, "rooms"),
            (heads, limits.max_request_total, "bytes of heads"),
            (
                partial_messages,
                limits.partial_messages_total,
                "bytes of half messages",
            ),
            (
                archives,
                limits.rooms.history_size_total,
                "bytes of archives",
            ),
            (
                self.connections.handshaking(),
                limits.max_handshakes,
                "handshakes",
            ),
        ] {
            ensure!(
                found <= limit,
                "{found} {what}, but at most {limit} are allowed"
            );
        }
        for deadline in [Deadline::Handshake, Deadline::Close, Deadline::Fin] {
            if let Some((due, late)) = self.timers.view(deadline).front() {
                ensure!(
                    due > now || self.timers.has_dropped_enough(),
                    "a {deadline:?} is overdue since {due:?}, now {now:?}: {late:?}"
                );
            }
        }
        Ok(())
    }
}
