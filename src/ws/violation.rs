//! What a client may not do, by name, and the close code that answers it.

use std::fmt;

use super::CloseCode;

/// Why a connection is failed (RFC 6455, section 7.1.7). Displays as one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A frame without a mask (section 5.1).
    Unmasked,
    /// RSV2, RSV3, or RSV1 where no extension gave it a meaning (section 5.2; RFC 7692, section 6).
    ReservedBits,
    /// An opcode of 3 to 7 or 11 to 15 (section 5.2).
    ReservedOpCode(u8),
    /// A length that fits a shorter form (section 5.2).
    LengthNotMinimal,
    /// A length with its most significant bit set (section 5.2).
    LengthOutOfRange,
    /// A control frame of more than 125 bytes (section 5.5).
    LongControl,
    /// A control frame in fragments (section 5.5).
    FragmentedControl,
    /// A continuation where no message has begun (section 5.4).
    NothingToContinue,
    /// A new message in the middle of another (section 5.4).
    MessageUnfinished,
    /// A Close whose payload is a single byte (section 5.5.1).
    HalfCloseCode,
    /// A Close with a code that must not be sent (section 7.4).
    BadCloseCode(u16),
    /// Text, or the reason in a Close, that is not UTF-8 (sections 5.5.1 and 8.1).
    InvalidUtf8,
    /// A compressed message that is not DEFLATE (RFC 7692, section 7.2.2).
    CorruptDeflate,
    /// A message beyond the limit, as sent or inflated (section 10.4).
    TooBig,
    /// A message of more frames than the limit (section 10.4).
    TooManyFrames,
    /// No fault of the client: the system has no memory left for its message.
    OutOfMemory,
}

impl Violation {
    /// The code that the connection is closed with: the one place where causes become consequences.
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
            | Violation::HalfCloseCode
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
            Violation::HalfCloseCode => "a close frame holds half a close code",
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
