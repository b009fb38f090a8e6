//! HTTP responses to requests that do not become WebSockets, those for resources of the server included.

use std::borrow::Cow;
use std::mem;

use super::connections::{Awaits, Connection, Stage};
use super::report::Notice;
use super::{Network, Server};
use crate::engine::Engine;
use crate::feed::Piece;
use crate::http::{CONTINUE, Call, Refusal, Resource, Response, Status};
use crate::ids::ConnectionKey;

impl<N: Network, E: Engine> Server<N, E> {
    /// Answers a request. The response closes the connection.
    pub(super) fn respond(&mut self, key: ConnectionKey, response: Response) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let peer = connection.peer();
        let is_page = response.is_page();
        let refusal = response.refusal().cloned();
        let mut head = Vec::with_capacity(512);
        let body = response.write(self.network.unix_millis() / 1000, &mut head);
        for piece in [Cow::Owned(head), body] {
            connection.splice(&self.lobby, Piece::Bytes(piece));
        }
        self.begin_closing(key, Awaits::Outbox);
        self.counts.pages_served += u64::from(is_page);
        if let Some(refusal) = refusal {
            self.counts.requests_refused += 1;
            self.notice(
                Notice::Refused,
                format_args!("{peer} is refused: {refusal}"),
            );
        }
    }

    /// The response to a request for a resource.
    pub(super) fn serve(&mut self, mut call: Call<'_>) -> Response {
        match call.resource {
            Resource::Echo => {
                let body = mem::take(&mut call.body);
                call.respond(Status::Ok, "application/octet-stream", body)
            }
        }
    }

    /// Asks for the body of a request, because the client waits for that.
    pub(super) fn ask_for_body(&mut self, key: ConnectionKey) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let piece = Piece::Bytes(Cow::Borrowed(CONTINUE));
        connection.splice(&self.lobby, piece);
        self.enqueue_write(key);
    }

    /// Refuses a request, which may have come in part only.
    pub(super) fn refuse(&mut self, key: ConnectionKey, refusal: Refusal) {
        let response = match self.connections.get(key).map(Connection::stage) {
            Some(Stage::Handshaking(incoming)) => incoming.refuse(refusal),
            Some(Stage::Joining(_) | Stage::Open(_) | Stage::Closing(_)) | None => refusal.into(),
        };
        self.respond(key, response);
    }

    /// The response for a peer that gets no connection: the head in `head`, the body returned.
    pub(super) fn response_to(
        &mut self,
        refusal: Refusal,
        head: &mut Vec<u8>,
    ) -> Cow<'static, [u8]> {
        Response::from(refusal).write(self.network.unix_millis() / 1000, head)
    }
}
