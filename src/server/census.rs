//! Consistency check: counts every connection and room one by one, and compares that with the running counters
//! and the queues. Only the tests and the simulation call it, the simulation after every turn.

use std::cmp::Reverse;

use super::clock::ticks;
use super::connection::{Awaits, Connection, ConnectionRef, Flags, Stage};
use super::conversation::lane_of;
use super::deadlines::Deadlines;
use super::memory::HeapUse;
use super::{Network, Server};
use crate::chat::{Encoding, Room};
use crate::ids::ConnectionKey;

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

/// How often a connection stands in each of the queues that outlive a turn.
#[derive(Clone, Copy, Default)]
struct Listed {
    to_read: u8,
    to_write: u8,
    resting: u8,
    parked: u8,
    handshaking: u8,
    closing: u8,
    draining: u8,
}

impl<N: Network> Server<N> {
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
        let listed = self.listed();
        let (mut blocked, mut counted, mut seated, mut strangers) = (0, 0, 0, 0);
        for (entry, connection) in &self.connections {
            let key = ConnectionKey(entry as u32);
            let flags = connection.flags;
            ensure!(
                !flags.has(Flags::ENDED),
                "{key:?} has ended and is still there"
            );
            self.check_lists(connection, listed[entry])
                .map_err(|wrong| format!("{key:?} {wrong}"))?;
            self.check_patience(connection)
                .map_err(|wrong| format!("{key:?} {wrong}"))?;
            blocked += usize::from(flags.has(Flags::BLOCKED));
            strangers += usize::from(connection.is_handshaking());
            counted += u32::from(flags.has(Flags::COUNTED));
            let held = connection.held();
            ensure!(
                flags.has(Flags::HOLDS) == (held != HeapUse::default()),
                "{key:?} holds {held:?}, which is not accounted for"
            );
            for (sum, held) in
                census
                    .held
                    .iter_mut()
                    .zip([held.heads, held.partial_messages, held.owed])
            {
                *sum += held;
            }
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
            let owed = connection.outbox.holds();
            let is_owed = connection.outbox.has_unsent(lane);
            ensure!(
                !census.idle || !is_owed || room_busy || flags.has(Flags::BLOCKED),
                "{key:?} is owed something that nothing will offer"
            );
            ensure!(
                !flags.has(Flags::BLOCKED) || is_owed,
                "{key:?} is taken to be full and is owed nothing"
            );
            census.residents.push(Resident {
                key,
                phase: match &connection.stage {
                    Stage::Handshaking(_) => Phase::Handshaking,
                    Stage::Open(_) => Phase::Open,
                    Stage::Closing(_) => Phase::Closing,
                },
                unread: flags.is_unread(),
                blocked: flags.has(Flags::BLOCKED),
                room_busy,
                owed,
                unheard: match &connection.stage {
                    Stage::Open(open) => open
                        .pending
                        .as_ref()
                        .map_or(0, |pending| pending.undecoded.len()),
                    Stage::Handshaking(_) | Stage::Closing(_) => 0,
                },
            });
        }
        ensure!(
            self.ended.is_empty(),
            "a connection has ended and was not reaped"
        );
        ensure!(
            blocked == self.blocked,
            "{blocked} are full, not {}",
            self.blocked
        );
        ensure!(
            strangers == self.strangers,
            "{strangers} have not finished their handshakes, not {}",
            self.strangers
        );
        ensure!(
            counted == self.addresses.values().sum::<u32>(),
            "{counted} are counted by address, not {:?}",
            self.addresses
        );
        let all = self.holdings.all();
        ensure!(
            census.held == [all.heads, all.partial_messages, all.owed],
            "{:?} bytes are held, not {all:?}",
            census.held
        );
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

    /// How often each connection stands in each queue. The ticket of a connection that is gone does not count for
    /// the connection that took its key.
    fn listed(&self) -> Vec<Listed> {
        let mut listed = vec![Listed::default(); self.connections.capacity()];
        let mut note = |tickets: &mut dyn Iterator<Item = ConnectionRef>,
                        list: fn(&mut Listed) -> &mut u8| {
            for ticket in tickets {
                if self
                    .connections
                    .get(ticket.key.0 as usize)
                    .is_some_and(|c| c.id == ticket.id)
                {
                    *list(&mut listed[ticket.key.0 as usize]) += 1;
                }
            }
        };
        let of = |deadlines: &'_ Deadlines| {
            deadlines
                .iter()
                .map(|(_, ticket)| ticket)
                .collect::<Vec<_>>()
        };
        let to_read = self.to_read.iter().chain(&self.to_read_on);
        note(&mut to_read.chain(&self.knocking).copied(), |l| {
            &mut l.to_read
        });
        note(&mut self.to_write.iter().copied(), |l| &mut l.to_write);
        note(&mut self.resting.iter().map(|Reverse((_, t))| *t), |l| {
            &mut l.resting
        });
        note(&mut self.parked.values().flatten().copied(), |l| {
            &mut l.parked
        });
        note(&mut of(&self.handshaking).into_iter(), |l| {
            &mut l.handshaking
        });
        note(&mut of(&self.closing).into_iter(), |l| &mut l.closing);
        note(&mut of(&self.draining).into_iter(), |l| &mut l.draining);
        listed
    }

    fn check_lists(
        &self,
        connection: &Connection<N::Socket>,
        listed: Listed,
    ) -> Result<(), String> {
        let flags = connection.flags;
        for (flag, times, list) in [
            (Flags::TO_READ, listed.to_read, "to be read"),
            (Flags::TO_WRITE, listed.to_write, "to be written to"),
        ] {
            ensure!(
                u8::from(flags.has(flag)) == times,
                "stands {times} times among those {list}"
            );
        }
        ensure!(
            !flags.has(Flags::RESTS) || listed.resting > 0,
            "rests for ever"
        );
        ensure!(
            !flags.has(Flags::PARKED) || listed.parked > 0,
            "is parked for ever"
        );
        let (awaited, list) = match &connection.stage {
            Stage::Handshaking(_) => (listed.handshaking, "handshakes"),
            Stage::Open(_) => return Ok(()),
            Stage::Closing(closing) => match closing.awaits {
                Awaits::Close(_) | Awaits::Outbox => (listed.closing, "closings"),
                Awaits::Fin => (listed.draining, "drainings"),
            },
        };
        ensure!(awaited == 1, "stands {awaited} times among the {list}");
        Ok(())
    }

    /// Checks that the sweep has not left an open connection alone beyond its deadlines.
    fn check_patience(&self, connection: &Connection<N::Socket>) -> Result<(), String> {
        let (now, flags, limits) = (self.tick(), connection.flags, &self.limits);
        let Stage::Open(open) = &connection.stage else {
            return Ok(());
        };
        let round = ticks(self.watchman.round()) + 2;
        let (stuck, patience) = (connection.stuck, self.watchman.patience());
        // The sweep goes on in the next turn, but ends only clients whose sockets are still full then.
        let is_late = self.watchman.is_late();
        ensure!(
            stuck <= patience + 1 || is_late,
            "has taken nothing for {stuck} walks"
        );
        if flags.is_unread() || flags.has(Flags::TO_READ) {
            return Ok(());
        }
        let pending = open
            .pending
            .as_ref()
            .map_or(0, |pending| now.since(pending.since));
        ensure!(
            limits.message_timeout.is_zero() || pending <= ticks(limits.message_timeout) + round,
            "has taken {pending} ticks for a message"
        );
        ensure!(
            connection.last_received <= now,
            "will be heard in {:?}",
            connection.last_received
        );
        let silence = now.since(connection.last_received);
        let dead = ticks(limits.ping_interval + limits.ping_timeout) + 3 * round;
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
                    .filter_map(|key| self.connections.get(key.0 as usize))
            };
            members += room.members().len();
            reserved += room.reserved();
            let lagging = holders().filter(|c| c.flags.has(Flags::LAGS)).count();
            let rounds = self
                .busy
                .iter()
                .chain(self.gathering.iter().map(|Reverse((_, r))| r));
            let rounds = rounds.filter(|round| round.room == key).count();
            let aboard = self.aboard.get(key.0 as usize) == Some(&true);
            ensure!(
                rounds == usize::from(aboard),
                "{key:?} is {rounds} times on the carousel"
            );
            ensure!(
                aboard || !room.is_busy(),
                "{key:?} is busy, but not on the carousel"
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
                let cursors = holders().filter(lags).map(|c| c.outbox.cursor());
                ensure!(
                    room.is_right_about(encoding, cursors),
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
        let is_awaited = |key| {
            let mut waiting = self.waiting.iter();
            waiting.any(|(_, room)| *room == key)
        };
        for (room, tickets) in &self.parked {
            ensure!(
                self.rooms
                    .get(*room)
                    .is_some_and(|it| it.is_busy() || it.waits(self.tick()) && is_awaited(*room)),
                "{tickets:?} are paused for {room:?}, which will never resume them"
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
            (self.strangers, limits.max_handshakes, "handshakes"),
        ] {
            ensure!(
                found <= limit,
                "{found} {what}, but at most {limit} are allowed"
            );
        }
        for (deadlines, what) in [
            (&self.handshaking, "handshake"),
            (&self.closing, "closing"),
            (&self.draining, "draining"),
        ] {
            if let Some((due, ticket)) = deadlines.front() {
                ensure!(
                    due > now || self.watchman.has_enough(),
                    "a {what} is overdue since {due:?}, now {now:?}: {ticket:?}"
                );
            }
        }
        Ok(())
    }
}
