//! Parser of the requests of clients.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::chat::members::name::BadName;

/// A request of a client. Strings are borrowed from its message unless they have escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest<'a> {
    /// Publish this message.
    Message {
        text: Cow<'a, str>,
        /// The id by which the client recognises its own message: 1 to [`ClientRequest::MAX_ID`] bytes.
        id: Option<Cow<'a, str>>,
    },
    /// Change the client's name.
    Name(Cow<'a, str>),
    /// Which members are in the room?
    Who,
    /// Which messages came earlier?
    History {
        /// Only messages with lower seqs; `None`: all.
        before: Option<u64>,
        /// Maximum number of messages.
        limit: usize,
    },
    /// Is the server there?
    Ping,
}

/// Why a request is refused. The set is closed: clients may rely on it that there are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not a JSON object, or a field is missing or of the wrong kind.
    BadRequest,
    /// The `type` is unknown.
    UnknownType,
    /// A binary message.
    Unsupported,
    /// An invalid name.
    BadName,
    /// The answer to an earlier request of this type, `who` or `history`, is still unsent.
    Busy,
    /// The engine did not do it: what was said is not published. The embedded engine never answers so.
    Unavailable,
}

impl ErrorCode {
    /// Whether the same request may succeed a little later.
    pub fn may_retry(self) -> bool {
        match self {
            ErrorCode::Busy | ErrorCode::Unavailable => true,
            ErrorCode::BadRequest
            | ErrorCode::UnknownType
            | ErrorCode::Unsupported
            | ErrorCode::BadName => false,
        }
    }
}

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// The reason, for programs.
    pub code: ErrorCode,
    /// The reason, for people.
    pub message: Cow<'static, str>,
    /// The id in the request, if it could be parsed.
    pub id: Option<Cow<'a, str>>,
}

impl Refused<'_> {
    /// A binary message. In `chat.v1` there are none.
    pub const BINARY: Refused<'static> =
        Refused::new(ErrorCode::Unsupported, "chat.v1 is spoken in text messages");

    /// A second question of one type before the first answer is sent.
    pub const BUSY: Refused<'static> =
        Refused::new(ErrorCode::Busy, "an earlier answer is still on its way");

    /// The engine has refused.
    pub const UNAVAILABLE: Refused<'static> =
        Refused::new(ErrorCode::Unavailable, "this cannot be done now: try again");

    const fn new(code: ErrorCode, message: &'static str) -> Refused<'static> {
        Refused {
            code,
            message: Cow::Borrowed(message),
            id: None,
        }
    }
}

impl From<BadName> for Refused<'_> {
    fn from(bad: BadName) -> Self {
        Refused {
            code: ErrorCode::BadName,
            message: bad.to_string().into(),
            id: None,
        }
    }
}

impl<'a> ClientRequest<'a> {
    /// Maximum length of an id in bytes.
    pub const MAX_ID: usize = 64;

    /// Maximum number of messages in a history answer, if the request does not say.
    pub const USUAL_LIMIT: u64 = 50;

    /// Maximum number of messages in a history answer that a request can ask for.
    pub const MAX_LIMIT: u64 = 500;

    /// Parses one message of a client.
    ///
    /// # Errors
    /// [`Refused`] is the answer. The connection stays open in any case.
    pub fn parse(text: &'a str) -> Result<ClientRequest<'a>, Refused<'a>> {
        // serde would accept an array with the fields in their order.
        let is_object = text.trim_start().starts_with('{');
        let Some(fields) = serde_json::from_str::<RequestFields<'a>>(text)
            .ok()
            .filter(|_| is_object)
        else {
            // The mistake may be in another field, such as half a surrogate pair.
            let id = serde_json::from_str::<OnlyId<'a>>(text).ok();
            return Err(Refused {
                id: id.filter(|_| is_object).and_then(|only| good(only.id)),
                ..Refused::new(ErrorCode::BadRequest, "a message is one JSON object")
            });
        };
        let id = good(fields.id.clone());
        fields
            .request()
            .map_err(|refused| Refused { id, ..refused })
    }
}

/// The id in a request, if it can be parsed.
fn good(id: Option<Field<'_>>) -> Option<Cow<'_, str>> {
    match id {
        Some(Field::Text(id)) => {
            Some(id).filter(|id| (1..=ClientRequest::MAX_ID).contains(&id.len()))
        }
        Some(Field::Number(_) | Field::Other) | None => None,
    }
}

/// The id of an object, whatever its other fields are.
#[derive(serde::Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow)]
    id: Option<Field<'a>>,
}

/// All fields of all requests. Fields that the request at hand does not have are ignored.
#[derive(serde::Deserialize)]
struct RequestFields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Field<'a>>,
    #[serde(borrow)]
    text: Option<Field<'a>>,
    #[serde(borrow)]
    id: Option<Field<'a>>,
    #[serde(borrow)]
    name: Option<Field<'a>>,
    before: Option<Field<'a>>,
    limit: Option<Field<'a>>,
}

impl<'a> RequestFields<'a> {
    fn request(self) -> Result<ClientRequest<'a>, Refused<'a>> {
        match &*required("type", self.kind)? {
            "message" => {
                let id = text("id", self.id)?;
                if id
                    .as_ref()
                    .is_some_and(|id| !(1..=ClientRequest::MAX_ID).contains(&id.len()))
                {
                    return Err(bad("id", "has 1 to 64 bytes"));
                }
                Ok(ClientRequest::Message {
                    text: required("text", self.text)?,
                    id,
                })
            }
            "name" => Ok(ClientRequest::Name(required("name", self.name)?)),
            "who" => Ok(ClientRequest::Who),
            "history" => {
                let limit = number("limit", self.limit)?.unwrap_or(ClientRequest::USUAL_LIMIT);
                let before = number("before", self.before)?;
                Ok(ClientRequest::History {
                    before,
                    limit: limit.clamp(1, ClientRequest::MAX_LIMIT) as usize,
                })
            }
            "ping" => Ok(ClientRequest::Ping),
            _ => Err(Refused::new(
                ErrorCode::UnknownType,
                "this type is not known here",
            )),
        }
    }
}

fn required<'a>(name: &str, field: Option<Field<'a>>) -> Result<Cow<'a, str>, Refused<'a>> {
    text(name, field)?.ok_or_else(|| bad(name, "is missing"))
}

fn text<'a>(name: &str, field: Option<Field<'a>>) -> Result<Option<Cow<'a, str>>, Refused<'a>> {
    match field {
        Some(Field::Text(text)) => Ok(Some(text)),
        Some(Field::Number(_) | Field::Other) => Err(bad(name, "is not a string")),
        None => Ok(None),
    }
}

fn number<'a>(name: &str, field: Option<Field<'a>>) -> Result<Option<u64>, Refused<'a>> {
    match field {
        Some(Field::Number(number)) => Ok(Some(number)),
        Some(Field::Text(_) | Field::Other) => Err(bad(name, "is not a whole number")),
        None => Ok(None),
    }
}

fn bad<'a>(name: &str, what: &str) -> Refused<'a> {
    Refused {
        code: ErrorCode::BadRequest,
        message: format!("{name} {what}").into(),
        id: None,
    }
}

/// The value of a field, as far as a field needs it. `null` counts as a field that is not there.
#[derive(Clone, Debug)]
enum Field<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field<'a>, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Field<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
                Ok(Field::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Field<'de>, E> {
                Ok(Field::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Field<'de>, E> {
                Ok(Field::Number(number))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Field<'de>, E> {
                Ok(Field::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Field<'de>, E> {
                Ok(Field::Other)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Field<'de>, E> {
                Ok(Field::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(text: &'static str, id: Option<&'static str>) -> ClientRequest<'static> {
        ClientRequest::Message {
            text: text.into(),
            id: id.map(Cow::Borrowed),
        }
    }

    #[test]
    fn requests_are_read_and_unknown_fields_ignored() {
        let long_id = format!(
            r#"{{"type":"message","text":"","id":"{}"}}"#,
            "i".repeat(64)
        );
        let Ok(ClientRequest::Message { id: Some(id), .. }) = ClientRequest::parse(&long_id) else {
            panic!()
        };
        assert_eq!(id.len(), 64);
        for (json, want) in [
            (
                r#"{"type":"message","text":"hi","id":"c-7"}"#,
                message("hi", Some("c-7")),
            ),
            (
                r#" { "text" : "hi" , "type" : "message" } "#,
                message("hi", None),
            ),
            (
                r#"{"type":"message","text":"","id":null}"#,
                message("", None),
            ),
            (
                r#"{"type":"message","text":"a\n\"\u00e9\ud83d\ude00\u0000"}"#,
                message("a\n\"\u{e9}\u{1f600}\0", None),
            ),
            (
                r#"{"type":"message","text":"hi","before":"x","limit":-1,"name":[[{}]]}"#,
                message("hi", None),
            ),
            (
                r#"{"type":"message","text":"hi","a":{"b":[1,{"c":null}]},"type ":1}"#,
                message("hi", None),
            ),
            (
                r#"{"type":"name","name":"anna"}"#,
                ClientRequest::Name("anna".into()),
            ),
            (r#"{"type":"who","text":7}"#, ClientRequest::Who),
            (r#"{"type":"pi\u006eg"}"#, ClientRequest::Ping),
            (
                r#"{"type":"history"}"#,
                ClientRequest::History {
                    before: None,
                    limit: 50,
                },
            ),
            (
                r#"{"type":"history","before":40,"limit":10}"#,
                ClientRequest::History {
                    before: Some(40),
                    limit: 10,
                },
            ),
            (
                r#"{"type":"history","before":0,"limit":0}"#,
                ClientRequest::History {
                    before: Some(0),
                    limit: 1,
                },
            ),
            (
                r#"{"type":"history","limit":18446744073709551615}"#,
                ClientRequest::History {
                    before: None,
                    limit: 500,
                },
            ),
        ] {
            assert_eq!(ClientRequest::parse(json), Ok(want), "{json}");
        }
    }

    #[test]
    fn a_text_without_escapes_is_not_copied() {
        let Ok(ClientRequest::Message { text, id }) =
            ClientRequest::parse(r#"{"type":"message","text":"hi","id":"7"}"#)
        else {
            panic!()
        };
        assert!(matches!(
            (text, id),
            (Cow::Borrowed(_), Some(Cow::Borrowed(_)))
        ));
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_reason() {
        use ErrorCode::{BadRequest, UnknownType};
        let long_id = format!(
            r#"{{"type":"message","text":"","id":"{}"}}"#,
            "i".repeat(65)
        );
        for (json, code, message, id) in [
            ("", BadRequest, "a message is one JSON object", None),
            ("hi", BadRequest, "a message is one JSON object", None),
            ("null", BadRequest, "a message is one JSON object", None),
            (
                r#""ping""#,
                BadRequest,
                "a message is one JSON object",
                None,
            ),
            (
                r#"["ping"]"#,
                BadRequest,
                "a message is one JSON object",
                None,
            ),
            (
                r#"["message","hi","c-7","","",""]"#,
                BadRequest,
                "a message is one JSON object",
                None,
            ),
            (
                r#"{"type":"ping"} {}"#,
                BadRequest,
                "a message is one JSON object",
                None,
            ),
            (
                r#"{"type":"ping""#,
                BadRequest,
                "a message is one JSON object",
                None,
            ),
            (
                r#"{"type":"ping","type":"who"}"#,
                BadRequest,
                "a message is one JSON object",
                None,
            ),
            (
                r#"{"type":"message","text":"\ud800","id":"c-7"}"#,
                BadRequest,
                "a message is one JSON object",
                Some("c-7"),
            ),
            (
                r#"["\ud800","hi","c-7"]"#,
                BadRequest,
                "a message is one JSON object",
                None,
            ),
            ("{}", BadRequest, "type is missing", None),
            (
                r#"{"id":"c-7","type":7}"#,
                BadRequest,
                "type is not a string",
                Some("c-7"),
            ),
            (
                r#"{"type":"message","id":"c-7"}"#,
                BadRequest,
                "text is missing",
                Some("c-7"),
            ),
            (
                r#"{"type":"message","text":["hi"]}"#,
                BadRequest,
                "text is not a string",
                None,
            ),
            (
                r#"{"type":"message","text":"hi","id":7}"#,
                BadRequest,
                "id is not a string",
                None,
            ),
            (
                r#"{"type":"message","text":"hi","id":""}"#,
                BadRequest,
                "id has 1 to 64 bytes",
                None,
            ),
            (&long_id, BadRequest, "id has 1 to 64 bytes", None),
            (r#"{"type":"name"}"#, BadRequest, "name is missing", None),
            (
                r#"{"type":"history","before":-1}"#,
                BadRequest,
                "before is not a whole number",
                None,
            ),
            (
                r#"{"type":"history","limit":1.5}"#,
                BadRequest,
                "limit is not a whole number",
                None,
            ),
            (
                r#"{"type":"history","limit":"9"}"#,
                BadRequest,
                "limit is not a whole number",
                None,
            ),
            (
                r#"{"type":"welcome","id":"x"}"#,
                UnknownType,
                "this type is not known here",
                Some("x"),
            ),
        ] {
            let want = Refused {
                code,
                message: message.into(),
                id: id.map(Cow::Borrowed),
            };
            assert_eq!(ClientRequest::parse(json), Err(want), "{json}");
        }
    }

    #[test]
    fn deep_nesting_is_neither_a_crash_nor_slow() {
        for open in ["[", r#"{"a":"#] {
            let deep = open.repeat(60_000);
            assert!(ClientRequest::parse(&deep).is_err());
            assert!(ClientRequest::parse(&format!(r#"{{"x":{deep}"#)).is_err());
            assert!(ClientRequest::parse(&format!(r#"{{"text":{deep}"#)).is_err());
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered_and_what_serde_wrote_is_read(noise in ".*", text in ".*", id in ".{1,16}") {
            let _ = ClientRequest::parse(&noise);
            let json = serde_json::json!({ "type": "message", "text": text, "id": id }).to_string();
            prop_assert_eq!(ClientRequest::parse(&json), Ok(ClientRequest::Message { text: text.into(), id: Some(id.into()) }));
        }
    }
}
