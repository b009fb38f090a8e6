//! hushd: a WebSocket chat server of one thread and one event loop, for many quiet clients.

pub mod chat;
pub mod feed;
pub mod http;
pub mod ids;
mod random;
pub mod ranked;
pub mod schedule;
pub mod server;
pub mod time;
pub mod ws;
