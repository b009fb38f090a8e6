//! A message as an application sees it: without frames, fragments or compression.

/// The payload of one whole message (RFC 6455, section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The payload of a text message, valid UTF-8.
    Text(&'a str),
    /// The payload of a binary message.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload, without its type.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }
}
