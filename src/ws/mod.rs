//! The WebSocket protocol (RFC 6455) with permessage-deflate (RFC 7692), server side and without IO:
//! received bytes become events, messages become frames.
//!
//! Two rules hold in every file. Invalid input is rejected at the first byte that proves it invalid,
//! with a named [`Violation`]. And a client between two messages costs no heap memory.
//!
//! Imports between these files run one way. The longest path is [`decoder`], `event`, [`utf8`],
//! [`violation`], `close_code`.

mod close_code;
mod close_payload;
pub mod decoder;
pub mod deflate;
mod event;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod mask;
mod message;
pub mod utf8;
pub mod violation;

pub use close_code::CloseCode;
pub use decoder::{Decoder, Rules};
pub use event::Event;
pub use frame::{Frame, Header, OpCode};
pub use message::Message;
pub use violation::Violation;
