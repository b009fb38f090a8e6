//! Why a connection is removed.

use std::fmt;

/// Why a connection is removed at the end of the turn, with nothing more written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DropReason {
    /// In good order: both sides have sent a FIN behind everything else.
    Closed,
    /// The peer closed its side, or reset the connection, without a Close.
    Vanished,
    /// The socket is broken.
    Broken(std::io::ErrorKind),
    /// A slow consumer: the room's lane, or a limit on private bytes, has no more space for what is unsent.
    FellBehind,
    /// Its full socket accepted no byte for the progress timeout.
    NoProgress,
    /// It was pinged and sent nothing.
    Silent,
    /// It did not take our Close in time.
    CloseTimeout,
    /// Evicted: connections together are beyond a limit, and it holds the most or is the oldest.
    Evicted(&'static str),
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
            | DropReason::Evicted(_) => true,
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
            DropReason::Evicted(limit) => limit,
        })
    }
}
