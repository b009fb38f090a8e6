use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::blocks::Blocks;
use super::model::{self, Transcript};
use super::*;

const RULES: Rules = Rules {
    max_message: 1_000,
    max_frames: 20,
    deflate: false,
};
const DEFLATE: Rules = Rules {
    deflate: true,
    ..RULES
};
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame with the length in its shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | length as u8),
        126..=0xffff => bytes.extend([0xfe, (length >> 8) as u8, length as u8]),
        _ => bytes.extend([&[0xff][..], &(length as u64).to_be_bytes()].concat()),
    }
    bytes.extend(MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// What the decoder reports when it reads a stream in these pieces.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, rules: &Rules) -> Transcript {
    let mut decoder = Decoder::default();
    let mut transcript = Transcript::default();
    let mut received = 0;
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut input = &mut bytes[..];
        received += piece.len();
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
                    transcript.violation = Some(violation);
                    return Transcript {
                        unfinished: true,
                        ..transcript
                    };
                }
            }
        }
        assert!(input.is_empty());
        transcript.unfinished = decoder.in_message();
        assert_eq!(
            decoder.partial.is_some(),
            transcript.unfinished,
            "heap is in use when idle"
        );
        assert_eq!(decoder.holds() > 0, transcript.unfinished);
        let overhead = size_of::<Partial>() + Blocks::index(received);
        assert!(
            decoder.holds() <= overhead + 2 * received,
            "heap beyond the bytes sent"
        );
        let most = rules.max_wire_bytes(rules.deflate) + 125;
        assert!(decoder.holds() <= overhead + most, "heap beyond the limit");
    }
    transcript
}

/// Reads a stream in pieces of every length and in every split into two pieces, and checks that each
/// result equals the model's.
fn read_at_every_split(stream: &[u8], rules: &Rules) -> Transcript {
    let whole = model::read(stream, rules);
    for step in 1..=stream.len() {
        assert_eq!(
            read(stream.chunks(step), rules),
            whole,
            "in steps of {step}"
        );
    }
    for split in 0..=stream.len() {
        let (front, back) = stream.split_at(split);
        assert_eq!(
            read([front, back].into_iter(), rules),
            whole,
            "split at {split}"
        );
    }
    whole
}

#[test]
fn what_the_client_says_is_the_same_at_every_split() {
    for (frames, want) in [
        // RFC 6455, section 5.7.
        (vec![frame(0x81, b"Hello")], vec![Event::Text("Hello")]),
        (
            vec![frame(0x01, b"Hel"), frame(0x80, b"lo")],
            vec![Event::Text("Hello")],
        ),
        (vec![frame(0x8a, b"Hello")], vec![Event::Pong(b"Hello")]),
        (vec![frame(0x82, &[7; 256])], vec![Event::Binary(&[7; 256])]),
        // Empty messages, empty fragments.
        (
            vec![frame(0x81, b""), frame(0x82, b"")],
            vec![Event::Text(""), Event::Binary(b"")],
        ),
        (
            vec![
                frame(0x02, b""),
                frame(0x00, b""),
                frame(0x00, b"x"),
                frame(0x80, b""),
            ],
            vec![Event::Binary(b"x")],
        ),
        // Control frames between fragments, characters split between fragments.
        (
            vec![
                frame(0x01, b"a\xc3"),
                frame(0x89, b"there?"),
                frame(0x8a, b""),
                frame(0x00, b""),
                frame(0x80, b"\xa9b"),
                frame(0x81, b"next"),
            ],
            vec![
                Event::Ping(b"there?"),
                Event::Pong(b""),
                Event::Text("aéb"),
                Event::Text("next"),
            ],
        ),
        // A Close between two fragments ends the stream.
        (
            vec![frame(0x02, b"a"), frame(0x88, b"")],
            vec![Event::Close(None)],
        ),
        (
            vec![frame(0x88, b"\x03\xe8bye"), frame(0x81, b"never read")],
            vec![Event::Close(Some((CloseCode::NORMAL, "bye")))],
        ),
    ] {
        let transcript = read_at_every_split(&frames.concat(), &RULES);
        assert_eq!(transcript.violation, None);
        let want: Vec<_> = want.iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(transcript.events, want);
    }
}

#[test]
fn violations_are_named_at_every_split() {
    for (frames, want) in [
        (vec![frame(0x80, b"")], Violation::NothingToContinue),
        (
            vec![frame(0x81, b"a"), frame(0x00, b"")],
            Violation::NothingToContinue,
        ),
        (
            vec![frame(0x01, b"a"), frame(0x81, b"b")],
            Violation::MessageUnfinished,
        ),
        (
            vec![frame(0x01, b"a"), frame(0x02, b"b")],
            Violation::MessageUnfinished,
        ),
        (vec![frame(0xc1, b"a")], Violation::ReservedBits),
        (vec![frame(0x88, b"\x03")], Violation::TruncatedCloseCode),
        (
            vec![frame(0x88, b"\x03\xec")],
            Violation::BadCloseCode(1004),
        ),
        (vec![frame(0x88, b"\x03\xe8\xff")], Violation::InvalidUtf8),
        (vec![frame(0x88, b"\x03\xe8\xc3")], Violation::InvalidUtf8),
        (vec![frame(0x81, b"a\xc3")], Violation::InvalidUtf8),
        (
            vec![frame(0x01, b"a\xc3"), frame(0x80, b"")],
            Violation::InvalidUtf8,
        ),
        (
            vec![frame(0x01, b"a\xc3"), frame(0x80, b"a")],
            Violation::InvalidUtf8,
        ),
        (vec![frame(0x82, &[0; 1_001])], Violation::TooBig),
        (
            vec![frame(0x02, &[0; 999]), frame(0x80, &[0; 2])],
            Violation::TooBig,
        ),
    ] {
        let transcript = read_at_every_split(&frames.concat(), &RULES);
        assert_eq!(transcript.violation, Some(want));
        assert!(transcript.events.len() < frames.len());
    }
}

#[test]
fn a_compressed_message_is_marked_by_its_first_frame_alone() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for (frames, want) in [
        (
            vec![frame(0xc1, hello)],
            Ok(Event::Compressed {
                text: true,
                payload: hello,
            }),
        ),
        (
            vec![frame(0x41, &hello[..3]), frame(0x80, &hello[3..])],
            Ok(Event::Compressed {
                text: true,
                payload: hello,
            }),
        ),
        (
            vec![frame(0xc2, b"\0")],
            Ok(Event::Compressed {
                text: false,
                payload: b"\0",
            }),
        ),
        (vec![frame(0x81, b"plain")], Ok(Event::Text("plain"))),
        (
            vec![frame(0x41, &hello[..3]), frame(0xc0, &hello[3..])],
            Err(Violation::ReservedBits),
        ),
        (
            vec![frame(0x01, b"a"), frame(0xc0, b"b")],
            Err(Violation::ReservedBits),
        ),
        (vec![frame(0xc8, b"")], Err(Violation::ReservedBits)),
        (vec![frame(0xc9, b"")], Err(Violation::ReservedBits)),
        (vec![frame(0xc2, &[0; 1_080])], Err(Violation::TooBig)),
    ] {
        let transcript = read_at_every_split(&frames.concat(), &DEFLATE);
        match want {
            Ok(event) => assert_eq!(transcript.events, [format!("{event:?}")]),
            Err(violation) => assert_eq!(transcript.violation, Some(violation)),
        }
    }
}

#[test]
fn text_fails_at_the_first_impossible_byte_and_not_at_its_end() {
    // The last byte received is the first invalid one, and the declared length promises more bytes.
    let text = b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80ed";
    let declared = frame(0x01, text);
    let fails_at = declared.len() - text.len() + 7;
    let transcript = read(declared[..fails_at - 1].chunks(1), &RULES);
    assert_eq!((transcript.violation, transcript.unfinished), (None, true));
    for step in 1..=fails_at {
        let transcript = read(declared[..fails_at].chunks(step), &RULES);
        assert_eq!(
            transcript.violation,
            Some(Violation::InvalidUtf8),
            "step {step}"
        );
    }
}

#[test]
fn a_message_may_be_as_big_as_the_limit_and_in_as_many_frames() {
    let most = frame(0x82, &[1; 1_000]);
    assert_eq!(read([&most[..]].into_iter(), &RULES).events.len(), 1);
    for (frames, violation) in [(21, None), (22, Some(Violation::TooManyFrames))] {
        let mut stream = frame(0x02, b"");
        for _ in 2..frames {
            stream.extend(frame(0x00, b""));
        }
        stream.extend(frame(0x80, b""));
        assert_eq!(
            read([&stream[..]].into_iter(), &RULES).violation,
            violation,
            "{frames}"
        );
    }
}

#[test]
fn a_declared_length_costs_nothing_and_is_judged_by_the_header() {
    let lengths = [
        1 << 31,
        1 << 32,
        1 << 53,
        (1 << 63) - 1,
        u64::from(u32::MAX),
        16 << 20 | 1,
    ];
    let rules = Rules {
        max_message: 16 << 20,
        ..RULES
    };
    for length in lengths {
        for first in [0x01u8, 0x81, 0x82] {
            let mut stream = vec![first, 0xff];
            stream.extend(length.to_be_bytes());
            stream.extend(MASK);
            let transcript = read_at_every_split(&stream, &rules);
            assert_eq!(transcript.violation, Some(Violation::TooBig), "{length}");
        }
    }

    let (mut decoder, mut bytes) = (Decoder::default(), vec![0x82, 0xff]);
    bytes.extend((16u64 << 20).to_be_bytes());
    bytes.extend(MASK);
    bytes.extend([0; 10]);
    assert_eq!(decoder.next(&mut &mut bytes[..], &rules), Ok(None));
    assert!(decoder.holds() < 256, "{} bytes for 10", decoder.holds());
}

#[test]
fn many_small_pieces_of_a_big_message_take_no_more_memory_than_the_message() {
    let rules = Rules {
        max_message: 1 << 20,
        ..RULES
    };
    for first in [0x81u8, 0x82] {
        let stream = frame(first, &vec![b'a'; 1 << 20]);
        let transcript = read(stream.chunks(7), &rules);
        assert_eq!((transcript.events.len(), transcript.violation), (1, None));
    }
}

#[test]
fn a_message_in_one_piece_is_returned_as_a_slice_of_the_input() {
    let mut bytes = [frame(0x81, b"Hello"), frame(0x89, b"there?")].concat();
    let addresses = bytes.as_ptr_range();
    let mut input = &mut bytes[..];
    let mut decoder = Decoder::default();
    for _ in 0..2 {
        let payload = match decoder.next(&mut input, &RULES) {
            Ok(Some(Event::Text(text))) => text.as_bytes(),
            Ok(Some(Event::Ping(payload))) => payload,
            other => panic!("{other:?}"),
        };
        assert!(addresses.contains(&payload.as_ptr()));
        assert_eq!(decoder.holds(), 0);
        assert!(decoder.partial.is_none());
    }
}

/// Valid UTF-8, invalid UTF-8 or arbitrary bytes.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-z é中😀]{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(select(&b"a\xc3\xa9\xf0\x9f\x98\x80\xed\xa0\xff"[..]), 0..12),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

/// One valid message in fragments, with control frames between them.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let fragments = prop::collection::vec((any::<Index>(), control()), 0..6);
    let first = select(&[0x01u8, 0x01, 0x02, 0x41, 0x42][..]);
    (first, payload(), fragments).prop_map(|(mut first, payload, fragments)| {
        let (mut stream, mut rest) = (vec![], &payload[..]);
        for (cut, control) in fragments {
            let (fragment, after) = rest.split_at(cut.index(rest.len() + 1));
            stream.extend(frame(first, fragment));
            stream.extend(control);
            (first, rest) = (0, after);
        }
        stream.extend(frame(0x80 | first, rest));
        stream
    })
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    let some = (select(&[0x89u8, 0x8a][..]), payload());
    let some = some.prop_map(|(first, payload)| frame(first, &payload[..payload.len().min(125)]));
    prop_oneof![3 => Just(vec![]), 2 => some]
}

/// A frame with any first byte, usually an invalid one.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), payload()).prop_map(|(first, payload)| frame(first, &payload))
}

fn close_frame() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![990..1020u16, 2990..3010u16, 4990..5010u16];
    (code, payload()).prop_map(|(code, mut payload)| {
        payload.truncate(123);
        frame(0x88, &[&code.to_be_bytes()[..], &payload].concat())
    })
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![20 => message(), 4 => control(), 1 => any_frame(), 1 => close_frame()];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_decoder_reports_what_the_naive_model_reports(
        stream in stream(),
        flips in prop::collection::vec((any::<Index>(), any::<u8>()), 0..2),
        keep in any::<Index>(),
        breaks_off in any::<bool>(),
        steps in prop::collection::vec(1..40usize, 1..20),
        deflate in prop::bool::weighted(0.8),
        max_message in 50..400usize,
        max_frames in 3..8u32,
    ) {
        let mut stream = stream;
        if breaks_off {
            stream.truncate(keep.index(stream.len() + 1));
        }
        for (at, value) in flips {
            if !stream.is_empty() {
                let at = at.index(stream.len());
                stream[at] = value;
            }
        }
        let rules = Rules { max_message, max_frames, deflate };
        let whole = model::read(&stream, &rules);
        let (mut pieces, mut rest) = (vec![], &stream[..]);
        for &step in steps.iter().cycle() {
            let (piece, after) = rest.split_at(step.min(rest.len()));
            pieces.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read(pieces.into_iter(), &rules), whole);
        let whole = model::read(&stream, &rules);
        prop_assert_eq!(read([&stream[..]].into_iter(), &rules), whole);
    }
}
