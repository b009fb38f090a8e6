//! What is said in a room, and how each format puts it.

use std::borrow::Cow;

use super::encoding::Format;
use crate::chat::format::v1::{self, MessageContent, ServerMessage};
use crate::chat::history::log::Stamp;
use crate::chat::members::name::Called;

/// What everybody hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// The number of the member who says it.
    pub member: u32,
    /// What that member is called.
    pub from: Called<'a>,
    /// In what form it was said.
    pub format: Format,
    /// What is said.
    pub what: What<'a>,
    /// By which the speaker knows it when it comes back.
    pub id: Option<Cow<'a, str>>,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(&'a [u8]),
}

/// What is said, without borrowing it: for an engine that keeps it.
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
    /// As those who follow `chat.v1` hear it: with its size instead of its content where its JSON would
    /// be longer than `limit`.
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

    /// As plain clients hear it: unchanged if one of them says it, else behind the speaker's name.
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
