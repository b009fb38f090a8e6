//! Rooms: who is here and what is said.
//!
//! A room is a URL path. What is said in it is encoded once for each [`Encoding`] that somebody there
//! follows, and appended to that encoding's lane; the members' outboxes are cursors into it. Nothing
//! here does IO, reads a clock or rolls dice: time and random bits are passed in.

mod agenda;
pub mod archive;
mod company;
mod encoding;
mod followed;
mod hand;
pub mod heard;
mod lanes;
mod member;
mod memory;
pub mod name;
pub mod presence;
mod press;
mod random;
mod room;
mod rooms;
mod said;
pub mod session;
pub mod tick;
pub mod v1;

pub use company::{Arrival, Greeting, Question, Verdict};
pub use encoding::{Encoding, Format};
pub use hand::Ends;
pub use member::{Member, Roster};
pub use room::{Place, Room};
pub use rooms::{Limits, RoomKey, Rooms, TooManyRooms};
pub use said::{Said, What};
pub use tick::Tick;

/// A connection as its room knows it: where the event loop keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u32);

/// One member, from its arrival to its end. Not used again, unlike a [`Key`], before another four
/// billion have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u32);

#[cfg(test)]
mod tests;
