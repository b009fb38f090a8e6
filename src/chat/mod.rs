//! Rooms: who is here and what is said.

pub mod heard;
pub mod name;
pub mod presence;
pub mod session;
pub mod tick;
