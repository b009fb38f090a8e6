//! Rooms: who is here and what is said.

pub mod name;
pub mod presence;
pub mod tick;
