//! A message of a member, and how each format writes it.

use std::borrow::Cow;

use super::encoding::Format;
use crate::chat::format::v1::{self, MessageContent, ServerMessage};
use crate::chat::history::log::Stamp;
use crate::chat::members::name::Called;

/// A message for all members of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// The number of the sender.
    pub member: u32,
    /// The name of the sender.
    pub from: Called<'a>,
    /// The format of the sender's stream.
    pub format: Format,
    /// Its content.
    pub what: What<'a>,
    /// The id that the sender gave it, by which it recognises its own message.
    pub id: Option<Cow<'a, str>>,
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(&'a [u8]),
}

/// The same as [`Said`] with values of its own, for an engine that keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedSaid {
    member: u32,
    /// `None` is a guest.
    name: Option<Box<str>>,
    format: Format,
    is_text: bool,
    /// UTF-8 if it is text.
    what: Box<[u8]>,
    id: Option<Box<str>>,
}

impl From<&Said<'_>> for OwnedSaid {
    fn from(said: &Said<'_>) -> OwnedSaid {
        let (is_text, what) = match &said.what {
            What::Text(text) => (true, text.as_bytes()),
            What::Binary(bytes) => (false, *bytes),
        };
        OwnedSaid {
            member: said.member,
            name: match said.from {
                Called::Name(name) => Some(name.into()),
                Called::Guest(_) => None,
            },
            format: said.format,
            is_text,
            what: what.into(),
            id: said.id.as_deref().map(Box::from),
        }
    }
}

impl OwnedSaid {
    /// The same, borrowed.
    pub fn borrow(&self) -> Said<'_> {
        Said {
            member: self.member,
            from: match &self.name {
                Some(name) => Called::Name(name),
                None => Called::Guest(self.member),
            },
            format: self.format,
            what: if self.is_text {
                What::Text(String::from_utf8_lossy(&self.what))
            } else {
                What::Binary(&self.what)
            },
            id: self.id.as_deref().map(Cow::Borrowed),
        }
    }
}

impl Said<'_> {
    /// The message for `chat.v1` subscribers. If its JSON would be longer than `limit`, it has its size in place of its
    /// content.
    pub(in crate::chat) fn to_json(&self, stamp: Stamp, limit: usize) -> String {
        let (content, size) = match &self.what {
            What::Text(text) => (MessageContent::Text(text), text.len()),
            What::Binary(bytes) => (MessageContent::Base64(bytes), bytes.len()),
        };
        let json = |content| {
            let (from, member, id) = (self.from, self.member, self.id.as_deref());
            ServerMessage::Message {
                seq: stamp.seq,
                time: stamp.time,
                from,
                member,
                content,
                id,
            }
            .to_json()
        };
        let whole = json(content);
        if whole.len() <= limit {
            whole
        } else {
            json(MessageContent::Size(size))
        }
    }

    /// The message for plain subscribers: unchanged if a plain client sent it, else with the sender's name in front.
    pub(in crate::chat) fn to_plain(&self) -> What<'_> {
        match (self.format, &self.what) {
            (_, What::Binary(bytes)) => What::Binary(bytes),
            (Format::Plain, What::Text(text)) => What::Text(Cow::Borrowed(text)),
            (Format::ChatV1, What::Text(text)) => {
                What::Text(Cow::Owned(v1::plain_text(self.from, text)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_keeps_is_what_was_said() {
        for (from, what, id) in [
            (Called::Guest(7), What::Text("caf\u{e9}".into()), None),
            (
                Called::Name("ann"),
                What::Text("".into()),
                Some("c-1".into()),
            ),
            (Called::Guest(7), What::Binary(&[0xff, 0x00]), None),
        ] {
            let said = Said {
                member: 7,
                from,
                format: Format::ChatV1,
                what,
                id,
            };
            assert_eq!(OwnedSaid::from(&said).borrow(), said);
        }
    }
}
