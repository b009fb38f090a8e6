//! HTTP/1.1, server side, sans-IO: requests in, responses out.
//!
//! A connection begins as HTTP and either becomes a WebSocket in a room, or gets one response and closes.
//! [`Head`] gathers a request head. [`answer`] routes it and returns an [`Upgrade`] or a [`Response`].
//! Anything that is not clearly allowed is refused, and every [`Refusal`] has a name.
//!
//! ```
//! use hushd::http::{Answer, Head, HeadLimits, Origins, Page, Site, answer};
//!
//! let site = Site {
//!     origins: Origins::new(Vec::new(), true),
//!     subprotocols: &["chat"],
//!     deflate: true,
//!     page: Page::embedded(),
//! };
//! let mut head = Head::default();
//! let mut first = *b"GET /tea HTTP/1.1\r\nHost: localhost:8001\r\n";
//! assert!(matches!(head.take(&mut first, &HeadLimits::default()), Ok(None)));
//! let mut second = *b"\r\nand more";
//! let Ok(Some((whole, rest))) = head.take(&mut second, &HeadLimits::default()) else { panic!() };
//! assert_eq!(rest, b"and more");
//! let Answer::Respond(page) = answer(whole, &site) else { panic!() };
//! assert_eq!(page.status().code(), 200);
//! ```

mod authority;
mod escape;
mod head;
mod headers;
mod limits;
mod listener;
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

pub use authority::{Authority, Caseless, Host};
pub use escape::{Escaped, Excerpt, SHOWN};
pub use head::{Head, WholeHead};
pub use limits::HeadLimits;
pub use listener::ListenerId;
pub use origin::{AllowOrigin, BadOrigin, Origin, Origins, Scheme};
pub use page::Page;
pub use path::MAX_ROOM;
pub use refusal::{Refusal, Status};
pub use response::Response;
pub use route::{Answer, answer};
pub use site::Site;
pub use upgrade::{Query, Upgrade};
