//! One room: its members, its lanes and its log.
//!
//! [`Rooms::judge`](super::Rooms::judge) decides what becomes of a member's message, and `Room::append` alone puts it
//! on the lanes and into the archive. A lane exists while it has a subscriber. The room also knows how much of each
//! lane all subscribers have been offered. That decides how much the lanes may forget, and whether the room is full.

pub(super) mod chat_state;
pub(super) mod round;
mod stream;

use crate::chat::format::compress::Compressor;
use crate::chat::format::said::{Said, What};
use crate::chat::format::v1::Since;
use crate::chat::history::archive::Bounds;
use crate::chat::history::log::{Log, Position, Stamp};
use crate::chat::members::presence::Presence;
use crate::chat::members::session::Session;
use crate::chat::room::chat_state::ChatState;
use crate::chat::room::round::{Ends, Round};
use crate::chat::room::stream::Stream;
use crate::chat::{Encoding, Format};
use crate::feed::{Lane, Offset};
use crate::ids::{ConnectionKey, RoomKey};
use crate::random::Random;
use crate::time::Tick;
use crate::ws::Message;

/// Ticks for which a room waits for slow subscribers: long enough for a network or a processor that is busy with
/// something else, and short enough if a client stops reading to hold the others up.
const PATIENCE: u32 = 3;

/// Ticks for which it does not wait after it has waited in vain. So clients that never read hold the room up for a
/// tenth of the time at most, even if they take turns.
const IMPATIENCE: u32 = 30;

/// A member's place: its room, its seat there, and the encoding of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key of the room.
    pub room: RoomKey,
    /// The member's index in the room. Changes when another member leaves.
    pub seat: u32,
    /// Which lane the member is subscribed to.
    pub encoding: Encoding,
}

/// What came to a room since its round began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewInRound {
    /// Messages and announcements.
    pub messages: u32,
    /// Bytes of the lane that has the most.
    pub bytes: usize,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    path: Box<str>,
    pub(super) members: Vec<ConnectionKey>,
    lanes: [Option<Box<Stream>>; Encoding::COUNT],
    round: Round,
    /// Since when it waits for slow subscribers. `None` until the event loop asks.
    waits_since: Option<Tick>,
    /// It does not wait for slow subscribers before this time.
    impatient_until: Tick,
    /// Messages and announcements since the round began.
    new_messages: u32,
    room_buffer: usize,
    pub(super) log: Log,
    /// Members that have not departed. The other members only wait for their last bytes.
    present: u32,
    pub(super) chat: Option<Box<ChatState>>,
}

impl Room {
    /// An empty room. Each of its lanes holds at most `room_buffer` bytes.
    pub(super) fn new(path: &str, log: Log, room_buffer: usize) -> Room {
        Room {
            path: path.into(),
            members: Vec::new(),
            lanes: Default::default(),
            round: Round::default(),
            waits_since: None,
            impatient_until: Tick(0),
            new_messages: 0,
            room_buffer,
            log,
            present: 0,
            chat: None,
        }
    }

    /// The path of its URL.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members, in the order of their seats.
    pub fn members(&self) -> &[ConnectionKey] {
        &self.members
    }

    /// Adds a member, which receives what is published from now on. Returns its seat.
    pub(super) fn join(&mut self, key: ConnectionKey, encoding: Encoding) -> u32 {
        let seat = self.members.len();
        self.members.push(key);
        self.round.joined();
        self.present += 1;
        self.lanes[encoding.index()]
            .get_or_insert_with(|| Box::new(Stream::new(self.room_buffer)))
            .subscribers += 1;
        seat as u32
    }

    /// Removes the member of a seat. The member of the last seat moves there and is returned. It must be offered what
    /// is new at once, because the round may have passed that seat already.
    pub(super) fn leave(&mut self, seat: u32, encoding: Encoding) -> Option<ConnectionKey> {
        let seat = seat as usize;
        if seat >= self.members.len() {
            return None;
        }
        self.members.swap_remove(seat);
        self.round.left(self.members.len());
        let stream = &mut self.lanes[encoding.index()];
        if let Some(there) = stream {
            there.subscribers -= 1;
            if there.subscribers == 0 {
                *stream = None;
            }
        }
        if self.members.len() < self.members.capacity() / 4 {
            self.members.shrink_to(2 * self.members.len());
        }
        self.members.get(seat).copied()
    }

    /// The lane of an encoding, if it has subscribers.
    pub fn lane(&self, encoding: Encoding) -> Option<&Lane> {
        self.lanes[encoding.index()]
            .as_ref()
            .map(|stream| &stream.lane)
    }

    /// How far the room has come.
    pub fn position(&self) -> Position {
        self.log.position()
    }

    /// The archive, from which replays are read.
    pub fn archive(&self) -> Option<&Lane> {
        self.log.archive()
    }

    /// Heap bytes of the archive.
    pub fn archived(&self) -> usize {
        self.log.reserved()
    }

    /// When there is something to announce or to forget.
    pub(super) fn due(&self) -> Option<Tick> {
        let announcement = self.chat.as_ref().and_then(|chat| chat.due());
        announcement.into_iter().chain(self.log.due()).min()
    }

    /// The session of the member with this number.
    pub(super) fn session(&self, number: u32) -> Session {
        Session {
            epoch: self.log.epoch(),
            number,
        }
    }

    /// Begins to keep names, presence and an archive, if it does not yet. The members of this moment count as
    /// announced.
    pub(super) fn remember(&mut self, random: &mut Random, bounds: Bounds, now: Tick) {
        self.log.open_archive(bounds);
        let chat = self
            .chat
            .get_or_insert_with(|| Box::new(ChatState::new(random.bits128())));
        chat.presence
            .get_or_insert_with(|| Presence::new(self.present, now));
    }

    /// A member says nothing more, but keeps its seat until it [leaves](Room::leave).
    pub(super) fn departed(&mut self) {
        self.present = self.present.saturating_sub(1);
    }

    /// Whether a stream of this format has subscribers.
    pub(super) fn has_subscribers(&self, format: Format) -> bool {
        format
            .encodings()
            .any(|encoding| self.lanes[encoding.index()].is_some())
    }

    /// Publishes a message with this place in the log. `limit`: maximum size of its JSON in bytes. Nothing is written
    /// to a socket here. Returns whether a round begins.
    pub(super) fn append(
        &mut self,
        said: &Said<'_>,
        stamp: Stamp,
        now: Tick,
        limit: usize,
        compressor: &mut Compressor,
    ) -> bool {
        // Each format is made once, and only if a subscriber or the archive needs it.
        let is_json_wanted = self.log.is_archived() || self.has_subscribers(Format::ChatV1);
        let json = if is_json_wanted {
            said.to_json(stamp, limit)
        } else {
            String::new()
        };
        let plain = if self.has_subscribers(Format::Plain) {
            said.to_plain()
        } else {
            What::Binary(&[])
        };

        let id = Since {
            epoch: self.log.epoch(),
            seq: stamp.seq,
        };
        let begins = self.publish(compressor, Some(id), |format| {
            Some(match (format, &plain) {
                (Format::Plain, What::Text(text)) => Message::Text(text),
                (Format::Plain, What::Binary(bytes)) => Message::Binary(bytes),
                (Format::ChatV1, _) => Message::Text(&json),
            })
        });
        self.log.append(stamp.seq, &json, now);
        begins
    }

    /// Publishes JSON that is no message to the `chat.v1` subscribers. Returns as [`Room::append`] does.
    pub(super) fn announce(&mut self, json: &str, compressor: &mut Compressor) -> bool {
        self.publish(compressor, None, |format| match format {
            Format::Plain => None,
            Format::ChatV1 => Some(Message::Text(json)),
        })
    }

    fn publish<'m>(
        &mut self,
        compressor: &mut Compressor,
        id: Option<Since>,
        message: impl Fn(Format) -> Option<Message<'m>>,
    ) -> bool {
        let begins = self.round.something_new(self.members.len());
        for (stream, encoding) in self.lanes.iter_mut().zip(Encoding::all()) {
            let Some(stream) = stream else {
                continue;
            };
            if begins {
                stream.begin_round();
            }
            if let Some(message) = message(encoding.format()) {
                let framing = encoding.framing();
                framing.push(message, id, compressor, &mut stream.lane);
            }
            stream.advance_milestone();
        }
        self.new_messages = if begins { 1 } else { self.new_messages + 1 };
        begins
    }

    /// Whether more than half a lane has not been offered to all subscribers. Then the room is paused until the round
    /// ends.
    pub fn is_full(&self) -> bool {
        self.streams().any(Stream::is_full)
    }

    /// Whether the room is paused until slow subscribers have taken more, or it has waited long enough for them.
    pub fn waits_for_slow(&self, now: Tick) -> bool {
        now >= self.impatient_until && self.streams().any(Stream::waits)
    }

    /// Until when it waits for slow subscribers, if it does.
    pub(super) fn waits_until(&mut self, now: Tick) -> Option<Tick> {
        if !self.waits_for_slow(now) {
            return None;
        }
        Some(self.waits_since.get_or_insert(now).after(PATIENCE))
    }

    /// Ends the pause if the room has waited long enough for slow subscribers.
    pub(super) fn stop_waiting(&mut self, now: Tick) {
        if self.waits_until(now).is_some_and(|until| until <= now) {
            self.waits_since = None;
            self.impatient_until = now.after(IMPATIENCE);
            for stream in self.lanes.iter_mut().flatten() {
                stream.abandon();
            }
        }
    }

    /// What came since the round began.
    pub(super) fn new_in_round(&self) -> NewInRound {
        let bytes = self.streams().map(Stream::bytes_of_round).max();
        NewInRound {
            messages: self.new_messages,
            bytes: bytes.unwrap_or(0),
        }
    }

    /// Heap bytes of the lanes.
    pub fn reserved(&self) -> usize {
        self.streams().map(|stream| stream.lane.reserved()).sum()
    }

    /// The next member to visit, and what that visit completes.
    pub(super) fn advance(&mut self) -> Option<(ConnectionKey, Ends)> {
        let visit = self.round.advance(self.members.len())?;
        Some((*self.members.get(visit.place)?, visit.ends))
    }

    /// Whether a round is in progress: some members have not been offered the latest.
    pub fn is_busy(&self) -> bool {
        self.round.is_busy()
    }

    /// A member was offered the whole lane, and this is its cursor now.
    pub(super) fn visited(&mut self, encoding: Encoding, cursor: Offset) {
        if let Some(stream) = &mut self.lanes[encoding.index()] {
            stream.visited(cursor);
        }
    }

    /// A round is complete, or everything: forgets what all subscribers have taken.
    pub(super) fn round_ended(&mut self, ends: Ends) {
        let none_slow = self.slow() == 0;
        for stream in self.lanes.iter_mut().flatten() {
            match ends {
                Ends::Nothing => return,
                Ends::Round => stream.round_ended(),
                Ends::Everything => stream.all_offered(none_slow),
            }
        }
        self.new_messages = 0;
    }

    /// How many members are slow subscribers: their sockets did not take all that they were offered.
    pub fn slow(&self) -> u32 {
        self.streams().map(|stream| stream.slow).sum()
    }

    /// The cursor of a slow subscriber moved, or it leaves: `from` where, if it was slow before, and `to` where, if
    /// it is slow now.
    pub(super) fn cursor_moved(
        &mut self,
        encoding: Encoding,
        from: Option<Offset>,
        to: Option<Offset>,
    ) {
        if from == to {
            return;
        }
        if let Some(stream) = &mut self.lanes[encoding.index()] {
            stream.cursor_moved(from, to);
        }
        if self.waits_since.is_some() && !self.streams().any(Stream::waits) {
            self.waits_since = None;
        }
        if from.is_some() && self.slow() == 0 && !self.round.is_busy() {
            for stream in self.lanes.iter_mut().flatten() {
                stream.all_offered(true);
            }
        }
    }

    /// Whether the counts of slow subscribers agree with these, all of their cursors. For tests.
    #[cfg(any(test, feature = "census"))]
    pub(crate) fn counts_slow_right(
        &self,
        encoding: Encoding,
        cursors: impl Iterator<Item = Offset>,
    ) -> bool {
        let stream = self.lanes[encoding.index()].as_ref();
        stream.is_some_and(|stream| stream.counts_slow_right(cursors))
    }

    /// Bytes of the lanes that only slow subscribers still want: all others have been offered them and took them.
    pub(super) fn wanted_by_slow(&self) -> usize {
        self.streams().map(Stream::wanted_by_slow).sum()
    }

    /// Forgets what only slow subscribers still want. They have fallen behind.
    pub(super) fn cut(&mut self) {
        for stream in self.lanes.iter_mut().flatten() {
            stream.cut();
        }
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.lanes.iter().flatten().map(Box::as_ref)
    }
}
