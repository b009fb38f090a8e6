//! What peers are still owed: one shared log for each stream, and one cursor for each peer.
//!
//! A [`Lane`] holds the bytes that everybody who follows it is to receive, ready to send and kept
//! once. An [`Outbox`] is one peer's place in a lane, with private bytes spliced in between. Neither
//! knows what the bytes mean: whatever is appended is a [`Record`], one indivisible piece of a stream.

mod lane;
mod outbox;

pub use lane::{FellBehind, Lane, Offset};
pub use outbox::{NextWrite, Outbox, Piece};

/// One indivisible piece of a stream: a WebSocket frame, a server-sent event.
///
/// Peers join a stream, leave it and have private bytes spliced into it between two records, and
/// nowhere else.
pub trait Record {
    /// The record's bytes, in two parts so that a header need not be copied in front of a payload.
    fn parts(&self) -> [&[u8]; 2];
}
