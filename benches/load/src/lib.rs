//! A load generator for WebSocket chat servers: one thread, many clients, every byte verified.
//!
//! It works with any server that hands each message of a room to everybody in it, the sender
//! included. All it asks of the server is that; what it counts are messages lost, doubled,
//! misordered (per sender), corrupt or strayed from another room, and connections dropped.
//!
//! - [`crowd`] is the event loop: connections that talk, ping and listen;
//! - [`room`] verifies what they hear;
//! - [`scenario`] is what they do, and what is measured meanwhile.

pub mod crowd;
pub mod handshake;
pub mod message;
pub mod process;
pub mod room;
pub mod scenario;
pub mod tally;
pub mod wire;
