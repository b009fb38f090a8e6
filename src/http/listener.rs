//! Identity of a listener: which of the server's listening sockets a connection came by.

/// A listener, by its index in the list that the network was built with. Different listeners can serve
/// different things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerId(pub usize);
