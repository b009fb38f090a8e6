//! The WebSocket protocol, server side, without IO: bytes in, events out; messages in, frames out.
//!
//! Two rules hold everywhere: whatever a client may not send is refused as soon as it shows, by a header
//! or by the first byte of a text that cannot be, with a named [`Violation`]; and a client that is between
//! two messages costs nothing.
//! RFC 6455 is the protocol, RFC 7692 its compression.

mod blocks;
pub mod close;
pub mod decoder;
pub mod deflate;
pub mod extension;
pub mod frame;
mod gathered;
pub mod handshake;
mod held;
pub mod mask;
pub mod utf8;
pub mod violation;

pub use close::CloseCode;
pub use decoder::{Decoder, Event, Rules};
pub use frame::{Frame, Header, OpCode};
pub use violation::Violation;

/// A whole message, as it is said and heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// What is said, as bytes.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }
}
