//! Framing: how the messages of a stream are put on the wire, whatever they say.

use crate::chat::format::compress::Compressor;
use crate::chat::format::v1::Since;
use crate::feed::{Lane, Record};
use crate::sse::StreamEvent;
use crate::ws::extension::Window;
use crate::ws::{CloseCode, Frame, Message};

/// The protocol that carries a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// WebSocket frames, compressed with a window if there is one.
    WebSocket(Option<Window>),
    /// Server-sent events. They carry text only, and nothing comes back.
    EventStream,
}

/// A ping without a payload (RFC 6455, section 5.5.2).
const PING: &[u8] = &[0x89, 0x00];

impl Framing {
    /// Appends a message of the room to its lane. `id`: where a client that has received this one resumes.
    pub(in crate::chat) fn push(
        self,
        message: Message<'_>,
        id: Option<Since>,
        compressor: &mut Compressor,
        lane: &mut Lane,
    ) {
        match (self, message) {
            (Framing::WebSocket(None), _) => lane.push(&Frame::from(message)),
            (Framing::WebSocket(Some(window)), _) => lane.push(&compressor.frame(window, message)),
            (Framing::EventStream, Message::Text(text)) => lane.push(&StreamEvent::new(id, text)),
            (Framing::EventStream, Message::Binary(_)) => {}
        }
    }

    /// Appends a message that is for one client alone. It is not compressed.
    pub fn write(self, json: &str, out: &mut Vec<u8>) {
        match self {
            Framing::WebSocket(_) => write_record(&Frame::text(json), out),
            Framing::EventStream => write_record(&StreamEvent::new(None::<Since>, json), out),
        }
    }

    /// What shows a silent client that the server is there. A WebSocket client answers it.
    pub fn ping(self) -> &'static [u8] {
        match self {
            Framing::WebSocket(_) => PING,
            Framing::EventStream => StreamEvent::COMMENT,
        }
    }

    /// What ends the stream, if it takes more than to close the connection. Without a code it says no reason.
    pub fn close(self, code: Option<CloseCode>, reason: &str) -> Option<Vec<u8>> {
        match (self, code) {
            (Framing::WebSocket(_), Some(code)) => Some(Frame::close(code, reason).to_vec()),
            (Framing::WebSocket(_), None) => Some(Frame::close_empty().to_vec()),
            (Framing::EventStream, _) => None,
        }
    }

    /// Whether the client says anything by way of this connection.
    pub fn accepts_input(self) -> bool {
        match self {
            Framing::WebSocket(_) => true,
            Framing::EventStream => false,
        }
    }

    /// Whether permessage-deflate was negotiated (RFC 7692).
    pub fn is_compressed(self) -> bool {
        match self {
            Framing::WebSocket(window) => window.is_some(),
            Framing::EventStream => false,
        }
    }
}

pub(in crate::chat) fn write_record(record: &impl Record, out: &mut Vec<u8>) {
    for part in record.parts() {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB_SOCKET: Framing = Framing::WebSocket(Some(Window::Bits15));

    fn pushed(framing: Framing, message: Message<'_>) -> Vec<u8> {
        let mut lane = Lane::new(1_000);
        let id = Since {
            epoch: 0x5f3c_0a9b_e1d2_7744,
            seq: 12,
        };
        framing.push(message, Some(id), &mut Compressor::new(6, 100), &mut lane);
        lane.between(lane.start(), lane.end()).unwrap().concat()
    }

    #[test]
    fn each_framing_has_its_bytes_for_the_same_message() {
        for (framing, text, binary) in [
            (
                Framing::WebSocket(None),
                &b"\x81\x02{}"[..],
                &b"\x82\x01\0"[..],
            ),
            (WEB_SOCKET, b"\x81\x02{}", b"\x82\x01\0"),
            (
                Framing::EventStream,
                b"id: 5f3c0a9be1d27744.12\ndata: {}\n\n",
                b"",
            ),
        ] {
            assert_eq!(pushed(framing, Message::Text("{}")), text, "{framing:?}");
            assert_eq!(pushed(framing, Message::Binary(b"\0")), binary);
        }
        let long = "long ".repeat(40);
        assert_eq!(pushed(WEB_SOCKET, Message::Text(&long))[0], 0xc1);
    }

    #[test]
    fn an_event_stream_pings_with_a_comment_has_no_close_and_takes_no_input() {
        let code = Some(CloseCode::NORMAL);
        for (framing, private, ping, close, input) in [
            (
                WEB_SOCKET,
                &b"\x81\x02{}"[..],
                &Frame::ping(b"").to_vec()[..],
                Some(&b"\x88\x05\x03\xe8bye"[..]),
                true,
            ),
            (Framing::EventStream, b"data: {}\n\n", b":\n\n", None, false),
        ] {
            let mut out = Vec::new();
            framing.write("{}", &mut out);
            assert_eq!((&out[..], framing.ping()), (private, ping), "{framing:?}");
            assert_eq!(framing.close(code, "bye").as_deref(), close);
            assert_eq!(framing.close(None, "").is_some(), close.is_some());
            assert_eq!(framing.accepts_input(), input);
        }
    }
}
