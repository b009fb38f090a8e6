//! The forms in which a room's stream is sent: one lane each.

/// What a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Messages as they were sent, nothing added.
    Plain,
    /// Messages and presence as JSON: the subprotocol `chat.v1`.
    ChatV1,
}

/// What a member's stream looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// What it says.
    pub format: Format,
}

impl Encoding {
    /// All there are, by their [`Encoding::index`].
    pub const ALL: [Encoding; Encoding::COUNT] = [Encoding::PLAIN, Encoding::CHAT_V1];

    /// How many there are.
    pub const COUNT: usize = 2;

    /// The messages as they were sent.
    pub const PLAIN: Encoding = Encoding {
        format: Format::Plain,
    };

    /// The subprotocol `chat.v1`.
    pub const CHAT_V1: Encoding = Encoding {
        format: Format::ChatV1,
    };

    /// Which of the [`Encoding::COUNT`] this is.
    pub fn index(self) -> usize {
        match self.format {
            Format::Plain => 0,
            Format::ChatV1 => 1,
        }
    }
}
