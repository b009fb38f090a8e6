//! Rooms: who is here and what is said.
