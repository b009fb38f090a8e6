//! HTTP responses to requests that do not become WebSockets.

use std::borrow::Cow;

use super::connections::{Awaits, Connection, Stage};
use super::report::Notice;
use super::{Network, Server};
use crate::feed::Piece;
use crate::http::{Refusal, Response};
use crate::ids::ConnectionKey;

impl<N: Network> Server<N> {
    /// Answers a request. The response closes the connection.
    pub(super) fn respond(&mut self, key: ConnectionKey, response: &Response) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let peer = connection.peer();
        let mut head = Vec::with_capacity(512);
        let body = response.write(self.network.unix_millis() / 1000, &mut head);
        for piece in [Cow::Owned(head), Cow::Borrowed(body)] {
            connection.splice(&self.lobby, Piece::Bytes(piece));
        }
        self.begin_closing(key, Awaits::Outbox);
        match response.refusal() {
            None => self.counts.pages_served += 1,
            Some(refusal) => {
                self.counts.requests_refused += 1;
                self.notice(
                    Notice::Refused,
                    format_args!("{peer} is refused: {refusal}"),
                );
            }
        }
    }

    /// Refuses a request, which may have come in part only.
    pub(super) fn refuse(&mut self, key: ConnectionKey, refusal: Refusal) {
        let response = match self.connections.get(key).map(Connection::stage) {
            Some(Stage::Handshaking(head)) => head.refuse(refusal),
            Some(Stage::Open(_) | Stage::Closing(_)) | None => refusal.into(),
        };
        self.respond(key, &response);
    }

    /// The response for a peer that gets no connection: the head in `head`, the body returned.
    pub(super) fn response_to(&mut self, refusal: Refusal, head: &mut Vec<u8>) -> &'static [u8] {
        Response::from(refusal).write(self.network.unix_millis() / 1000, head)
    }
}
