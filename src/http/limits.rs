//! Limits of a request head.

/// How large a request head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head. The blank line counts, and so does an empty line in front.
    pub max_head: usize,
    /// Bytes of one line without its line end. The request line is such a line too.
    pub max_line: usize,
    /// Number of header lines, at most [`HeadLimits::MOST_HEADERS`].
    pub max_headers: usize,
}

impl HeadLimits {
    /// A request with more header lines than this is refused, even if the limit is higher.
    pub const MOST_HEADERS: usize = 64;
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            max_head: 16 * 1024,
            max_line: 8 * 1024,
            max_headers: Self::MOST_HEADERS,
        }
    }
}
