//! HTTP/1.1, server side, sans-IO: requests in, responses out.
//!
//! A connection begins as HTTP and either becomes a WebSocket in a room, or gets one response and closes.
//! [`Incoming`] receives the request: a head, and a body if the route takes one. Its [`Answer`] is an
//! [`Upgrade`], a [`Response`], or a [`Call`] that the server answers by itself. Anything that is not
//! clearly allowed is refused, and every [`Refusal`] has a name.
//!
//! ```
//! use hushd::http::{Answer, HeadLimits, Incoming, ListenerId, Origins, Page, Progress, Routes, Site};
//!
//! let site = Site {
//!     origins: Origins::new(Vec::new(), true),
//!     subprotocols: &["chat"],
//!     deflate: true,
//!     page: Page::embedded(),
//!     routes: Routes::default(),
//! };
//! let limits = HeadLimits::default();
//! let mut incoming = Incoming::new(ListenerId::default());
//! let mut first = *b"GET /tea HTTP/1.1\r\nHost: localhost:8001\r\n";
//! assert!(matches!(incoming.take(&mut first, &limits, &site), Progress::More));
//! let mut second = *b"\r\nand more";
//! let Progress::Whole(Answer::Respond(page), rest) = incoming.take(&mut second, &limits, &site) else {
//!     panic!()
//! };
//! assert_eq!(page.status().code(), 200);
//! assert_eq!(rest, b"and more");
//! ```

mod answer;
mod authority;
mod body;
mod call;
mod coding;
mod escape;
mod etag;
mod head;
mod headers;
mod incoming;
mod limits;
mod listener;
mod method;
mod origin;
mod page;
mod path;
mod refusal;
mod request;
mod response;
mod route;
mod site;
mod upgrade;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use authority::{Authority, Caseless, Host};
pub use call::{Call, Resource};
pub use escape::{Escaped, Excerpt, SHOWN};
pub use incoming::{CONTINUE, Incoming, Progress};
pub use limits::HeadLimits;
pub use listener::ListenerId;
pub use method::{Method, Methods};
pub use origin::{AllowOrigin, BadOrigin, Origin, Origins, Scheme};
pub use page::Page;
pub use path::MAX_ROOM;
pub use refusal::{Refusal, Status};
pub use response::Response;
pub use route::{PUBLIC, Pattern, Route, Routes, Target};
pub use site::Site;
pub use upgrade::{Query, Upgrade};
