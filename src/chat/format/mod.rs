//! How a room's stream is encoded: formats, framings, compression, and the grammar of `chat.v1`.

pub(in crate::chat) mod compress;
pub mod encoding;
pub mod framing;
pub mod said;
pub mod v1;
