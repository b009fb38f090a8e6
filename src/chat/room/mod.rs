//! One room: who is in it, and what is said there.
//!
//! [`Rooms::judge`](super::Rooms::judge) judges what a member says, and `Room::append` alone puts it on the
//! lanes and into the archive. A lane comes with its first follower and goes with its last. The room also
//! counts how far its hand has offered each lane to everybody, which is what decides how much the lanes may
//! forget, and whether the room is full.

pub(in crate::chat) mod chat_state;
pub(in crate::chat) mod round;
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
use crate::time::Tick;
use crate::ws::Message;

/// Ticks for which a room waits for those who lag: long enough for a network or a processor that is busy
/// elsewhere, and short enough for whoever would rather hold the others up.
const PATIENCE: u32 = 3;

/// Ticks for which it does not wait once that was in vain: whoever never reads, or sends others in its place,
/// holds it up for a tenth of the time at most.
const IMPATIENCE: u32 = 30;

/// A member's place: which room, which seat in it, and in what form it hears the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The room.
    pub room: RoomKey,
    /// The member's index in the room. Changes when another member leaves.
    pub seat: u32,
    /// The lane that the member follows.
    pub encoding: Encoding,
}

/// What came to a room since the present round began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Messages and announcements.
    pub messages: u32,
    /// Bytes of the lane that has the most.
    pub bytes: usize,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    path: Box<str>,
    pub(in crate::chat) members: Vec<ConnectionKey>,
    lanes: [Option<Box<Stream>>; Encoding::COUNT],
    round: Round,
    /// Since when it waits for those who lag, as far as anybody has asked.
    waits_since: Option<Tick>,
    /// It waits for nobody before this.
    impatient_until: Tick,
    /// Messages since the present lap began.
    fresh: u32,
    room_buffer: usize,
    pub(in crate::chat) log: Log,
    /// Members that have not departed. The others only wait for their last bytes.
    present: u32,
    pub(in crate::chat) chat: Option<Box<ChatState>>,
}

impl Room {
    /// An empty room with this log, whose lanes remember at most `room_buffer` each.
    pub(in crate::chat) fn new(path: &str, log: Log, room_buffer: usize) -> Room {
        Room {
            path: path.into(),
            members: Vec::new(),
            lanes: Default::default(),
            round: Round::default(),
            waits_since: None,
            impatient_until: Tick(0),
            fresh: 0,
            room_buffer,
            log,
            present: 0,
            chat: None,
        }
    }

    /// The path that the room is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members, by their seats.
    pub fn members(&self) -> &[ConnectionKey] {
        &self.members
    }

    /// Takes a seat. The newcomer hears what is said from now on.
    pub(in crate::chat) fn join(&mut self, key: ConnectionKey, encoding: Encoding) -> u32 {
        let seat = self.members.len();
        self.members.push(key);
        self.round.joined();
        self.present += 1;
        self.lanes[encoding.index()]
            .get_or_insert_with(|| Box::new(Stream::new(self.room_buffer)))
            .subscribers += 1;
        seat as u32
    }

    /// Leaves a seat. The member of the last seat moves there, and is returned: it must be told its
    /// new seat, and offered what there is at once, since it may have moved behind the hand.
    pub(in crate::chat) fn leave(
        &mut self,
        seat: u32,
        encoding: Encoding,
    ) -> Option<ConnectionKey> {
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

    /// The lane that those who follow an encoding are cursors into.
    pub fn lane(&self, encoding: Encoding) -> Option<&Lane> {
        self.lanes[encoding.index()]
            .as_ref()
            .map(|stream| &stream.lane)
    }

    /// How far the room has come.
    pub fn position(&self) -> Position {
        self.log.position()
    }

    /// What replays are read from.
    pub fn archive(&self) -> Option<&Lane> {
        self.log.archive()
    }

    /// Bytes that its archive takes.
    pub fn archived(&self) -> usize {
        self.log.reserved()
    }

    /// When there is something to announce or to forget.
    pub(in crate::chat) fn due(&self) -> Option<Tick> {
        let announcement = self.chat.as_ref().and_then(|chat| chat.due());
        announcement.into_iter().chain(self.log.due()).min()
    }

    /// The session of one of its members.
    pub(in crate::chat) fn session(&self, number: u32) -> Session {
        Session {
            epoch: self.log.epoch(),
            number,
        }
    }

    /// Opens the memory, if need be. Who is here already counts as announced.
    pub(in crate::chat) fn remember(&mut self, random: u128, bounds: Bounds, now: Tick) {
        self.log.open_archive(bounds);
        let chat = self
            .chat
            .get_or_insert_with(|| Box::new(ChatState::new(random)));
        chat.presence
            .get_or_insert_with(|| Presence::new(self.present, now));
    }

    /// A member will not be heard any more, but keeps its seat until it leaves that too.
    pub(in crate::chat) fn departed(&mut self) {
        self.present = self.present.saturating_sub(1);
    }

    /// Whether somebody follows a stream of this format.
    pub(in crate::chat) fn has_subscribers(&self, format: Format) -> bool {
        format
            .encodings()
            .any(|encoding| self.lanes[encoding.index()].is_some())
    }

    /// Publishes a message, whose place in the log is given. `limit` is how many bytes of JSON it may take. Nobody is
    /// written to here. Returns whether this sets the hand in motion.
    pub(in crate::chat) fn append(
        &mut self,
        said: &Said<'_>,
        stamp: Stamp,
        now: Tick,
        limit: usize,
        compressor: &mut Compressor,
    ) -> bool {
        // Each form is made once, and only if somebody hears it, now or later.
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

    /// Tells those who follow `chat.v1` something that is no message. Returns as [`Room::append`] does.
    pub(in crate::chat) fn announce(&mut self, json: &str, compressor: &mut Compressor) -> bool {
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
        self.fresh = if begins { 1 } else { self.fresh + 1 };
        begins
    }

    /// Whether so much is waiting that nothing more may be heard here until the hand has come round:
    /// then nobody falls behind but by not reading.
    pub fn is_full(&self) -> bool {
        self.streams()
            .any(|stream| stream.lane.end() - stream.offered > stream.lane.limit() / 2)
    }

    /// Whether nothing more is to be heard here until those who lag have come on, or it has waited long enough
    /// for them: then nobody falls behind but by not reading for so long.
    pub fn waits_for_slow(&self, now: Tick) -> bool {
        now >= self.impatient_until && self.streams().any(Stream::waits)
    }

    /// Until when it waits for those who lag, if it does.
    pub(in crate::chat) fn waits_until(&mut self, now: Tick) -> Option<Tick> {
        if !self.waits_for_slow(now) {
            return None;
        }
        Some(self.waits_since.get_or_insert(now).after(PATIENCE))
    }

    /// Goes on if it has waited long enough for those who lag.
    pub(in crate::chat) fn stop_waiting(&mut self, now: Tick) {
        if self.waits_until(now).is_some_and(|until| until <= now) {
            self.waits_since = None;
            self.impatient_until = now.after(IMPATIENCE);
            for stream in self.lanes.iter_mut().flatten() {
                stream.abandon();
            }
        }
    }

    /// What came since the present lap began.
    pub(in crate::chat) fn backlog(&self) -> Backlog {
        let bytes = self
            .streams()
            .map(|stream| stream.lane.end() - stream.round_began)
            .max();
        Backlog {
            messages: self.fresh,
            bytes: bytes.unwrap_or(0),
        }
    }

    /// Bytes of heap that the lanes reserve.
    pub fn reserved(&self) -> usize {
        self.streams().map(|stream| stream.lane.reserved()).sum()
    }

    /// The next member that is to be offered what is new, and what that visit completes. Every visit
    /// is reported by [`Room::visited`], and then by [`Room::round_ended`] if it completes something.
    pub(in crate::chat) fn advance(&mut self) -> Option<(ConnectionKey, Ends)> {
        let visit = self.round.advance(self.members.len())?;
        Some((*self.members.get(visit.place)?, visit.ends))
    }

    /// Whether somebody is still to be offered the latest.
    pub fn is_busy(&self) -> bool {
        self.round.is_busy()
    }

    /// A member was offered everything there is, and its cursor stands here now.
    pub(in crate::chat) fn visited(&mut self, encoding: Encoding, cursor: Offset) {
        if let Some(stream) = &mut self.lanes[encoding.index()] {
            stream.low = stream.low.min(cursor);
        }
    }

    /// The hand has completed a lap, or everything: forgets what everybody has taken.
    pub(in crate::chat) fn round_ended(&mut self, ends: Ends) {
        let none_slow = self.slow() == 0;
        for stream in self.lanes.iter_mut().flatten() {
            match ends {
                Ends::Nothing => return,
                Ends::Round => stream.round_ended(),
                Ends::Everything => stream.all_offered(none_slow),
            }
        }
        self.fresh = 0;
    }

    /// Members whose sockets did not take all that they were offered.
    pub fn slow(&self) -> u32 {
        self.streams().map(|stream| stream.slow).sum()
    }

    /// A member took some of what it was offered, or leaves: where its cursor stood if it lagged, and where
    /// it stands if it lags.
    pub(in crate::chat) fn cursor_moved(
        &mut self,
        encoding: Encoding,
        from: Option<Offset>,
        to: Option<Offset>,
    ) {
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

    /// Whether these are the cursors of those who lag, as far as the room keeps count: for tests.
    #[cfg(any(test, feature = "census"))]
    pub(crate) fn counts_slow_right(
        &self,
        encoding: Encoding,
        cursors: impl Iterator<Item = Offset>,
    ) -> bool {
        let stream = self.lanes[encoding.index()].as_ref();
        stream.is_some_and(|stream| stream.counts_slow_right(cursors))
    }

    /// Bytes of the lanes that everybody has been offered, and only those who lag still want.
    pub(in crate::chat) fn wanted_by_slow(&self) -> usize {
        self.streams()
            .map(|stream| stream.offered - stream.lane.start())
            .sum()
    }

    /// Forgets what only those who lag still want: they have fallen behind.
    pub(in crate::chat) fn cut(&mut self) {
        for stream in self.lanes.iter_mut().flatten() {
            stream.lane.forget(stream.offered);
        }
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.lanes.iter().flatten().map(Box::as_ref)
    }
}
