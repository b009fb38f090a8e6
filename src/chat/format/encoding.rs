//! The encodings of a room's stream, each a format in a framing: a room has at most one lane for each.

use super::framing::Framing;
use crate::ws::extension::Window;

/// What a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Messages as they were sent, nothing added.
    Plain,
    /// JSON: messages with their sender and time, and presence.
    ChatV1,
}

/// The encodings that exist: what a member's stream says, and how it is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// WebSocket without a subprotocol.
    Plain,
    /// The same, compressed with the smallest window.
    PlainDeflate9,
    /// The same, compressed with the largest window.
    PlainDeflate15,
    /// WebSocket with the subprotocol `chat.v1`.
    ChatV1,
    /// The same, compressed with the smallest window.
    ChatV1Deflate9,
    /// The same, compressed with the largest window.
    ChatV1Deflate15,
}

/// Each encoding at its [`Encoding::index`].
const TABLE: [(Encoding, Format, Framing); Encoding::COUNT] = {
    use Encoding::*;
    const RAW: Framing = Framing::WebSocket(None);
    const SMALL: Framing = Framing::WebSocket(Some(Window::Bits9));
    const LARGE: Framing = Framing::WebSocket(Some(Window::Bits15));
    [
        (Plain, Format::Plain, RAW),
        (PlainDeflate9, Format::Plain, SMALL),
        (PlainDeflate15, Format::Plain, LARGE),
        (ChatV1, Format::ChatV1, RAW),
        (ChatV1Deflate9, Format::ChatV1, SMALL),
        (ChatV1Deflate15, Format::ChatV1, LARGE),
    ]
};

impl Encoding {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// All there are, by their [`Encoding::index`].
    pub fn all() -> impl Iterator<Item = Encoding> {
        TABLE.iter().map(|&(encoding, ..)| encoding)
    }

    /// The one for a WebSocket client that negotiated this format and this window.
    pub fn web_socket(format: Format, window: Option<Window>) -> Encoding {
        match (format, window) {
            (Format::Plain, None) => Encoding::Plain,
            (Format::Plain, Some(Window::Bits9)) => Encoding::PlainDeflate9,
            (Format::Plain, Some(Window::Bits15)) => Encoding::PlainDeflate15,
            (Format::ChatV1, None) => Encoding::ChatV1,
            (Format::ChatV1, Some(Window::Bits9)) => Encoding::ChatV1Deflate9,
            (Format::ChatV1, Some(Window::Bits15)) => Encoding::ChatV1Deflate15,
        }
    }

    /// What it says.
    pub fn format(self) -> Format {
        TABLE[self.index()].1
    }

    /// How it is framed.
    pub fn framing(self) -> Framing {
        TABLE[self.index()].2
    }

    /// Which of [`Encoding::all`] this is.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl Format {
    /// The encodings in which this is sent.
    pub fn encodings(self) -> impl Iterator<Item = Encoding> {
        Encoding::all().filter(move |encoding| encoding.format() == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_stands_at_its_index_and_is_what_it_was_negotiated_as() {
        for (index, encoding) in Encoding::all().enumerate() {
            assert_eq!(encoding.index(), index);
            match encoding.framing() {
                Framing::WebSocket(window) => {
                    assert_eq!(Encoding::web_socket(encoding.format(), window), encoding);
                }
                Framing::EventStream => panic!("no route offers events yet"),
            }
        }
    }
}
