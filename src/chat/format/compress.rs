//! Compression: each message once for each window, shared by all subscribers of that window.

use crate::ws::deflate::Deflater;
use crate::ws::extension::Window;
use crate::ws::{Frame, Message};

/// Maximum capacity of the output buffer that is kept for the next message, in bytes.
const KEPT: usize = 64 * 1024;

/// The compressors of the whole server, one for each window. Each is made when a message first needs it.
#[derive(Debug)]
pub(in crate::chat) struct Compressor {
    small: Option<Deflater>,
    large: Option<Deflater>,
    out: Vec<u8>,
    /// From 1 (fast) to 9 (small).
    level: u32,
    /// Size in bytes from which a message is compressed.
    threshold: usize,
    compressions: u64,
}

impl Compressor {
    /// Compressors at a level from 1 (fast) to 9 (small), for messages of at least `threshold` bytes.
    pub(in crate::chat) fn new(level: u32, threshold: usize) -> Compressor {
        Compressor {
            small: None,
            large: None,
            out: Vec::new(),
            level,
            threshold,
            compressions: 0,
        }
    }

    /// How many messages have been compressed.
    pub(in crate::chat) fn compressions(&self) -> u64 {
        self.compressions
    }

    /// The frame of a message for the subscribers with this window, compressed if that makes it shorter. RFC 7692,
    /// section 6, leaves this to each message.
    pub(in crate::chat) fn frame<'a>(
        &'a mut self,
        window: Window,
        message: Message<'a>,
    ) -> Frame<'a> {
        let (text, payload) = match message {
            Message::Text(text) => (true, text.as_bytes()),
            Message::Binary(bytes) => (false, bytes),
        };
        if payload.len() >= self.threshold {
            let deflater = match window {
                Window::Bits9 => &mut self.small,
                Window::Bits15 => &mut self.large,
            };
            let deflater = deflater.get_or_insert_with(|| Deflater::new(window, self.level));
            if self.out.capacity() > KEPT {
                self.out = Vec::new();
            }
            self.compressions += 1;
            if deflater.compress(payload, &mut self.out) {
                return Frame::compressed(text, &self.out);
            }
        }
        Frame::from(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Record;

    #[test]
    fn a_message_is_compressed_where_it_pays() {
        let mut compressor = Compressor::new(6, 32);
        let long = [b'a'; 1000];
        for (payload, first, compressions) in [
            (&b"hello"[..], 0x82, 0),
            (&long, 0xc2, 1),
            (b"\x00\x93\x11\xf7\x1d\x42\xa9\x88\x3e\xd0\x57\x6b\x0c\xe5\x71\x2f\x99\xb4\x03\xc8\x5a\x66\x81\xfd\x24\x3b\x90\xee\x17\x48\xd3\x0f", 0x82, 2),
        ] {
            let frame = compressor.frame(Window::Bits15, Message::Binary(payload)).parts().concat();
            assert_eq!((frame[0], compressor.compressions()), (first, compressions), "{payload:02x?}");
        }
    }
}
