//! Routing: what a request is answered with.

use httparse::{EMPTY_HEADER, Header};

use super::limits::HeadLimits;
use super::path;
use super::refusal::Refusal;
use super::request::{Method, Request};
use super::response::Response;
use super::site::Site;
use super::upgrade::Upgrade;

/// The answer to a request.
#[derive(Debug)]
pub enum Answer<'a> {
    /// The connection becomes a WebSocket.
    Upgrade(Upgrade<'a>),
    /// The connection gets this response and closes.
    Respond(Response),
}

/// Answers a whole request head, as [`Head::take`](super::Head::take) returns it.
pub fn answer<'a>(head: &'a [u8], site: &Site) -> Answer<'a> {
    // Clearing space for many header lines takes longer than parsing a few lines, and few requests have
    // many.
    answer_in(head, site, &mut [EMPTY_HEADER; 16])
        .or_else(|refusal| match refusal {
            Refusal::TooManyHeaders => {
                answer_in(head, site, &mut [EMPTY_HEADER; HeadLimits::MOST_HEADERS])
            }
            refusal => Err(refusal),
        })
        .unwrap_or_else(|refusal| Answer::Respond(Response::refusing(refusal, head)))
}

fn answer_in<'h, 'a: 'h>(
    head: &'a [u8],
    site: &Site,
    lines: &'h mut [Header<'a>],
) -> Result<Answer<'a>, Refusal> {
    judge(&Request::parse(head, lines)?, site)
}

fn judge<'a>(request: &Request<'_, 'a>, site: &Site) -> Result<Answer<'a>, Refusal> {
    site.origins.admit_host(request.authority.as_ref())?;
    let room = path::room(request.path)?;
    Ok(match Upgrade::parse(request, room, site)? {
        Some(upgrade) => Answer::Upgrade(upgrade),
        None => Answer::Respond(Response::page(site.page, request.method == Method::Head)),
    })
}
