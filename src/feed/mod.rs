//! What peers are still owed: one shared log for each room, and one cursor for each peer.
//!
//! A `Lane` holds the bytes that everybody in a room is to receive, ready to send and kept once.
//! An `Outbox` is one peer's place in a lane, with private bytes spliced in between. Neither knows
//! what the bytes mean: whatever is appended is a [`Record`], one indivisible piece of a stream.

mod lane;
mod outbox;

/// One indivisible piece of a stream: a WebSocket frame, a server-sent event.
///
/// Peers may join a stream, leave it and have private bytes spliced into it between two records, and
/// nowhere else.
pub trait Record {
    /// The record's bytes, in two pieces so that a header need not be copied in front of a payload.
    fn parts(&self) -> [&[u8]; 2];
}
