//! permessage-deflate from end to end: a real process, and frames compressed by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{Read, Write};

use common::peer::{BINARY, CLOSE, Frame, PING, PONG, Peer, TEXT, frame, upgrade};
use common::schema::assert_server_sends;
use common::{Server, eventually};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const SMALL_WINDOW: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n";
const ACCEPTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The bit of a compressed message's first frame (RFC 7692, section 6).
const RSV1: u8 = 0x40;
const FIN: u8 = 0x80;

/// Long enough to be compressed, whatever the default threshold is.
fn prose(seed: usize) -> String {
    format!("{seed}: shall we say eight, at the old place by the river? ").repeat(20)
}

/// As RFC 7692, section 7.2.1, has it: flushed, and without the tail.
fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(6), false);
    let mut out = Vec::with_capacity(payload.len() + 64);
    stream
        .compress_vec(payload, &mut out, FlushCompress::Sync)
        .unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn inflated(payload: &[u8]) -> Vec<u8> {
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut out = Vec::with_capacity(1 << 20);
    Decompress::new(false)
        .decompress_vec(&input, &mut out, FlushDecompress::Sync)
        .unwrap();
    out
}

/// The frames of one message in so many pieces; RSV1 stands on the first.
fn fragments(first: u8, payload: &[u8], pieces: usize) -> Vec<u8> {
    let size = payload.len().div_ceil(pieces).max(1);
    let mut bytes = Vec::new();
    for piece in 0..pieces {
        let from = (piece * size).min(payload.len());
        let to = (from + size).min(payload.len());
        let opening = if piece == 0 { first & !FIN } else { 0 };
        let fin = if piece + 1 == pieces { FIN } else { 0 };
        bytes.extend(frame(fin | opening, &payload[from..to]));
    }
    bytes
}

/// What a message is, whether it came compressed or not.
fn read(peer: &mut Peer) -> (u8, Vec<u8>, bool) {
    loop {
        let Frame { first, payload } = peer.read().expect("the server closed the connection");
        match first {
            PING => peer.send(PONG, &payload),
            PONG => {}
            _ if first & RSV1 != 0 => return (first & !RSV1, inflated(&payload), true),
            _ => return (first, payload, false),
        }
    }
}

fn hear(peer: &mut Peer) -> String {
    let (first, payload, _) = read(peer);
    assert_eq!(first, TEXT, "{payload:?}");
    String::from_utf8(payload).unwrap()
}

#[test]
fn the_response_holds_what_the_offer_allows_and_no_more() {
    let with = Server::start(&[]);
    let without = Server::start(&["--compression", "off"]);
    let bits = |bits| format!("{ACCEPTED}; server_max_window_bits={bits}");
    for (offer, status, accepted) in [
        ("permessage-deflate", 101, Some(ACCEPTED.to_string())),
        (
            "permessage-deflate; client_max_window_bits",
            101,
            Some(ACCEPTED.into()),
        ),
        (
            "permessage-deflate; server_max_window_bits=12",
            101,
            Some(bits(9)),
        ),
        (
            "permessage-deflate; server_max_window_bits=\"15\"",
            101,
            Some(bits(15)),
        ),
        ("permessage-deflate; server_max_window_bits=8", 101, None),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            101,
            Some(ACCEPTED.into()),
        ),
        (
            "permessage-deflate; unknown, x-webkit-deflate-frame",
            101,
            None,
        ),
        ("permessage-deflate; server_max_window_bits=09", 101, None),
        ("permessage-deflate;", 400, None),
        ("permessage-deflate; server_max_window_bits=\"", 400, None),
    ] {
        let lines = format!("Sec-WebSocket-Extensions: {offer}\r\n");
        assert_eq!(answer(&with, &lines), (status, accepted), "{offer}");
        assert_eq!(answer(&without, &lines).1, None, "{offer}");
    }
    assert_eq!(answer(&with, ""), (101, None));
}

/// The status, and the extension that is accepted.
fn answer(server: &Server, lines: &str) -> (u16, Option<String>) {
    let mut stream = server.connect();
    stream
        .write_all(upgrade(server, "/", lines).as_bytes())
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let extension = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("Sec-WebSocket-Extensions")
            .then(|| value.to_string())
    });
    (head[9..12].parse().unwrap(), extension)
}

#[test]
fn a_message_may_take_every_form_that_deflate_has() {
    let server = Server::start(&["--compression-threshold", "0"]);
    let mut squeezed = Peer::join_with(&server, "/forms", OFFER);
    let mut plain = Peer::join(&server, "/forms");
    let long = prose(7);
    for (payload, want) in [
        (&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..], "Hello"),
        (b"\x00\x05\x00\xfa\xffHello\x00", "Hello"), // stored
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"), // BFINAL
        (
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
            "Hello",
        ), // two blocks
        (b"\x00", ""),
        (b"", ""),
        (&deflated(long.as_bytes()), &long),
    ] {
        for pieces in [1, 2, payload.len() + 1] {
            for opcode in [TEXT, BINARY] {
                let bytes = fragments(opcode | RSV1, payload, pieces);
                squeezed.stream.write_all(&bytes).unwrap();
                for peer in [&mut squeezed, &mut plain] {
                    let (first, heard, _) = read(peer);
                    assert_eq!(
                        (first, &heard[..]),
                        (opcode, want.as_bytes()),
                        "{payload:02x?}"
                    );
                }
            }
        }
    }
}

#[test]
fn rsv1_stands_on_the_first_frame_of_a_data_message_and_nowhere_else() {
    let server = Server::start(&[]);
    let hello = &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..];
    let (text, open) = (TEXT | RSV1, (TEXT | RSV1) & !FIN);
    for (frames, code) in [
        (&[(TEXT, &b"Hello"[..])][..], None),
        (&[(TEXT & !FIN, b"Hel"), (FIN, b"lo")], None),
        (&[(text, hello)], None),
        (
            &[(open, &hello[..3]), (PING, b"?"), (FIN, &hello[3..])],
            None,
        ),
        (
            &[(open, &hello[..3]), (FIN | RSV1, &hello[3..])],
            Some(1002),
        ),
        (&[(TEXT & !FIN, b"Hel"), (FIN | RSV1, b"lo")], Some(1002)),
        (&[(PING | RSV1, b"")], Some(1002)),
        (&[(CLOSE | RSV1, b"")], Some(1002)),
        (&[(TEXT | 0x20, b"")], Some(1002)),
        (&[(TEXT | 0x10, b"")], Some(1002)),
        (&[(open, hello), (text, hello)], Some(1002)),
        (&[(text, &hello[..5])], Some(1007)),
        (&[(text, b"\x07")], Some(1007)),
        (&[(text, &deflated(b"\xff"))], Some(1007)),
    ] {
        let mut peer = Peer::join_with(&server, "/rsv1", OFFER);
        for (first, payload) in frames {
            peer.send(*first, payload);
        }
        match code {
            None => assert_eq!(hear(&mut peer), "Hello", "{frames:02x?}"),
            Some(code) => assert_eq!(peer.close_code(), Some(code), "{frames:02x?}"),
        }
        if frames[0].0 & RSV1 != 0 {
            let mut plain = Peer::join(&server, "/rsv1");
            plain.send(frames[0].0, frames[0].1);
            assert_eq!(plain.close_code(), Some(1002), "not negotiated");
        }
    }
}

/// A message of so many bytes, plain or compressed, whole or in pieces.
fn forms(size: usize) -> impl Iterator<Item = Vec<u8>> {
    [(false, 1), (false, 3), (true, 1), (true, 3)]
        .into_iter()
        .map(move |(compressed, pieces)| {
            let payload = vec![b'a'; size];
            if compressed {
                fragments(TEXT | RSV1, &deflated(&payload), pieces)
            } else {
                fragments(TEXT, &payload, pieces)
            }
        })
}

#[test]
fn the_limit_on_a_message_holds_for_what_comes_out_of_it() {
    let server = Server::start(&["--max-message", "1000", "--max-frames", "3"]);
    for (fits, too_big) in forms(1_000).zip(forms(1_001)) {
        let mut peer = Peer::join_with(&server, "/", OFFER);
        peer.stream.write_all(&fits).unwrap();
        assert_eq!(hear(&mut peer).len(), 1_000);
        peer.stream.write_all(&too_big).unwrap();
        assert_eq!(peer.close_code(), Some(1009));
    }
    for (first, payload) in [(TEXT, &b"Hello"[..]), (TEXT | RSV1, &deflated(b"Hello"))] {
        let mut peer = Peer::join_with(&server, "/", OFFER);
        let many = fragments(first, payload, 5);
        peer.stream.write_all(&many).unwrap();
        assert_eq!(peer.close_code(), Some(1008));
    }
}

#[test]
fn rates_hold_for_what_comes_out_of_a_message() {
    for options in [
        ["--byte-rate=1000", "--message-rate=0"],
        ["--byte-rate=0", "--message-rate=1"],
    ] {
        let server = Server::start(
            &[
                &options[..],
                &["--ping-interval=0", "--ping-rate=0", "--message-burst=1"],
            ]
            .concat(),
        );
        for (index, message) in forms(8_000).enumerate() {
            let mut peer = Peer::join_with(&server, "/", OFFER);
            peer.stream.write_all(&message.repeat(5)).unwrap();
            let slowed = eventually(|| {
                peer.send(PING, b"");
                server.count("reads_paused_by_rate") > index as u64
            });
            assert!(slowed, "{options:?}, form {index}");
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit_and_holds_nothing() {
    let server = Server::start(&["--max-message=256K", "--room-buffer=8M"]);
    let bomb = deflated(&vec![b'a'; 200 << 20]);
    assert!(bomb.len() < 256 << 10);
    drop(Peer::join_with(&server, "/", OFFER));
    let before = server.peak_memory();
    for pieces in [1, 50] {
        for opcode in [TEXT, BINARY] {
            let mut peer = Peer::join_with(&server, "/", OFFER);
            let _ = peer
                .stream
                .write_all(&fragments(opcode | RSV1, &bomb, pieces));
            assert_eq!(peer.close_code(), Some(1009));
        }
    }
    let grown = server.peak_memory().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes for 200 MiB");
}

#[test]
fn one_read_of_many_bombs_makes_nobody_fall_behind() {
    // Less than a read takes, and more than a lane holds in JSON, where each byte becomes two.
    const BOMBS: usize = 35;
    let server = Server::start(&["--byte-rate=512K"]);
    let v1 = format!("Sec-WebSocket-Protocol: chat.v1\r\n{OFFER}");
    let mut listener = Peer::join_with(&server, "/burst", "Sec-WebSocket-Protocol: chat.v1\r\n");
    let mut squeezed = Peer::join_with(&server, "/burst", &v1);
    let mut bomber = Peer::join_with(&server, "/burst", OFFER);
    let bomb = frame(TEXT | RSV1, &deflated(&[b'"'; 65_536]));
    let last = frame(TEXT, b"that was all");
    let burst = [bomb.repeat(BOMBS), last].concat();
    assert!(burst.len() < 4_096);
    bomber.stream.write_all(&burst).unwrap();
    for peer in [&mut listener, &mut squeezed] {
        let mut messages = 0;
        loop {
            let said = hear(peer);
            messages += usize::from(said.contains(r#""type":"message""#));
            if said.contains("that was all") {
                break;
            }
        }
        assert_eq!(messages, BOMBS + 1);
    }
    assert!(server.count("reads_paused_by_rate") > 0);
    assert_eq!(server.count("slow_consumers_dropped"), 0);
}

#[test]
fn each_message_is_compressed_once_for_each_window_whoever_listens() {
    let server = Server::start(&[]);
    let mut plain = Peer::join(&server, "/many");
    let mut small = Peer::join_with(&server, "/many", SMALL_WINDOW);
    let mut many: Vec<Peer> = (0..1_000)
        .map(|_| Peer::join_with(&server, "/many", OFFER))
        .collect();
    for number in 0..10 {
        let text = prose(number);
        plain.say(&text);
        assert_eq!(read(&mut plain), (TEXT, text.clone().into(), false));
        assert_eq!(read(&mut small), (TEXT, text.clone().into(), true));
        for peer in &mut many {
            assert_eq!(read(peer), (TEXT, text.clone().into(), true));
        }
    }
    assert_eq!(server.count("compressions"), 20);
    drop(small);
    drop(many);
    assert!(eventually(|| server.descriptors() < 100));
    plain.say(&prose(11));
    plain.hear();
    assert_eq!(
        server.count("compressions"),
        20,
        "nobody is left who has a window"
    );
}

#[test]
fn what_would_not_shrink_goes_as_it_is() {
    let server = Server::start(&["--compression-threshold=100"]);
    let mut peer = Peer::join_with(&server, "/", OFFER);
    let mut state = 1u64;
    let noise: Vec<u8> = (0..1_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    for (payload, compressed, tried) in [
        (vec![b'a'; 99], false, 0),
        (vec![b'a'; 100], true, 1),
        (noise, false, 2),
    ] {
        peer.send(BINARY, &payload);
        assert_eq!(read(&mut peer), (BINARY, payload, compressed));
        assert_eq!(server.count("compressions"), tried);
    }
}

#[test]
fn chat_v1_is_compressed_and_replayed_as_it_was() {
    let server = Server::start(&[]);
    let lines = format!("Sec-WebSocket-Protocol: chat.v1\r\n{OFFER}");
    let next = |peer: &mut Peer, kind: &str| -> (Value, bool) {
        loop {
            let (first, payload, compressed) = read(peer);
            assert_eq!(first, TEXT);
            let frame: Value = serde_json::from_slice(&payload).unwrap();
            assert_server_sends(&frame);
            if frame["type"] == kind {
                return (frame, compressed);
            }
        }
    };
    let mut ada = Peer::join_with(&server, "/v1?name=ada", &lines);
    let (welcome, compressed) = next(&mut ada, "welcome");
    assert!(!compressed, "the welcome is for one alone");
    for number in 0..3 {
        let request = json!({ "type": "message", "text": prose(number) }).to_string();
        let request = deflated(request.as_bytes());
        ada.stream
            .write_all(&fragments(TEXT | RSV1, &request, 2))
            .unwrap();
        let (message, compressed) = next(&mut ada, "message");
        assert_eq!(message["text"], prose(number));
        assert!(compressed);
    }
    let since = format!("/v1?since={}.1", welcome["epoch"].as_str().unwrap());
    let mut bob = Peer::join_with(&server, &since, &lines);
    for number in 1..3 {
        let (message, compressed) = next(&mut bob, "message");
        assert_eq!(message["text"], prose(number));
        assert!(!compressed, "the archive is not compressed");
    }
    ada.say(&json!({ "type": "message", "text": prose(3) }).to_string());
    let (message, compressed) = next(&mut bob, "message");
    assert_eq!(message["text"], prose(3));
    assert!(compressed);
}
