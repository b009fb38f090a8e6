//! A client's bytes, cut anywhere, against the naive model of the decoder's own tests.
//!
//! The first byte chooses the rules, the next two where the rest is cut; the rest is the stream.

#![no_main]

use hushd::ws::{CloseCode, Decoder, Event, Rules, Violation};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/ws/decoder/model.rs"]
mod model;

fuzz_target!(|data: &[u8]| {
    let [rules, first, step, stream @ ..] = data else {
        return;
    };
    let rules = Rules {
        max_message: 1 << (rules & 0x0f),
        max_frames: 2 + u32::from(rules >> 4 & 0x07),
        deflate: rules & 0x80 != 0,
    };
    let (front, back) = stream.split_at(stream.len().min((*first).into()));
    let pieces = [front]
        .into_iter()
        .chain(back.chunks(usize::from(*step).max(1)));
    assert_eq!(read(pieces, &rules), model::read(stream, &rules));
});

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, rules: &Rules) -> model::Reading {
    let mut decoder = Decoder::default();
    let mut reading = model::Reading::default();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = &mut bytes[..];
        loop {
            match decoder.next(&mut input, rules) {
                Ok(Some(event)) => {
                    reading.events.push(format!("{event:?}"));
                    if let Event::Close(_) = event {
                        reading.unfinished = decoder.in_message();
                        return reading;
                    }
                }
                Ok(None) => break,
                Err(violation) => {
                    return model::Reading {
                        violation: Some(violation),
                        unfinished: true,
                        ..reading
                    };
                }
            }
        }
        reading.unfinished = decoder.in_message();
        assert_eq!(
            decoder.holds() > 0,
            reading.unfinished,
            "heap is held when idle"
        );
        assert!(
            // The largest message, and what it takes to find its blocks, which are small here.
            decoder.holds() <= 600 + rules.max_message + rules.max_message / 2,
            "heap beyond the limit"
        );
    }
    reading
}
