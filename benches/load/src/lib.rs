//! A load generator for WebSocket chat servers: one thread, many clients, every byte verified.
//!
//! It works with any server that sends each message of a room to all members, the sender included. It
//! counts messages that are lost, doubled, misordered (per sender), corrupt or strayed from another room,
//! and dropped connections.
//!
//! - [`crowd`] is the event loop: connections that talk, ping and listen;
//! - [`room`] verifies what they receive;
//! - [`scenario`] is what they do, and what is measured meanwhile.

pub mod crowd;
pub mod handshake;
pub mod message;
pub mod process;
pub mod room;
pub mod scenario;
pub mod tally;
pub mod wire;
