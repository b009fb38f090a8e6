//! What a room remembers: the latest messages, and which messages have been published already.

pub mod archive;
pub mod dedup;
