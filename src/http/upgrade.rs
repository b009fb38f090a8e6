//! The way from HTTP to WebSocket: what the opening handshake asks for and what it is answered
//! (RFC 6455, section 4.2).

use std::borrow::Cow;

use crate::ws::extension::{Deflate, negotiate};
use crate::ws::handshake::{VERSION, WebSocketKey, choose_subprotocol};

use super::fields::Name;
use super::refusal::Refusal;
use super::request::{Method, Request, Version};
use super::room;
use super::route::Site;

/// A request to join a room, granted, and what was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// The name of the room.
    pub room: Cow<'a, str>,
    /// What the URL says beside it.
    pub query: Query<'a>,
    /// The subprotocol: the client's first that the server speaks.
    pub subprotocol: Option<&'static str>,
    /// The compression: the client's first offer that the server accepts.
    pub deflate: Option<Deflate>,
    /// What proves to the client that it was understood.
    accept: [u8; 28],
}

impl<'a> Upgrade<'a> {
    /// What a request for this room asks for, if it asks for a WebSocket.
    pub(super) fn asked(
        request: &Request<'_, 'a>,
        room: Cow<'a, str>,
        site: &Site,
    ) -> Result<Option<Self>, Refusal> {
        // An Upgrade in HTTP/1.0 MUST be ignored (RFC 9110, section 7.8).
        if request.version == Version::Http10 {
            return Ok(None);
        }
        let fields = request.fields;
        let upgrade = fields.lists(Name::Upgrade, "websocket");
        let connection = fields.lists(Name::Connection, "Upgrade");
        let key = match (upgrade, connection, fields.one(Name::Key)?) {
            (true, true, Some(key)) => key,
            (true, true, None) => return Err(Refusal::NoKey),
            (true, false, _) | (false, _, Some(_)) => return Err(Refusal::HalfUpgrade),
            // Another upgrade than to a WebSocket is as good as none (RFC 9110, section 7.8).
            (false, _, None) => return Ok(None),
        };
        match request.method {
            Method::Get => {}
            Method::Head => return Err(Refusal::UpgradeWithoutGet),
        }
        if request.has_body {
            return Err(Refusal::UpgradeWithBody);
        }
        if fields.one(Name::Version)? != Some(VERSION.as_bytes()) {
            return Err(Refusal::UnknownVersion);
        }
        let accept = WebSocketKey::parse(key)
            .map_err(|_| Refusal::MalformedKey)?
            .accept();
        site.origins
            .admit(fields.one(Name::Origin)?, request.authority.as_ref())?;
        let offers = fields.all(Name::Subprotocols);
        let subprotocol = choose_subprotocol(offers, site.subprotocols)
            .map_err(|_| Refusal::MalformedSubprotocols)?;
        let offers = fields.all(Name::Extensions);
        let deflate = negotiate(offers).map_err(|_| Refusal::MalformedExtensions)?;
        Ok(Some(Self {
            room,
            query: Query::parse(request.query),
            subprotocol,
            deflate: deflate.filter(|_| site.deflate),
            accept,
        }))
    }

    /// Appends the response: 101 Switching Protocols.
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

/// What the query of a room's URL says: wishes that a server may grant. The first of each name counts;
/// one that cannot be read is as good as none, and so is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// The name that the member would like to have.
    pub name: Option<Cow<'a, str>>,
    /// What the member has heard already: `EPOCH.SEQ`.
    pub since: Option<Cow<'a, str>>,
    /// The session that the member comes back to.
    pub session: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// Reads a query, without its question mark, as `URLSearchParams` writes it.
    pub(super) fn parse(query: &'a str) -> Self {
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

/// Percent-decodes, with plus signs for spaces.
fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        Some(Cow::Owned(
            room::decode(&text.replace('+', "%20"))?.into_owned(),
        ))
    } else {
        room::decode(text)
    }
}
