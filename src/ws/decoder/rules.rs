//! Limits on a client's messages: size, number of fragments, compression.

/// What a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Maximum payload of a message, in bytes. For a compressed message, the decoder adds an allowance for
    /// what compression may add, and the inflater applies the limit to the inflated message.
    pub max_message: usize,
    /// Maximum number of frames in a message before its last one. Empty frames count, the last frame
    /// does not.
    pub max_frames: u32,
    /// Whether permessage-deflate was negotiated, so that a client may set RSV1.
    pub deflate: bool,
}

impl Rules {
    /// Maximum payload of all frames of a message together, in bytes.
    ///
    /// A payload that does not compress grows by five bytes for each stored block when it is deflated
    /// (RFC 1951, section 3.2.4). With its smallest memory level, zlib stores some 500 bytes in a block.
    pub(super) fn max_wire_bytes(&self, compressed: bool) -> usize {
        let growth = if compressed {
            self.max_message / 64 + 64
        } else {
            0
        };
        self.max_message.saturating_add(growth)
    }
}
