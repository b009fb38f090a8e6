//! The subprotocol `chat.v1`: JSON, one object per text message.
//!
//! This is its grammar only: what clients ask ([`ClientRequest`]) and how they introduce themselves ([`Hello`]) is
//! read into types, what the server says ([`ServerMessage`]) is written from them. docs/protocol.md is the reference.

mod encode;
mod hello;
mod parse;

pub use encode::{MessageContent, ServerMessage, history, plain_text};
pub use hello::{Hello, Since};
pub use parse::{ClientRequest, ErrorCode, Refused};

/// The name that is negotiated in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "chat.v1";
