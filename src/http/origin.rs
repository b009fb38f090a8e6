//! Origin policy: which web pages may connect (RFC 6454; RFC 6455, section 10.2), and under which host
//! names the server answers.
//!
//! A browser sends a page's origin with every WebSocket handshake. Nothing else prevents the pages of one
//! site from connecting to the servers of another, because the same-origin policy does not cover
//! WebSockets. A client that is not a browser can send any origin, so a missing `Origin` is accepted.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::authority::{Authority, Caseless, Host};
use super::escape::Excerpt;
use super::refusal::Refusal;

/// An origin, which all pages of one site share (RFC 6454, section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// `null`: that of a page opened from a file, of a sandboxed frame, and of other pages without a site.
    Opaque,
    /// `scheme://host:port`.
    Tuple {
        /// The scheme.
        scheme: Scheme<'a>,
        /// The host.
        host: Host<'a>,
        /// The port that is written, or the default port of the scheme.
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
    /// Another scheme, such as that of browser extensions. The server's own origin never has one, but
    /// `--allow-origin` may name one.
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

/// Why a text is not a valid origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOrigin {
    /// The text does not begin with `scheme://`.
    NoScheme,
    /// Behind the scheme is something else than a host with an optional port.
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
    /// Parses an origin as browsers write it.
    ///
    /// # Errors
    ///
    /// What is missing or malformed.
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

    /// Whether this is the origin of the server itself, which the client addressed as `at`: host and port
    /// are equal. `http` and `https` are treated alike, because a proxy in front may add TLS.
    fn is_at(&self, at: &Authority<'_>) -> bool {
        match self {
            Self::Tuple { scheme, host, port } if scheme.is_web() => {
                *host == at.host && *port == at.port.or(scheme.default_port())
            }
            Self::Tuple { .. } | Self::Opaque => false,
        }
    }

    /// Whether the page comes from this machine or from a file. A sandboxed frame of any site also counts,
    /// because its origin is `null` too.
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

/// A value of `--allow-origin`.
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

/// The origins and host names that the server accepts.
#[derive(Clone, Debug)]
pub struct Origins {
    /// The values of `--allow-origin`. Empty: the server's own origin is allowed, and on loopback also local
    /// origins.
    allowed: Vec<AllowOrigin>,
    /// Whether every listener is on a loopback address.
    on_loopback: bool,
}

impl Origins {
    /// Allows the origins of `allowed` and no others. If `allowed` is empty, the server's own origin is
    /// allowed, and all local origins if all listeners are `on_loopback`.
    pub fn new(allowed: Vec<AllowOrigin>, on_loopback: bool) -> Self {
        Self {
            allowed,
            on_loopback,
        }
    }

    /// Checks the host name, against DNS rebinding: if the name `evil.example` resolves to 127.0.0.1, its
    /// pages must not pass for pages of this server. While only this machine can connect, the server
    /// therefore accepts only loopback names, and the names of allowed origins, which a proxy in front may
    /// pass on.
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

    /// Checks the origin of the page that opens a WebSocket. A client without `Origin` is no browser.
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
