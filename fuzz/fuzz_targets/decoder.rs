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

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, rules: &Rules) -> model::Transcript {
    let mut decoder = Decoder::default();
    let mut transcript = model::Transcript::default();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = &mut bytes[..];
        loop {
            match decoder.next(&mut input, rules) {
                Ok(Some(event)) => {
                    transcript.events.push(format!("{event:?}"));
                    if let Event::Close(_) = event {
                        transcript.unfinished = decoder.in_message();
                        return transcript;
                    }
                }
                Ok(None) => break,
                Err(violation) => {
                    return model::Transcript {
                        violation: Some(violation),
                        unfinished: true,
                        ..transcript
                    };
                }
            }
        }
        transcript.unfinished = decoder.in_message();
        assert_eq!(
            decoder.holds() > 0,
            transcript.unfinished,
            "heap is in use when idle"
        );
        assert!(
            // The largest message, and the list of its blocks, which are small under fuzzing.
            decoder.holds() <= 600 + rules.max_message + rules.max_message / 2,
            "heap beyond the limit"
        );
    }
    transcript
}
