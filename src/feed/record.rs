//! The unit of a stream.

/// One indivisible unit of a stream: a WebSocket frame, a server-sent event.
///
/// A subscriber joins a stream and leaves it between two records, and private bytes are spliced into it
/// between two records.
pub trait Record {
    /// The bytes of the record, in two parts, so that no caller has to copy a header and a payload into
    /// one buffer.
    fn parts(&self) -> [&[u8]; 2];
}
