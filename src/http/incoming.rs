//! A request that is being received: its head, and its body if the route takes one.

use super::answer::{Answer, Routed, route};
use super::body::BodyReader;
use super::call::Call;
use super::head::Head;
use super::limits::HeadLimits;
use super::listener::ListenerId;
use super::refusal::Refusal;
use super::response::Response;
use super::site::Site;

/// The interim response that asks for the body (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request that is being received. It owns no heap before the first byte has come.
#[derive(Debug, Default)]
pub struct Incoming {
    listener: ListenerId,
    head: Head,
    body: Option<Box<Awaited>>,
}

/// A body that is being received, and the request that it belongs to.
#[derive(Debug)]
struct Awaited {
    call: Call<'static>,
    reader: BodyReader,
}

/// How far a request has come.
#[derive(Debug)]
pub enum Progress<'a> {
    /// More bytes are needed.
    More,
    /// More bytes are needed, and the client sends them only after [`CONTINUE`].
    Continue,
    /// The request is whole. The bytes behind it are returned too.
    Whole(Answer<'a>, &'a mut [u8]),
}

impl Incoming {
    /// The first request of a connection that came by this listener.
    pub fn new(listener: ListenerId) -> Self {
        Self {
            listener,
            ..Self::default()
        }
    }

    /// Takes the next bytes of the connection. After [`Progress::Whole`], `take` must not be called again.
    pub fn take<'a>(
        &'a mut self,
        fresh: &'a mut [u8],
        limits: &HeadLimits,
        site: &Site,
    ) -> Progress<'a> {
        if let Some(awaited) = &mut self.body {
            // The head is not needed any more.
            self.head = Head::default();
            return match awaited.reader.take(fresh) {
                Ok(None) => Progress::More,
                Ok(Some(used)) => match self.body.take() {
                    Some(awaited) => whole(awaited.call, awaited.reader, &mut fresh[used..]),
                    None => Progress::More,
                },
                Err(refusal) => refused(awaited.call.refuse(refusal)),
            };
        }
        let (head, behind) = match self.head.take(fresh, limits) {
            Ok(None) => return Progress::More,
            Err(response) => return refused(response),
            Ok(Some(whole)) => whole,
        };
        match route(head, site, self.listener) {
            Routed::Answer(answer) => Progress::Whole(answer, behind),
            Routed::Body {
                call,
                mut reader,
                expects_continue,
            } => match reader.take(behind) {
                Ok(Some(used)) => whole(call, reader, &mut behind[used..]),
                Err(refusal) => refused(call.refuse(refusal)),
                Ok(None) => {
                    let call = call.into_owned();
                    self.body = Some(Box::new(Awaited { call, reader }));
                    // A client that has begun to send its body waits for nothing (RFC 9110, section
                    // 10.1.1).
                    if expects_continue && behind.is_empty() {
                        Progress::Continue
                    } else {
                        Progress::More
                    }
                }
            },
        }
    }

    /// The response that refuses this request, of which any part may have come.
    pub fn refuse(&self, refusal: Refusal) -> Response {
        match &self.body {
            Some(awaited) => awaited.call.refuse(refusal),
            None => self.head.refuse(refusal),
        }
    }

    /// Bytes of heap in use.
    pub fn holds(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |awaited| {
            size_of::<Awaited>() + awaited.call.holds() + awaited.reader.holds()
        });
        self.head.holds() + body
    }
}

fn whole<'a>(call: Call<'a>, reader: BodyReader, behind: &'a mut [u8]) -> Progress<'a> {
    let body = reader.into_bytes();
    Progress::Whole(Answer::Call(Call { body, ..call }), behind)
}

fn refused<'a>(response: Response) -> Progress<'a> {
    Progress::Whole(Answer::Respond(response), &mut [])
}
