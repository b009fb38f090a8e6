//! Fan-out of a stream to its subscribers: one shared log for the stream, one cursor for each subscriber.
//!
//! A [`Lane`] stores the bytes for all subscribers of a stream once, ready to send. An [`Outbox`] is one
//! subscriber's position in a lane, plus private bytes spliced in between. A subscriber therefore has no
//! queue of its own. Neither type interprets the bytes: they are [`Record`]s.
//!
//! Imports run one way: `outbox`, `lane`, `record`.

mod lane;
mod outbox;
mod record;

pub use lane::{FellBehind, Lane, Offset};
pub use outbox::{NextWrite, Outbox, Piece};
pub use record::Record;
