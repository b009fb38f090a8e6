//! Frames: the parser for a client's frame headers, and the encoder for the server's frames.

use super::close_code::CloseCode;
use super::message::Message;
use super::violation::Violation;
use crate::feed::Record;

/// The type of a frame (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpCode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text message in UTF-8, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The last frame that a peer sends, part of the close handshake.
    Close = 8,
    /// A keepalive request, which the peer answers with a pong.
    Ping = 9,
    /// The answer to a ping, or an unsolicited keepalive.
    Pong = 10,
}

impl OpCode {
    fn parse(bits: u8) -> Result<OpCode, Violation> {
        match bits {
            0 => Ok(OpCode::Continuation),
            1 => Ok(OpCode::Text),
            2 => Ok(OpCode::Binary),
            8 => Ok(OpCode::Close),
            9 => Ok(OpCode::Ping),
            10 => Ok(OpCode::Pong),
            _ => Err(Violation::ReservedOpCode(bits)),
        }
    }

    /// Whether this is a control frame: a frame about the connection itself, never fragmented, with a
    /// payload of at most 125 bytes (section 5.5).
    pub fn is_control(self) -> bool {
        match self {
            OpCode::Close | OpCode::Ping | OpCode::Pong => true,
            OpCode::Continuation | OpCode::Text | OpCode::Binary => false,
        }
    }
}

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_RSV3: u8 = 0x30;
const MASKED: u8 = 0x80;
/// The longest payload of a control frame, in bytes. The shortest length form ends here as well.
const SHORT: u8 = 125;

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this frame is the last of its message.
    pub fin: bool,
    /// RSV1: the message is compressed (RFC 7692, section 6). Only the first frame of a message can set
    /// it. The parser does not know whether the extension was negotiated, so the decoder checks that.
    pub compressed: bool,
    /// The type of the frame.
    pub opcode: OpCode,
    /// The masking key of the payload (section 5.3).
    pub mask: [u8; 4],
    /// Size of the payload in bytes, at most 2^63 - 1.
    pub length: u64,
}

impl Header {
    /// The longest header of a client, in bytes: two, eight of length, four of masking key.
    pub const MAX_LEN: usize = 14;

    /// Parses the header at the front of `bytes`. Returns it and its length in bytes, or `None` if it is
    /// incomplete.
    ///
    /// # Errors
    ///
    /// The [`Violation`], as soon as the first byte, the second byte or the complete length proves it.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let opcode = OpCode::parse(first & 0x0f)?;
        let fin = first & FIN != 0;
        let compressed = first & RSV1 != 0;
        let begins_message = matches!(opcode, OpCode::Text | OpCode::Binary);
        if first & RSV2_AND_RSV3 != 0 || compressed && !begins_message {
            return Err(Violation::ReservedBits);
        }
        if opcode.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }

        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        // "The server MUST close the connection upon receiving a frame that is not masked"
        // (section 5.1).
        if second & MASKED == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & !MASKED;
        if opcode.is_control() && short > SHORT {
            return Err(Violation::LongControl);
        }
        let Some((length, rest)) = parse_length(short, rest)? else {
            return Ok(None);
        };
        let Some((&mask, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let header = Header {
            fin,
            compressed,
            opcode,
            mask,
            length,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

/// Parses a length, which has one of three forms. "The minimal number of bytes MUST be used" (section
/// 5.2). Returns the length and the bytes after it.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, rest) = match short {
        ..=SHORT => return Ok(Some((short.into(), rest))),
        126 => {
            let Some((&bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u16::from_be_bytes(bytes).into(), rest)
        }
        127.. => {
            let Some((&bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(bytes), rest)
        }
    };
    let shorter_form_ends_at = if short == 126 {
        u64::from(SHORT)
    } else {
        u64::from(u16::MAX)
    };
    if length <= shorter_form_ends_at {
        return Err(Violation::LengthNotMinimal);
    }
    if length > i64::MAX as u64 {
        return Err(Violation::LengthOutOfRange);
    }
    Ok(Some((length, rest)))
}

/// One complete frame of the server. It is never masked (RFC 6455, section 5.1) and never a fragment.
///
/// ```
/// use hushd::ws::Frame;
/// assert_eq!(Frame::text("Hello").to_vec(), b"\x81\x05Hello");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Invariant: the first `head_len` bytes and then `payload` are exactly one frame. The head of a
    /// Close includes the close code, so that the reason is borrowed and not copied.
    head: [u8; Frame::MAX_HEADER_LEN],
    head_len: u8,
    payload: &'a [u8],
}

#[expect(
    clippy::len_without_is_empty,
    reason = "a frame has at least its header"
)]
impl<'a> Frame<'a> {
    /// The longest header of the server, in bytes: two, eight of length.
    pub const MAX_HEADER_LEN: usize = 10;
    /// The longest control frame of the server, in bytes.
    pub const MAX_CONTROL_LEN: usize = 2 + SHORT as usize;

    /// An uncompressed text message.
    pub fn text(text: &'a str) -> Frame<'a> {
        Frame::data(OpCode::Text, 0, text.as_bytes())
    }

    /// An uncompressed binary message.
    pub fn binary(bytes: &'a [u8]) -> Frame<'a> {
        Frame::data(OpCode::Binary, 0, bytes)
    }

    /// A text or binary message whose payload the caller has compressed (RFC 7692, section 7.2.1).
    pub fn compressed(text: bool, compressed: &'a [u8]) -> Frame<'a> {
        Frame::data(
            if text { OpCode::Text } else { OpCode::Binary },
            RSV1,
            compressed,
        )
    }

    /// A ping. The payload is truncated to the 125 bytes of a control frame.
    pub fn ping(payload: &'a [u8]) -> Frame<'a> {
        Frame::control(OpCode::Ping, payload)
    }

    /// The answer to a ping, with the payload of that ping (section 5.5.3), truncated as in
    /// [`Frame::ping`].
    pub fn pong(payload: &'a [u8]) -> Frame<'a> {
        Frame::control(OpCode::Pong, payload)
    }

    /// A Close with a code and a reason. A reason that does not fit is truncated between two characters.
    pub fn close(code: CloseCode, reason: &'a str) -> Frame<'a> {
        let reason = &reason[..reason.floor_char_boundary(usize::from(SHORT) - 2)];
        let [high, low] = code.get().to_be_bytes();
        let length = 2 + reason.len() as u8;
        Frame::new(
            &[FIN | OpCode::Close as u8, length, high, low],
            reason.as_bytes(),
        )
    }

    /// A Close without a code, which answers a Close without a code.
    pub fn close_empty() -> Frame<'static> {
        Frame::control(OpCode::Close, &[])
    }

    /// Size of the frame in bytes, header included.
    pub fn len(&self) -> usize {
        usize::from(self.head_len) + self.payload.len()
    }

    /// Copies the frame to the front of a buffer. Returns the copy.
    ///
    /// # Panics
    /// If the buffer is shorter than the frame.
    pub fn copy_into<'b>(&self, buffer: &'b mut [u8]) -> &'b [u8] {
        let buffer = &mut buffer[..self.len()];
        let (head, payload) = buffer.split_at_mut(self.head_len.into());
        head.copy_from_slice(&self.head[..self.head_len.into()]);
        payload.copy_from_slice(self.payload);
        buffer
    }

    /// Copies the frame into a vector.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts().concat()
    }

    fn control(opcode: OpCode, payload: &'a [u8]) -> Frame<'a> {
        Frame::data(opcode, 0, &payload[..payload.len().min(SHORT.into())])
    }

    fn data(opcode: OpCode, rsv: u8, payload: &'a [u8]) -> Frame<'a> {
        let first = FIN | rsv | opcode as u8;
        let length = payload.len() as u64;
        let [.., high, low] = length.to_be_bytes();
        match length {
            0..=125 => Frame::new(&[first, low], payload),
            126..=0xffff => Frame::new(&[first, 126, high, low], payload),
            _ => {
                let mut head = [first, 127, 0, 0, 0, 0, 0, 0, 0, 0];
                head[2..].copy_from_slice(&length.to_be_bytes());
                Frame::new(&head, payload)
            }
        }
    }

    fn new(bytes: &[u8], payload: &'a [u8]) -> Frame<'a> {
        let mut head = [0; Frame::MAX_HEADER_LEN];
        head[..bytes.len()].copy_from_slice(bytes);
        Frame {
            head,
            head_len: bytes.len() as u8,
            payload,
        }
    }
}

impl<'a> From<Message<'a>> for Frame<'a> {
    fn from(message: Message<'a>) -> Frame<'a> {
        match message {
            Message::Text(text) => Frame::text(text),
            Message::Binary(bytes) => Frame::binary(bytes),
        }
    }
}

impl Record for Frame<'_> {
    fn parts(&self) -> [&[u8]; 2] {
        [&self.head[..self.head_len.into()], self.payload]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(fin: bool, opcode: OpCode, length: u64) -> Header {
        Header {
            fin,
            compressed: false,
            opcode,
            mask: [0x37, 0xfa, 0x21, 0x3d],
            length,
        }
    }

    #[test]
    fn headers_of_every_form_are_read_at_their_last_byte_and_not_before() {
        for (mut bytes, want) in [
            (vec![0x81, 0x85], header(true, OpCode::Text, 5)),
            (vec![0x01, 0x80], header(false, OpCode::Text, 0)),
            (vec![0x80, 0x80], header(true, OpCode::Continuation, 0)),
            (
                vec![0xc2, 0x81],
                Header {
                    compressed: true,
                    ..header(true, OpCode::Binary, 1)
                },
            ),
            (
                vec![0x41, 0x81],
                Header {
                    compressed: true,
                    ..header(false, OpCode::Text, 1)
                },
            ),
            (vec![0x88, 0x80], header(true, OpCode::Close, 0)),
            (vec![0x89, 0xfd], header(true, OpCode::Ping, 125)),
            (vec![0x8a, 0x81], header(true, OpCode::Pong, 1)),
            (vec![0x82, 0xfd], header(true, OpCode::Binary, 125)),
            (vec![0x82, 0xfe, 0, 126], header(true, OpCode::Binary, 126)),
            (
                vec![0x82, 0xfe, 0xff, 0xff],
                header(true, OpCode::Binary, 65_535),
            ),
            (
                vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0],
                header(true, OpCode::Binary, 65_536),
            ),
            (
                vec![0x82, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0],
                header(true, OpCode::Binary, 1 << 31),
            ),
            (
                vec![0x82, 0xff, 0, 0x20, 0, 0, 0, 0, 0, 0],
                header(true, OpCode::Binary, 1 << 53),
            ),
            (
                vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                header(true, OpCode::Binary, (1 << 63) - 1),
            ),
        ] {
            bytes.extend([0x37, 0xfa, 0x21, 0x3d]);
            for cut in 0..bytes.len() {
                assert_eq!(
                    Header::parse(&bytes[..cut]),
                    Ok(None),
                    "{bytes:02x?} cut at {cut}"
                );
            }
            assert_eq!(Header::parse(&bytes), Ok(Some((want, bytes.len()))));
            bytes.extend(b"payload");
            assert_eq!(Header::parse(&bytes), Ok(Some((want, bytes.len() - 7))));
        }
    }

    #[test]
    fn headers_fail_before_their_mask_has_come() {
        for (bytes, want) in [
            (&[0x91][..], Violation::ReservedBits),
            (&[0xa2], Violation::ReservedBits),
            (&[0xc0], Violation::ReservedBits), // RSV1 on a continuation
            (&[0xc9], Violation::ReservedBits), // RSV1 on a ping
            (&[0x83], Violation::ReservedOpCode(3)),
            (&[0x87], Violation::ReservedOpCode(7)),
            (&[0x8b], Violation::ReservedOpCode(11)),
            (&[0x8f], Violation::ReservedOpCode(15)),
            (&[0x08], Violation::FragmentedControl),
            (&[0x09], Violation::FragmentedControl),
            (&[0x0a], Violation::FragmentedControl),
            (&[0x81, 0x05], Violation::Unmasked),
            (&[0x89, 0xfe], Violation::LongControl),
            (&[0x88, 0xff], Violation::LongControl),
            (&[0x81, 0xfe, 0, 125], Violation::LengthNotMinimal),
            (
                &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
                Violation::LengthNotMinimal,
            ),
            (
                &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
                Violation::LengthOutOfRange,
            ),
            (
                &[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                Violation::LengthOutOfRange,
            ),
        ] {
            for cut in 0..bytes.len() {
                assert_eq!(
                    Header::parse(&bytes[..cut]),
                    Ok(None),
                    "{bytes:02x?} cut at {cut}"
                );
            }
            assert_eq!(Header::parse(bytes), Err(want), "{bytes:02x?}");
        }
    }

    #[test]
    fn frames_are_those_of_the_rfcs_examples() {
        // RFC 6455, section 5.7, and RFC 7692, section 7.2.3.
        for (frame, want) in [
            (Frame::text("Hello"), &b"\x81\x05Hello"[..]),
            (Frame::ping(b"Hello"), b"\x89\x05Hello"),
            (Frame::pong(b""), b"\x8a\x00"),
            (
                Frame::compressed(true, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
                b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
            ),
            (Frame::compressed(false, b"\x00"), b"\xc2\x01\x00"),
            (Frame::close_empty(), b"\x88\x00"),
            (Frame::close(CloseCode::NORMAL, ""), b"\x88\x02\x03\xe8"),
            (
                Frame::close(CloseCode::GOING_AWAY, "bye"),
                b"\x88\x05\x03\xe9bye",
            ),
        ] {
            assert_eq!(frame.to_vec(), want);
            assert_eq!(frame.copy_into(&mut [0; Frame::MAX_CONTROL_LEN]), want);
            assert_eq!(frame.len(), want.len());
        }
    }

    #[test]
    fn lengths_take_the_shortest_of_three_forms() {
        for (length, head) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (256, &[0x82, 126, 1, 0]),
            (65_535, &[0x82, 126, 0xff, 0xff]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![0; length];
            assert_eq!(
                Frame::binary(&payload).parts(),
                [head, &payload],
                "{length}"
            );
        }
    }

    #[test]
    fn control_payloads_are_cut_to_fit_and_reasons_between_characters() {
        assert_eq!(Frame::pong(&[0; 126]).len(), Frame::MAX_CONTROL_LEN);
        let reason = "é".repeat(100);
        let close = Frame::close(CloseCode::TOO_BIG, &reason).to_vec();
        assert_eq!(close[..4], [0x88, 124, 0x03, 0xf1]);
        assert_eq!(str::from_utf8(&close[4..]), Ok(&reason[..122]));
    }
}
