//! Refusals: every reason to refuse a request by name, and the HTTP status that follows from it.
//!
//! [`Refusal::status`] is the only place that maps a cause to its status. A log line may quote the
//! client's text ([`Excerpt`]). A response never does, so that it cannot reflect an attack.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

use super::escape::Excerpt;
use super::method::Methods;

/// The status codes that hushd sends (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Ok = 200,
    NotModified = 304,
    BadRequest = 400,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    NotAcceptable = 406,
    RequestTimeout = 408,
    ContentTooLarge = 413,
    UriTooLong = 414,
    ExpectationFailed = 417,
    UpgradeRequired = 426,
    RequestHeaderFieldsTooLarge = 431,
    NotImplemented = 501,
    ServiceUnavailable = 503,
    HttpVersionNotSupported = 505,
}

impl Status {
    /// The three digits of the status line.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The reason phrase of the status line.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::NotModified => "Not Modified",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::NotAcceptable => "Not Acceptable",
            Self::RequestTimeout => "Request Timeout",
            Self::ContentTooLarge => "Content Too Large",
            Self::UriTooLong => "URI Too Long",
            Self::ExpectationFailed => "Expectation Failed",
            Self::UpgradeRequired => "Upgrade Required",
            Self::RequestHeaderFieldsTooLarge => "Request Header Fields Too Large",
            Self::NotImplemented => "Not Implemented",
            Self::ServiceUnavailable => "Service Unavailable",
            Self::HttpVersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

/// Why a request is refused.
///
/// `Display` is one sentence for the log. It quotes and escapes what the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first byte cannot begin a method: the client speaks TLS or another protocol.
    NotHttp,
    /// The first line is not `METHOD TARGET HTTP/x.y` with single spaces.
    MalformedRequestLine,
    /// The request target has none of the forms that its method may have.
    MalformedTarget(Excerpt),
    /// A carriage return without a line feed.
    BareCarriageReturn,
    /// A line feed without a carriage return.
    BareLineFeed,
    /// A control character in a line, such as NUL.
    ControlCharacter,
    /// A header line is not `Name: value`, for example because it is folded or has a space before the colon.
    MalformedHeader,
    /// A header that must be unique is repeated.
    Repeated(&'static str),
    /// An HTTP/1.1 request has no `Host`.
    NoHost,
    /// The `Host` is not a host with an optional port.
    MalformedHost(Excerpt),
    /// `Content-Length` is not one number.
    MalformedLength,
    /// The end of the body is declared twice, or in a way that HTTP does not allow.
    AmbiguousBody,
    /// The body is `chunked`, but has another transfer coding below, which is unknown.
    UnknownTransferCoding,
    /// A chunk of the body, or its trailers, are malformed.
    MalformedChunk,
    /// Chunk extensions and trailers of the body are longer than the limit.
    ChunkOverhead,
    /// A WebSocket handshake declares a body.
    UpgradeWithBody,
    /// A WebSocket handshake has another method than `GET`.
    UpgradeWithoutGet,
    /// One of `Upgrade: websocket` and `Connection: upgrade` is missing.
    HalfUpgrade,
    /// An upgrade to `websocket` without a `Sec-WebSocket-Key`.
    NoKey,
    /// The `Sec-WebSocket-Key` is not 16 bytes in base64.
    MalformedKey,
    /// The `Sec-WebSocket-Protocol` is not a list of names.
    MalformedSubprotocols,
    /// The `Sec-WebSocket-Extensions` is not a list of extensions.
    MalformedExtensions,
    /// The path is not UTF-8, percent-encoded, without control characters.
    MalformedPath(Excerpt),
    /// Pages of this origin may not connect to this server.
    ForeignOrigin(Excerpt),
    /// The server listens on loopback, and `Host` is no loopback name: DNS rebinding.
    ForeignHost(Excerpt),
    /// Nothing is served at this path.
    NotFound,
    /// The method is known, but this path does not support it.
    MethodNotAllowed(Methods),
    /// The client accepts no content coding that the server has.
    NotAcceptable,
    /// The request did not come in time.
    RequestTimeout,
    /// The body is longer than the route allows. Most routes allow none.
    BodyTooLarge,
    /// The first line is longer than the limit.
    RequestLineTooLong,
    /// The room's name is longer than the limit.
    RoomTooLong,
    /// An `Expect` that the server does not meet.
    Expectation,
    /// A WebSocket handshake asks for another version than 13.
    UnknownVersion,
    /// A header line is longer than the limit.
    HeaderLineTooLong,
    /// There are more header lines than the limit.
    TooManyHeaders,
    /// The whole head is longer than the limit.
    HeadTooLong,
    /// The method is unknown.
    UnknownMethod,
    /// A limit on connections or memory is reached.
    Full,
    /// The room cannot be entered for now.
    Unavailable,
    /// The limit on connections from one address is reached.
    TooManyFromAddress,
    /// The limit on rooms is reached.
    TooManyRooms,
    /// The server is shutting down.
    ShuttingDown,
    /// The major version of HTTP is not 1.
    UnknownHttpVersion,
}

impl Refusal {
    /// The status of the response.
    pub fn status(&self) -> Status {
        match self {
            Self::NotHttp
            | Self::MalformedRequestLine
            | Self::MalformedTarget(_)
            | Self::BareCarriageReturn
            | Self::BareLineFeed
            | Self::ControlCharacter
            | Self::MalformedHeader
            | Self::Repeated(_)
            | Self::NoHost
            | Self::MalformedHost(_)
            | Self::MalformedLength
            | Self::AmbiguousBody
            | Self::MalformedChunk
            | Self::ChunkOverhead
            | Self::UpgradeWithBody
            | Self::UpgradeWithoutGet
            | Self::HalfUpgrade
            | Self::NoKey
            | Self::MalformedKey
            | Self::MalformedSubprotocols
            | Self::MalformedExtensions
            | Self::MalformedPath(_) => Status::BadRequest,
            Self::ForeignOrigin(_) | Self::ForeignHost(_) => Status::Forbidden,
            Self::NotFound => Status::NotFound,
            Self::MethodNotAllowed(_) => Status::MethodNotAllowed,
            Self::NotAcceptable => Status::NotAcceptable,
            Self::RequestTimeout => Status::RequestTimeout,
            Self::BodyTooLarge => Status::ContentTooLarge,
            Self::RequestLineTooLong | Self::RoomTooLong => Status::UriTooLong,
            Self::Expectation => Status::ExpectationFailed,
            Self::UnknownVersion => Status::UpgradeRequired,
            Self::HeaderLineTooLong | Self::TooManyHeaders | Self::HeadTooLong => {
                Status::RequestHeaderFieldsTooLarge
            }
            Self::UnknownMethod | Self::UnknownTransferCoding => Status::NotImplemented,
            Self::Full
            | Self::Unavailable
            | Self::TooManyFromAddress
            | Self::TooManyRooms
            | Self::ShuttingDown => Status::ServiceUnavailable,
            Self::UnknownHttpVersion => Status::HttpVersionNotSupported,
        }
    }

    /// The cause in words. It contains nothing that the client sent.
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::NotHttp => "not HTTP: the first byte cannot begin a method",
            Self::MalformedRequestLine => "the first line is not METHOD TARGET HTTP/1.1",
            Self::MalformedTarget(_) => "the request target is malformed",
            Self::BareCarriageReturn => "a carriage return without a line feed",
            Self::BareLineFeed => "a line feed without a carriage return",
            Self::ControlCharacter => "a control character in the head",
            Self::MalformedHeader => "a header line is malformed",
            Self::Repeated(_) => "a header that may come once came again",
            Self::NoHost => "no Host",
            Self::MalformedHost(_) => "the Host is malformed",
            Self::MalformedLength => "the Content-Length is malformed",
            Self::AmbiguousBody => "where the body ends is not clear",
            Self::UnknownTransferCoding => "an unknown transfer coding",
            Self::MalformedChunk => "a chunk of the body is malformed",
            Self::ChunkOverhead => "the chunk extensions or trailers are too long",
            Self::UpgradeWithBody => "a WebSocket handshake with a body",
            Self::UpgradeWithoutGet => "a WebSocket handshake with another method than GET",
            Self::HalfUpgrade => {
                "half an upgrade: one of Upgrade and Connection is missing (does a proxy drop it?)"
            }
            Self::NoKey => "not a WebSocket: no Sec-WebSocket-Key",
            Self::MalformedKey => "the Sec-WebSocket-Key is not 16 bytes in base64",
            Self::MalformedSubprotocols => "the Sec-WebSocket-Protocol is malformed",
            Self::MalformedExtensions => "the Sec-WebSocket-Extensions is malformed",
            Self::MalformedPath(_) => "the path is not percent-encoded, printable UTF-8",
            Self::ForeignOrigin(_) => "this origin is not allowed here",
            Self::ForeignHost(_) => "this host name is not allowed here",
            Self::NotFound => "there is nothing here",
            Self::MethodNotAllowed(Methods::READ) => "only GET and HEAD are of use here",
            Self::MethodNotAllowed(_) => "this method is not allowed here",
            Self::NotAcceptable => "no accepted content coding is available",
            Self::RequestTimeout => "the request did not come in time",
            Self::BodyTooLarge => "the body is too large",
            Self::RequestLineTooLong => "the first line is too long",
            Self::RoomTooLong => "the room's name is too long",
            Self::Expectation => "nothing is expected here",
            Self::UnknownVersion => "the Sec-WebSocket-Version is not 13",
            Self::HeaderLineTooLong => "a header line is too long",
            Self::TooManyHeaders => "too many header lines",
            Self::HeadTooLong => "the head is too long",
            Self::UnknownMethod => "an unknown method",
            Self::Full => "the server is full",
            Self::Unavailable => "the room cannot be entered for now",
            Self::TooManyFromAddress => "too many connections from this address",
            Self::TooManyRooms => "there are too many rooms",
            Self::ShuttingDown => "the server is shutting down",
            Self::UnknownHttpVersion => "this version of HTTP is not spoken here",
        }
    }

    /// The additional header lines that the status requires or suggests, each with its line end.
    pub(super) fn headers(&self) -> Cow<'static, str> {
        if let Self::MethodNotAllowed(allowed) = self {
            // An `Allow` MUST be sent (RFC 9110, section 15.5.6).
            return Cow::Owned(format!("Allow: {allowed}\r\n"));
        }
        Cow::Borrowed(match self.status() {
            // The same URL has other representations (RFC 9110, section 12.5.5).
            Status::NotAcceptable => "Vary: Accept-Encoding\r\n",
            // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
            Status::UpgradeRequired => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            Status::ServiceUnavailable => "Retry-After: 5\r\n",
            Status::Ok
            | Status::NotModified
            | Status::BadRequest
            | Status::Forbidden
            | Status::NotFound
            | Status::MethodNotAllowed
            | Status::RequestTimeout
            | Status::ContentTooLarge
            | Status::UriTooLong
            | Status::ExpectationFailed
            | Status::RequestHeaderFieldsTooLarge
            | Status::NotImplemented
            | Status::HttpVersionNotSupported => "",
        })
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())?;
        if let Self::MalformedTarget(what)
        | Self::MalformedHost(what)
        | Self::MalformedPath(what)
        | Self::ForeignOrigin(what)
        | Self::ForeignHost(what) = self
        {
            write!(f, ": {what}")?;
        }
        if let Self::Repeated(name) = self {
            write!(f, ": {name}")?;
        }
        Ok(())
    }
}
