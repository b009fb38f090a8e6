//! hushd: a WebSocket chat server of one thread and one event loop, for many quiet clients.

// The simulated network, which the tests of the server share with the benches, names this crate.
#[cfg(test)]
extern crate self as hushd;

pub mod chat;
pub mod engine;
pub mod feed;
pub mod http;
pub mod ids;
mod random;
pub mod ranked;
pub mod schedule;
pub mod server;
pub mod sse;
pub mod time;
pub mod ws;
