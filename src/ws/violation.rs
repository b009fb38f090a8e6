//! Violations: every way in which a client can break the protocol, and the close code for each.

use std::fmt;

use super::close_code::CloseCode;

/// The reason for which the server fails a connection (RFC 6455, section 7.1.7). Displays as one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A frame without a mask (section 5.1).
    Unmasked,
    /// RSV2 or RSV3 is set, or RSV1 where no extension defines it (section 5.2; RFC 7692, section 6).
    ReservedBits,
    /// An opcode of 3 to 7 or 11 to 15 (section 5.2).
    ReservedOpCode(u8),
    /// A length that would fit a shorter form (section 5.2).
    LengthNotMinimal,
    /// A length with its most significant bit set (section 5.2).
    LengthOutOfRange,
    /// A control frame of more than 125 bytes (section 5.5).
    LongControl,
    /// A control frame in fragments (section 5.5).
    FragmentedControl,
    /// A continuation frame outside a message (section 5.4).
    NothingToContinue,
    /// A new message between the fragments of another (section 5.4).
    MessageUnfinished,
    /// A Close whose payload is a single byte, too short for a code (section 5.5.1).
    TruncatedCloseCode,
    /// A Close with a code that must not be sent (section 7.4).
    BadCloseCode(u16),
    /// Text, or the reason in a Close, that is not UTF-8 (sections 5.5.1 and 8.1).
    InvalidUtf8,
    /// A compressed message that is not valid DEFLATE data (RFC 7692, section 7.2.2).
    CorruptDeflate,
    /// A message over the size limit, as sent or when inflated (section 10.4).
    TooBig,
    /// A message in more frames than the limit allows (section 10.4).
    TooManyFrames,
    /// The system has no memory for the message. This is the only variant that is not the client's fault.
    OutOfMemory,
}

impl Violation {
    /// The code of the Close that answers the violation. No other code maps violations to close codes.
    pub fn close_code(self) -> CloseCode {
        match self {
            Violation::Unmasked
            | Violation::ReservedBits
            | Violation::ReservedOpCode(_)
            | Violation::LengthNotMinimal
            | Violation::LengthOutOfRange
            | Violation::LongControl
            | Violation::FragmentedControl
            | Violation::NothingToContinue
            | Violation::MessageUnfinished
            | Violation::TruncatedCloseCode
            | Violation::BadCloseCode(_) => CloseCode::PROTOCOL_ERROR,
            Violation::InvalidUtf8 | Violation::CorruptDeflate => CloseCode::INVALID_PAYLOAD,
            Violation::TooBig => CloseCode::TOO_BIG,
            Violation::TooManyFrames => CloseCode::POLICY,
            Violation::OutOfMemory => CloseCode::INTERNAL,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Violation::Unmasked => "a frame from a client must be masked",
            Violation::ReservedBits => "a reserved bit is set that no extension uses",
            Violation::ReservedOpCode(code) => return write!(f, "opcode {code} is reserved"),
            Violation::LengthNotMinimal => "a length is not in its shortest form",
            Violation::LengthOutOfRange => "a length has its most significant bit set",
            Violation::LongControl => "a control frame is longer than 125 bytes",
            Violation::FragmentedControl => "a control frame is fragmented",
            Violation::NothingToContinue => "a continuation frame continues no message",
            Violation::MessageUnfinished => "a message begins before the last one has ended",
            Violation::TruncatedCloseCode => "a close frame holds half a close code",
            Violation::BadCloseCode(code) => {
                return write!(f, "close code {code} must not be sent");
            }
            Violation::InvalidUtf8 => "a text is not valid UTF-8",
            Violation::CorruptDeflate => "a compressed message does not inflate",
            Violation::TooBig => "a message is too big",
            Violation::TooManyFrames => "a message is in too many fragments",
            Violation::OutOfMemory => "the server has no memory left for a message",
        };
        f.write_str(sentence)
    }
}

impl std::error::Error for Violation {}
