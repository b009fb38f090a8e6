//! Header fields of a request, found by name. One pass over the lines finds all known names.

use httparse::Header;

use crate::ws::handshake::elements;

use super::limits::HeadLimits;
use super::refusal::Refusal;

/// The header names that the server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderName {
    AcceptEncoding,
    Connection,
    ContentLength,
    Expect,
    Extensions,
    Host,
    IfNoneMatch,
    Key,
    Origin,
    Subprotocols,
    TransferEncoding,
    Upgrade,
    Version,
}

impl HeaderName {
    const COUNT: usize = Self::Version as usize + 1;

    /// The usual spelling. Names are case-insensitive (RFC 9110, section 5.1).
    const fn as_str(self) -> &'static str {
        match self {
            Self::AcceptEncoding => "Accept-Encoding",
            Self::Connection => "Connection",
            Self::ContentLength => "Content-Length",
            Self::Expect => "Expect",
            Self::Extensions => "Sec-WebSocket-Extensions",
            Self::Host => "Host",
            Self::IfNoneMatch => "If-None-Match",
            Self::Key => "Sec-WebSocket-Key",
            Self::Origin => "Origin",
            Self::Subprotocols => "Sec-WebSocket-Protocol",
            Self::TransferEncoding => "Transfer-Encoding",
            Self::Upgrade => "Upgrade",
            Self::Version => "Sec-WebSocket-Version",
        }
    }

    /// The names that are `length` bytes long: at most two.
    fn of_length(length: usize) -> &'static [Self] {
        match length {
            4 => &[Self::Host],
            6 => &[Self::Origin, Self::Expect],
            7 => &[Self::Upgrade],
            10 => &[Self::Connection],
            13 => &[Self::IfNoneMatch],
            14 => &[Self::ContentLength],
            15 => &[Self::AcceptEncoding],
            17 => &[Self::Key, Self::TransferEncoding],
            21 => &[Self::Version],
            22 => &[Self::Subprotocols],
            24 => &[Self::Extensions],
            _ => &[],
        }
    }

    fn parse(name: &[u8]) -> Option<Self> {
        let mut names = Self::of_length(name.len()).iter();
        names.find(|known| is_same(name, known.as_str())).copied()
    }
}

// An index fits into a byte, and `repeated` has a bit for each name.
const _: () = assert!(HeadLimits::MOST_HEADERS <= 256 && HeaderName::COUNT <= 16);

/// The header lines of a request, with an index by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers<'h, 'a> {
    lines: &'h [Header<'a>],
    /// The index of the first line of each name.
    first: [Option<u8>; HeaderName::COUNT],
    /// The names that have more than one line: bit `1 << name`.
    repeated: u16,
}

impl<'h, 'a: 'h> Headers<'h, 'a> {
    /// Indexes the lines, which are at most [`HeadLimits::MOST_HEADERS`].
    pub(super) fn new(lines: &'h [Header<'a>]) -> Self {
        let (mut first, mut repeated) = ([None; HeaderName::COUNT], 0);
        for (line, at) in lines.iter().zip(0..=u8::MAX) {
            match HeaderName::parse(line.name.as_bytes()) {
                Some(name) if first[name as usize].is_some() => repeated |= 1 << name as u16,
                Some(name) => first[name as usize] = Some(at),
                None => {}
            }
        }
        Self {
            lines,
            first,
            repeated,
        }
    }

    /// The values of all lines of this name.
    pub(super) fn all(self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + 'h {
        let (first, others) = match self.first[name as usize] {
            Some(at) => self.lines[usize::from(at)..].split_at(1),
            None => Default::default(),
        };
        let others = if self.is_repeated(name) { others } else { &[] };
        let others = others
            .iter()
            .filter(move |line| is_same(line.name.as_bytes(), name.as_str()));
        first.iter().chain(others).map(|line| line.value)
    }

    /// The value of the only line of this name. A second line is an error.
    pub(super) fn one(self, name: HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
        if self.is_repeated(name) {
            return Err(Refusal::Repeated(name.as_str()));
        }
        Ok(self.first[name as usize].map(|at| self.lines[usize::from(at)].value))
    }

    fn is_repeated(self, name: HeaderName) -> bool {
        self.repeated & 1 << name as u16 != 0
    }

    pub(super) fn has(self, name: HeaderName) -> bool {
        self.first[name as usize].is_some()
    }

    /// Whether a list contains this element, ignoring case. Several lines form one list (RFC 9110,
    /// section 5.3).
    pub(super) fn lists(self, name: HeaderName, element: &str) -> bool {
        let is_it = |each: &[u8]| is_same(each, element);
        // Most lists have a single element, which needs no splitting.
        self.all(name)
            .any(|list| is_it(list) || elements(list).any(is_it))
    }
}

/// Compares two words, ignoring case. Nearly always they are identical, and that comparison is faster.
fn is_same(one: &[u8], other: &str) -> bool {
    one == other.as_bytes() || one.eq_ignore_ascii_case(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [HeaderName; HeaderName::COUNT] = [
        HeaderName::AcceptEncoding,
        HeaderName::Connection,
        HeaderName::ContentLength,
        HeaderName::Expect,
        HeaderName::Extensions,
        HeaderName::Host,
        HeaderName::IfNoneMatch,
        HeaderName::Key,
        HeaderName::Origin,
        HeaderName::Subprotocols,
        HeaderName::TransferEncoding,
        HeaderName::Upgrade,
        HeaderName::Version,
    ];

    #[test]
    fn every_name_is_found_in_whatever_case() {
        for (nth, name) in NAMES.into_iter().enumerate() {
            assert_eq!(name as usize, nth);
            let text = name.as_str();
            for written in [
                text.into(),
                text.to_ascii_lowercase(),
                text.to_ascii_uppercase(),
            ] {
                assert_eq!(
                    HeaderName::parse(written.as_bytes()),
                    Some(name),
                    "{written}"
                );
            }
            let mut other = text.to_owned().into_bytes();
            other[0] ^= 1;
            assert_eq!(HeaderName::parse(&other), None);
        }
    }

    #[test]
    fn lines_are_found_wherever_they_are() {
        let line = |name, value| Header { name, value };
        let lines = [
            line("Accept", &b"*/*"[..]),
            line("upgrade", b"h2c"),
            line("Host", b"a"),
            line("UPGRADE", b"foo, WebSocket"),
            line("Host", b"b"),
        ];
        let headers = Headers::new(&lines);
        assert!(headers.has(HeaderName::Upgrade) && !headers.has(HeaderName::Key));
        let upgrades: Vec<&[u8]> = headers.all(HeaderName::Upgrade).collect();
        assert_eq!(upgrades, [&b"h2c"[..], b"foo, WebSocket"]);
        assert!(headers.lists(HeaderName::Upgrade, "websocket"));
        assert!(!headers.lists(HeaderName::Connection, "Upgrade"));
        assert_eq!(
            headers.one(HeaderName::Host),
            Err(Refusal::Repeated("Host"))
        );
        assert_eq!(headers.one(HeaderName::Key), Ok(None));
        assert_eq!(
            Headers::new(&lines[..3]).one(HeaderName::Host),
            Ok(Some(&b"a"[..]))
        );
    }
}
