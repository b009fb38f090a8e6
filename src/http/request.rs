//! What a whole request head says (RFC 9112), strictly: whatever two readers might read differently is
//! refused, so that no proxy in front can have read it otherwise.

use httparse::Header;

use crate::ws::handshake::{elements, is_token};

use super::authority::Authority;
use super::escape::Excerpt;
use super::fields::{Fields, Name};
use super::refusal::Refusal;

/// A request line, whose method and target are not judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a str,
    version: Version,
}

/// The version that both sides are to keep to. Any later HTTP/1.x is HTTP/1.1 to us (RFC 9110,
/// section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

impl<'a> RequestLine<'a> {
    /// Reads `method SP request-target SP HTTP-version` (RFC 9112, section 3).
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Refusal> {
        let space = memchr::memchr(b' ', line).zip(memchr::memrchr(b' ', line));
        let (method, target, version) = match space {
            Some((first, last)) if first < last => {
                (&line[..first], &line[first + 1..last], &line[last + 1..])
            }
            Some(_) | None => return Err(Refusal::MalformedRequestLine),
        };
        if memchr::memchr(b' ', target).is_some() {
            return Err(Refusal::MalformedRequestLine);
        }
        if !is_token(method) {
            return Err(Refusal::MalformedRequestLine);
        }
        let &[
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            major @ b'0'..=b'9',
            b'.',
            minor @ b'0'..=b'9',
        ] = version
        else {
            return Err(Refusal::MalformedRequestLine);
        };
        let version = match (major, minor) {
            (b'1', b'0') => Version::Http10,
            (b'1', _) => Version::Http11,
            _ => return Err(Refusal::UnknownHttpVersion),
        };
        // Browsers leave some characters as they are that RFC 3986 would have encoded: all but the
        // fragment's, which is never sent (RFC 6455, section 3), are taken.
        let target = match str::from_utf8(target) {
            Ok(text)
                if text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'#') =>
            {
                text
            }
            _ => return Err(Refusal::MalformedTarget(Excerpt::new(target))),
        };
        Ok(Self {
            method,
            target,
            version,
        })
    }
}

/// The methods that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

impl Method {
    fn parse(method: &[u8]) -> Result<Self, Refusal> {
        match method {
            b"GET" => Ok(Self::Get),
            b"HEAD" => Ok(Self::Head),
            b"POST" | b"PUT" | b"DELETE" | b"CONNECT" | b"OPTIONS" | b"TRACE" | b"PATCH" => {
                Err(Refusal::MethodNotAllowed)
            }
            // Names are case-sensitive (RFC 9110, section 9.1): `get` is unknown too.
            _ => Err(Refusal::UnknownMethod),
        }
    }
}

/// What GET and HEAD may ask for (RFC 9112, section 3.2): a path, or a whole URL.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target<'a> {
    authority: Option<Authority<'a>>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Target<'a> {
    fn parse(target: &'a str) -> Option<Self> {
        let (authority, rest) = if target.starts_with('/') {
            (None, target)
        } else {
            let (scheme, rest) = target.split_once("://")?;
            let known = ["http", "https", "ws", "wss"];
            known
                .iter()
                .find(|known| scheme.eq_ignore_ascii_case(known))?;
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at_checked(end)?;
            (Some(Authority::parse(authority)?), rest)
        };
        let end = memchr::memchr(b'?', rest.as_bytes()).unwrap_or(rest.len());
        let (path, query) = rest.split_at_checked(end)?;
        let query = query.strip_prefix('?').unwrap_or_default();
        // No path has one by RFC 3986, and to browsers it is a slash: it could mean two rooms.
        if memchr::memchr(b'\\', path.as_bytes()).is_some() {
            return None;
        }
        // A URL without a path asks for the root.
        let path = if path.is_empty() { "/" } else { path };
        Some(Self {
            authority,
            path,
            query,
        })
    }
}

/// A request that is well-formed and has a method that is answered.
#[derive(Clone, Debug)]
pub(super) struct Request<'h, 'a> {
    pub(super) method: Method,
    pub(super) version: Version,
    /// The host that is asked: what the target says if it is a whole URL, or else `Host`. An
    /// HTTP/1.0 request may name none.
    pub(super) authority: Option<Authority<'a>>,
    /// As it is on the wire. Begins with a slash.
    pub(super) path: &'a str,
    /// As it is on the wire, without the question mark.
    pub(super) query: &'a str,
    pub(super) fields: Fields<'h, 'a>,
    /// Whether a body follows the head.
    pub(super) has_body: bool,
}

impl<'h, 'a: 'h> Request<'h, 'a> {
    /// Reads a head from the request line to the blank line, as [`Head`](super::Head) gives it. It may
    /// have as many header lines as there is space for in `lines`.
    pub(super) fn parse(head: &'a [u8], lines: &'h mut [Header<'a>]) -> Result<Self, Refusal> {
        let end = memchr::memchr(b'\r', head).unwrap_or(head.len());
        let (line, rest) = head.split_at(end);
        let line = RequestLine::parse(line)?;
        let fields = match httparse::parse_headers(rest.get(2..).unwrap_or_default(), lines) {
            Ok(httparse::Status::Complete((_, lines))) => Fields::new(lines),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Refusal::MalformedHeader),
        };
        let host = host(line.version, fields)?;
        let has_body = has_body(line.version, fields)?;
        let method = Method::parse(line.method)?;
        // HTTP/1.0 knows no expectations (RFC 9110, section 10.1.1).
        if line.version == Version::Http11 && fields.has(Name::Expect) {
            return Err(Refusal::Expectation);
        }
        let Target {
            authority,
            path,
            query,
        } = Target::parse(line.target)
            .ok_or_else(|| Refusal::MalformedTarget(Excerpt::new(line.target)))?;
        // What the target says stands for the Host (RFC 9112, section 3.2.2).
        let authority = authority.or(host);
        Ok(Self {
            method,
            version: line.version,
            authority,
            path,
            query,
            fields,
            has_body,
        })
    }
}

/// A request MUST be refused that has no `Host`, more than one or a malformed one (RFC 9112, section
/// 3.2); only HTTP/1.0 may go without.
fn host<'a>(version: Version, fields: Fields<'_, 'a>) -> Result<Option<Authority<'a>>, Refusal> {
    let Some(value) = fields.one(Name::Host)? else {
        return match version {
            Version::Http10 => Ok(None),
            Version::Http11 => Err(Refusal::NoHost),
        };
    };
    match str::from_utf8(value).ok().and_then(Authority::parse) {
        Some(authority) => Ok(Some(authority)),
        None => Err(Refusal::MalformedHost(Excerpt::new(value))),
    }
}

/// Whether a body follows, and that there can be no two opinions about where it ends (RFC 9112,
/// section 6).
fn has_body(version: Version, fields: Fields<'_, '_>) -> Result<bool, Refusal> {
    let mut length = None;
    for value in fields.all(Name::ContentLength) {
        for element in value.split(|&byte| byte == b',') {
            let digits = element.trim_ascii();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(Refusal::MalformedLength);
            }
            let text = str::from_utf8(digits).map_err(|_| Refusal::MalformedLength)?;
            let number: u64 = text.parse().map_err(|_| Refusal::MalformedLength)?;
            // The same number again is forgiven (RFC 9110, section 8.6).
            if length
                .replace(number)
                .is_some_and(|before| before != number)
            {
                return Err(Refusal::MalformedLength);
            }
        }
    }
    if !fields.has(Name::TransferEncoding) {
        return Ok(length.is_some_and(|length| length > 0));
    }
    let codings: Vec<&[u8]> = fields
        .all(Name::TransferEncoding)
        .flat_map(elements)
        .collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.split_last() {
        Some((last, others)) if is_chunked(last) && !others.iter().any(is_chunked) => {
            if length.is_some() || version == Version::Http10 {
                Err(Refusal::AmbiguousBody)
            } else if others.is_empty() {
                Ok(true)
            } else {
                Err(Refusal::UnknownTransferCoding)
            }
        }
        Some(_) | None => Err(Refusal::AmbiguousBody),
    }
}
