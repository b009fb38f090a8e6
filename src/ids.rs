//! Identifiers that more than one layer uses: where a connection and a room are kept, and which connection it is.

/// Where a connection is kept: its index in the slab of the event loop. The index is used again once the
/// connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey(pub u32);

/// The number of one connection, counted from 1 at the server's start. Unlike a [`ConnectionKey`], a number is not used
/// again before another four billion connections have come. It is the `#17` of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// Where a room is kept: its index in the slab of rooms. The index is used again once the room is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub u32);

/// One connection, as lists and requests that outlive a turn know it: a key alone could mean its successor by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionRef {
    /// Where it is kept.
    pub key: ConnectionKey,
    /// Which connection it is.
    pub id: ConnectionId,
}
