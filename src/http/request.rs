//! Strict parser of whole request heads (RFC 9112). A head that two parsers might understand differently
//! is refused, so that no request can be smuggled past a proxy in front.

use httparse::Header;

use crate::ws::handshake::{elements, is_token};

use super::authority::Authority;
use super::body::BodyLength;
use super::escape::Excerpt;
use super::headers::{HeaderName, Headers};
use super::method::{Method, Methods};
use super::refusal::Refusal;

/// A request line. Its method and target are not judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a str,
    version: Version,
}

/// The protocol version. Any later HTTP/1.x is treated as HTTP/1.1 (RFC 9110, section 2.5).
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
        // Browsers do not encode all characters that RFC 3986 wants encoded. All visible ASCII is accepted
        // except `#`: a fragment is never sent (RFC 6455, section 3).
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

/// A request target (RFC 9112, section 3.2): a path, or a whole URL.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RequestTarget<'a> {
    authority: Option<Authority<'a>>,
    path: &'a str,
    query: &'a str,
}

impl<'a> RequestTarget<'a> {
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
        // RFC 3986 forbids a backslash in a path, and browsers treat it as a slash: it could mean two rooms.
        if memchr::memchr(b'\\', path.as_bytes()).is_some() {
            return None;
        }
        // A URL without a path means the root.
        let path = if path.is_empty() { "/" } else { path };
        Some(Self {
            authority,
            path,
            query,
        })
    }
}

/// A well-formed request with a known method.
#[derive(Clone, Debug)]
pub(super) struct Request<'h, 'a> {
    pub(super) method: Method,
    pub(super) version: Version,
    /// The host that the client addresses: that of the target if it is a whole URL, otherwise `Host`.
    /// An HTTP/1.0 request may name none.
    pub(super) authority: Option<Authority<'a>>,
    /// Still percent-encoded. Begins with a slash.
    pub(super) path: &'a str,
    /// Still percent-encoded, without the question mark.
    pub(super) query: &'a str,
    pub(super) headers: Headers<'h, 'a>,
    pub(super) body: BodyLength,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

impl<'h, 'a: 'h> Request<'h, 'a> {
    /// Parses a head, from the request line to the blank line. `lines` is the space for its header lines:
    /// more of them are refused.
    pub(super) fn parse(head: &'a [u8], lines: &'h mut [Header<'a>]) -> Result<Self, Refusal> {
        let end = memchr::memchr(b'\r', head).unwrap_or(head.len());
        let (line, rest) = head.split_at(end);
        let line = RequestLine::parse(line)?;
        let headers = match httparse::parse_headers(rest.get(2..).unwrap_or_default(), lines) {
            Ok(httparse::Status::Complete((_, lines))) => Headers::new(lines),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Refusal::MalformedHeader),
        };
        let host = host(line.version, headers)?;
        let body = body_length(line.version, headers)?;
        let method = Method::parse(line.method).ok_or(Refusal::UnknownMethod)?;
        let expects_continue = expects_continue(line.version, headers)?;
        let RequestTarget {
            authority,
            path,
            query,
        } = RequestTarget::parse(line.target).ok_or_else(|| match method {
            // `OPTIONS *` and `CONNECT host:port` (RFC 9112, section 3.2) name no path.
            Method::Options | Method::Connect => Refusal::MethodNotAllowed(Methods::READ),
            _ => Refusal::MalformedTarget(Excerpt::new(line.target)),
        })?;
        // The target's host replaces that of `Host` (RFC 9112, section 3.2.2).
        let authority = authority.or(host);
        Ok(Self {
            method,
            version: line.version,
            authority,
            path,
            query,
            headers,
            body,
            expects_continue,
        })
    }
}

/// The `Host`. A request without one, with several or with a malformed one MUST be refused (RFC 9112,
/// section 3.2). Only HTTP/1.0 may omit it.
fn host<'a>(version: Version, headers: Headers<'_, 'a>) -> Result<Option<Authority<'a>>, Refusal> {
    let Some(value) = headers.one(HeaderName::Host)? else {
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

/// Whether the client expects `100 Continue`, the only expectation that there is. One in HTTP/1.0 is ignored
/// (RFC 9110, section 10.1.1).
fn expects_continue(version: Version, headers: Headers<'_, '_>) -> Result<bool, Refusal> {
    if version == Version::Http10 || !headers.has(HeaderName::Expect) {
        return Ok(false);
    }
    let mut expectations = headers.all(HeaderName::Expect);
    if expectations.all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(true)
    } else {
        Err(Refusal::Expectation)
    }
}

/// How the end of the body is declared. It must be unambiguous (RFC 9112, section 6).
fn body_length(version: Version, headers: Headers<'_, '_>) -> Result<BodyLength, Refusal> {
    let mut length = None;
    for value in headers.all(HeaderName::ContentLength) {
        for element in value.split(|&byte| byte == b',') {
            let digits = element.trim_ascii();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(Refusal::MalformedLength);
            }
            let text = str::from_utf8(digits).map_err(|_| Refusal::MalformedLength)?;
            let number: u64 = text.parse().map_err(|_| Refusal::MalformedLength)?;
            // The same number may be repeated (RFC 9110, section 8.6).
            if length
                .replace(number)
                .is_some_and(|before| before != number)
            {
                return Err(Refusal::MalformedLength);
            }
        }
    }
    if !headers.has(HeaderName::TransferEncoding) {
        return Ok(match length {
            None | Some(0) => BodyLength::Empty,
            Some(length) => BodyLength::Exactly(length),
        });
    }
    let codings: Vec<&[u8]> = headers
        .all(HeaderName::TransferEncoding)
        .flat_map(elements)
        .collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.split_last() {
        Some((last, others)) if is_chunked(last) && !others.iter().any(is_chunked) => {
            if length.is_some() || version == Version::Http10 {
                Err(Refusal::AmbiguousBody)
            } else if others.is_empty() {
                Ok(BodyLength::Chunked)
            } else {
                Err(Refusal::UnknownTransferCoding)
            }
        }
        Some(_) | None => Err(Refusal::AmbiguousBody),
    }
}
