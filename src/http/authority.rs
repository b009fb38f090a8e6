//! Parser of authorities: a host with an optional port, as in `Host`, request targets and origins.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A text that is compared without regard to case.
#[derive(Clone, Debug, Eq)]
pub struct Caseless<'a>(pub(super) Cow<'a, str>);

impl PartialEq for Caseless<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Caseless<'_> {
    pub(super) fn into_owned(self) -> Caseless<'static> {
        Caseless(Cow::Owned(self.0.into_owned()))
    }
}

/// A host: a name, which is never looked up, or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name, without a dot at its end.
    Name(Caseless<'a>),
    /// An address. IPv6 has brackets in an authority.
    Address(IpAddr),
}

impl<'a> Host<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        // `localhost.` and `127.0.0.1.` mean the same hosts without the dot.
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        // RFC 3986 allows more characters, but no name that a browser connects to contains them.
        let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_name = !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_named);
        is_name.then_some(Self::Name(Caseless(Cow::Borrowed(name))))
    }

    /// Whether this certainly means this machine: `localhost` or a loopback address. An IPv4 address that
    /// is mapped into IPv6 counts.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name.0.eq_ignore_ascii_case("localhost"),
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }

    pub(super) fn into_owned(self) -> Host<'static> {
        match self {
            Self::Name(name) => Host::Name(name.into_owned()),
            Self::Address(address) => Host::Address(address),
        }
    }
}

/// A host with an optional port: `uri-host [ ":" port ]` (RFC 9110, section 7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host.
    pub host: Host<'a>,
    /// `None`: the authority names no port.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses an authority. A user name before an `@` is refused.
    pub fn parse(text: &'a str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(inner) => inner.find(']')? + "[]".len(),
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at_checked(end)?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            // A colon without a port is allowed (RFC 3986, section 3.2.3).
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self {
            host: Host::parse(host)?,
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Host<'_> {
        Host::Name(Caseless(text.into()))
    }

    fn address(text: &str) -> Host<'static> {
        Host::Address(text.parse().unwrap())
    }

    #[test]
    fn an_authority_is_a_host_with_or_without_a_port() {
        for (text, host, port) in [
            ("example.org", name("example.org"), None),
            ("EXAMPLE.org.:8001", name("example.org"), Some(8001)),
            ("my_box-2:", name("my_box-2"), None),
            ("127.0.0.1:0080", address("127.0.0.1"), Some(80)),
            ("127.0.0.1.", address("127.0.0.1"), None),
            ("127.1", name("127.1"), None),
            ("0x7f000001", name("0x7f000001"), None),
            ("[::1]", address("::1"), None),
            ("[::FFFF:127.0.0.1]:1", address("::ffff:7f00:1"), Some(1)),
        ] {
            assert_eq!(
                Authority::parse(text),
                Some(Authority { host, port }),
                "{text}"
            );
        }
    }

    #[test]
    fn malformed_authorities_are_refused() {
        for text in [
            "",
            ".",
            ":80",
            "a:b",
            "a:80:80",
            "a:+80",
            "a:65536",
            "a: 80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "a,b",
            "*",
            "*.a",
            "http://a",
            "::1",
            "[::1",
            "::1]",
            "[::1]a",
            "[::1%lo]",
            "[a]",
            "[]",
            "[127.0.0.1]",
            "é",
            "a\\b",
            "a%41",
            ".a",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, loopback) in [
            ("localhost", true),
            ("LocalHost.", true),
            ("127.0.0.1", true),
            ("127.255.3.4", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("0.0.0.0", false),
            ("[::]", false),
            ("[::127.0.0.1]", false),
            ("128.0.0.1", false),
            ("127.1", false),
            ("2130706433", false),
            ("localhost.evil.example", false),
            ("evil.localhost", false),
            ("127.0.0.1.nip.io", false),
            ("localhost..", false),
        ] {
            let is_loopback = Authority::parse(text).is_some_and(|at| at.host.is_loopback());
            assert_eq!(is_loopback, loopback, "{text}");
        }
    }
}
