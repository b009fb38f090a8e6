//! Incremental reader of request bodies: by `Content-Length`, or in chunks (RFC 9112, sections 6 and 7).
//!
//! A body is bounded before anything is allocated. Its memory grows with the bytes that have come, not
//! with the length that the client declares, and never exceeds the limit of the route.

use crate::ws::handshake::is_token;

use super::refusal::Refusal;

/// Bytes of chunk extensions, leading zeros and trailers that one body may have together. They carry
/// nothing that the server uses, so a client could otherwise send them without end.
pub(super) const MAX_OVERHEAD: usize = 4 * 1024;

/// How the end of a body is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// There is no body, or it has no bytes.
    Empty,
    /// By `Content-Length`, which is not 0.
    Exactly(u64),
    /// By `Transfer-Encoding: chunked`.
    Chunked,
}

/// A body that is being received.
#[derive(Debug)]
pub(super) struct BodyReader {
    /// Invariant: at most `max` bytes, also in capacity.
    bytes: Vec<u8>,
    max: usize,
    state: BodyState,
    /// Bytes of the current chunk, or of the whole body, that are still to come.
    left: usize,
    /// Bytes of overhead that may still come.
    overhead: usize,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    /// The bytes of a body whose length was declared.
    Whole,
    /// The first digit of a chunk's size.
    FirstDigit,
    /// A further digit of it, or what follows the size.
    Digit,
    /// Whitespace behind the size, which only a chunk extension may follow.
    Whitespace,
    Extension,
    SizeLineFeed,
    Chunk,
    ChunkCarriageReturn,
    ChunkLineFeed,
    /// The first byte of a trailer, or of the empty line that ends the body.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

impl BodyReader {
    /// A reader of a body of at most `max` bytes. `None`: there is nothing to read.
    ///
    /// # Errors
    ///
    /// [`Refusal::BodyTooLarge`] if the declared length exceeds `max`, or if `max` is 0.
    pub(super) fn new(length: BodyLength, max: usize) -> Result<Option<Self>, Refusal> {
        let (state, left) = match length {
            BodyLength::Empty => return Ok(None),
            BodyLength::Exactly(length) => match usize::try_from(length) {
                Ok(length) if length <= max => (BodyState::Whole, length),
                Ok(_) | Err(_) => return Err(Refusal::BodyTooLarge),
            },
            BodyLength::Chunked if max == 0 => return Err(Refusal::BodyTooLarge),
            BodyLength::Chunked => (BodyState::FirstDigit, 0),
        };
        Ok(Some(Self {
            bytes: Vec::new(),
            max,
            state,
            left,
            overhead: MAX_OVERHEAD,
        }))
    }

    /// Takes the next bytes of the connection. Returns how many of them belong to the body once it is
    /// whole, and `Ok(None)` before.
    ///
    /// # Errors
    ///
    /// The body exceeds its limit, or its chunks are malformed.
    pub(super) fn take(&mut self, fresh: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut rest = fresh;
        loop {
            match self.state {
                BodyState::Whole if self.left == 0 => self.state = BodyState::Done,
                BodyState::Chunk if self.left == 0 => self.state = BodyState::ChunkCarriageReturn,
                BodyState::Whole | BodyState::Chunk => {
                    let (data, behind) = rest.split_at(self.left.min(rest.len()));
                    if data.is_empty() {
                        return Ok(None);
                    }
                    self.push(data);
                    rest = behind;
                }
                BodyState::Done => return Ok(Some(fresh.len() - rest.len())),
                framing => {
                    let Some((&byte, behind)) = rest.split_first() else {
                        return Ok(None);
                    };
                    self.state = self.step(framing, byte)?;
                    rest = behind;
                }
            }
        }
    }

    /// The bytes of the body, without those of chunks and trailers.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes of heap in use.
    pub(super) fn holds(&self) -> usize {
        self.bytes.capacity()
    }

    fn push(&mut self, data: &[u8]) {
        let needed = self.bytes.len() + data.len();
        if needed > self.bytes.capacity() {
            let doubled = (2 * self.bytes.capacity()).min(self.max);
            self.bytes
                .reserve_exact(needed.max(doubled) - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        self.left -= data.len();
    }

    /// The state behind a byte that is not data (RFC 9112, section 7.1).
    fn step(&mut self, state: BodyState, byte: u8) -> Result<BodyState, Refusal> {
        Ok(match (state, byte) {
            (BodyState::FirstDigit | BodyState::Digit, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digit(byte)?;
                BodyState::Digit
            }
            (BodyState::Digit | BodyState::Extension, b'\r') => BodyState::SizeLineFeed,
            (BodyState::Digit | BodyState::Whitespace, b';') => {
                self.charge()?;
                BodyState::Extension
            }
            (BodyState::Digit | BodyState::Whitespace, b' ' | b'\t') => {
                self.charge()?;
                BodyState::Whitespace
            }
            // A line feed in an extension must not end it: other parsers disagree about where the chunk
            // would begin.
            (BodyState::Extension, byte) if is_text(byte) => {
                self.charge()?;
                BodyState::Extension
            }
            (BodyState::SizeLineFeed, b'\n') if self.left == 0 => BodyState::Trailer,
            (BodyState::SizeLineFeed, b'\n') => BodyState::Chunk,
            (BodyState::ChunkCarriageReturn, b'\r') => BodyState::ChunkLineFeed,
            (BodyState::ChunkLineFeed, b'\n') => BodyState::FirstDigit,
            (BodyState::Trailer, b'\r') => BodyState::LastLineFeed,
            (BodyState::Trailer | BodyState::TrailerName, byte) if is_token(&[byte]) => {
                self.charge()?;
                BodyState::TrailerName
            }
            (BodyState::TrailerName, b':') => BodyState::TrailerValue,
            (BodyState::TrailerValue, b'\r') => BodyState::TrailerLineFeed,
            (BodyState::TrailerValue, byte) if is_text(byte) => {
                self.charge()?;
                BodyState::TrailerValue
            }
            (BodyState::TrailerLineFeed, b'\n') => BodyState::Trailer,
            (BodyState::LastLineFeed, b'\n') => BodyState::Done,
            (_, _) => return Err(Refusal::MalformedChunk),
        })
    }

    /// A digit of a chunk's size. The chunk must fit into the limit together with those before it.
    fn digit(&mut self, byte: u8) -> Result<(), Refusal> {
        let digit = char::from(byte).to_digit(16).unwrap_or_default() as usize;
        if self.left == 0 && digit == 0 {
            self.charge()?;
        }
        let size = self.left.checked_mul(16).map(|size| size + digit);
        self.left = size
            .filter(|&size| size <= self.max - self.bytes.len())
            .ok_or(Refusal::BodyTooLarge)?;
        Ok(())
    }

    /// Counts a byte of overhead.
    fn charge(&mut self) -> Result<(), Refusal> {
        self.overhead = self.overhead.checked_sub(1).ok_or(Refusal::ChunkOverhead)?;
        Ok(())
    }
}

/// Whether a byte may stand in a chunk extension or in the value of a trailer.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Read = Result<Option<(Vec<u8>, usize)>, Refusal>;

    /// What is read from these bytes in pieces of `step`: the body, and how many bytes it took.
    fn read(length: BodyLength, max: usize, bytes: &[u8], step: usize) -> Read {
        let mut reader = BodyReader::new(length, max)?.unwrap();
        let mut taken = 0;
        for piece in bytes.chunks(step) {
            let ends = reader.take(piece)?;
            // Memory grows with what has come, and never above the limit.
            assert!(reader.holds() <= max.min(2 * (taken + piece.len())));
            match ends {
                None => taken += piece.len(),
                Some(used) => return Ok(Some((reader.into_bytes(), taken + used))),
            }
        }
        Ok(None)
    }

    /// Reads in pieces of every size, which must all come to the same.
    fn read_in_steps(length: BodyLength, max: usize, bytes: &[u8]) -> Read {
        let whole = read(length, max, bytes, bytes.len().max(1));
        for step in 1..bytes.len() {
            assert_eq!(read(length, max, bytes, step), whole, "by {step}");
        }
        whole
    }

    /// A naive reader of complete chunked bodies, line by line. `None`: incomplete or malformed.
    fn model(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
        fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
            let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
            let line = &rest[..end];
            *rest = &rest[end + 2..];
            line.iter().all(|&byte| is_text(byte)).then_some(line)
        }
        let (mut rest, mut body) = (bytes, Vec::new());
        loop {
            let text = line(&mut rest)?;
            let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit());
            let (size, extension) = text.split_at(digits.count());
            let size = str::from_utf8(size).ok()?.trim_start_matches('0');
            let begins = extension.trim_ascii_start().first();
            if text.len() == extension.len() || !extension.is_empty() && begins != Some(&b';') {
                return None;
            }
            if size.is_empty() {
                break;
            }
            let size = usize::from_str_radix(size, 16).ok()?;
            body.extend_from_slice(rest.get(..size)?);
            rest = rest[size..].strip_prefix(b"\r\n")?;
        }
        loop {
            let trailer = line(&mut rest)?;
            if trailer.is_empty() {
                return Some((body, bytes.len() - rest.len()));
            }
            let colon = trailer.iter().position(|&byte| byte == b':')?;
            is_token(&trailer[..colon]).then_some(())?;
        }
    }

    #[test]
    fn a_declared_length_is_judged_before_a_byte_is_read() {
        for (length, max, verdict) in [
            (BodyLength::Empty, 0, Ok(false)),
            (BodyLength::Exactly(1), 0, Err(Refusal::BodyTooLarge)),
            (BodyLength::Exactly(9), 9, Ok(true)),
            (BodyLength::Exactly(10), 9, Err(Refusal::BodyTooLarge)),
            (BodyLength::Exactly(u64::MAX), 9, Err(Refusal::BodyTooLarge)),
            (BodyLength::Chunked, 0, Err(Refusal::BodyTooLarge)),
            (BodyLength::Chunked, 1, Ok(true)),
        ] {
            let reader = BodyReader::new(length, max);
            if let Ok(Some(reader)) = &reader {
                assert_eq!(reader.holds(), 0);
            }
            assert_eq!(reader.map(|reader| reader.is_some()), verdict, "{length:?}");
        }
    }

    #[test]
    fn a_body_of_declared_length_ends_there() {
        for (bytes, length, want) in [
            (&b"tea and more"[..], 3, Some((b"tea".to_vec(), 3))),
            (b"tea", 3, Some((b"tea".to_vec(), 3))),
            (b"te", 3, None),
            (b"", 3, None),
            (b"\r\n\0", 3, Some((b"\r\n\0".to_vec(), 3))),
        ] {
            let length = BodyLength::Exactly(length);
            assert_eq!(read_in_steps(length, 100, bytes), Ok(want));
        }
    }

    #[test]
    fn chunks_are_joined() {
        let body = |body: &str, used| Ok(Some((body.as_bytes().to_vec(), used)));
        for (bytes, want) in [
            ("0\r\n\r\n", body("", 5)),
            ("3\r\ntea\r\n0\r\n\r\nmore", body("tea", 13)),
            ("1\r\nt\r\n002\r\nea\r\n00\r\n\r\n", body("tea", 21)),
            ("A\r\n0123456789\r\n0\r\n\r\n", body("0123456789", 20)),
            ("a\r\n\r\n3456789\0\r\n0\r\n\r\n", body("\r\n3456789\0", 20)),
            ("3;a=b;c=\"d\"\r\ntea\r\n0;e\r\n\r\n", body("tea", 25)),
            ("3 \t;a\r\ntea\r\n0\t;\r\n\r\n", body("tea", 19)),
            ("0\r\nA: b\r\nC-1:\r\n\r\n", body("", 17)),
            ("0\r\nContent-Length: 5\r\n\r\n", body("", 24)),
            ("0\r\n", Ok(None)),
            ("0\r\n\r", Ok(None)),
            ("3\r\ntea", Ok(None)),
            ("3\r\ntea\r\n", Ok(None)),
            ("3;a", Ok(None)),
        ] {
            let found = read_in_steps(BodyLength::Chunked, 10, bytes.as_bytes());
            assert_eq!(found, want, "{bytes:?}");
            assert_eq!(model(bytes.as_bytes()), want.unwrap(), "{bytes:?}");
        }
    }

    #[test]
    fn chunks_are_read_strictly() {
        for bytes in [
            "\r\n",
            "x",
            ";",
            " 3",
            "+3",
            "-3",
            "0x3",
            "3\n",
            "3\rt",
            "3 \r",
            "3\t\r",
            "3 t",
            "3;\n",
            "3;a\0",
            "3;a\x7f",
            "3\r\n\r\n\r\nx",
            "3\r\nteaX",
            "3\r\ntea\n",
            "3\r\ntea\r0",
            "0\n",
            "0\r\n\n",
            "0\r\n\rA",
            "0\r\n A: b",
            "0\r\n: b",
            "0\r\nA b",
            "0\r\nA\r\n",
            "0\r\nA : b",
            "0\r\nA: b\n",
            "0\r\nA: b\rC",
            "0\r\nA: \0",
            "0\r\nA: b\r\n\tc",
            "1\r\nt\r\n\r\n",
        ] {
            let found = read_in_steps(BodyLength::Chunked, 10, bytes.as_bytes());
            assert_eq!(found, Err(Refusal::MalformedChunk), "{bytes:?}");
            assert_eq!(
                model(format!("{bytes}\r\n\r\n").as_bytes()),
                None,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_chunk_that_does_not_fit_is_refused_by_its_size() {
        for bytes in [
            "b",
            "5\r\n01234\r\n6",
            "a\r\n0123456789\r\n1",
            "ffffffffffffffff",
            "10000000000000000",
            "fffffffffffffffffffffff",
        ] {
            let found = read_in_steps(BodyLength::Chunked, 10, bytes.as_bytes());
            assert_eq!(found, Err(Refusal::BodyTooLarge), "{bytes:?}");
        }
    }

    #[test]
    fn extensions_zeros_and_trailers_are_bounded_together() {
        let many = |overhead: usize| {
            [
                format!("{}\r\n\r\n", "0".repeat(overhead)),
                format!("0{}{}\r\n\r\n", " ".repeat(10), ";".repeat(overhead - 11)),
                format!("0\r\nA:{}\r\n\r\n", "b".repeat(overhead - 2)),
                format!("1;a\r\nt\r\n0;{}\r\nA:b\r\n\r\n", "b".repeat(overhead - 6)),
                format!("0\r\n{}\r\n", "A:\r\n".repeat(overhead - 1)),
            ]
        };
        for bytes in many(MAX_OVERHEAD) {
            let found = read(BodyLength::Chunked, 10, bytes.as_bytes(), 7);
            assert!(matches!(found, Ok(Some(_))), "{found:?}");
        }
        for bytes in many(MAX_OVERHEAD + 1) {
            let found = read(BodyLength::Chunked, 10, bytes.as_bytes(), 7);
            assert_eq!(found, Err(Refusal::ChunkOverhead));
        }
    }

    /// A chunked body, what it says, and how it is written.
    fn chunked() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let chunk = (
            prop::collection::vec(any::<u8>(), 1..40),
            0..3usize,
            "(;[a-z=\"]{0,5})?",
        );
        let chunks = prop::collection::vec(chunk, 0..6);
        (
            chunks,
            "(;[a-z]{0,3})?",
            "([A-Z]{1,4}: ?[a-z ]{0,5}\r\n){0,3}",
        )
            .prop_map(|(chunks, extension, trailers)| {
                let (mut body, mut written) = (Vec::new(), Vec::new());
                for (data, zeros, extension) in chunks {
                    let size = format!("{}{:x}{extension}\r\n", "0".repeat(zeros), data.len());
                    written.extend_from_slice(size.as_bytes());
                    written.extend_from_slice(&data);
                    written.extend_from_slice(b"\r\n");
                    body.extend_from_slice(&data);
                }
                written.extend_from_slice(format!("0{extension}\r\n{trailers}\r\n").as_bytes());
                (body, written)
            })
    }

    proptest! {
        #[test]
        fn what_is_written_in_chunks_is_read(
            (body, mut written) in chunked(),
            rest: Vec<u8>,
            step in 1..50usize,
        ) {
            let length = written.len();
            written.extend_from_slice(&rest);
            let want = Some((body, length));
            prop_assert_eq!(&model(&written), &want);
            prop_assert_eq!(read(BodyLength::Chunked, 1_000, &written, step), Ok(want));
        }

        #[test]
        fn changed_bytes_are_read_as_the_naive_reader_reads_them(
            (_, mut written) in chunked(),
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(&b"\r\n 0a;:x\t\0\x7f"[..])),
                1..4,
            ),
            step in 1..50usize,
        ) {
            for (place, byte) in changes {
                let at = place.index(written.len());
                written[at] = byte;
            }
            let found = read(BodyLength::Chunked, 100_000, &written, step);
            prop_assert_eq!(&found, &read(BodyLength::Chunked, 100_000, &written, written.len()));
            prop_assert_eq!(found.ok().flatten(), model(&written));
        }
    }
}
