//! Request methods, and sets of them for the table of routes and for `Allow`.

use std::fmt::{self, Display, Formatter};

/// A method that the server knows (RFC 9110, section 9; RFC 5789).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the RFCs")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    Trace,
    Connect,
}

impl Method {
    const ALL: [Self; 9] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Patch,
        Self::Options,
        Self::Trace,
        Self::Connect,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
        }
    }

    /// The method of this name. Methods are case-sensitive (RFC 9110, section 9.1), so `get` is unknown.
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => return None,
        })
    }
}

/// A set of methods. `Display` is the value of `Allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods(u16);

impl Methods {
    /// `GET` and `HEAD`.
    pub const READ: Self = Self::of(&[Method::Get, Method::Head]);

    /// All methods that the server knows.
    pub const ALL: Self = Self::of(&Method::ALL);

    /// The set of these methods.
    pub const fn of(methods: &[Method]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < methods.len() {
            bits |= 1 << methods[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    pub(super) fn contains(self, method: Method) -> bool {
        self.0 & 1 << method as u16 != 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Display for Methods {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for method in Method::ALL {
            if self.contains(method) {
                write!(f, "{separator}{}", method.as_str())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_their_exact_names() {
        for method in Method::ALL {
            let name = method.as_str();
            assert_eq!(Method::parse(name.as_bytes()), Some(method));
            assert_eq!(Method::parse(name.to_lowercase().as_bytes()), None);
            assert_eq!(Method::parse(&name.as_bytes()[1..]), None);
            assert!(Methods::ALL.contains(method));
        }
        assert_eq!(Method::parse(b"BREW"), None);
        assert_eq!(Method::parse(b""), None);
    }

    #[test]
    fn sets_are_written_as_allow_has_them() {
        let change = Methods::of(&[Method::Delete, Method::Post]);
        for (methods, allow) in [
            (Methods::of(&[]), ""),
            (Methods::READ, "GET, HEAD"),
            (change, "POST, DELETE"),
            (change.union(Methods::READ), "GET, HEAD, POST, DELETE"),
        ] {
            assert_eq!(methods.to_string(), allow);
        }
    }
}
