//! One connection: a socket, how far it has come, and what it is still owed.
//!
//! What is private here is changed through an [`Entry`](super::Entry) only, because a count or a ledger depends on it.

use std::fmt;

use super::super::peer::Peer;
use super::super::rate_limit::RateLimiter;
use super::super::transport::{Received, Transport};
use super::heap::HeapUse;
use crate::chat::members::session::Token;
use crate::chat::v1::Since;
use crate::chat::{Encoding, Member, Place, Question};
use crate::feed::Outbox;
use crate::http::Incoming;
use crate::ids::ConnectionId;
use crate::time::Tick;
use crate::ws::{Decoder, Message};

/// A connection. While it is open and idle, it owns no heap.
#[derive(Debug)]
pub(in crate::server) struct Connection<S> {
    pub(super) socket: S,
    pub(in crate::server) flags: Flags,
    pub(in crate::server) reading: Reading,
    /// Counted sweeps of the keepalive since its full socket last accepted a byte.
    pub(in crate::server) stuck: u8,
    /// When its last byte came. For a client that was paused, when it was resumed.
    pub(in crate::server) last_received: Tick,
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    pub(super) outbox: Outbox,
    pub(super) stage: Stage,
}

/// An idle open connection costs its entry in the slab, slab's own tag included, and four bytes in its
/// room. (mio checks more in debug builds, for which it needs more.)
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Connection<mio::net::TcpStream>>() <= 88);

/// How far a connection has come.
#[derive(Debug)]
pub(in crate::server) enum Stage {
    /// Its request has not come to its end.
    Handshaking(Incoming),
    /// Its request is granted, and the engine has to let it into its room.
    Joining(Box<Joining>),
    /// It is a member of a room.
    Open(Open),
    /// It is being closed.
    Closing(Closing),
}

/// A connection that waits to be let into its room: what it has to be told then. Nothing is read from it meanwhile.
pub(in crate::server) struct Joining {
    /// The room's path.
    pub(in crate::server) room: Box<str>,
    pub(in crate::server) encoding: Encoding,
    /// The response to its request.
    pub(in crate::server) response: Vec<u8>,
    pub(in crate::server) name: Option<Box<str>>,
    pub(in crate::server) since: Option<Since>,
    pub(in crate::server) session: Option<Token>,
    /// Bytes that came behind the request.
    pub(in crate::server) rest: Vec<u8>,
}

impl fmt::Debug for Joining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the token.
        f.debug_struct("Joining")
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

impl Joining {
    /// Bytes of heap, its own included.
    fn heap_use(&self) -> usize {
        let text = self.room.len() + self.name.as_ref().map_or(0, |name| name.len());
        size_of::<Joining>() + text + self.response.capacity() + self.rest.capacity()
    }
}

/// A connection that is a member of a room.
#[derive(Debug)]
pub(in crate::server) struct Open {
    pub(in crate::server) member: Member,
    pub(super) pending: Option<Box<PendingInput>>,
    pub(in crate::server) rate: RateLimiter,
}

/// Input of a member that is not used yet: a message that has come in part, or bytes behind one.
#[derive(Debug, Default)]
pub(in crate::server) struct PendingInput {
    pub(in crate::server) decoder: Decoder,
    /// When the message began.
    pub(in crate::server) since: Tick,
    /// A message that waits for the engine: it is decoded, and not judged yet.
    pub(in crate::server) held: Option<HeldMessage>,
    /// Bytes behind a message that said enough for one turn. They are decoded before anything else is read.
    pub(in crate::server) undecoded: Vec<u8>,
}

/// A whole message.
#[derive(Debug)]
pub(in crate::server) enum HeldMessage {
    Text(Box<str>),
    Binary(Box<[u8]>),
}

impl From<Message<'_>> for HeldMessage {
    fn from(message: Message<'_>) -> HeldMessage {
        match message {
            Message::Text(text) => HeldMessage::Text(text.into()),
            Message::Binary(bytes) => HeldMessage::Binary(bytes.into()),
        }
    }
}

impl HeldMessage {
    pub(in crate::server) fn as_message(&self) -> Message<'_> {
        match self {
            HeldMessage::Text(text) => Message::Text(text),
            HeldMessage::Binary(bytes) => Message::Binary(bytes),
        }
    }
}

impl PendingInput {
    /// Bytes of heap, its own included.
    fn heap_use(&self) -> usize {
        let held = self.held.as_ref();
        let held = held.map_or(0, |held| held.as_message().bytes().len());
        size_of::<PendingInput>() + self.decoder.holds() + held + self.undecoded.capacity()
    }
}

/// A connection that is being closed, step by step (RFC 6455, section 7.1.1). See the table in `close.rs`.
#[derive(Debug)]
pub(in crate::server) struct Closing {
    /// It keeps its seat, because it may still be owed bytes of the room's lane.
    pub(in crate::server) place: Option<Place>,
    pub(in crate::server) awaits: Awaits,
}

/// What a closing connection still waits for.
#[derive(Debug)]
pub(in crate::server) enum Awaits {
    /// The peer's Close in answer to ours, and that everything owed is written.
    Close(Decoder),
    /// That everything owed is written.
    Outbox,
    /// The peer's FIN in answer to ours.
    Fin,
}

impl Awaits {
    /// Whether it may own heap.
    pub(super) fn may_hold(&self) -> bool {
        match self {
            Awaits::Close(_) => true,
            Awaits::Outbox | Awaits::Fin => false,
        }
    }
}

/// Whether a connection is in the read queue, or paused. It is in one list at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) enum Reading {
    /// In no list: an event will say when there is something to read.
    #[default]
    Idle,
    /// In the read queue.
    Queued,
    /// Paused by its rate limits.
    ByRate,
    /// Paused by the backpressure of its room.
    ByRoom,
    /// Paused until the engine has answered a request of it, or has space.
    ByEngine,
}

impl Reading {
    /// Whether we are the reason that nothing is received from it.
    pub(in crate::server) fn is_paused(self) -> bool {
        match self {
            Reading::Idle | Reading::Queued => false,
            Reading::ByRate | Reading::ByRoom | Reading::ByEngine => true,
        }
    }
}

/// Facts about a connection that are either so or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Flags(u16);

impl Flags {
    /// It is in the write queue.
    pub(in crate::server) const WRITE_QUEUED: Flags = Flags(1);
    /// It did not take all that its room has offered it, and its room counts it.
    pub(in crate::server) const LAGS: Flags = Flags(1 << 1);
    /// The peer has closed its side: reads go on until the end is seen.
    pub(in crate::server) const HALF_CLOSED: Flags = Flags(1 << 2);
    /// The peer's FIN has been read.
    pub(in crate::server) const FIN_SEEN: Flags = Flags(1 << 3);
    /// Both sides are closed, or the connection is broken: nothing waits for it.
    pub(in crate::server) const BROKEN: Flags = Flags(1 << 4);
    /// It has been pinged since its last byte came.
    pub(in crate::server) const PINGED: Flags = Flags(1 << 5);
    /// It is beyond a limit on connections, and its request will be refused.
    pub(in crate::server) const OVER_LIMIT: Flags = Flags(1 << 6);
    /// It may not have taken the answers to all its long questions, of either kind.
    pub(in crate::server) const ASKED: Flags = Flags(1 << 7 | 1 << 8);
    /// Its socket is full, and an event will say when it no longer is.
    pub(super) const BLOCKED: Flags = Flags(1 << 9);
    /// It is removed at the end of the turn.
    pub(super) const ENDED: Flags = Flags(1 << 10);
    /// It is counted by its address.
    pub(super) const COUNTED: Flags = Flags(1 << 11);
    /// The heap ledger has an entry for it.
    pub(super) const IN_LEDGER: Flags = Flags(1 << 12);
    /// Its heap use may have changed since the ledger was settled.
    pub(super) const TOUCHED: Flags = Flags(1 << 13);

    /// Those of a connection that does not simply take what its room says.
    pub(super) const OUT_OF_STEP: Flags = Flags(Flags::ENDED.0 | Flags::BLOCKED.0 | Flags::LAGS.0);

    /// That it may not have taken the answer to this question.
    pub(in crate::server) fn asked(question: Question) -> Flags {
        match question {
            Question::Who => Flags(1 << 7),
            Question::History => Flags(1 << 8),
        }
    }

    /// Whether a flag is set, or one of several.
    pub(in crate::server) fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 != 0
    }

    pub(in crate::server) fn set(&mut self, flag: Flags) {
        self.0 |= flag.0;
    }

    /// Clears a flag, or several. Returns whether any was set.
    pub(in crate::server) fn clear(&mut self, flags: Flags) -> bool {
        let had = self.has(flags);
        self.0 &= !flags.0;
        had
    }
}

impl<S> Connection<S> {
    pub(in crate::server) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(in crate::server) fn peer(&self) -> Peer {
        self.peer
    }

    pub(in crate::server) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(in crate::server) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether its socket is full.
    pub(in crate::server) fn is_blocked(&self) -> bool {
        self.flags.has(Flags::BLOCKED)
    }

    /// Whether it is removed at the end of the turn.
    pub(in crate::server) fn is_ended(&self) -> bool {
        self.flags.has(Flags::ENDED)
    }

    /// Whether its handshake is not finished.
    pub(in crate::server) fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Handshaking(_) | Stage::Joining(_) => true,
            Stage::Open(_) | Stage::Closing(_) => false,
        }
    }

    pub(in crate::server) fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.stage {
            Stage::Open(open) => Some(open),
            Stage::Handshaking(_) | Stage::Joining(_) | Stage::Closing(_) => None,
        }
    }

    /// Its seat, if it has one.
    pub(in crate::server) fn place(&self) -> Option<Place> {
        match &self.stage {
            Stage::Handshaking(_) | Stage::Joining(_) => None,
            Stage::Open(open) => Some(open.member.place),
            Stage::Closing(closing) => closing.place,
        }
    }

    /// Its room has given it another seat.
    pub(in crate::server) fn moved(&mut self, seat: u32) {
        match &mut self.stage {
            Stage::Handshaking(_) | Stage::Joining(_) => {}
            Stage::Open(open) => open.member.place.seat = seat,
            Stage::Closing(closing) => {
                if let Some(place) = &mut closing.place {
                    place.seat = seat;
                }
            }
        }
    }

    /// Bytes of heap beside its entry, by what they are for.
    pub(super) fn heap_use(&self) -> HeapUse {
        let (heads, partial_messages) = match &self.stage {
            Stage::Handshaking(incoming) => (incoming.holds(), 0),
            Stage::Joining(joining) => (joining.heap_use(), 0),
            Stage::Open(open) => (0, open.pending.as_ref().map_or(0, |it| it.heap_use())),
            Stage::Closing(closing) => match &closing.awaits {
                Awaits::Close(decoder) => (0, decoder.holds()),
                Awaits::Outbox | Awaits::Fin => (0, 0),
            },
        };
        HeapUse {
            heads,
            partial_messages,
            private: self.outbox.holds(),
        }
    }
}

impl<S: Transport> Connection<S> {
    /// Reads once.
    pub(in crate::server) fn receive(&mut self, into: &mut [u8]) -> std::io::Result<Received> {
        self.socket.receive(into)
    }

    /// Sends FIN behind what was written.
    pub(in crate::server) fn half_close(&mut self) {
        self.socket.half_close();
    }

    /// Makes the kernel drop what it still has for the peer. The socket may be full in the middle of a frame.
    pub(in crate::server) fn abandon(&mut self) {
        self.socket.abandon();
    }
}

impl Open {
    pub(in crate::server) fn new(member: Member) -> Open {
        Open {
            member,
            pending: None,
            rate: RateLimiter::default(),
        }
    }

    /// When the message began that has come in part.
    pub(in crate::server) fn message_since(&self) -> Option<Tick> {
        self.pending.as_ref().map(|pending| pending.since)
    }

    /// The rest of a message may come this much later.
    pub(in crate::server) fn extend_message_time(&mut self, ticks: u32) {
        if let Some(pending) = &mut self.pending {
            pending.since = pending.since.after(ticks);
        }
    }

    /// Bytes that were read and are not judged; a message that is held counts as one.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn undecoded(&self) -> usize {
        let pending = self.pending.as_ref();
        pending.map_or(0, |it| it.undecoded.len() + usize::from(it.held.is_some()))
    }
}
