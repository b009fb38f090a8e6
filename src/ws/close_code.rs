//! Close codes: the status codes of the close handshake.

/// A status code that may stand in a Close frame (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server shuts down, or the browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// The payload does not match the type of its message, for example a text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// The peer broke a rule of this server.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// A message exceeds the size limit.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// The server cannot continue.
    pub const INTERNAL: CloseCode = CloseCode(1011);
    /// The server is overloaded, and the client may come back later (registered with IANA).
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// Another connection has taken over the name of this one. A code of this application.
    pub const REPLACED: CloseCode = CloseCode(4001);

    /// The code that a peer has sent, or `None` if no peer may send it.
    ///
    /// The valid codes are those that RFC 6455 or IANA's registry define for the wire, and the ranges
    /// for libraries and applications (section 7.4.2). The codes 1004 to 1006 and 1015 must never be
    /// sent (section 7.4.1).
    pub fn received(code: u16) -> Option<CloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(CloseCode(code)),
            _ => None,
        }
    }

    /// The code as it stands in a frame.
    pub fn get(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_valid_where_the_rfc_and_the_registry_say_so() {
        let valid = |code: &u16| CloseCode::received(*code).is_some();
        let accepted: Vec<u16> = (0..3000).filter(valid).collect();
        assert_eq!(
            accepted,
            [
                1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014
            ]
        );
        assert!((3000..=4999).all(|code| valid(&code)));
        assert!((5000..=u16::MAX).all(|code| !valid(&code)));
    }
}
