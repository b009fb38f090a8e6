//! Messages compressed and inflated (RFC 7692, section 7.2), by machines that belong to no client.
//!
//! As no context is taken over between messages, one [`Deflater`] for each window and one
//! [`Inflater`] serve all connections of a server. And as they meet whatever strangers send, a panic
//! in the library costs one message and not the server: the machine is replaced by a new one.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::extension::Window;
use super::utf8::Utf8;
use super::{Message, Violation};

/// What the end of a message is without: the empty block that a flush ends with (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Compresses messages, each on its own.
pub struct Deflater {
    stream: Compress,
    level: Compression,
    window: Window,
}

impl Deflater {
    /// A deflater for clients of one window, at a level from 1 (fast) to 9 (small).
    pub fn new(window: Window, level: u32) -> Deflater {
        let level = Compression::new(level.clamp(1, 9));
        Deflater {
            stream: Compress::new_with_window_bits(level, false, window.bits()),
            level,
            window,
        }
    }

    /// Puts the compressed message in place of what `out` holds; whether that is shorter than the
    /// message, and so worth sending. If not, `out` need not be whole.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        // Room for the worst that fixed codes make of a payload: nine bits of each byte. With less,
        // zlib-rs 0.6.8 panics at level 1 where a flush finds its own buffer full.
        out.reserve(payload.len() + payload.len() / 8 + 64);
        let compressed = unless_it_panics(|| {
            self.stream.reset();
            self.stream.compress_vec(payload, out, FlushCompress::Sync)
        });
        if compressed.is_none() {
            *self = Deflater::new(self.window, self.level.level());
        }
        // A flush is complete when it leaves room.
        let whole =
            matches!(compressed, Some(Ok(_))) && out.len() < out.capacity() && out.ends_with(&TAIL);
        out.truncate(out.len().saturating_sub(TAIL.len()));
        whole && out.len() < payload.len()
    }
}

/// Inflates messages, each on its own, whatever window they were compressed with.
pub struct Inflater {
    stream: Decompress,
    /// What has come out of the last message.
    out: Vec<u8>,
}

/// Capacity that an inflater keeps from one message to the next, in bytes.
const KEPT: usize = 64 * 1024;

impl Inflater {
    /// An inflater for all clients.
    pub fn new() -> Inflater {
        Inflater {
            stream: Decompress::new(false),
            out: Vec::new(),
        }
    }

    /// What a client's [`Event::Compressed`](super::Event::Compressed) says: a [`Message::Text`] or a
    /// [`Message::Binary`].
    ///
    /// Memory grows with what comes out, by doubling, and ends at the limit.
    ///
    /// # Errors
    ///
    /// [`Violation::TooBig`] as soon as more than `max_message` bytes come out,
    /// [`Violation::InvalidUtf8`] as soon as a text shows it, [`Violation::CorruptDeflate`] if the
    /// payload is not made of whole DEFLATE blocks, and [`Violation::OutOfMemory`].
    pub fn inflate(
        &mut self,
        text: bool,
        payload: &[u8],
        max_message: usize,
    ) -> Result<Message<'_>, Violation> {
        match unless_it_panics(|| self.whole(text, payload, max_message)) {
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

    /// Inflates a payload and sees to it that nothing of it was cut off.
    fn whole(&mut self, text: bool, payload: &[u8], max_message: usize) -> Result<(), Violation> {
        self.stream.reset(false);
        self.out.clear();
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        // Some libraries flush nothing into nothing, not into the one byte of section 7.2.3.6.
        if payload.is_empty() {
            return Ok(());
        }
        let ended = self.blocks(payload, max_message, text.then(Utf8::default))?;
        // A message may end in a final block (section 7.2.3.4); then there was no tail to remove.
        if ended || self.takes_the_tail() {
            Ok(())
        } else {
            Err(Violation::CorruptDeflate)
        }
    }

    /// Inflates the blocks of a payload; whether the last of them was final.
    fn blocks(
        &mut self,
        mut input: &[u8],
        max_message: usize,
        mut utf8: Option<Utf8>,
    ) -> Result<bool, Violation> {
        loop {
            self.make_room(max_message)?;
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
                // Another block follows a final one, at the next byte. As with Chromium, what came before
                // is out of its reach.
                self.stream.reset(false);
            } else if !full && read == 0 {
                return Err(Violation::CorruptDeflate);
            }
        }
    }

    /// Doubles the capacity when it is used up, to one byte more than a message may have.
    fn make_room(&mut self, max_message: usize) -> Result<(), Violation> {
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

    /// Whether the tail is read as the end of a block, and an empty final block after it as such, with
    /// nothing coming out. Anything else was cut off.
    fn takes_the_tail(&mut self) -> bool {
        let written = self.stream.total_out();
        let ended = [&TAIL[..], &[0x03, 0x00]].into_iter().any(|input| {
            let read = self.stream.total_in();
            let status = self
                .stream
                .decompress(input, &mut [0], FlushDecompress::None);
            let whole = self.stream.total_in() - read == input.len() as u64;
            whole && matches!(status, Ok(Status::StreamEnd))
        });
        ended && self.stream.total_out() == written
    }
}

/// What this returns, or `None` if it panics: then what it worked on is not to be used any more.
fn unless_it_panics<T>(work: impl FnOnce() -> T) -> Option<T> {
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
        // RFC 7692, section 7.2.3, without the one that takes a context over.
        for (payload, want) in [
            (&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..], "Hello"),
            (b"\x00\x05\x00\xfa\xffHello\x00", "Hello"),
            (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"), // BFINAL
            (b"\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello"),     // BFINAL and nothing else
            (
                b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
                "Hello",
            ),
            (b"\xf3\x48\x05\x00\xcb\xc9\xc9\x07\x00\x00", "Hello"), // two final ones
            (b"\x00", ""),
            (b"\x03\x00", ""),
            (b"\xf9", ""), // a final block that is stored, without its tail
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
    fn the_rfcs_example_is_what_we_send() {
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
    fn every_level_survives_what_cannot_be_compressed() {
        // A generator of noise (Knuth's), with stretches of repetition.
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
    fn a_panic_of_the_library_goes_no_further() {
        assert_eq!(unless_it_panics(|| 1), Some(1));
        assert_eq!(unless_it_panics::<()>(|| panic!("as zlib-rs might")), None);
    }

    #[test]
    fn a_payload_that_is_cut_or_broken_is_corrupt() {
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
            b"\x00\x05\x00\xfa\xffHell",                     // a stored block, cut
            b"\x00\x05\x00\xfa\xfeHello\x00", // its length does not fit its complement
            b"\x02\x03\x00\x00",              // a distance before the beginning
            b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff", // the tail is still there
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
                inflater.out.capacity() <= KEPT.max(max + 1),
                "{}",
                inflater.out.capacity()
            );
        }
        assert!(inflater.inflate(false, &payload, 1 << 20).is_ok());
        assert!(inflater.inflate(false, b"\x00", MAX).is_ok());
        assert!(inflater.out.capacity() <= KEPT);
    }

    #[test]
    fn text_fails_as_soon_as_it_comes_out() {
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
        // More would follow, and more than the limit.
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
                // The first message must leave no trace in the second.
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
            // And leaves no trace in the next.
            let hello = inflater.inflate(true, b"\xf2\x48\xcd\xc9\xc9\x07\x00", 5);
            prop_assert_eq!(hello, Ok(Message::Text("Hello")));
        }
    }

    /// Compressed messages, whole, cut, joined and with bits turned over; and noise.
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
