//! The header lines of a request, found by name: each line is looked at once for all names.

use httparse::Header;

use crate::ws::handshake::elements;

use super::head::HeadLimits;
use super::refusal::Refusal;

/// The names that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Connection,
    ContentLength,
    Expect,
    Extensions,
    Host,
    Key,
    Origin,
    Subprotocols,
    TransferEncoding,
    Upgrade,
    Version,
}

impl Name {
    const COUNT: usize = Self::Version as usize + 1;

    /// As it is usually written; upper and lower case are the same (RFC 9110, section 5.1).
    const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "Connection",
            Self::ContentLength => "Content-Length",
            Self::Expect => "Expect",
            Self::Extensions => "Sec-WebSocket-Extensions",
            Self::Host => "Host",
            Self::Key => "Sec-WebSocket-Key",
            Self::Origin => "Origin",
            Self::Subprotocols => "Sec-WebSocket-Protocol",
            Self::TransferEncoding => "Transfer-Encoding",
            Self::Upgrade => "Upgrade",
            Self::Version => "Sec-WebSocket-Version",
        }
    }

    /// The names that have so many letters: at most two.
    fn of_length(length: usize) -> &'static [Self] {
        match length {
            4 => &[Self::Host],
            6 => &[Self::Origin, Self::Expect],
            7 => &[Self::Upgrade],
            10 => &[Self::Connection],
            14 => &[Self::ContentLength],
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

// Places are counted in a byte, and names have a bit each.
const _: () = assert!(HeadLimits::MOST_HEADERS <= 256 && Name::COUNT <= 16);

/// The header lines of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'h, 'a> {
    lines: &'h [Header<'a>],
    /// Where the first line of each name is, if there is one.
    first: [Option<u8>; Name::COUNT],
    /// The names that have more lines than one, a bit each.
    repeated: u16,
}

impl<'h, 'a: 'h> Fields<'h, 'a> {
    /// Of at most [`HeadLimits::MOST_HEADERS`] lines.
    pub(super) fn new(lines: &'h [Header<'a>]) -> Self {
        let (mut first, mut repeated) = ([None; Name::COUNT], 0);
        for (line, at) in lines.iter().zip(0..=u8::MAX) {
            match Name::parse(line.name.as_bytes()) {
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
    pub(super) fn all(self, name: Name) -> impl Iterator<Item = &'a [u8]> + 'h {
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

    /// The value of the only line of this name.
    pub(super) fn one(self, name: Name) -> Result<Option<&'a [u8]>, Refusal> {
        if self.is_repeated(name) {
            return Err(Refusal::Repeated(name.as_str()));
        }
        Ok(self.first[name as usize].map(|at| self.lines[usize::from(at)].value))
    }

    fn is_repeated(self, name: Name) -> bool {
        self.repeated & 1 << name as u16 != 0
    }

    /// Whether there is a line of this name.
    pub(super) fn has(self, name: Name) -> bool {
        self.first[name as usize].is_some()
    }

    /// Whether a list, which may go over several lines, has this element in whatever case.
    pub(super) fn lists(self, name: Name, element: &str) -> bool {
        let is_it = |each: &[u8]| is_same(each, element);
        // Most lists are of this one.
        self.all(name)
            .any(|list| is_it(list) || elements(list).any(is_it))
    }
}

/// Whether two words are the same but for their case. Nearly always they are the same to the letter, which
/// is seen sooner.
fn is_same(one: &[u8], other: &str) -> bool {
    one == other.as_bytes() || one.eq_ignore_ascii_case(other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [Name; Name::COUNT] = [
        Name::Connection,
        Name::ContentLength,
        Name::Expect,
        Name::Extensions,
        Name::Host,
        Name::Key,
        Name::Origin,
        Name::Subprotocols,
        Name::TransferEncoding,
        Name::Upgrade,
        Name::Version,
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
                assert_eq!(Name::parse(written.as_bytes()), Some(name), "{written}");
            }
            let mut other = text.to_owned().into_bytes();
            other[0] ^= 1;
            assert_eq!(Name::parse(&other), None);
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
        let fields = Fields::new(&lines);
        assert!(fields.has(Name::Upgrade) && !fields.has(Name::Key));
        let upgrades: Vec<&[u8]> = fields.all(Name::Upgrade).collect();
        assert_eq!(upgrades, [&b"h2c"[..], b"foo, WebSocket"]);
        assert!(fields.lists(Name::Upgrade, "websocket"));
        assert!(!fields.lists(Name::Connection, "Upgrade"));
        assert_eq!(fields.one(Name::Host), Err(Refusal::Repeated("Host")));
        assert_eq!(fields.one(Name::Key), Ok(None));
        assert_eq!(
            Fields::new(&lines[..3]).one(Name::Host),
            Ok(Some(&b"a"[..]))
        );
    }
}
