//! One connection: a socket, how far it has come, and what it is owed. Glue only.

use std::fmt;
use std::net::IpAddr;

use slab::Slab;

use super::rate_limit::RateLimiter;
use super::transport::Written;
use crate::chat::{Member, Place, Question, Roster};
use crate::feed::Outbox;
use crate::http::Head;
pub(super) use crate::ids::ConnectionRef;
use crate::ids::{ConnectionId, ConnectionKey};
use crate::time::Tick;
use crate::ws::Decoder;

/// A connection. While it is open and idle, it owns no heap.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) socket: S,
    pub(super) flags: Flags,
    /// When its last byte came; for a client that was not read meanwhile, when it was read again.
    pub(super) last_received: Tick,
    /// Walks of the watchman since its socket last took something.
    pub(super) stuck: u8,
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
pub(super) enum Stage {
    /// Its request head is not whole.
    Handshaking(Head),
    /// It is a member of a room.
    Open(Open),
    /// It has been told its last; what is still to come, from us and from the peer?
    Closing(Closing),
}

/// A connection that is a member of a room.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) member: Member,
    pub(super) pending: Option<Box<PendingInput>>,
    pub(super) rate: RateLimiter,
}

/// A message that has come in part, or bytes that were read and are not decoded yet.
#[derive(Debug)]
pub(super) struct PendingInput {
    pub(super) decoder: Decoder,
    pub(super) since: Tick,
    /// Bytes that were read behind a message which said enough for one turn: they are heard before
    /// anything else is read.
    pub(super) undecoded: Vec<u8>,
}

impl PendingInput {
    /// Bytes of heap.
    pub(super) fn holds(&self) -> usize {
        size_of::<PendingInput>() + self.decoder.holds() + self.undecoded.capacity()
    }
}

/// The end of a connection, step by step (RFC 6455, section 7.1.1).
#[derive(Debug)]
pub(super) struct Closing {
    /// It keeps its seat, since it may still be owed some of the room's lane.
    pub(super) place: Option<Place>,
    pub(super) awaits: Awaits,
}

/// What a closing connection still waits for.
#[derive(Debug)]
pub(super) enum Awaits {
    /// That everything owed is written, and the peer's Close in answer to ours.
    Close(Decoder),
    /// That everything owed is written.
    Outbox,
    /// The peer's FIN in answer to ours.
    Fin,
}

/// Facts about a connection that are either so or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// It stands in the list of those to be read.
    pub(super) const TO_READ: Flags = Flags(1);
    /// It stands in the list of those to be written to.
    pub(super) const TO_WRITE: Flags = Flags(1 << 1);
    /// Its socket is full, and an event will say when it no longer is.
    pub(super) const BLOCKED: Flags = Flags(1 << 2);
    /// It did not take all that its room has offered it, and its room counts it.
    pub(super) const LAGS: Flags = Flags(1 << 3);
    /// The peer has closed its side: reads go on until the end is seen.
    pub(super) const HALF_CLOSED: Flags = Flags(1 << 4);
    /// It is not read because of its debt.
    pub(super) const RESTS: Flags = Flags(1 << 5);
    /// It is not read because its room is deaf.
    pub(super) const PARKED: Flags = Flags(1 << 6);
    /// It has been pinged since it was last heard.
    pub(super) const PINGED: Flags = Flags(1 << 7);
    /// It is removed at the end of the turn.
    pub(super) const ENDED: Flags = Flags(1 << 8);
    /// It is one too many, and will be told so.
    pub(super) const SURPLUS: Flags = Flags(1 << 9);
    /// Its address is counted.
    pub(super) const COUNTED: Flags = Flags(1 << 10);
    /// The peer's FIN has been read.
    pub(super) const FIN_SEEN: Flags = Flags(1 << 11);
    /// It has been told some of the room's history, and may not have taken that yet.
    pub(super) const HISTORY: Flags = Flags(1 << 12);
    /// It stands among those who hold memory beside their entry.
    pub(super) const HOLDS: Flags = Flags(1 << 13);
    /// Both sides are closed, or the connection is broken: it is not waited for.
    pub(super) const BROKEN: Flags = Flags(1 << 14);
    /// It has been told who is in its room, and may not have taken that yet.
    pub(super) const WHO: Flags = Flags(1 << 15);

    /// Those of a connection that does not simply take what its room says.
    pub(super) const OUT_OF_STEP: Flags = Flags(Flags::ENDED.0 | Flags::BLOCKED.0 | Flags::LAGS.0);

    /// That it may not have taken the answer to such a question.
    pub(super) fn asked(question: Question) -> Flags {
        match question {
            Question::Who => Flags::WHO,
            Question::History => Flags::HISTORY,
        }
    }

    /// Whether a flag is set, or one of several.
    pub(super) fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 != 0
    }

    pub(super) fn set(&mut self, flag: Flags) {
        self.0 |= flag.0;
    }

    /// Clears a flag, and says whether it was set.
    pub(super) fn clear(&mut self, flag: Flags) -> bool {
        let had = self.has(flag);
        self.0 &= !flag.0;
        had
    }

    /// Whether we are the reason that nothing is heard of it.
    pub(super) fn is_unread(self) -> bool {
        self.has(Flags::RESTS) || self.has(Flags::PARKED)
    }
}

impl<S> Connection<S> {
    /// Whether its request has not wholly come.
    pub(super) fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Handshaking(_) => true,
            Stage::Open(_) | Stage::Closing(_) => false,
        }
    }

    /// Its socket has taken so much of what it was offered.
    pub(super) fn took(&mut self, sent: Written) {
        self.outbox.wrote(sent.bytes);
        if sent.bytes > 0 {
            self.stuck = 0;
        }
        if sent.full {
            self.flags.set(Flags::BLOCKED);
        }
    }

    /// Where it sits, if it is in a room.
    pub(super) fn place(&self) -> Option<Place> {
        match &self.stage {
            Stage::Handshaking(_) => None,
            Stage::Open(open) => Some(open.member.place),
            Stage::Closing(closing) => closing.place,
        }
    }

    /// Its seat in the room is another now.
    pub(super) fn moved(&mut self, seat: u32) {
        match &mut self.stage {
            Stage::Handshaking(_) => {}
            Stage::Open(open) => open.member.place.seat = seat,
            Stage::Closing(closing) => {
                if let Some(place) = &mut closing.place {
                    place.seat = seat;
                }
            }
        }
    }
}

impl<S> Roster for Slab<Connection<S>> {
    fn member(&self, key: ConnectionKey) -> Option<&Member> {
        match &self.get(key.0 as usize)?.stage {
            Stage::Open(open) => Some(&open.member),
            Stage::Handshaking(_) | Stage::Closing(_) => None,
        }
    }
}

/// Whom a connection is counted for: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Peer(u64);

impl Peer {
    /// No IPv6 address that a peer can have begins with these bits: multicast does.
    const IPV4: u64 = 0xffff_ffff_0000_0000;

    pub(super) fn of(address: IpAddr) -> Peer {
        match address.to_canonical() {
            IpAddr::V4(v4) => Peer(Peer::IPV4 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Peer((v6.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 & Peer::IPV4 == Peer::IPV4 {
            std::net::Ipv4Addr::from_bits(self.0 as u32).fmt(f)
        } else {
            write!(
                f,
                "{}/64",
                std::net::Ipv6Addr::from_bits(u128::from(self.0) << 64)
            )
        }
    }
}

/// Why a connection ends, where nothing more is said to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DropReason {
    /// In good order: it was told everything, and so were we.
    Closed,
    /// The peer went away without a word.
    Vanished,
    /// The socket is broken.
    Broken(std::io::ErrorKind),
    /// It has not read for so long that the room's lane has forgotten what it is owed.
    FellBehind,
    /// It took nothing of what it is owed for too long.
    NoProgress,
    /// It was pinged and said nothing.
    Silent,
    /// It did not answer our Close, or did not take it.
    CloseTimeout,
    /// It had to make room for others.
    Squeezed(&'static str),
}

impl DropReason {
    /// Whether the peer is dropped, rather than gone by itself or by agreement.
    pub(super) fn is_our_doing(&self) -> bool {
        match self {
            DropReason::Closed | DropReason::Vanished | DropReason::Broken(_) => false,
            DropReason::FellBehind
            | DropReason::NoProgress
            | DropReason::Silent
            | DropReason::CloseTimeout
            | DropReason::Squeezed(_) => true,
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DropReason::Closed => "closed",
            DropReason::Vanished => "the peer went away without a Close",
            DropReason::Broken(error) => return write!(f, "the connection broke: {error}"),
            DropReason::FellBehind => "it fell behind: it reads too slowly",
            DropReason::NoProgress => "it takes nothing of what it is owed",
            DropReason::Silent => "it did not answer a ping",
            DropReason::CloseTimeout => "it did not close in time",
            DropReason::Squeezed(limit) => limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_told_apart_by_ipv4_address_and_by_ipv6_prefix() {
        for (address, shown) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(Peer::of(address.parse().unwrap()).to_string(), shown);
        }
    }
}
