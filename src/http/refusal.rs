//! Why a request is turned away, and with which status.
//!
//! Every cause has a name; [`Refusal::status`] alone knows what follows from it. What is logged may
//! quote the stranger ([`Excerpt`]), what is answered never does.

use std::fmt::{self, Display, Formatter};

use super::escape::Excerpt;

/// The statuses that hushd answers with (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub enum Status {
    Ok = 200,
    BadRequest = 400,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    UriTooLong = 414,
    ExpectationFailed = 417,
    UpgradeRequired = 426,
    RequestHeaderFieldsTooLarge = 431,
    NotImplemented = 501,
    ServiceUnavailable = 503,
    HttpVersionNotSupported = 505,
}

impl Status {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The reason phrase.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
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

/// Why a request gets neither the page nor a room.
///
/// `Display` is one sentence for the log, with what the stranger wrote in quotes and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first byte cannot begin a method: a TLS hello, say, or another protocol.
    NotHttp,
    /// The first line is not `METHOD TARGET HTTP/x.y` with single spaces.
    MalformedRequestLine,
    /// The request target has none of the forms that its method may have.
    MalformedTarget(Excerpt),
    /// A carriage return without a line feed.
    BareCarriageReturn,
    /// A line feed without a carriage return.
    BareLineFeed,
    /// A control character in a line: NUL, say.
    ControlCharacter,
    /// A header line is not `Name: value`: a folded line, say, or a space before the colon.
    MalformedHeader,
    /// A header that may come once came again.
    Repeated(&'static str),
    /// An HTTP/1.1 request says no `Host`.
    NoHost,
    /// The `Host` is not a host with or without a port.
    MalformedHost(Excerpt),
    /// `Content-Length` is not one number.
    MalformedLength,
    /// Where the body ends is said twice or in a way that HTTP does not allow.
    AmbiguousBody,
    /// The body's outermost coding is `chunked`, and below it is one that is not known here.
    UnknownTransferCoding,
    /// A WebSocket handshake that announces a body.
    UpgradeWithBody,
    /// A WebSocket handshake with another method than `GET`.
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
    MalformedRoom(Excerpt),
    /// The page of this origin may not talk to this server.
    ForeignOrigin(Excerpt),
    /// A server on loopback is asked for under a name that is not its own: DNS rebinding.
    ForeignHost(Excerpt),
    /// A path that is neither a room nor a page.
    NotFound,
    /// A method of HTTP, but not for a chat.
    MethodNotAllowed,
    /// The head did not come in time.
    RequestTimeout,
    /// The first line is longer than the limit.
    RequestLineTooLong,
    /// The room's name is longer than the limit.
    RoomTooLong,
    /// An expectation: nothing here waits for a body.
    Expectation,
    /// A WebSocket handshake for another version than 13.
    UnknownVersion,
    /// A header line is longer than the limit.
    HeaderLineTooLong,
    /// There are more header lines than the limit.
    TooManyHeaders,
    /// The head as a whole is longer than the limit.
    HeadTooLong,
    /// The method is none of HTTP's.
    UnknownMethod,
    /// As many are connected as the server can or may hold.
    Full,
    /// As many are connected from one address as may be.
    TooManyFromAddress,
    /// There are as many rooms as the server may hold.
    TooManyRooms,
    /// The server is about to end.
    ShuttingDown,
    /// The major version of HTTP is not 1.
    UnknownHttpVersion,
}

impl Refusal {
    /// What follows from the cause.
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
            | Self::UpgradeWithBody
            | Self::UpgradeWithoutGet
            | Self::HalfUpgrade
            | Self::NoKey
            | Self::MalformedKey
            | Self::MalformedSubprotocols
            | Self::MalformedExtensions
            | Self::MalformedRoom(_) => Status::BadRequest,
            Self::ForeignOrigin(_) | Self::ForeignHost(_) => Status::Forbidden,
            Self::NotFound => Status::NotFound,
            Self::MethodNotAllowed => Status::MethodNotAllowed,
            Self::RequestTimeout => Status::RequestTimeout,
            Self::RequestLineTooLong | Self::RoomTooLong => Status::UriTooLong,
            Self::Expectation => Status::ExpectationFailed,
            Self::UnknownVersion => Status::UpgradeRequired,
            Self::HeaderLineTooLong | Self::TooManyHeaders | Self::HeadTooLong => {
                Status::RequestHeaderFieldsTooLarge
            }
            Self::UnknownMethod | Self::UnknownTransferCoding => Status::NotImplemented,
            Self::Full | Self::TooManyFromAddress | Self::TooManyRooms | Self::ShuttingDown => {
                Status::ServiceUnavailable
            }
            Self::UnknownHttpVersion => Status::HttpVersionNotSupported,
        }
    }

    /// The cause in words, without a word of the stranger's.
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
            Self::UpgradeWithBody => "a WebSocket handshake with a body",
            Self::UpgradeWithoutGet => "a WebSocket handshake with another method than GET",
            Self::HalfUpgrade => {
                "half an upgrade: one of Upgrade and Connection is missing (does a proxy drop it?)"
            }
            Self::NoKey => "not a WebSocket: no Sec-WebSocket-Key",
            Self::MalformedKey => "the Sec-WebSocket-Key is not 16 bytes in base64",
            Self::MalformedSubprotocols => "the Sec-WebSocket-Protocol is malformed",
            Self::MalformedExtensions => "the Sec-WebSocket-Extensions is malformed",
            Self::MalformedRoom(_) => "the path is not percent-encoded, printable UTF-8",
            Self::ForeignOrigin(_) => "this origin is not allowed here",
            Self::ForeignHost(_) => "this host name is not allowed here",
            Self::NotFound => "there is nothing here",
            Self::MethodNotAllowed => "only GET and HEAD are of use here",
            Self::RequestTimeout => "the request did not come in time",
            Self::RequestLineTooLong => "the first line is too long",
            Self::RoomTooLong => "the room's name is too long",
            Self::Expectation => "nothing is expected here",
            Self::UnknownVersion => "the Sec-WebSocket-Version is not 13",
            Self::HeaderLineTooLong => "a header line is too long",
            Self::TooManyHeaders => "too many header lines",
            Self::HeadTooLong => "the head is too long",
            Self::UnknownMethod => "an unknown method",
            Self::Full => "the server is full",
            Self::TooManyFromAddress => "too many connections from this address",
            Self::TooManyRooms => "there are too many rooms",
            Self::ShuttingDown => "the server is shutting down",
            Self::UnknownHttpVersion => "this version of HTTP is not spoken here",
        }
    }

    /// What the status demands or advises in the response beside what all responses have: whole
    /// header lines.
    pub(super) fn headers(&self) -> &'static str {
        match self.status() {
            // RFC 9110, section 15.5.6: an Allow MUST be sent.
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
            Status::UpgradeRequired => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            Status::ServiceUnavailable => "Retry-After: 5\r\n",
            Status::Ok
            | Status::BadRequest
            | Status::Forbidden
            | Status::NotFound
            | Status::RequestTimeout
            | Status::UriTooLong
            | Status::ExpectationFailed
            | Status::RequestHeaderFieldsTooLarge
            | Status::NotImplemented
            | Status::HttpVersionNotSupported => "",
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())?;
        if let Self::MalformedTarget(what)
        | Self::MalformedHost(what)
        | Self::MalformedRoom(what)
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
