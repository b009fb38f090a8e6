//! The opening handshake of WebSocket, server side (RFC 6455, section 4.2): validation, negotiation of
//! subprotocol and compression, and the response.

use std::borrow::Cow;

use crate::ws::extension::{Deflate, negotiate};
use crate::ws::handshake::{VERSION, WebSocketKey, choose_subprotocol};

use super::body::BodyLength;
use super::headers::HeaderName;
use super::method::Method;
use super::path;
use super::refusal::Refusal;
use super::request::{Request, Version};
use super::site::Site;

/// A valid request to join a room, and what was negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// The name of the room.
    pub room: Cow<'a, str>,
    /// The query of the URL, without the question mark.
    query: &'a str,
    /// The first subprotocol on the client's list that the server speaks.
    pub subprotocol: Option<&'static str>,
    /// The first of the client's offers of compression that the server accepts.
    pub deflate: Option<Deflate>,
    /// The value of `Sec-WebSocket-Accept`.
    accept: [u8; 28],
}

impl<'a> Upgrade<'a> {
    /// The upgrade that a request asks for. `None`: it does not ask for a WebSocket.
    pub(super) fn parse(
        request: &Request<'_, 'a>,
        room: Cow<'a, str>,
        site: &Site,
    ) -> Result<Option<Self>, Refusal> {
        // An Upgrade in HTTP/1.0 MUST be ignored (RFC 9110, section 7.8).
        if request.version == Version::Http10 {
            return Ok(None);
        }
        let headers = request.headers;
        let upgrade = headers.lists(HeaderName::Upgrade, "websocket");
        let connection = headers.lists(HeaderName::Connection, "Upgrade");
        let key = match (upgrade, connection, headers.one(HeaderName::Key)?) {
            (true, true, Some(key)) => key,
            (true, true, None) => return Err(Refusal::NoKey),
            (true, false, _) | (false, _, Some(_)) => return Err(Refusal::HalfUpgrade),
            // An upgrade to another protocol is ignored (RFC 9110, section 7.8).
            (false, _, None) => return Ok(None),
        };
        if request.method != Method::Get {
            return Err(Refusal::UpgradeWithoutGet);
        }
        if request.body != BodyLength::Empty {
            return Err(Refusal::UpgradeWithBody);
        }
        if headers.one(HeaderName::Version)? != Some(VERSION.as_bytes()) {
            return Err(Refusal::UnknownVersion);
        }
        let accept = WebSocketKey::parse(key)
            .map_err(|_| Refusal::MalformedKey)?
            .accept();
        site.origins
            .admit(headers.one(HeaderName::Origin)?, request.authority.as_ref())?;
        let offers = headers.all(HeaderName::Subprotocols);
        let subprotocol = choose_subprotocol(offers, site.subprotocols)
            .map_err(|_| Refusal::MalformedSubprotocols)?;
        let offers = headers.all(HeaderName::Extensions);
        let deflate = negotiate(offers).map_err(|_| Refusal::MalformedExtensions)?;
        Ok(Some(Self {
            room,
            query: request.query,
            subprotocol,
            deflate: deflate.filter(|_| site.deflate),
            accept,
        }))
    }

    /// The wishes in the query of the URL.
    pub fn query(&self) -> Query<'a> {
        Query::parse(self.query)
    }

    /// Appends the response, 101 Switching Protocols, to `out`.
    pub fn write_response(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(&self.accept);
        if let Some(subprotocol) = self.subprotocol {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(subprotocol.as_bytes());
        }
        if let Some(deflate) = &self.deflate {
            out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
            out.extend_from_slice(deflate.response().as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// The query of a room's URL: wishes that the server may grant. The first parameter of each name counts.
/// A malformed or empty value is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// The name that the member wishes to have.
    pub name: Option<Cow<'a, str>>,
    /// The position up to which the member has received the room's messages: `EPOCH.SEQ`.
    pub since: Option<Cow<'a, str>>,
    /// The token of the session that the member resumes.
    pub session: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// Parses a query as `URLSearchParams` writes it, without the question mark.
    fn parse(query: &'a str) -> Self {
        let mut wishes = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wish = match key {
                "name" => &mut wishes.name,
                "since" => &mut wishes.since,
                "session" => &mut wishes.session,
                _ => continue,
            };
            if wish.is_none() {
                *wish = form_decode(value).filter(|value| !value.is_empty());
            }
        }
        wishes
    }
}

/// Percent-decodes a text in which a plus sign means a space.
fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        Some(Cow::Owned(
            path::decode(&text.replace('+', "%20"))?.into_owned(),
        ))
    } else {
        path::decode(text)
    }
}
