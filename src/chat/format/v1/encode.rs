//! Encoder of the messages that the server sends.

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
    /// The first message to a client: its room, name and session.
    Welcome {
        room: &'a str,
        /// The client's name in this room.
        name: Called<'a>,
        /// The client's member number.
        member: u32,
        /// The token with which the client comes back as the same member.
        #[serde(serialize_with = "as_text")]
        session: Token,
        /// The epoch of the room's log.
        #[serde(serialize_with = "as_hex")]
        epoch: u64,
        /// The seq of the latest message.
        seq: u64,
        /// Whether the messages that follow are exactly those that the client missed.
        resumed: bool,
        /// Number of announced members.
        online: u32,
        /// Milliseconds of silence after which the server pings the client; 0: never.
        ping: u64,
        /// Maximum size of a message to the server in bytes.
        max_message: usize,
    },
    /// A message of a member.
    Message {
        /// Its number in the room's log.
        seq: u64,
        /// Milliseconds since 1970.
        time: u64,
        /// The name of the sender.
        from: Called<'a>,
        /// The member number of the sender.
        member: u32,
        #[serde(flatten)]
        content: MessageContent<'a>,
        /// As the sender gave it.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    },
    /// Members that came, left or changed their names since the last of these. Without names there are no lists.
    Presence {
        /// Number of members from now on.
        online: u32,
        /// Names of members that left.
        #[serde(skip_serializing_if = "Option::is_none")]
        left: Option<&'a [String]>,
        /// Old and new names.
        #[serde(skip_serializing_if = "Option::is_none")]
        renamed: Option<&'a [(String, String)]>,
        /// Names of members that came.
        #[serde(skip_serializing_if = "Option::is_none")]
        joined: Option<&'a [String]>,
    },
    /// The announced members.
    Who {
        /// Number of announced members.
        online: u32,
        /// Their names; `None` if there are too many.
        #[serde(skip_serializing_if = "Option::is_none")]
        names: Option<&'a [String]>,
    },
    /// The answer to a message that was published before.
    Accepted {
        /// Of the message.
        id: &'a str,
        /// Of the message.
        seq: u64,
    },
    /// The answer to a ping.
    Pong {
        /// Milliseconds since 1970.
        time: u64,
    },
    /// The answer to a request that is refused.
    Error {
        /// The reason, for programs.
        code: ErrorCode,
        /// The reason, for people.
        message: &'a str,
        /// The id in the request.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        /// Whether the same request may succeed a little later.
        retry: bool,
    },
    /// The last message to a client.
    Bye {
        /// The code of the close that follows.
        code: u16,
        /// The reason, for people.
        reason: &'a str,
        /// The client is to reconnect after a random time in this interval, in milliseconds.
        reconnect_ms: [u32; 2],
    },
}

/// The content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageContent<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes of a plain client.
    #[serde(serialize_with = "as_base64")]
    Base64(&'a [u8]),
    /// The size in bytes of a content that is too large.
    Size(usize),
}

impl ServerMessage<'_> {
    /// The object's JSON.
    pub fn to_json(&self) -> String {
        // It cannot fail: all keys are strings, and all values can be written.
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

/// The answer to a history request. `messages` writes objects, separated by commas, and returns whether there are older
/// ones.
pub fn history(messages: impl FnOnce(&mut Vec<u8>) -> bool) -> String {
    let mut json = Vec::from(br#"{"type":"history","messages":["#);
    let more = messages(&mut json);
    json.extend_from_slice(if more {
        br#"],"more":true}"#
    } else {
        br#"],"more":false}"#
    });
    // Messages are stored as valid UTF-8.
    String::from_utf8(json).unwrap_or_default()
}

/// A message of a `chat.v1` client as plain clients receive it.
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
