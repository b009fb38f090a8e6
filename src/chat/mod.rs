//! Rooms: members, presence, messages and history.
//!
//! A room is a URL path. A message is encoded once for each [`Encoding`] that a member of the room has
//! negotiated, and appended to the lane of that encoding; the members' outboxes are cursors into the lane.
//! Nothing here does IO, reads a clock or draws random bits: both are passed in.

pub mod format;
pub mod history;
pub mod members;
mod room;
mod rooms;

pub use format::encoding::{Encoding, Format};
pub use format::framing::Framing;
pub use format::said::{OwnedSaid, Said, What};
pub use format::v1;
pub use history::log::{Position, Stamp};
pub use members::{Member, Roster};
pub use room::round::Ends;
pub use room::{NewInRound, Place, Room};
pub use rooms::conversation::{Arrival, Greeting, Newcomer, Question, Verdict};
pub use rooms::{Moved, RoomLimits, Rooms, TooManyRooms};

#[cfg(test)]
mod tests;
