//! Routing: from a whole request head to its answer.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, Header};

use super::body::BodyReader;
use super::call::Call;
use super::coding::Coding;
use super::escape::Excerpt;
use super::headers::HeaderName;
use super::limits::HeadLimits;
use super::listener::ListenerId;
use super::method::Method;
use super::page::Page;
use super::path;
use super::refusal::Refusal;
use super::request::Request;
use super::response::Response;
use super::route::Target;
use super::site::Site;
use super::upgrade::Upgrade;

/// The answer to a request.
#[derive(Debug)]
pub enum Answer<'a> {
    /// The connection becomes a WebSocket.
    Upgrade(Upgrade<'a>),
    /// The server answers by itself. The connection gets this response and closes.
    Call(Call<'a>),
    /// The connection gets this response and closes.
    Respond(Response),
}

/// What follows from a request head.
#[derive(Debug)]
pub(super) enum Routed<'a> {
    Answer(Answer<'a>),
    /// A body must be read first.
    Body {
        call: Call<'a>,
        reader: BodyReader,
        /// Whether the client waits for `100 Continue` before it sends the body.
        expects_continue: bool,
    },
}

/// Routes a whole request head, as `Head::take` returns it.
pub(super) fn route<'a>(head: &'a [u8], site: &Site, listener: ListenerId) -> Routed<'a> {
    // Clearing space for many header lines takes longer than parsing a few lines, and few requests have
    // many.
    route_in(head, site, listener, &mut [EMPTY_HEADER; 16])
        .or_else(|refusal| match refusal {
            Refusal::TooManyHeaders => {
                let lines = &mut [EMPTY_HEADER; HeadLimits::MOST_HEADERS];
                route_in(head, site, listener, lines)
            }
            refusal => Err(refusal),
        })
        .unwrap_or_else(|refusal| {
            Routed::Answer(Answer::Respond(Response::refusing(refusal, head)))
        })
}

fn route_in<'h, 'a: 'h>(
    head: &'a [u8],
    site: &Site,
    listener: ListenerId,
    lines: &'h mut [Header<'a>],
) -> Result<Routed<'a>, Refusal> {
    judge(&Request::parse(head, lines)?, site, listener)
}

fn judge<'a>(
    request: &Request<'_, 'a>,
    site: &Site,
    listener: ListenerId,
) -> Result<Routed<'a>, Refusal> {
    site.origins.admit_host(request.authority.as_ref())?;
    let path = path::decode(request.path)
        .ok_or_else(|| Refusal::MalformedPath(Excerpt::new(request.path)))?;
    let route = site.routes.find(listener, &path, request.method)?;
    match route.target {
        Target::Nothing => Err(Refusal::NotFound),
        Target::Room => enter(request, path, site).map(Routed::Answer),
        Target::Resource(resource) => {
            let reader = BodyReader::new(request.body, route.max_body)?;
            let call = Call {
                resource,
                method: request.method,
                path,
                query: Cow::Borrowed(request.query),
                listener,
                body: Vec::new(),
            };
            Ok(match reader {
                None => Routed::Answer(Answer::Call(call)),
                Some(reader) => Routed::Body {
                    call,
                    reader,
                    expects_continue: request.expects_continue,
                },
            })
        }
    }
}

/// The answer to a request for a room. A body of such a request is never read.
fn enter<'a>(
    request: &Request<'_, 'a>,
    path: Cow<'a, str>,
    site: &Site,
) -> Result<Answer<'a>, Refusal> {
    if request.expects_continue {
        return Err(Refusal::Expectation);
    }
    let room = path::room(path, request.path)?;
    Ok(match Upgrade::parse(request, room, site)? {
        Some(upgrade) => Answer::Upgrade(upgrade),
        None => Answer::Respond(show(request, site.page)?),
    })
}

/// The page in the coding that the client prefers, or 304 if the client has it already.
fn show(request: &Request<'_, '_>, page: &'static Page) -> Result<Response, Refusal> {
    let accepted = request.headers.all(HeaderName::AcceptEncoding);
    let coding = Coding::negotiate(accepted).ok_or(Refusal::NotAcceptable)?;
    let representation = page.representation(coding);
    let to_head = request.method == Method::Head;
    let known = request.headers.all(HeaderName::IfNoneMatch);
    Ok(if representation.tag().matches(known) {
        Response::not_modified(representation, to_head)
    } else {
        Response::page(representation, to_head)
    })
}
