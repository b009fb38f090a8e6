//! The subprotocol `chat.v1`: JSON, one object per text message.
//!
//! This is the grammar only. Requests of clients ([`ClientRequest`]) and the parameters of their URLs ([`Hello`]) are
//! parsed into types, messages of the server ([`ServerMessage`]) are written from types. docs/protocol.md is the
//! reference.

mod encode;
mod hello;
mod parse;

pub use encode::{MessageContent, ServerMessage, history, plain_text};
pub use hello::{Hello, Since};
pub use parse::{ClientRequest, ErrorCode, Refused};

/// The name that is negotiated in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "chat.v1";
