//! The table of routes: which methods and paths there are, what stands behind them, and what may be sent
//! to them.

use super::call::Resource;
use super::listener::ListenerId;
use super::method::{Method, Methods};
use super::refusal::Refusal;

/// One line of a table of routes.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The methods that this line answers. Another line with the same path may answer others.
    pub methods: Methods,
    /// The paths that this line answers.
    pub path: Pattern,
    /// What stands there.
    pub target: Target,
    /// The most bytes of a request body. 0: the route takes no body.
    pub max_body: usize,
}

/// A pattern of paths. It is compared with the decoded path, so that no percent sign can hide one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This path.
    Exactly(&'static str),
    /// All paths that begin like this.
    Under(&'static str),
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A room. A WebSocket handshake joins it, and another request gets the page. It never reads a body.
    Room,
    /// Something that the server answers by itself.
    Resource(Resource),
    /// Nothing: 404.
    Nothing,
}

/// The routes of a public listener. The first line whose path matches decides, together with all lines of
/// the same path.
pub const PUBLIC: &[Route] = &[
    // Paths under `/-/` are reserved for the server. `/-` and `/-x` are rooms.
    nothing(Methods::ALL, Pattern::Under("/-/")),
    // Browsers and robots request these paths of every server, so they are no rooms.
    nothing(Methods::READ, Pattern::Exactly("/favicon.ico")),
    nothing(Methods::READ, Pattern::Exactly("/robots.txt")),
    nothing(Methods::READ, Pattern::Under("/.well-known/")),
    Route {
        methods: Methods::READ,
        path: Pattern::Under("/"),
        target: Target::Room,
        max_body: 0,
    },
];

const fn nothing(methods: Methods, path: Pattern) -> Route {
    Route {
        methods,
        path,
        target: Target::Nothing,
        max_body: 0,
    }
}

impl Pattern {
    fn matches(self, path: &str) -> bool {
        match self {
            Self::Exactly(exactly) => path == exactly,
            // Most paths differ from a prefix in the second byte, which a loop finds before a call of memcmp begins.
            Self::Under(prefix) => {
                let mut bytes = path.bytes();
                prefix.bytes().all(|byte| bytes.next() == Some(byte))
            }
        }
    }
}

/// The tables of routes: one for each listener.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// By [`ListenerId`].
    tables: Vec<&'static [Route]>,
}

impl Routes {
    /// The tables of the listeners, in order. Any further listener has [`PUBLIC`].
    pub fn new(tables: Vec<&'static [Route]>) -> Self {
        Self { tables }
    }

    /// The table of a listener.
    pub(super) fn table(&self, listener: ListenerId) -> &'static [Route] {
        self.tables.get(listener.0).copied().unwrap_or(PUBLIC)
    }

    /// The route of a request.
    ///
    /// # Errors
    ///
    /// Nothing stands at this path, or it does not support this method.
    pub(super) fn find(
        &self,
        listener: ListenerId,
        path: &str,
        method: Method,
    ) -> Result<&'static Route, Refusal> {
        let table = self.table(listener);
        let mut matching = table.iter().filter(|route| route.path.matches(path));
        let first = matching.next().ok_or(Refusal::NotFound)?;
        if first.methods.contains(method) {
            return Ok(first);
        }
        let mut allowed = first.methods;
        for route in matching.filter(|route| route.path == first.path) {
            if route.methods.contains(method) {
                return Ok(route);
            }
            allowed = allowed.union(route.methods);
        }
        Err(Refusal::MethodNotAllowed(allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_path_decides_and_its_lines_are_one() {
        const fn line(method: Method, path: Pattern, max_body: usize) -> Route {
            Route {
                methods: Methods::of(&[method]),
                path,
                target: Target::Resource(Resource::Echo),
                max_body,
            }
        }
        const TABLE: &[Route] = &[
            line(Method::Get, Pattern::Exactly("/-/echo"), 0),
            line(Method::Post, Pattern::Exactly("/-/echo"), 7),
            line(Method::Put, Pattern::Under("/-/echo/"), 8),
            nothing(Methods::ALL, Pattern::Under("/-/")),
        ];
        let routes = Routes::new(vec![PUBLIC, TABLE]);
        let second = ListenerId(1);
        let allowed = |methods: &[Method]| Err(Refusal::MethodNotAllowed(Methods::of(methods)));
        for (listener, method, path, found) in [
            (second, Method::Get, "/-/echo", Ok(0)),
            (second, Method::Post, "/-/echo", Ok(7)),
            (
                second,
                Method::Put,
                "/-/echo",
                allowed(&[Method::Get, Method::Post]),
            ),
            (second, Method::Put, "/-/echo/", Ok(8)),
            (second, Method::Put, "/-/echo/tea", Ok(8)),
            (second, Method::Get, "/-/echo/tea", allowed(&[Method::Put])),
            (second, Method::Put, "/-/other", Ok(0)),
            (second, Method::Get, "/", Err(Refusal::NotFound)),
            // Other listeners know nothing of it.
            (ListenerId(0), Method::Post, "/-/echo", Ok(0)),
            (ListenerId(0), Method::Get, "/", Ok(0)),
            (ListenerId(2), Method::Get, "/", Ok(0)),
            (
                ListenerId(2),
                Method::Post,
                "/",
                Err(Refusal::MethodNotAllowed(Methods::READ)),
            ),
        ] {
            let route = routes.find(listener, path, method);
            assert_eq!(route.map(|route| route.max_body), found, "{path}");
        }
        let reserved = routes.find(ListenerId(0), "/-/echo", Method::Post);
        assert_eq!(reserved.map(|route| route.target), Ok(Target::Nothing));
    }

    #[test]
    fn no_public_route_takes_a_body() {
        assert!(PUBLIC.iter().all(|route| route.max_body == 0));
    }
}
