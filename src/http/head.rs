//! Incremental reader of request heads: it gathers the bytes until the blank line has come.
//!
//! Two rules. Each byte is examined once, however the head is cut into pieces, because the search for
//! the end resumes where it stopped. And the result depends on the bytes alone: an error is reported at
//! the first byte that proves it, before anything behind that byte is examined. So the same bytes get
//! the same answer in one piece and byte by byte.

use std::ops::Range;

use crate::ws::handshake::is_token;

use super::limits::HeadLimits;
use super::refusal::Refusal;
use super::request::RequestLine;
use super::response::Response;

/// A whole head, from the request line to the blank line, and the bytes behind it.
pub(super) type WholeHead<'a> = (&'a [u8], &'a mut [u8]);

/// A request head that is being received. It owns no heap before the first byte has come.
#[derive(Debug, Default)]
pub(super) struct Head(Option<Box<PartialHead>>);

/// The bytes of a head that is not whole, and how far they have been scanned.
#[derive(Debug, Default)]
struct PartialHead {
    bytes: Vec<u8>,
    scan: Scan,
}

impl Head {
    /// Takes the next bytes of the connection.
    ///
    /// `Ok(None)` means that the head is not whole yet; its bytes are kept. A head that lies wholly in
    /// `fresh` is not copied. After the head has been returned, `take` must not be called again.
    ///
    /// # Errors
    ///
    /// The response to a head that exceeds the limits or cannot become a valid request.
    pub(super) fn take<'a>(
        &'a mut self,
        fresh: &'a mut [u8],
        limits: &HeadLimits,
    ) -> Result<Option<WholeHead<'a>>, Response> {
        let Some(ref mut partial) = self.0 else {
            let mut scan = Scan::default();
            return match scan.find_end(fresh, limits) {
                Ok(Some(head)) => {
                    let (taken, rest) = fresh.split_at_mut(head.end);
                    Ok(Some((&taken[head.start..], rest)))
                }
                Ok(None) if fresh.is_empty() => Ok(None),
                Ok(None) => {
                    self.0 = Some(Box::new(PartialHead {
                        bytes: fresh.to_vec(),
                        scan,
                    }));
                    Ok(None)
                }
                Err(refusal) => Err(Response::refusing(refusal, fresh)),
            };
        };
        // Two bytes more than a head may have always decide the search.
        let known = partial.bytes.len();
        let wanted = (limits.max_head + 2).saturating_sub(known).min(fresh.len());
        partial.bytes.extend_from_slice(&fresh[..wanted]);
        match partial.scan.find_end(&partial.bytes, limits) {
            Ok(Some(head)) => Ok(Some((
                &partial.bytes[head.start..head.end],
                &mut fresh[head.end - known..],
            ))),
            Ok(None) => Ok(None),
            Err(refusal) => Err(Response::refusing(refusal, &partial.bytes)),
        }
    }

    /// The response that refuses this request, of which any part of the head may have come.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response {
        Response::refusing(
            refusal,
            self.0.as_ref().map_or(&[], |partial| &partial.bytes),
        )
    }

    /// Bytes of heap in use.
    pub(super) fn holds(&self) -> usize {
        self.0.as_ref().map_or(0, |partial| {
            size_of::<PartialHead>() + partial.bytes.capacity()
        })
    }
}

/// The state of the search for the end of a head, which goes line by line.
#[derive(Debug, Default)]
struct Scan {
    /// All bytes before this index have been examined.
    seen: usize,
    /// Where the current line begins.
    line: usize,
    /// Where the request line is: at the start, or behind one empty line.
    request_line: Range<usize>,
    /// Whether the request line has been parsed and is valid.
    is_request: bool,
    /// The number of whole lines: the request line, then header lines.
    lines: usize,
}

impl Scan {
    /// Resumes the search. `bytes` are those of the last call, with more appended.
    fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Range<usize>>, Refusal> {
        let found = self.search(bytes, limits);
        // A whole head is parsed by its receiver, from the request line on.
        if self.lines > 0 && !self.is_request && !matches!(found, Ok(Some(_))) {
            RequestLine::parse(&bytes[self.request_line.clone()])?;
            self.is_request = true;
        }
        found
    }

    /// Like [`Scan::find_end`], but does not parse the request line.
    fn search(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Range<usize>>, Refusal> {
        loop {
            if self.lines == 0
                && let Some(&first) = bytes.get(self.line)
            {
                // The one empty line that may come first (RFC 9112, section 2.2) begins with CR.
                if first != b'\r' && !is_token(&[first]) {
                    return Err(Refusal::NotHttp);
                }
            }
            let unseen = bytes.get(self.seen..).unwrap_or_default();
            let end = self.seen + printable(unseen);
            self.check_limits(bytes, end, limits)?;
            self.seen = end;
            match bytes.get(end..).unwrap_or_default() {
                [] | [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => {}
                [b'\r', ..] => return Err(Refusal::BareCarriageReturn),
                [b'\n', ..] => return Err(Refusal::BareLineFeed),
                [_, ..] => return Err(Refusal::ControlCharacter),
            }
            let next = end + 2;
            if next > limits.max_head {
                return Err(Refusal::HeadTooLong);
            }
            let begin = self.line;
            (self.seen, self.line) = (next, next);
            match (self.lines, &bytes[begin..end]) {
                (0, []) if begin == 0 => {}
                (0, []) => return Err(Refusal::MalformedRequestLine),
                (0, _) => {
                    self.request_line = begin..end;
                    self.lines = 1;
                }
                (_, []) => return Ok(Some(self.request_line.start..next)),
                (headers, _) if headers > limits.max_headers => {
                    return Err(Refusal::TooManyHeaders);
                }
                (_, _) => self.lines += 1,
            }
        }
    }

    /// Refuses a line that extends to `end`, by the limit that it exceeds first.
    fn check_limits(&self, bytes: &[u8], end: usize, limits: &HeadLimits) -> Result<(), Refusal> {
        let line_end = self.line + limits.max_line;
        if end <= line_end.min(limits.max_head) {
            Ok(())
        } else if limits.max_head < line_end {
            Err(Refusal::HeadTooLong)
        } else if self.lines > 0 {
            Err(Refusal::HeaderLineTooLong)
        } else if bytes[self.line..line_end].contains(&b' ') {
            Err(Refusal::RequestLineTooLong)
        } else {
            // All of it is a method, longer than any known one (RFC 9112, section 3).
            Err(Refusal::UnknownMethod)
        }
    }
}

/// The number of bytes before the first control character. A tab does not count as one.
fn printable(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk() {
        let clean = clean_bytes(*word);
        at += clean;
        if clean == word.len() {
            continue;
        }
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let rest = &bytes[at..];
    at + rest.iter().position(is_control).unwrap_or(rest.len())
}

/// The number of bytes before the first control character of a word. All eight are tested at once.
fn clean_bytes(word: [u8; 8]) -> usize {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let word = u64::from_le_bytes(word);
    let (high, low) = (word & all(0x80), word & all(0x7f));
    // Bit 7 of each byte says whether it is at least 0x20, and whether it is not 0x7f. No sum carries
    // into the next byte.
    let is_above = low + all(0x60);
    let is_below = (low ^ all(0x7f)) + all(0x7f);
    let is_control = !(is_above & is_below | high) & all(0x80);
    (is_control.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_examined_twice() {
        let line = format!("A: {}\r\n", "b".repeat(100));
        let bytes = format!("GET / HTTP/1.1\r\n{}", line.repeat(50)).into_bytes();
        let mut head = Head::default();
        for byte in bytes {
            assert_eq!(
                head.take(&mut [byte], &HeadLimits::default()).ok(),
                Some(None)
            );
            let partial = head.0.as_ref().unwrap();
            // A carriage return is examined together with its line feed.
            let waits = usize::from(byte == b'\r');
            assert_eq!(partial.scan.seen + waits, partial.bytes.len());
        }
    }

    #[test]
    fn a_whole_head_is_not_copied() {
        let mut bytes = *b"\r\nGET / HTTP/1.1\r\n\r\nrest";
        let place = bytes.as_ptr() as usize;
        let mut head = Head::default();
        let Ok(Some((whole, rest))) = head.take(&mut bytes, &HeadLimits::default()) else {
            panic!()
        };
        assert_eq!((whole.as_ptr() as usize, whole.len()), (place + 2, 18));
        assert_eq!((rest.as_ptr() as usize, &*rest), (place + 20, &b"rest"[..]));
        assert_eq!(head.holds(), 0);
        assert!(size_of::<Head>() <= size_of::<usize>());
    }

    #[test]
    fn control_characters_are_found_at_every_place() {
        for length in 0..70 {
            assert_eq!(printable(&vec![b'\t'; length]), length);
            for (at, control) in (0..length).zip([0, b'\r', b'\n', 0x1f, 0x7f].into_iter().cycle())
            {
                let mut bytes = vec![b'a'; length];
                bytes[at] = control;
                assert_eq!(printable(&bytes), at, "{control} among {length}");
            }
        }
    }
}
