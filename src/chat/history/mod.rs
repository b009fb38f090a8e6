//! What a room remembers: its log, and which messages have been published already.

pub mod archive;
pub mod dedup;
pub mod log;
