//! A request head as it comes in, in any pieces: half a head, until the blank line is there.
//!
//! Two rules. Each byte is looked at once, however the head is cut into pieces: the search for its
//! end goes on where it stopped. And the verdict depends on the bytes alone: what is wrong is
//! refused at the first byte that makes it so, before anything behind it, so that the same bytes get
//! the same answer in one piece and one by one.

use std::ops::Range;

use crate::ws::handshake::is_token;

use super::refusal::Refusal;
use super::request::RequestLine;
use super::response::Response;

/// How large a request head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes in all, the blank line and an empty line in front included.
    pub max_head: usize,
    /// Bytes in one line, the request line too, without its end.
    pub max_line: usize,
    /// Header lines, at most [`HeadLimits::MOST_HEADERS`].
    pub max_headers: usize,
}

impl HeadLimits {
    /// More header lines than this are never taken, whatever the limit says.
    pub const MOST_HEADERS: usize = 64;
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            max_head: 16 * 1024,
            max_line: 8 * 1024,
            max_headers: Self::MOST_HEADERS,
        }
    }
}

/// A whole head, from the request line to the blank line, and what came behind it.
pub type Whole<'a> = (&'a [u8], &'a mut [u8]);

/// What has come of a request head so far. Owns no heap while nothing has.
#[derive(Debug, Default)]
pub struct Head(Option<Box<Half>>);

/// Half a head: the bytes, and how far they have been looked at.
#[derive(Debug, Default)]
struct Half {
    bytes: Vec<u8>,
    scan: Scan,
}

impl Head {
    /// Takes the next bytes of the connection.
    ///
    /// `Ok(None)` means that the head is not whole yet: its bytes are kept. Nothing is copied
    /// where all of the head is in `fresh`. Once the head is given, there is nothing more to take.
    ///
    /// # Errors
    ///
    /// The response to a head that is larger than the limits or can no longer become a request.
    pub fn take<'a>(
        &'a mut self,
        fresh: &'a mut [u8],
        limits: &HeadLimits,
    ) -> Result<Option<Whole<'a>>, Response> {
        let Some(ref mut half) = self.0 else {
            let mut scan = Scan::default();
            return match scan.find_end(fresh, limits) {
                Ok(Some(head)) => {
                    let (taken, rest) = fresh.split_at_mut(head.end);
                    Ok(Some((&taken[head.start..], rest)))
                }
                Ok(None) if fresh.is_empty() => Ok(None),
                Ok(None) => {
                    self.0 = Some(Box::new(Half {
                        bytes: fresh.to_vec(),
                        scan,
                    }));
                    Ok(None)
                }
                Err(refusal) => Err(Response::refusing(refusal, fresh)),
            };
        };
        // With two bytes more than a head may have there is always an answer.
        let known = half.bytes.len();
        let room = (limits.max_head + 2).saturating_sub(known).min(fresh.len());
        half.bytes.extend_from_slice(&fresh[..room]);
        match half.scan.find_end(&half.bytes, limits) {
            Ok(Some(head)) => Ok(Some((
                &half.bytes[head.start..head.end],
                &mut fresh[head.end - known..],
            ))),
            Ok(None) => Ok(None),
            Err(refusal) => Err(Response::refusing(refusal, &half.bytes)),
        }
    }

    /// Turns away whoever sent this much of a head: with it, or without any.
    pub fn refuse(&self, refusal: Refusal) -> Response {
        Response::refusing(refusal, self.0.as_ref().map_or(&[], |half| &half.bytes))
    }

    /// Bytes of heap that are held.
    pub fn holds(&self) -> usize {
        self.0
            .as_ref()
            .map_or(0, |half| size_of::<Half>() + half.bytes.capacity())
    }
}

/// The search for the end of a head, line by line.
#[derive(Debug, Default)]
struct Scan {
    /// Everything in front of this place has been looked at.
    seen: usize,
    /// Where the line begins that is being looked at.
    line: usize,
    /// The request line: behind an empty line, if one came first.
    request_line: Range<usize>,
    /// Whether the request line has been found to be one.
    is_request: bool,
    /// Lines that are whole: the request line, then header lines.
    lines: usize,
}

impl Scan {
    /// Goes on with the search; `bytes` are those of the last time and more.
    fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<Range<usize>>, Refusal> {
        let found = self.search(bytes, limits);
        // Whoever gets a whole head reads it from its first line on.
        if self.lines > 0 && !self.is_request && !matches!(found, Ok(Some(_))) {
            RequestLine::parse(&bytes[self.request_line.clone()])?;
            self.is_request = true;
        }
        found
    }

    /// As [`Scan::find_end`], but for what the request line says.
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
            self.check_room(bytes, end, limits)?;
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

    /// Refuses a line that reaches to `end` by the limit that it passes first.
    fn check_room(&self, bytes: &[u8], end: usize, limits: &HeadLimits) -> Result<(), Refusal> {
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
            // It is all method, and longer than any that is known (RFC 9112, section 3).
            Err(Refusal::UnknownMethod)
        }
    }
}

/// How many bytes come before the first control character other than a tab.
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

/// How many bytes of a word come before its first control character, all eight looked at at once.
fn clean_bytes(word: [u8; 8]) -> usize {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let word = u64::from_le_bytes(word);
    let (high, low) = (word & all(0x80), word & all(0x7f));
    // Bit 7 of each byte: whether it is 0x20 or more, and whether it is not 0x7f. Nothing carries.
    let is_above = low + all(0x60);
    let is_below = (low ^ all(0x7f)) + all(0x7f);
    let is_control = !(is_above & is_below | high) & all(0x80);
    (is_control.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_looked_at_twice() {
        let line = format!("A: {}\r\n", "b".repeat(100));
        let bytes = format!("GET / HTTP/1.1\r\n{}", line.repeat(50)).into_bytes();
        let mut head = Head::default();
        for byte in bytes {
            assert_eq!(
                head.take(&mut [byte], &HeadLimits::default()).ok(),
                Some(None)
            );
            let half = head.0.as_ref().unwrap();
            // But for a carriage return, which waits for its line feed.
            let waits = usize::from(byte == b'\r');
            assert_eq!(half.scan.seen + waits, half.bytes.len());
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
