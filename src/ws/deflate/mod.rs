//! permessage-deflate: compression and decompression of messages (RFC 7692, section 7.2).
//!
//! One [`Deflater`] for each window and one [`Inflater`] serve all connections of a server. They can be
//! shared because context takeover is disabled. They process untrusted input, so they catch a panic in
//! the compression library: the message is lost, the state is replaced by a new one, and the server
//! continues.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::extension::Window;
use super::message::Message;
use super::utf8::Utf8;
use super::violation::Violation;

/// The end of the empty block with which a flush ends. Senders remove it from each message (section
/// 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A compressor for messages, each independent of the others.
pub struct Deflater {
    stream: Compress,
    level: Compression,
    window: Window,
}

impl Deflater {
    /// A deflater for clients that negotiated `window`. Levels are 1 (fast) to 9 (small).
    pub fn new(window: Window, level: u32) -> Deflater {
        let level = Compression::new(level.clamp(1, 9));
        Deflater {
            stream: Compress::new_with_window_bits(level, false, window.bits()),
            level,
            window,
        }
    }

    /// Replaces the contents of `out` with the compressed message. Returns whether the result is complete
    /// and shorter than the message. If it is not, the caller sends the message uncompressed.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        // Capacity for the worst case of fixed codes, nine bits for each byte. With less capacity,
        // zlib-rs 0.6.8 panics at level 1 when a flush finds its own buffer full.
        out.reserve(payload.len() + payload.len() / 8 + 64);
        let compressed = catch_panic(|| {
            self.stream.reset();
            self.stream.compress_vec(payload, out, FlushCompress::Sync)
        });
        if compressed.is_none() {
            *self = Deflater::new(self.window, self.level.level());
        }
        // A flush is complete if the output is not full.
        let complete =
            matches!(compressed, Some(Ok(_))) && out.len() < out.capacity() && out.ends_with(&TAIL);
        out.truncate(out.len().saturating_sub(TAIL.len()));
        complete && out.len() < payload.len()
    }
}

/// A decompressor for messages, each independent of the others, compressed with any window.
pub struct Inflater {
    stream: Decompress,
    /// The output of the last message.
    out: Vec<u8>,
}

/// Maximum output capacity that an inflater keeps between messages, in bytes.
const KEPT_CAPACITY: usize = 64 * 1024;

impl Inflater {
    /// An inflater for clients of any window.
    pub fn new() -> Inflater {
        Inflater {
            stream: Decompress::new(false),
            out: Vec::new(),
        }
    }

    /// Inflates the payload of an [`Event::Compressed`](super::Event::Compressed) to a [`Message::Text`] or
    /// a [`Message::Binary`].
    ///
    /// The output buffer doubles as it fills, up to one byte over `max_message`. Therefore a decompression
    /// bomb costs no more memory than an allowed message.
    ///
    /// # Errors
    ///
    /// [`Violation::TooBig`] as soon as the output exceeds `max_message` bytes,
    /// [`Violation::InvalidUtf8`] as soon as the output of a text is invalid,
    /// [`Violation::CorruptDeflate`] if the payload does not consist of complete DEFLATE blocks, and
    /// [`Violation::OutOfMemory`].
    pub fn inflate(
        &mut self,
        text: bool,
        payload: &[u8],
        max_message: usize,
    ) -> Result<Message<'_>, Violation> {
        match catch_panic(|| self.inflate_message(text, payload, max_message)) {
            Some(inflated) => inflated?,
            None => {
                *self = Inflater::new();
                return Err(Violation::CorruptDeflate);
            }
        }
        if text {
            str::from_utf8(&self.out)
                .map(Message::Text)
                .map_err(|_| Violation::InvalidUtf8)
        } else {
            Ok(Message::Binary(&self.out))
        }
    }

    /// Inflates a payload into `out` and checks that the payload is complete.
    fn inflate_message(
        &mut self,
        text: bool,
        payload: &[u8],
        max_message: usize,
    ) -> Result<(), Violation> {
        self.stream.reset(false);
        self.out.clear();
        if self.out.capacity() > KEPT_CAPACITY {
            self.out = Vec::new();
        }
        // Some libraries compress an empty message to an empty payload, and not to the one byte of section
        // 7.2.3.6.
        if payload.is_empty() {
            return Ok(());
        }
        let ended = self.inflate_blocks(payload, max_message, text.then(Utf8::default))?;
        // A message may end in a final block (section 7.2.3.4). In that case the sender removed no tail.
        if ended || self.accepts_tail() {
            Ok(())
        } else {
            Err(Violation::CorruptDeflate)
        }
    }

    /// Inflates all blocks of a payload. Returns whether the last block was a final one.
    fn inflate_blocks(
        &mut self,
        mut input: &[u8],
        max_message: usize,
        mut utf8: Option<Utf8>,
    ) -> Result<bool, Violation> {
        loop {
            self.reserve(max_message)?;
            let (read, written) = (self.stream.total_in(), self.out.len());
            let status = self
                .stream
                .decompress_vec(input, &mut self.out, FlushDecompress::None);
            let status = status.map_err(|_| Violation::CorruptDeflate)?;
            let read = (self.stream.total_in() - read) as usize;
            input = &input[read..];

            if self.out.len() > max_message {
                return Err(Violation::TooBig);
            }
            if let Some(utf8) = &mut utf8 {
                utf8.push(&self.out[written..])?;
            }
            let ended = matches!(status, Status::StreamEnd);
            let full = self.out.len() == self.out.capacity();
            if input.is_empty() && (ended || !full) {
                return Ok(ended);
            }
            if ended {
                // Another block follows a final one, at the next byte. It cannot refer to data before the
                // final block. Chromium behaves in the same way.
                self.stream.reset(false);
            } else if !full && read == 0 {
                return Err(Violation::CorruptDeflate);
            }
        }
    }

    /// Doubles the capacity of `out` if it is full. The maximum is one byte over `max_message`.
    fn reserve(&mut self, max_message: usize) -> Result<(), Violation> {
        let (length, capacity) = (self.out.len(), self.out.capacity());
        if length < capacity {
            return Ok(());
        }
        let more = capacity
            .max(1024)
            .min((max_message + 1).saturating_sub(length))
            .max(1);
        self.out
            .try_reserve_exact(more)
            .map_err(|_| Violation::OutOfMemory)
    }

    /// Whether the payload ended where the removed tail fits. The inflater must read the tail as the end of
    /// a block, then read an empty final block, and output nothing. Otherwise the payload was truncated.
    fn accepts_tail(&mut self) -> bool {
        let written = self.stream.total_out();
        let ended = [&TAIL[..], &[0x03, 0x00]].into_iter().any(|input| {
            let read = self.stream.total_in();
            let status = self
                .stream
                .decompress(input, &mut [0], FlushDecompress::None);
            let consumed = self.stream.total_in() - read == input.len() as u64;
            consumed && matches!(status, Ok(Status::StreamEnd))
        });
        ended && self.stream.total_out() == written
    }
}

/// Calls `work`. `None` if it panics, and then the caller must discard everything that `work` changed.
fn catch_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).ok()
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater::new()
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deflater")
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inflater")
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 100_000;
    const WINDOWS: [Window; 2] = [Window::Bits9, Window::Bits15];

    fn inflate(payload: &[u8]) -> Result<Vec<u8>, Violation> {
        match Inflater::new().inflate(false, payload, MAX)? {
            Message::Binary(bytes) => Ok(bytes.to_vec()),
            other => panic!("{other:?}"),
        }
    }

    fn compress(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(Deflater::new(Window::Bits15, 6).compress(payload, &mut out));
        out
    }

    #[test]
    fn the_rfcs_examples_inflate() {
        // RFC 7692, section 7.2.3, except the example with context takeover.
        for (payload, want) in [
            (&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..], "Hello"),
            (b"\x00\x05\x00\xfa\xffHello\x00", "Hello"),
            (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"), // BFINAL
            (b"\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"),     // BFINAL, without the byte after it
            (
                b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
                "Hello",
            ),
            (b"\xf3\x48\x05\x00\xcb\xc9\xc9\x07\x00\x00", "Hello"), // two final blocks
            (b"\x00", ""),
            (b"\x03\x00", ""),
            (b"\xf9", ""), // a final stored block, without its tail
            (b"", ""),
        ] {
            let mut inflater = Inflater::new();
            assert_eq!(
                inflater.inflate(true, payload, MAX),
                Ok(Message::Text(want)),
                "{payload:02x?}"
            );
        }
    }

    #[test]
    fn the_rfcs_example_is_what_the_deflater_sends() {
        let mut out = vec![1, 2, 3];
        for window in WINDOWS {
            let mut deflater = Deflater::new(window, 6);
            assert!(
                !deflater.compress(b"Hello", &mut out),
                "seven bytes are more than five"
            );
            assert_eq!(out, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
            assert!(!deflater.compress(b"", &mut out));
            assert_eq!(out, [0]);
            assert!(deflater.compress(&b"Hello".repeat(9), &mut out));
            assert_eq!(inflate(&out), Ok(b"Hello".repeat(9)));
        }
    }

    #[test]
    fn every_level_survives_incompressible_payloads() {
        // Pseudo-random bytes (Knuth's generator), mixed with repeated ones.
        let noise = |size: usize, dense: u64| -> Vec<u8> {
            let mut state = size as u64;
            let mut next = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                state >> 33
            };
            (0..size)
                .map(|_| {
                    if next() % 8 < dense {
                        next() as u8
                    } else {
                        b'a'
                    }
                })
                .collect()
        };
        for level in 1..=9 {
            for window in WINDOWS {
                let mut deflater = Deflater::new(window, level);
                let mut out = Vec::new();
                for size in [1, 100, 5_000, 16_384, 65_536, 99_999] {
                    for dense in [8, 7, 4, 1] {
                        let payload = noise(size, dense);
                        if deflater.compress(&payload, &mut out) {
                            assert_eq!(
                                inflate(&out).as_ref(),
                                Ok(&payload),
                                "{level} {window:?} {size}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_panic_of_the_library_is_caught() {
        assert_eq!(catch_panic(|| 1), Some(1));
        assert_eq!(catch_panic::<()>(|| panic!("as zlib-rs might")), None);
    }

    #[test]
    fn a_truncated_or_invalid_payload_is_corrupt() {
        let text: Vec<u8> = (100..400u32)
            .flat_map(|i| (i * i).to_string().into_bytes())
            .collect();
        let whole = compress(&text);
        assert_eq!(inflate(&whole), Ok(text));
        for cut in 1..whole.len() {
            assert_eq!(
                inflate(&whole[..cut]),
                Err(Violation::CorruptDeflate),
                "cut at {cut}"
            );
        }
        for payload in [
            &b"\x07"[..],                                    // a block of the reserved type
            b"\x00\x05\x00\xfa\xffHell",                     // a stored block, truncated
            b"\x00\x05\x00\xfa\xfeHello\x00", // a length that does not match its complement
            b"\x02\x03\x00\x00",              // a distance to before the first byte
            b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", // a payload whose tail was not removed
            b"\xff\xff\xff\xff",
        ] {
            assert_eq!(
                inflate(payload),
                Err(Violation::CorruptDeflate),
                "{payload:02x?}"
            );
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let payload = compress(&vec![0; 1 << 20]);
        let mut inflater = Inflater::new();
        for (max, want) in [
            (0, Err(Violation::TooBig)),
            (1, Err(Violation::TooBig)),
            (100_000, Err(Violation::TooBig)),
            ((1 << 20) - 1, Err(Violation::TooBig)),
        ] {
            assert_eq!(inflater.inflate(false, &payload, max), want, "{max}");
            assert!(
                inflater.out.capacity() <= KEPT_CAPACITY.max(max + 1),
                "{}",
                inflater.out.capacity()
            );
        }
        assert!(inflater.inflate(false, &payload, 1 << 20).is_ok());
        assert!(inflater.inflate(false, b"\x00", MAX).is_ok());
        assert!(inflater.out.capacity() <= KEPT_CAPACITY);
    }

    #[test]
    fn text_fails_at_its_first_invalid_byte() {
        let mut text = vec![b'a'; 3_000];
        for (bad, want) in [
            (&b"\xff"[..], Violation::InvalidUtf8),
            (b"\xc3", Violation::InvalidUtf8),
        ] {
            text.truncate(3_000);
            text.extend(bad);
            let payload = compress(&text);
            assert_eq!(Inflater::new().inflate(true, &payload, MAX), Err(want));
            assert!(Inflater::new().inflate(false, &payload, MAX).is_ok());
        }
        // The rest of the text exceeds the limit, but the invalid byte comes first.
        text.extend([b'b'; 10_000]);
        let payload = compress(&text);
        assert_eq!(
            Inflater::new().inflate(true, &payload, 5_000),
            Err(Violation::InvalidUtf8)
        );
    }

    #[test]
    fn many_final_blocks_cost_no_more_than_their_bytes() {
        let payload = b"\x03\x00".repeat(MAX);
        assert_eq!(inflate(&payload), Ok(vec![]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn messages_come_back_within_the_window_promised(
            words in prop::collection::vec("[a-z]{1,9}", 1..100),
            noise in prop::collection::vec(any::<u8>(), 0..600),
            repeats in 0..12usize,
            level in 1..10u32,
        ) {
            let payload = [words.concat().as_bytes(), &noise].concat().repeat(repeats);
            for window in WINDOWS {
                let (mut deflater, mut out) = (Deflater::new(window, level), Vec::new());
                // The first message must not affect the second.
                deflater.compress(&payload, &mut out);
                if deflater.compress(&payload, &mut out) {
                    prop_assert!(out.len() < payload.len());
                    prop_assert_eq!(inflate(&out), Ok(payload.clone()));
                    let inflated = model::inflate(&out).unwrap();
                    prop_assert_eq!(&inflated.bytes, &payload);
                    prop_assert!(inflated.furthest <= 1 << window.bits());
                } else {
                    prop_assert!(repeats < 2 || window == Window::Bits9);
                }
            }
        }

        #[test]
        fn any_bytes_inflate_as_the_naive_model_does(payload in payload()) {
            let model = model::inflate(&payload).map(|inflated| inflated.bytes);
            let mut inflater = Inflater::new();
            let inflated = match inflater.inflate(false, &payload, 1 << 20) {
                Ok(Message::Binary(bytes)) => Ok(bytes.to_vec()),
                Ok(other) => panic!("{other:?}"),
                Err(violation) => Err(violation),
            };
            prop_assert_eq!(inflated, model.ok_or(Violation::CorruptDeflate));
            // The payload must not affect the next message.
            let hello = inflater.inflate(true, b"\xf2\x48\xcd\xc9\xc9\x07\x00", 5);
            prop_assert_eq!(hello, Ok(Message::Text("Hello")));
        }
    }

    /// Compressed messages, some truncated, joined or with flipped bits, and random bytes.
    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let noise = prop::collection::vec(any::<u8>(), 0..30);
        let text = "[a-h ]{30,300}".prop_map(|text| compress(&text.repeat(3).into_bytes()));
        let piece = prop_oneof![1 => noise, 4 => text, 1 => Just(b"\x03\x00".to_vec())];
        let flips = prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 0..3);
        (prop::collection::vec(piece, 0..3), flips).prop_map(|(pieces, flips)| {
            let mut payload = pieces.join(&TAIL[..]);
            for (at, bit) in flips {
                if !payload.is_empty() {
                    let at = at.index(payload.len());
                    payload[at] ^= 1 << bit;
                }
            }
            payload
        })
    }
}
