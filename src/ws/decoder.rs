//! A client's bytes in, cut anywhere; events out.
//!
//! A message of one frame that lies wholly in the input is unmasked where it lies and given as a
//! slice of it. Whatever is cut (a header, a payload, a message in fragments) is gathered in one box
//! that lives until the message is through, and that grows with the bytes received, never with the
//! length declared.

use std::mem;

use super::frame::{Header, OpCode};
use super::gathered::{Kind, Whole};
use super::held::{At, Held};
use super::mask::unmask;
use super::{CloseCode, Violation};

/// What a client's messages may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Bytes of payload in a message (a compressed one has to be held to it while it is inflated).
    pub max_message: usize,
    /// Frames of a message that another follows, empty ones too: its last frame is always let through.
    pub max_frames: u32,
    /// Whether permessage-deflate was negotiated, so that RSV1 may be set.
    pub deflate: bool,
}

impl Rules {
    /// Bytes of payload that the frames of a message may hold. What does not shrink grows when it is
    /// deflated, by five bytes for each stored block (RFC 1951, section 3.2.4); zlib with the least
    /// memory stores some 500 bytes in each.
    pub(super) fn most_sent(&self, compressed: bool) -> usize {
        let growth = if compressed {
            self.max_message / 64 + 64
        } else {
            0
        };
        self.max_message.saturating_add(growth)
    }
}

/// What a client has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message of text.
    Text(&'a str),
    /// A message of bytes.
    Binary(&'a [u8]),
    /// A message that is still to be inflated; whether a text is UTF-8 shows only then.
    Compressed {
        /// Whether text comes out.
        text: bool,
        /// As sent: without the tail `00 00 ff ff` (RFC 7692, section 7.2.1).
        payload: &'a [u8],
    },
    /// A ping, to be answered with its payload.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// The client's last frame, with the code and the reason that it gave.
    Close(Option<(CloseCode, &'a str)>),
}

/// The reading side of one connection. Eight bytes, and no heap between two messages.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Invariant: whenever [`Decoder::next`] has returned `Ok(None)`, this is `None` or something is
    /// unfinished.
    held: Option<Box<Held>>,
}

const _: () = assert!(size_of::<Decoder>() == 8);

impl Decoder {
    /// Takes bytes off the front of `input` and gives the next event, or `None` once the input is
    /// used up.
    ///
    /// After an error or a Close nothing more may be read (RFC 6455, section 5.5.1): the caller stops
    /// calling.
    ///
    /// # Errors
    ///
    /// The [`Violation`] that fails the connection, as soon as a header, or a byte of text, shows it.
    ///
    /// ```
    /// use hushd::ws::{Decoder, Event, Rules};
    /// let rules = Rules { max_message: 65_536, max_frames: 1_024, deflate: false };
    /// let mut bytes = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    /// let mut input = &mut bytes[..];
    /// let mut decoder = Decoder::default();
    /// assert_eq!(decoder.next(&mut input, &rules), Ok(Some(Event::Text("Hello"))));
    /// assert_eq!(decoder.next(&mut input, &rules), Ok(None));
    /// ```
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i mut [u8],
        rules: &Rules,
    ) -> Result<Option<Event<'a>>, Violation> {
        self.forget_given();
        loop {
            let Some((header, taken)) = self.frame(input, rules)? else {
                return Ok(None);
            };
            let left = header.length - taken;
            let piece = take(input, left);
            unmask(piece, header.mask, taken);
            let whole = piece.len() as u64 == left;

            let unfragmented = header.opcode.is_control() || header.fin && !self.gathers_message();
            if whole && taken == 0 && unfragmented {
                return Kind::of(&header)?.event(piece).map(Some);
            }
            let held = self.held.get_or_insert_default();
            if held.take(header, taken, piece, rules)? {
                break;
            }
            if !whole {
                return Ok(None);
            }
        }
        self.held
            .as_ref()
            .and_then(|held| held.given.as_ref())
            .map(Whole::event)
            .transpose()
    }

    /// Bytes of heap that hold what is unfinished: 0 between two messages.
    pub fn holds(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes())
    }

    /// Whether a message, a frame or a header has begun and is not through.
    pub fn in_message(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.is_idle())
    }

    fn gathers_message(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.message.is_some())
    }

    /// Drops what the last event showed, and the box if that was all.
    fn forget_given(&mut self) {
        if let Some(held) = &mut self.held {
            held.given = None;
            if held.is_idle() {
                self.held = None;
            }
        }
    }

    /// The frame that the input goes on with, and how many bytes of its payload are through already;
    /// `None` if its header is not all there.
    fn frame(
        &mut self,
        input: &mut &mut [u8],
        rules: &Rules,
    ) -> Result<Option<(Header, u64)>, Violation> {
        let at = self
            .held
            .as_mut()
            .map_or(At::default(), |held| mem::take(&mut held.at));
        let (mut bytes, begun) = match at {
            At::Payload { header, taken } => return Ok(Some((header, taken))),
            At::Header { bytes, begun } => (bytes, usize::from(begun)),
        };
        if begun == 0 && input.is_empty() {
            return Ok(None);
        }
        let parsed = if begun == 0 {
            Header::parse(input)?
        } else {
            let more = input.len().min(Header::MAX_LEN - begun);
            bytes[begun..begun + more].copy_from_slice(&input[..more]);
            Header::parse(&bytes[..begun + more])?
        };
        if let Some((header, length)) = parsed {
            take(input, (length - begun) as u64);
            self.admit(&header, rules)?;
            return Ok(Some((header, 0)));
        }
        let rest = take(input, u64::MAX);
        if begun == 0 {
            bytes[..rest.len()].copy_from_slice(rest);
        }
        let begun = (begun + rest.len()) as u8;
        self.held.get_or_insert_default().at = At::Header { bytes, begun };
        Ok(None)
    }

    /// Judges a frame by its header and by the message that it is part of, before anything is
    /// allocated for it.
    fn admit(&mut self, header: &Header, rules: &Rules) -> Result<(), Violation> {
        if header.compressed && !rules.deflate {
            return Err(Violation::ReservedBits);
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        let message = self.held.as_mut().and_then(|held| held.message.as_mut());
        let (gathered, compressed) = match (message, header.opcode) {
            // "The fragments of one message MUST NOT be interleaved between the fragments of another
            // message" (section 5.4; no extension says otherwise).
            (Some(_), OpCode::Text | OpCode::Binary) => return Err(Violation::MessageUnfinished),
            (Some(message), _) => {
                message.frames += 1;
                if message.frames - u32::from(header.fin) > rules.max_frames {
                    return Err(Violation::TooManyFrames);
                }
                (message.gathered.len(), message.gathered.is_compressed())
            }
            (None, OpCode::Continuation) => return Err(Violation::NothingToContinue),
            (None, _) => (0, header.compressed),
        };
        if header.length.saturating_add(gathered as u64) > rules.most_sent(compressed) as u64 {
            return Err(Violation::TooBig);
        }
        Ok(())
    }
}

/// Takes at most `length` bytes off the front of the input.
fn take<'a>(input: &mut &'a mut [u8], length: u64) -> &'a mut [u8] {
    let length = usize::try_from(length).map_or(input.len(), |length| length.min(input.len()));
    let (front, rest) = mem::take(input).split_at_mut(length);
    *input = rest;
    front
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
