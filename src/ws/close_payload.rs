//! The payload of a Close frame: nothing, or a code and a reason (RFC 6455, section 5.5.1).

use super::close_code::CloseCode;
use super::utf8::Utf8;
use super::violation::Violation;

/// Parses the complete payload.
pub(super) fn parse(payload: &[u8]) -> Result<Option<(CloseCode, &str)>, Violation> {
    let Some((&code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::TruncatedCloseCode)
        };
    };
    let code = parse_code(code)?;
    let reason = str::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Some((code, reason)))
}

/// Checks the first bytes of a payload: fails as soon as no further bytes could make it valid.
pub(super) fn check_prefix(payload: &[u8]) -> Result<(), Violation> {
    if let Some((&code, reason)) = payload.split_first_chunk() {
        parse_code(code)?;
        Utf8::default().push(reason)?;
    }
    Ok(())
}

fn parse_code(bytes: [u8; 2]) -> Result<CloseCode, Violation> {
    let code = u16::from_be_bytes(bytes);
    CloseCode::received(code).ok_or(Violation::BadCloseCode(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_holds_nothing_or_a_code_and_a_reason() {
        for (payload, want) in [
            (&b""[..], Ok(None)),
            (b"\x03", Err(Violation::TruncatedCloseCode)),
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
            assert_eq!(check_prefix(payload), want, "{payload:02x?}");
        }
    }
}
