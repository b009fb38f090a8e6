//! The client's side of RFC 6455: masks the frames that it sends, and checks strictly those that it receives.

/// What a frame is (RFC 6455, section 5.2), as far as a chat server may send it unfragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A text message.
    Text = 0x1,
    /// A close frame.
    Close = 0x8,
    /// A ping.
    Ping = 0x9,
    /// A pong.
    Pong = 0xa,
}

/// The start of a server's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub opcode: Opcode,
    /// Whether it is to be inflated (RFC 7692, section 6).
    pub compressed: bool,
    /// Bytes before the payload.
    pub head: usize,
    /// Bytes of payload.
    pub payload: usize,
}

/// A frame that no server may send to a client that negotiated no more than this: the stream ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Header {
    /// Reads the header at the start of `bytes`, or `None` while it is incomplete. RSV1 may be set
    /// where `deflate` was negotiated.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for a masked frame, a length that is not minimal, a reserved bit or opcode, a
    /// fragment (no chat server needs any) and a long control frame.
    pub fn parse(bytes: &[u8], deflate: bool) -> Result<Option<Self>, Malformed> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (opcode, longest) = match first {
            0xc1 if deflate => (Opcode::Text, usize::MAX),
            0x81 => (Opcode::Text, usize::MAX),
            0x88 => (Opcode::Close, 125),
            0x89 => (Opcode::Ping, 125),
            0x8a => (Opcode::Pong, 125),
            _ => return Err(Malformed),
        };
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        let (head, payload, least) = match second {
            0..126 => (2, usize::from(second), 0),
            126 => match bytes.get(2..4) {
                Some(&[a, b]) => (4, usize::from(u16::from_be_bytes([a, b])), 126),
                _ => return Ok(None),
            },
            127 => match bytes.get(2..10) {
                Some(&[0, 0, 0, 0, a, b, c, d]) => {
                    (10, u32::from_be_bytes([a, b, c, d]) as usize, 0x1_0000)
                }
                Some(_) => return Err(Malformed),
                None => return Ok(None),
            },
            128.. => return Err(Malformed),
        };
        match payload {
            len if len < least || len > longest => Err(Malformed),
            payload => Ok(Some(Self {
                opcode,
                compressed: first == 0xc1,
                head,
                payload,
            })),
        }
    }

    /// The whole frame's bytes.
    #[must_use]
    pub fn frame(&self) -> usize {
        self.head + self.payload
    }
}

/// Appends one masked frame.
pub fn put_frame(out: &mut Vec<u8>, opcode: Opcode, mask: [u8; 4], payload: &[u8]) {
    out.push(0x80 | opcode as u8);
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_server_may_send_is_a_header() {
        let text = |head, payload| {
            Ok(Some(Header {
                opcode: Opcode::Text,
                compressed: false,
                head,
                payload,
            }))
        };
        for (bytes, want) in [
            (&[][..], Ok(None)),
            (&[0x81], Ok(None)),
            (&[0x81, 0], text(2, 0)),
            (&[0x81, 125], text(2, 125)),
            (&[0x81, 126, 0], Ok(None)),
            (&[0x81, 126, 0, 126], text(4, 126)),
            (&[0x81, 127, 0, 0, 0, 0, 0, 1, 0], Ok(None)),
            (&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], text(10, 0x1_0000)),
            (
                &[0x8a, 3],
                Ok(Some(Header {
                    opcode: Opcode::Pong,
                    compressed: false,
                    head: 2,
                    payload: 3,
                })),
            ),
            // Masked, not minimal, absurd, reserved bit, fragment, reserved opcode, long control.
            (&[0x81, 0x80], Err(Malformed)),
            (&[0x81, 126, 0, 125], Err(Malformed)),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Err(Malformed)),
            (&[0x81, 127, 0x80, 0, 0, 0, 0, 1, 0, 0], Err(Malformed)),
            (&[0xc1, 0], Err(Malformed)),
            (&[0x01, 0], Err(Malformed)),
            (&[0x83, 0], Err(Malformed)),
            (&[0x8a, 126, 0, 126], Err(Malformed)),
        ] {
            assert_eq!(Header::parse(bytes, false), want, "{bytes:02x?}");
        }
        let compressed = Header::parse(&[0xc1, 0], true);
        assert!(compressed.is_ok_and(|header| header.is_some_and(|header| header.compressed)));
    }
}
