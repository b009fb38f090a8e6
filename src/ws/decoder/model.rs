//! A reference decoder for tests, deliberately naive: it sees the whole stream at once, reads it a frame
//! at a time and copies everything. The fuzz targets share this file.

use super::{CloseCode, Event, Rules, Violation};

/// Everything that a decoder reports about a stream.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Transcript {
    /// The debug output of each event.
    pub(super) events: Vec<String>,
    /// The violation that failed the connection.
    pub(super) violation: Option<Violation>,
    /// Whether the stream ends within a message, a frame or a header.
    pub(super) unfinished: bool,
}

/// Reads a whole stream, up to the first violation or Close.
pub(super) fn read(stream: &[u8], rules: &Rules) -> Transcript {
    let mut transcript = Transcript::default();
    transcript.violation = read_frames(stream, rules, &mut transcript).err();
    transcript
}

struct ModelMessage {
    text: bool,
    compressed: bool,
    payload: Vec<u8>,
    frames: u32,
}

fn read_frames(
    mut stream: &[u8],
    rules: &Rules,
    transcript: &mut Transcript,
) -> Result<(), Violation> {
    let mut message: Option<ModelMessage> = None;
    loop {
        transcript.unfinished = message.is_some() || !stream.is_empty();
        let bit = |byte: usize, bit: u8| stream[byte] & bit != 0;

        if stream.is_empty() {
            return Ok(());
        }
        let (fin, compressed, opcode) = (bit(0, 0x80), bit(0, 0x40), stream[0] & 15);
        let control = opcode >= 8;
        if (3..8).contains(&opcode) || opcode > 10 {
            return Err(Violation::ReservedOpCode(opcode));
        }
        if stream[0] & 0x30 != 0 || (compressed && opcode != 1 && opcode != 2) {
            return Err(Violation::ReservedBits);
        }
        if control && !fin {
            return Err(Violation::FragmentedControl);
        }

        if stream.len() < 2 {
            return Ok(());
        }
        let short = stream[1] & 0x7f;
        if !bit(1, 0x80) {
            return Err(Violation::Unmasked);
        }
        if control && short > 125 {
            return Err(Violation::LongControl);
        }
        let extended = match short {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        if stream.len() < 2 + extended {
            return Ok(());
        }
        let number = stream[2..2 + extended]
            .iter()
            .fold(0, |sum, &byte| sum * 256 + u128::from(byte));
        let (length, least) = match extended {
            0 => (u128::from(short), 0),
            2 => (number, 126),
            _ => (number, 65_536),
        };
        if length < least {
            return Err(Violation::LengthNotMinimal);
        }
        if length >= 1 << 63 {
            return Err(Violation::LengthOutOfRange);
        }

        let head = 2 + extended + 4;
        if stream.len() < head {
            return Ok(());
        }
        if compressed && !rules.deflate {
            return Err(Violation::ReservedBits);
        }
        if !control {
            match (&mut message, opcode) {
                (None, 0) => return Err(Violation::NothingToContinue),
                (None, _) => {
                    let text = opcode == 1;
                    message = Some(ModelMessage {
                        text,
                        compressed,
                        payload: vec![],
                        frames: 1,
                    });
                }
                (Some(_), 1 | 2) => return Err(Violation::MessageUnfinished),
                (Some(message), _) => {
                    message.frames += 1;
                    if message.frames - u32::from(fin) > rules.max_frames {
                        return Err(Violation::TooManyFrames);
                    }
                }
            }
            let received = message.as_ref().map_or(0, |message| message.payload.len());
            let mut max_wire_bytes = rules.max_message;
            if message.as_ref().is_some_and(|message| message.compressed) {
                max_wire_bytes += max_wire_bytes / 64 + 64;
            }
            if received as u128 + length > max_wire_bytes as u128 {
                return Err(Violation::TooBig);
            }
        }

        // The length is within all limits, so it is small.
        let end = (head + length as usize).min(stream.len());
        let whole = end == head + length as usize;
        let mask = &stream[head - 4..head];
        let payload: Vec<u8> = stream[head..end]
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ mask[i % 4])
            .collect();
        stream = &stream[end..];

        if control {
            if opcode == 8 {
                check_close(&payload, whole)?;
            }
            if !whole {
                return Ok(());
            }
            let event = match opcode {
                8 => close(&payload)?,
                9 => Event::Ping(&payload),
                _ => Event::Pong(&payload),
            };
            transcript.events.push(format!("{event:?}"));
            if opcode == 8 {
                transcript.unfinished = message.is_some();
                return Ok(());
            }
        } else if let Some(mut so_far) = message.take() {
            so_far.payload.extend(payload);
            let checked = so_far.text && !so_far.compressed;
            if checked && !is_text(&so_far.payload, whole && fin) {
                return Err(Violation::InvalidUtf8);
            }
            let payload = &so_far.payload;
            let event = match str::from_utf8(payload) {
                _ if so_far.compressed => Event::Compressed {
                    text: so_far.text,
                    payload,
                },
                Ok(text) if so_far.text => Event::Text(text),
                _ => Event::Binary(payload),
            };
            if whole && fin {
                transcript.events.push(format!("{event:?}"));
            } else {
                message = Some(so_far);
            }
            if !whole {
                return Ok(());
            }
        }
    }
}

/// Whether the bytes are valid UTF-8, or could become valid if more bytes follow.
fn is_text(bytes: &[u8], complete: bool) -> bool {
    match str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !complete,
    }
}

fn check_close(payload: &[u8], whole: bool) -> Result<(), Violation> {
    if payload.len() == 1 && whole {
        return Err(Violation::TruncatedCloseCode);
    }
    if payload.len() < 2 {
        return Ok(());
    }
    let code = u16::from(payload[0]) * 256 + u16::from(payload[1]);
    if !(1000..5000).contains(&code)
        || (1015..3000).contains(&code)
        || [1004, 1005, 1006].contains(&code)
    {
        return Err(Violation::BadCloseCode(code));
    }
    if is_text(&payload[2..], whole) {
        Ok(())
    } else {
        Err(Violation::InvalidUtf8)
    }
}

fn close(payload: &[u8]) -> Result<Event<'_>, Violation> {
    if payload.is_empty() {
        return Ok(Event::Close(None));
    }
    let code = u16::from_be_bytes([payload[0], payload[1]]);
    let code = CloseCode::received(code).ok_or(Violation::BadCloseCode(code))?;
    let reason = str::from_utf8(&payload[2..]).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Event::Close(Some((code, reason))))
}
