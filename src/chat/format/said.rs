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
