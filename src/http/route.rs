//! What is answered to a request: the page, a WebSocket, or why not.

use httparse::{EMPTY_HEADER, Header};

use super::head::HeadLimits;
use super::origin::Origins;
use super::page::Page;
use super::refusal::Refusal;
use super::request::{Method, Request};
use super::response::Response;
use super::room;
use super::upgrade::Upgrade;

/// What this server is, and whom it lets in. Built once, at the start.
#[derive(Clone, Debug)]
pub struct Site {
    /// Whom it lets in.
    pub origins: Origins,
    /// The subprotocols that it speaks, in no order: the client's is the one that counts.
    pub subprotocols: &'static [&'static str],
    /// Whether it compresses for those who ask for it.
    pub deflate: bool,
    /// What it shows to browsers.
    pub page: &'static Page,
}

/// What a request head is answered with.
#[derive(Debug)]
pub enum Answer<'a> {
    /// The connection becomes a WebSocket.
    Upgrade(Upgrade<'a>),
    /// A response, and the connection ends with it.
    Respond(Response),
}

/// Judges a head, from the request line to the blank line, as [`Head::take`](super::Head::take)
/// gives it.
pub fn answer<'a>(head: &'a [u8], site: &Site) -> Answer<'a> {
    // Space for many lines takes longer to clear than a few take to read, and few have many.
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
    let room = room::parse(request.path)?;
    Ok(match Upgrade::asked(request, room, site)? {
        Some(upgrade) => Answer::Upgrade(upgrade),
        None => Answer::Respond(Response::page(site.page, request.method == Method::Head)),
    })
}
