//! What a decoder holds while something is unfinished.

use super::frame::Header;
use super::gathered::{Gathered, Kind, Whole};
use super::{Rules, Violation};

/// What is unfinished on one connection.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) at: At,
    /// The message that has begun: the frame at hand, unless that is a control frame, is part of it.
    pub(super) message: Option<Message>,
    /// The control frame at hand, if it came in pieces.
    control: Option<Gathered>,
    /// What the last event showed.
    pub(super) given: Option<Whole>,
}

/// The place in the stream of frames.
#[derive(Debug)]
pub(super) enum At {
    /// Within a header of which `begun` bytes have come, or between two frames if none have.
    Header {
        bytes: [u8; Header::MAX_LEN],
        begun: u8,
    },
    /// Within a payload of which `taken` bytes have come.
    Payload { header: Header, taken: u64 },
}

impl Default for At {
    fn default() -> At {
        At::Header {
            bytes: [0; Header::MAX_LEN],
            begun: 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) gathered: Gathered,
    pub(super) frames: u32,
}

impl Held {
    pub(super) fn is_idle(&self) -> bool {
        let between_frames = matches!(self.at, At::Header { begun: 0, .. });
        between_frames && self.message.is_none() && self.control.is_none()
    }

    /// Heap in use, this box and its buffers.
    pub(super) fn bytes(&self) -> usize {
        let message = self.message.as_ref().map(|message| &message.gathered);
        let unfinished = [message, self.control.as_ref()];
        let unfinished: usize = unfinished.into_iter().flatten().map(Gathered::holds).sum();
        size_of::<Held>() + unfinished + self.given.as_ref().map_or(0, Whole::holds)
    }

    /// Takes a piece of the frame at hand, of which `taken` bytes have come before; whether there is an
    /// event to give now.
    pub(super) fn take(
        &mut self,
        header: Header,
        taken: u64,
        piece: &[u8],
        rules: &Rules,
    ) -> Result<bool, Violation> {
        let through = taken + piece.len() as u64;
        if through < header.length {
            if !piece.is_empty() {
                self.gather(&header, piece, header.length - taken, rules)?;
            }
            self.at = At::Payload {
                header,
                taken: through,
            };
            return Ok(false);
        }
        let gathered = if header.opcode.is_control() {
            self.control.take()
        } else if header.fin {
            self.message.take().map(|message| message.gathered)
        } else {
            self.gather(&header, piece, piece.len() as u64, rules)?;
            None
        };
        self.given = gathered.map(|gathered| gathered.whole(piece)).transpose()?;
        Ok(self.given.is_some())
    }

    /// Adds a piece of the frame at hand, which still had `left` bytes to come.
    fn gather(
        &mut self,
        header: &Header,
        piece: &[u8],
        left: u64,
        rules: &Rules,
    ) -> Result<(), Violation> {
        let gathered = if header.opcode.is_control() {
            slot(&mut self.control, || Ok(Gathered::new(Kind::of(header)?)))?
        } else {
            let first = || {
                Ok(Message {
                    gathered: Gathered::new(Kind::of(header)?),
                    frames: 1,
                })
            };
            &mut slot(&mut self.message, first)?.gathered
        };
        // `admit` has seen to it that the whole frame fits, so `left` fits a usize.
        let ends_here = header.opcode.is_control() || header.fin;
        let most = if ends_here {
            gathered.len() + left as usize
        } else {
            rules.most_sent(gathered.is_compressed())
        };
        gathered.push(piece, most)
    }
}

/// `Option::get_or_insert_with` for what may fail.
fn slot<T>(
    option: &mut Option<T>,
    new: impl FnOnce() -> Result<T, Violation>,
) -> Result<&mut T, Violation> {
    let value = match option.take() {
        Some(value) => value,
        None => new()?,
    };
    Ok(option.insert(value))
}
