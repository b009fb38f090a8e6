//! What the server says.

use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use super::{ErrorCode, Refused};
use crate::chat::members::name::Called;
use crate::chat::members::presence::Announcement;
use crate::chat::members::session::Token;

/// An object that the server sends.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<'a> {
    /// The first of all: where and who the client is.
    Welcome {
        /// The path of the room.
        room: &'a str,
        /// What the client is called here.
        name: Called<'a>,
        /// The number of the client's member.
        member: u32,
        /// With which it comes back as the same member.
        #[serde(serialize_with = "as_text")]
        session: Token,
        /// Of the room's memory.
        #[serde(serialize_with = "as_hex")]
        epoch: u64,
        /// Of the latest message in the room.
        seq: u64,
        /// Whether what follows is exactly what the client missed.
        resumed: bool,
        /// Members, as announced.
        online: u32,
        /// Milliseconds after which the server asks a silent client whether it is there; 0: never.
        ping: u64,
        /// Bytes of the longest message that the server takes.
        max_message: usize,
    },
    /// Somebody said something.
    Message {
        /// Its number in the room.
        seq: u64,
        /// When, in milliseconds since 1970.
        time: u64,
        /// What the speaker was called.
        from: Called<'a>,
        /// Who the speaker was.
        member: u32,
        /// What was said.
        #[serde(flatten)]
        content: MessageContent<'a>,
        /// As the speaker gave it.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    },
    /// Who came and went since the last of these; the lists are only there if names are told.
    Presence {
        /// Members, from now on.
        online: u32,
        /// Names that are gone.
        #[serde(skip_serializing_if = "Option::is_none")]
        left: Option<&'a [String]>,
        /// Old and new names.
        #[serde(skip_serializing_if = "Option::is_none")]
        renamed: Option<&'a [(String, String)]>,
        /// Names that are new.
        #[serde(skip_serializing_if = "Option::is_none")]
        joined: Option<&'a [String]>,
    },
    /// Who is here.
    Who {
        /// Members, as announced.
        online: u32,
        /// Their names, unless there are too many.
        #[serde(skip_serializing_if = "Option::is_none")]
        names: Option<&'a [String]>,
    },
    /// To a message that was heard before.
    Accepted {
        /// Of the message.
        id: &'a str,
        /// Of the message.
        seq: u64,
    },
    /// To a ping.
    Pong {
        /// Now, in milliseconds since 1970.
        time: u64,
    },
    /// To a request that the server does not do.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: &'a str,
        /// Of the request.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// Whether the same may succeed a little later.
        retry: bool,
    },
    /// The last of all.
    Bye {
        /// The code of the close that follows.
        code: u16,
        /// For people.
        reason: &'a str,
        /// Come back after a time that is drawn from this interval, in milliseconds.
        reconnect_ms: [u32; 2],
    },
}

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageContent<'a> {
    /// In characters.
    Text(&'a str),
    /// In bytes, by a plain client.
    #[serde(serialize_with = "as_base64")]
    Base64(&'a [u8]),
    /// Too large for an envelope: only its size in bytes.
    Size(usize),
}

impl ServerMessage<'_> {
    /// The object's JSON.
    pub fn to_json(&self) -> String {
        // It cannot fail: all keys are strings, and nothing here refuses to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'a> From<&'a Announcement> for ServerMessage<'a> {
    fn from(announcement: &'a Announcement) -> ServerMessage<'a> {
        let online = announcement.online();
        match announcement {
            Announcement::Changes {
                online: _,
                left,
                renamed,
                joined,
            } => ServerMessage::Presence {
                online,
                left: Some(left),
                renamed: Some(renamed),
                joined: Some(joined),
            },
            Announcement::Count(_) => ServerMessage::Presence {
                online,
                left: None,
                renamed: None,
                joined: None,
            },
            Announcement::Everybody(names) => ServerMessage::Who {
                online,
                names: Some(names),
            },
        }
    }
}

impl<'a> From<&'a Refused<'_>> for ServerMessage<'a> {
    fn from(refused: &'a Refused<'_>) -> ServerMessage<'a> {
        ServerMessage::Error {
            code: refused.code,
            message: &refused.message,
            id: refused.id.as_deref(),
            retry: refused.code.may_retry(),
        }
    }
}

/// A history answer: `messages` writes objects with commas in between, and says whether there are older
/// ones.
pub fn history(messages: impl FnOnce(&mut Vec<u8>) -> bool) -> String {
    let mut json = Vec::from(br#"{"type":"history","messages":["#);
    let more = messages(&mut json);
    json.extend_from_slice(if more {
        br#"],"more":true}"#
    } else {
        br#"],"more":false}"#
    });
    // It was UTF-8 when it was sent.
    String::from_utf8(json).unwrap_or_default()
}

/// A message of `chat.v1` as plain clients see it.
pub fn plain_text(from: Called<'_>, text: &str) -> String {
    format!("{from}: {text}")
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_hex<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:016x}"))
}

fn as_base64<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::format::v1::ClientRequest;
    use crate::chat::members::session::{Claim, Session, Sessions};
    use crate::ids::ConnectionKey;

    #[test]
    fn objects_are_written_as_the_protocol_shows_them() {
        let session = Session {
            epoch: 0x0f3c_0a9b_e1d2_7744,
            number: 7,
        };
        let session = Sessions::new(1, 1, 1).token(Claim {
            session,
            key: ConnectionKey(3),
        });
        let welcome = format!(
            r#"{{"type":"welcome","room":"/tea","name":"ann","member":7,"session":"{session}","epoch":"0f3c0a9be1d27744","seq":44,"resumed":true,"online":120,"ping":30000,"max_message":65536}}"#
        );
        let names = ["ann".to_owned(), "bob".to_owned()];
        let message = |content, id| ServerMessage::Message {
            seq: 45,
            time: 1_755_500_000_123,
            from: Called::Guest(7),
            member: 7,
            content,
            id,
        };
        let changes = Announcement::Changes {
            online: 121,
            left: vec![],
            renamed: vec![("al".to_owned(), "alan".to_owned())],
            joined: vec!["bob".to_owned()],
        };
        let refused = ClientRequest::parse(r#"{"type":"message","id":"c-8"}"#).unwrap_err();
        let who = Announcement::Everybody(names.to_vec());
        for (sent, want) in [
            (
                ServerMessage::Welcome {
                    room: "/tea",
                    name: Called::Name("ann"),
                    member: 7,
                    session,
                    epoch: 0x0f3c_0a9b_e1d2_7744,
                    seq: 44,
                    resumed: true,
                    online: 120,
                    ping: 30_000,
                    max_message: 65_536,
                },
                &*welcome,
            ),
            (
                message(MessageContent::Text("hi \"there\"\n\0"), Some("c-7")),
                r#"{"type":"message","seq":45,"time":1755500000123,"from":"guest-7","member":7,"text":"hi \"there\"\n\u0000","id":"c-7"}"#,
            ),
            (
                message(MessageContent::Base64(b"\0\xff\xfe\xfd"), None),
                r#"{"type":"message","seq":45,"time":1755500000123,"from":"guest-7","member":7,"base64":"AP/+/Q=="}"#,
            ),
            (
                message(MessageContent::Size(70_000), None),
                r#"{"type":"message","seq":45,"time":1755500000123,"from":"guest-7","member":7,"size":70000}"#,
            ),
            (
                ServerMessage::from(&changes),
                r#"{"type":"presence","online":121,"left":[],"renamed":[["al","alan"]],"joined":["bob"]}"#,
            ),
            (
                ServerMessage::from(&Announcement::Count(300)),
                r#"{"type":"presence","online":300}"#,
            ),
            (
                ServerMessage::from(&who),
                r#"{"type":"who","online":2,"names":["ann","bob"]}"#,
            ),
            (
                ServerMessage::Who {
                    online: 300,
                    names: None,
                },
                r#"{"type":"who","online":300}"#,
            ),
            (
                ServerMessage::Accepted { id: "c-7", seq: 45 },
                r#"{"type":"accepted","id":"c-7","seq":45}"#,
            ),
            (
                ServerMessage::Pong {
                    time: 1_755_500_000_456,
                },
                r#"{"type":"pong","time":1755500000456}"#,
            ),
            (
                ServerMessage::from(&refused),
                r#"{"type":"error","code":"bad_request","message":"text is missing","id":"c-8","retry":false}"#,
            ),
            (
                ServerMessage::from(&Refused::BUSY),
                r#"{"type":"error","code":"busy","message":"an earlier answer is still on its way","retry":true}"#,
            ),
            (
                ServerMessage::Bye {
                    code: 1001,
                    reason: "shutting down",
                    reconnect_ms: [0, 30_000],
                },
                r#"{"type":"bye","code":1001,"reason":"shutting down","reconnect_ms":[0,30000]}"#,
            ),
        ] {
            assert_eq!(sent.to_json(), want);
        }
    }

    #[test]
    fn a_history_answer_is_put_together_from_what_was_sent() {
        for (messages, more, want) in [
            (
                "",
                false,
                r#"{"type":"history","messages":[],"more":false}"#,
            ),
            (
                "{},{}",
                true,
                r#"{"type":"history","messages":[{},{}],"more":true}"#,
            ),
        ] {
            let json = history(|out| {
                out.extend_from_slice(messages.as_bytes());
                more
            });
            assert_eq!(json, want);
        }
    }

    #[test]
    fn plain_clients_see_the_name_before_the_text() {
        assert_eq!(
            plain_text(Called::Name("ann"), "hi\nthere"),
            "ann: hi\nthere"
        );
    }
}
