//! Ready-to-send bytes, kept once for everybody.

/// A place in a lane's stream: bytes since the lane began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(u64);

/// The log of a stream.
#[derive(Debug)]
pub struct Lane {}
