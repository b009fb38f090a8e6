//! The subprotocol `chat.v1`: JSON, one object per text message.
//!
//! This is its grammar only: what clients ask ([`Request`]) and how they introduce themselves ([`Hello`]) is
//! read into types, what the server says ([`Sent`]) is written from them. docs/protocol.md is the reference.

mod encode;
mod hello;
mod parse;

pub use encode::{Content, Sent, history, plain_text};
pub use hello::{Hello, Since};
pub use parse::{ErrorCode, Refused, Request};

/// The name that is negotiated in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "chat.v1";
