//! Whose pages may talk to this server (RFC 6454; RFC 6455, section 10.2), and under which names it
//! answers.
//!
//! A browser sends a page's origin with every WebSocket handshake, and nothing else keeps the pages of
//! one site from talking to the servers of another: no same-origin policy holds for WebSockets. A client
//! that is no browser sends what it likes, so that a missing `Origin` says nothing and passes.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::authority::{Authority, Caseless, Host};
use super::escape::Excerpt;
use super::refusal::Refusal;

/// An origin: what all pages of one site have in common (RFC 6454, section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// `null`: a page opened from a file, a sandboxed frame, and others that are nobody's.
    Opaque,
    /// `scheme://host:port`.
    Tuple {
        /// The scheme.
        scheme: Scheme<'a>,
        /// The host.
        host: Host<'a>,
        /// The port: as it is said, or the scheme's own.
        port: Option<u16>,
    },
}

/// The scheme of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `http`
    Http,
    /// `https`
    Https,
    /// Another, such as that of a browser's extensions. Never ours, but it may be allowed by name.
    Other(Caseless<'a>),
}

impl Scheme<'_> {
    fn default_port(&self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Other(_) => None,
        }
    }

    fn is_web(&self) -> bool {
        self.default_port().is_some()
    }
}

/// Why a text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOrigin {
    /// It does not begin with `scheme://`.
    NoScheme,
    /// What follows is not a host, or a host and a port, and nothing else.
    NoHost,
}

impl Display for BadOrigin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => {
                "an origin is SCHEME://HOST or SCHEME://HOST:PORT, such as https://example.org"
            }
            Self::NoHost => {
                "behind SCHEME:// an origin has HOST or HOST:PORT and nothing else: no path, no slash at \
                 the end, no *"
            }
        })
    }
}

impl std::error::Error for BadOrigin {}

impl<'a> Origin<'a> {
    /// Reads an origin as browsers write it.
    ///
    /// # Errors
    ///
    /// What it lacks of an origin.
    ///
    /// ```
    /// use hushd::http::{BadOrigin, Origin};
    /// assert_eq!(Origin::parse("HTTPS://Example.org:443"), Origin::parse("https://example.org"));
    /// assert_eq!(Origin::parse("https://example.org/"), Err(BadOrigin::NoHost));
    /// ```
    pub fn parse(text: &'a str) -> Result<Self, BadOrigin> {
        if text == "null" {
            return Ok(Self::Opaque);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadOrigin::NoScheme)?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme.bytes().all(is_scheme)
        {
            return Err(BadOrigin::NoScheme);
        }
        let scheme = if scheme.eq_ignore_ascii_case("http") {
            Scheme::Http
        } else if scheme.eq_ignore_ascii_case("https") {
            Scheme::Https
        } else {
            Scheme::Other(Caseless(Cow::Borrowed(scheme)))
        };
        let Authority { host, port } = Authority::parse(rest).ok_or(BadOrigin::NoHost)?;
        let port = port.or(scheme.default_port());
        Ok(Self::Tuple { scheme, host, port })
    }

    /// Whether pages of this origin come from the server that was asked as `at`: host and port are
    /// equal. `http` and `https` are taken alike, since a proxy in front may speak TLS.
    fn is_at(&self, at: &Authority<'_>) -> bool {
        match self {
            Self::Tuple { scheme, host, port } if scheme.is_web() => {
                *host == at.host && *port == at.port.or(scheme.default_port())
            }
            Self::Tuple { .. } | Self::Opaque => false,
        }
    }

    /// Whether the page can only have come from this machine, or from a file, or, alas, from a
    /// sandboxed frame.
    fn is_local(&self) -> bool {
        match self {
            Self::Opaque => true,
            Self::Tuple { scheme, host, .. } => scheme.is_web() && host.is_loopback(),
        }
    }

    fn into_owned(self) -> Origin<'static> {
        match self {
            Self::Opaque => Origin::Opaque,
            Self::Tuple { scheme, host, port } => {
                let scheme = match scheme {
                    Scheme::Http => Scheme::Http,
                    Scheme::Https => Scheme::Https,
                    Scheme::Other(name) => Scheme::Other(name.into_owned()),
                };
                Origin::Tuple {
                    scheme,
                    host: host.into_owned(),
                    port,
                }
            }
        }
    }
}

/// One value of `--allow-origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowOrigin {
    /// `*`: pages of all origins.
    Any,
    /// Pages of this origin.
    Exactly(Origin<'static>),
}

impl FromStr for AllowOrigin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        match text {
            "*" => Ok(Self::Any),
            _ => Ok(Self::Exactly(Origin::parse(text)?.into_owned())),
        }
    }
}

/// Whom the server lets in.
#[derive(Clone, Debug)]
pub struct Origins {
    /// What `--allow-origin` says. Nothing: the server's own origin, and on loopback local ones.
    allowed: Vec<AllowOrigin>,
    /// Whether every listener is on a loopback address.
    on_loopback: bool,
}

impl Origins {
    /// Lets in the origins of `allowed` and no others, or, if there are none, the server's own; and, while
    /// all listeners are `on_loopback`, whatever else is local.
    pub fn new(allowed: Vec<AllowOrigin>, on_loopback: bool) -> Self {
        Self {
            allowed,
            on_loopback,
        }
    }

    /// Against DNS rebinding: a page of `evil.example`, whose name has come to mean 127.0.0.1, must not be
    /// taken for a page of this server. While only this machine can connect, the server therefore answers
    /// to its own names alone, and to those that a proxy in front may pass on.
    pub(super) fn admit_host(&self, at: Option<&Authority<'_>>) -> Result<(), Refusal> {
        let Some(Authority { host, .. }) = at else {
            return Ok(());
        };
        let known = self.allowed.iter().any(|allowed| match allowed {
            AllowOrigin::Any => true,
            AllowOrigin::Exactly(Origin::Opaque) => false,
            AllowOrigin::Exactly(Origin::Tuple { host: allowed, .. }) => allowed == host,
        });
        if !self.on_loopback || host.is_loopback() || known {
            return Ok(());
        }
        Err(Refusal::ForeignHost(match host {
            Host::Name(name) => Excerpt::new(name.0.as_bytes()),
            Host::Address(address) => Excerpt::new(address.to_string()),
        }))
    }

    /// Whether the page that asks for a WebSocket, if it is one that asks, may have it.
    pub(super) fn admit(
        &self,
        origin: Option<&[u8]>,
        at: Option<&Authority<'_>>,
    ) -> Result<(), Refusal> {
        let Some(text) = origin else { return Ok(()) };
        let origin = str::from_utf8(text)
            .ok()
            .and_then(|text| Origin::parse(text).ok());
        let admitted = match (&origin, self.allowed.as_slice()) {
            (Some(origin), []) => {
                at.is_some_and(|at| origin.is_at(at)) || self.on_loopback && origin.is_local()
            }
            (origin, allowed) => allowed.iter().any(|allowed| match allowed {
                AllowOrigin::Any => true,
                AllowOrigin::Exactly(allowed) => origin.as_ref() == Some(allowed),
            }),
        };
        if admitted {
            Ok(())
        } else {
            Err(Refusal::ForeignOrigin(Excerpt::new(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: bool = true;
    const PUBLIC: bool = false;

    fn origins(allowed: &[&str], on_loopback: bool) -> Origins {
        Origins::new(
            allowed.iter().map(|text| text.parse().unwrap()).collect(),
            on_loopback,
        )
    }

    /// Whether a page of `origin` may talk to the server as `host`.
    fn admits(origins: &Origins, origin: &str, host: &str) -> bool {
        origins
            .admit(Some(origin.as_bytes()), Authority::parse(host).as_ref())
            .is_ok()
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for (text, same) in [
            ("http://a:80", "HTTP://A"),
            ("https://a:443", "https://a."),
            ("http://[::1]:80", "http://[0:0:0:0:0:0:0:1]"),
            ("moz-extension://b2-c3", "MOZ-extension://B2-c3"),
            ("null", "null"),
        ] {
            assert_eq!(Origin::parse(text), Origin::parse(same), "{text}");
            assert!(Origin::parse(text).is_ok(), "{text}");
        }
        for (text, bad) in [
            ("", BadOrigin::NoScheme),
            ("a", BadOrigin::NoScheme),
            ("NULL", BadOrigin::NoScheme),
            ("*.a", BadOrigin::NoScheme),
            ("//a", BadOrigin::NoScheme),
            ("://a", BadOrigin::NoScheme),
            ("http:a", BadOrigin::NoScheme),
            (" http://a", BadOrigin::NoScheme),
            ("http://", BadOrigin::NoHost),
            ("http://:80", BadOrigin::NoHost),
            ("http://a/", BadOrigin::NoHost),
            ("http://a/b", BadOrigin::NoHost),
            ("http://a?b", BadOrigin::NoHost),
            ("http://u@a", BadOrigin::NoHost),
            ("http://*.a", BadOrigin::NoHost),
            ("http://a http://b", BadOrigin::NoHost),
            ("http://a,http://b", BadOrigin::NoHost),
            ("http://a:b", BadOrigin::NoHost),
            ("http://a:99999", BadOrigin::NoHost),
            ("file://", BadOrigin::NoHost),
        ] {
            assert_eq!(Origin::parse(text), Err(bad), "{text}");
        }
    }

    #[test]
    fn a_page_of_the_server_itself_is_let_in() {
        let public = origins(&[], PUBLIC);
        for (origin, host, admitted) in [
            ("http://a.example", "a.example", true),
            ("http://a.example", "a.example:80", true),
            ("http://a.example:80", "A.EXAMPLE.", true),
            ("https://a.example", "a.example", true),
            ("https://a.example", "a.example:443", true),
            ("https://a.example:8443", "a.example:8443", true),
            ("http://[::1]:8001", "[0::1]:8001", true),
            ("https://a.example", "a.example:80", false),
            ("http://a.example", "a.example:443", false),
            ("http://a.example:8001", "a.example", false),
            ("http://a.example", "a.example:8001", false),
            ("http://b.example", "a.example", false),
            ("http://a.example.evil.example", "a.example", false),
            ("http://evil-a.example", "a.example", false),
            ("http://sub.a.example", "a.example", false),
            ("http://example", "a.example", false),
            ("ws://a.example:80", "a.example:80", false),
            ("chrome-extension://a.example", "a.example", false),
            ("http://localhost:3000", "a.example", false),
            ("null", "a.example", false),
            ("http://a.example/", "a.example", false),
            ("http://a.example http://b.example", "a.example", false),
            ("a.example", "a.example", false),
            ("", "a.example", false),
            ("http://", "a.example", false),
            ("*", "a.example", false),
        ] {
            assert_eq!(
                admits(&public, origin, host),
                admitted,
                "{origin} at {host}"
            );
        }
    }

    #[test]
    fn on_loopback_whatever_is_local_is_let_in_too() {
        let loopback = origins(&[], LOOPBACK);
        for (origin, admitted) in [
            ("null", true),
            ("http://localhost:3000", true),
            ("https://localhost", true),
            ("http://127.8.9.1", true),
            ("http://[::1]:5173", true),
            ("http://[::ffff:7f00:1]", true),
            ("http://0.0.0.0:8001", false),
            ("http://[::]:8001", false),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://192.168.0.1", false),
            ("app://localhost", false),
            ("http://evil.example", false),
            ("undefined", false),
        ] {
            assert_eq!(
                admits(&loopback, origin, "127.0.0.1:8001"),
                admitted,
                "{origin}"
            );
        }
    }

    #[test]
    fn allowed_origins_replace_all_of_this() {
        let listed = origins(&["https://a.example", "http://b.example:8080"], LOOPBACK);
        for (origin, admitted) in [
            ("https://a.example", true),
            ("HTTPS://A.example:443", true),
            ("http://b.example:8080", true),
            ("http://a.example", false),
            ("https://b.example:8080", false),
            ("http://b.example", false),
            ("https://evil-a.example", false),
            ("https://sub.a.example", false),
            ("http://127.0.0.1:8001", false),
            ("null", false),
        ] {
            assert_eq!(
                admits(&listed, origin, "127.0.0.1:8001"),
                admitted,
                "{origin}"
            );
        }
        assert!(admits(&origins(&["null"], PUBLIC), "null", "a.example"));
        for origin in ["null", "http://evil.example", "nonsense", "\u{1f408}"] {
            assert!(
                admits(&origins(&["*"], PUBLIC), origin, "a.example"),
                "{origin}"
            );
        }
    }

    #[test]
    fn who_is_no_browser_says_no_origin_and_is_let_in() {
        for allowed in [&[][..], &["https://a.example"], &["null"], &["*"]] {
            let at = Authority::parse("127.0.0.1");
            assert_eq!(origins(allowed, PUBLIC).admit(None, at.as_ref()), Ok(()));
        }
    }

    #[test]
    fn on_loopback_the_server_answers_to_its_own_names_alone() {
        for (allowed, on_loopback, host, admitted) in [
            (&[][..], LOOPBACK, "localhost:8001", true),
            (&[], LOOPBACK, "127.0.0.1:8001", true),
            (&[], LOOPBACK, "127.0.0.2", true),
            (&[], LOOPBACK, "[::1]:8001", true),
            (&[], LOOPBACK, "[::ffff:127.0.0.1]", true),
            (&[], LOOPBACK, "rebound.evil.example:8001", false),
            (&[], LOOPBACK, "localhost.evil.example", false),
            (&[], LOOPBACK, "evil.localhost", false),
            (&[], LOOPBACK, "0.0.0.0:8001", false),
            (&[], LOOPBACK, "[::]", false),
            (&[], LOOPBACK, "192.168.0.1", false),
            (&[], PUBLIC, "whatever.example", true),
            (&["https://a.example"], LOOPBACK, "a.example", true),
            (&["https://a.example"], LOOPBACK, "A.example:8001", true),
            (&["https://a.example"], LOOPBACK, "localhost", true),
            (&["https://a.example"], LOOPBACK, "b.example", false),
            (&["null"], LOOPBACK, "b.example", false),
            (&["*"], LOOPBACK, "b.example", true),
        ] {
            let verdict = origins(allowed, on_loopback).admit_host(Authority::parse(host).as_ref());
            assert_eq!(verdict.is_ok(), admitted, "{host} with {allowed:?}");
        }
        assert_eq!(origins(&[], LOOPBACK).admit_host(None), Ok(()));
    }

    #[test]
    fn a_refusal_names_who_was_refused() {
        let refusal = origins(&[], LOOPBACK)
            .admit(Some(b"http://evil\x1b[1m"), None)
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            r#"this origin is not allowed here: "http://evil\u{1b}[1m""#
        );
        let evil = Authority::parse("evil.example:8001").unwrap();
        let refusal = origins(&[], LOOPBACK).admit_host(Some(&evil)).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            r#"this host name is not allowed here: "evil.example""#
        );
    }
}
