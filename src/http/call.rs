//! A request that the server answers by itself: what is asked, with the body of the request.

use std::borrow::Cow;

use super::listener::ListenerId;
use super::method::Method;
use super::refusal::{Refusal, Status};
use super::response::Response;

/// What the server answers by itself, without a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The body of the request, sent back. It is in no table of the server: tests prove with it that
    /// resources and bodies work.
    Echo,
}

/// A request for a resource. Its body is whole.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// What is asked for.
    pub resource: Resource,
    /// A method that the route allows.
    pub method: Method,
    /// Decoded. Begins with a slash.
    pub path: Cow<'a, str>,
    /// Still percent-encoded, without the question mark.
    pub query: Cow<'a, str>,
    /// The listener that the client came by.
    pub listener: ListenerId,
    /// At most as many bytes as the route takes.
    pub body: Vec<u8>,
}

impl Call<'_> {
    /// The response to this call, with a body of this type.
    pub fn respond(
        &self,
        status: Status,
        content_type: &'static str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Response {
        Response::new(status, content_type, body.into(), self.is_head())
    }

    /// The response that refuses this call.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response {
        Response::refused(refusal, self.is_head())
    }

    pub(super) fn into_owned(self) -> Call<'static> {
        Call {
            path: Cow::Owned(self.path.into_owned()),
            query: Cow::Owned(self.query.into_owned()),
            ..self
        }
    }

    /// Bytes of heap in use, the body excluded.
    pub(super) fn holds(&self) -> usize {
        [&self.path, &self.query]
            .map(|text| match text {
                Cow::Borrowed(_) => 0,
                Cow::Owned(text) => text.capacity(),
            })
            .iter()
            .sum()
    }

    fn is_head(&self) -> bool {
        self.method == Method::Head
    }
}
