//! The forms in which a room's stream is sent: one lane each.

use crate::ws::extension::Window;

/// What a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Messages as they were sent, nothing added.
    Plain,
    /// JSON: messages with who said them and when, and who is there.
    ChatV1,
}

/// What a member's stream looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// What it says.
    pub format: Format,
    /// The window that it is compressed with, if it is.
    pub window: Option<Window>,
}

/// In what ways each format is sent.
const WINDOWS: [Option<Window>; 3] = [None, Some(Window::Bits9), Some(Window::Bits15)];

impl Encoding {
    /// How many there are.
    pub const COUNT: usize = 2 * WINDOWS.len();

    /// The messages as they were sent.
    pub const PLAIN: Encoding = Encoding::of(Format::Plain);

    /// The subprotocol `chat.v1`.
    pub const CHAT_V1: Encoding = Encoding::of(Format::ChatV1);

    /// A format, not compressed.
    pub const fn of(format: Format) -> Encoding {
        Encoding {
            format,
            window: None,
        }
    }

    /// All there are, by their [`Encoding::index`].
    pub fn all() -> impl Iterator<Item = Encoding> {
        [Format::Plain, Format::ChatV1]
            .into_iter()
            .flat_map(Format::encodings)
    }

    /// Which of [`Encoding::all`] this is.
    pub fn index(self) -> usize {
        let format = match self.format {
            Format::Plain => 0,
            Format::ChatV1 => 1,
        };
        let window = match self.window {
            None => 0,
            Some(Window::Bits9) => 1,
            Some(Window::Bits15) => 2,
        };
        format * WINDOWS.len() + window
    }
}

impl Format {
    /// The encodings in which this is sent.
    pub fn encodings(self) -> impl Iterator<Item = Encoding> {
        WINDOWS.into_iter().map(move |window| Encoding {
            format: self,
            window,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_stands_at_its_index() {
        let indices: Vec<usize> = Encoding::all().map(Encoding::index).collect();
        assert_eq!(indices, (0..Encoding::COUNT).collect::<Vec<_>>());
    }
}
