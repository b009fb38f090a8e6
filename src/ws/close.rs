//! Close codes and the payload of a Close frame.

use super::Violation;
use super::utf8::Utf8;

/// A status code that may stand in a Close frame (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server goes down, or the browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// Data that is not what its kind promises, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// The peer broke a rule of this server.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// A message beyond the limit.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// The server cannot go on.
    pub const INTERNAL: CloseCode = CloseCode(1011);
    /// The server is overloaded: come back later (registered with IANA).
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// Our own: another connection has taken this one's name.
    pub const REPLACED: CloseCode = CloseCode(4001);

    /// The code that a peer has sent.
    ///
    /// Valid are those that RFC 6455 or IANA's registry define for the wire, and the ranges for
    /// libraries and applications (section 7.4.2); 1004 to 1006 and 1015 must never be sent
    /// (section 7.4.1).
    ///
    /// # Errors
    ///
    /// [`Violation::BadCloseCode`] for all others.
    pub fn received(code: u16) -> Result<CloseCode, Violation> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(CloseCode(code)),
            _ => Err(Violation::BadCloseCode(code)),
        }
    }

    /// The number on the wire.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// The payload of a Close frame: nothing, or a code and a reason (RFC 6455, section 5.5.1).
pub(super) fn parse(payload: &[u8]) -> Result<Option<(CloseCode, &str)>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::HalfCloseCode)
        };
    };
    let code = CloseCode::received(u16::from_be_bytes(*code))?;
    let reason = str::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Some((code, reason)))
}

/// Fails as soon as the first bytes of a Close's payload can no longer be made valid.
pub(super) fn begin(payload: &[u8]) -> Result<(), Violation> {
    if let Some((code, reason)) = payload.split_first_chunk() {
        CloseCode::received(u16::from_be_bytes(*code))?;
        Utf8::default().push(reason)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_valid_where_the_rfc_and_the_registry_say_so() {
        let valid = |code: &u16| CloseCode::received(*code).is_ok();
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

    #[test]
    fn a_close_holds_nothing_or_a_code_and_a_reason() {
        for (payload, want) in [
            (&b""[..], Ok(None)),
            (b"\x03", Err(Violation::HalfCloseCode)),
            (b"\x03\xe8", Ok(Some((CloseCode::NORMAL, "")))),
            (
                b"\x03\xe9bye \xc3\xa9",
                Ok(Some((CloseCode::GOING_AWAY, "bye é"))),
            ),
            (b"\x03\xed", Err(Violation::BadCloseCode(1005))),
            (b"\x03\xe8\xc3", Err(Violation::InvalidUtf8)),
        ] {
            assert_eq!(parse(payload), want, "{payload:02x?}");
        }
    }

    #[test]
    fn a_close_in_pieces_fails_at_the_first_impossible_byte() {
        for (payload, want) in [
            (&b"\x03"[..], Ok(())),
            (b"\x03\xe8\xc3", Ok(())),
            (b"\x00\x00", Err(Violation::BadCloseCode(0))),
            (b"\x03\xe8ok\xc3\xc3", Err(Violation::InvalidUtf8)),
        ] {
            assert_eq!(begin(payload), want, "{payload:02x?}");
        }
    }
}
