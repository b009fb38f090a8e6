//! Every way to leave, in every state to leave from.

use crate::common::crowd::Crowd;
use crate::common::peer::{BINARY, CLOSE, Frame, PING, Peer, TEXT, frame, header, upgrade};
use crate::common::{Server, eventually};
use crate::holdings::{SMALL, ask_without_reading, join_deaf};
use crate::requests::ask;
use crate::{MIB, attacked, scaled};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Connections in every state that a connection can be in, by name.
fn in_every_state(server: &Server) -> Vec<(&'static str, TcpStream)> {
    let head = upgrade(server, "/states", "");
    let raw = |bytes: &[u8]| {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        stream
    };
    let open = |bytes: &[u8]| {
        let mut stream = Peer::join(server, "/states").stream;
        stream.write_all(bytes).unwrap();
        stream
    };
    let closed_by_us = || {
        let mut peer = Peer::join(server, "/states");
        peer.stream.write_all(b"\x81\x00").unwrap(); // not masked
        assert_eq!(peer.read().unwrap().first, CLOSE);
        peer.stream
    };
    let close = frame(CLOSE, &1000_u16.to_be_bytes());
    vec![
        ("connected", raw(b"")),
        ("in a request line", raw(&head.as_bytes()[..3])),
        ("in a head", raw(&head.as_bytes()[..60])),
        (
            "before the blank line's end",
            raw(&head.as_bytes()[..head.len() - 1]),
        ),
        ("upgraded, not read", raw(head.as_bytes())),
        (
            "upgraded, with a message behind",
            raw(&[head.as_bytes(), &frame(TEXT, b"hello")].concat()),
        ),
        (
            "upgraded, with a close behind",
            raw(&[head.as_bytes(), &close].concat()),
        ),
        (
            "answered with the page, not read",
            raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        (
            "refused",
            raw(b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        (
            "refused, with more behind",
            raw(&[b"\x16\x03".as_slice(), &[b'x'; 10_000]].concat()),
        ),
        ("open", open(b"")),
        ("in a frame's header", open(&header(TEXT, 1000)[..5])),
        ("in a frame", open(&frame(TEXT, b"hello")[..8])),
        ("in a message", open(&frame(0x01, b"hel"))),
        ("in a ping", open(&frame(PING, b"hello")[..8])),
        ("with a message unread", open(&frame(TEXT, b"hello"))),
        ("with a pong unread", open(&frame(PING, b"hello"))),
        ("closing by its own will", open(&close)),
        (
            "closing, with more behind",
            open(&[close, frame(TEXT, b"more")].concat()),
        ),
        ("closed by us", closed_by_us()),
    ]
}

#[test]
fn a_reset_leaves_nothing_behind_in_any_state() {
    attacked("resets", &[], MIB, |server| {
        for _ in 0..scaled(160) {
            for (_, stream) in in_every_state(server) {
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
        }
    });
}

#[test]
fn a_reset_ends_a_client_in_debt_even_where_its_words_and_its_end_come_as_one_event() {
    let options = ["--byte-rate=10", "--ping-interval=0"];
    attacked("half a message and a reset", &options, MIB, |server| {
        let before = server.descriptors();
        let mut talker = Peer::join(server, "/half").stream;
        server.signal("STOP");
        let half = [header(BINARY, 10_000), vec![b'x'; 9_000]].concat();
        talker.write_all(&half).unwrap();
        SockRef::from(&talker)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(talker);
        server.signal("CONT");
        assert!(eventually(|| server.descriptors() <= before));
        assert_eq!(server.count("protocol_violations"), 0); // or it was not the debt that we saw
    });
}

#[test]
fn a_close_leaves_nothing_behind_in_any_state() {
    attacked("closes", &[], MIB, |server| {
        for _ in 0..scaled(160) {
            drop(in_every_state(server));
        }
    });
}

#[test]
fn the_other_half_is_closed_in_any_state() {
    attacked("half-closes", &["--close-timeout", "1"], MIB, |server| {
        for (state, mut stream) in in_every_state(server) {
            stream.shutdown(Shutdown::Write).unwrap();
            let ended = stream.read_to_end(&mut Vec::new());
            assert!(
                !ended.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock),
                "{state}"
            );
        }
    });
}

#[test]
fn nobody_stays_beyond_a_deadline_in_any_state() {
    let options = [
        "--handshake-timeout=1",
        "--close-timeout=1",
        "--message-timeout=1",
        "--ping-interval=1",
        "--ping-timeout=1",
        // A client in debt is not read for longer than such a ping timeout.
        "--message-rate=0",
        "--byte-rate=0",
    ];
    attacked("silence", &options, MIB, |server| {
        let before = server.descriptors();
        let states = in_every_state(server);
        assert!(
            eventually(|| server.descriptors() <= before),
            "{} of {} are still there",
            server.descriptors() - before,
            states.len()
        );
    });
}

#[test]
fn a_close_that_is_not_answered_or_not_taken_ends_in_time() {
    let options = [&SMALL[..], &["--close-timeout=1", "--ping-interval=0"]].concat();
    attacked("--close-timeout", &options, MIB, |server| {
        let before = server.descriptors();
        // Whose session is taken over is told so, and to answer.
        let chat = "Sec-WebSocket-Protocol: chat.v1\r\n";
        let mut mute = Peer::join_with(server, "/close", chat);
        let welcome: serde_json::Value = serde_json::from_str(&mute.hear()).unwrap();
        let session = welcome["session"].as_str().unwrap();
        let heir = Peer::join_with(server, &format!("/close?session={session}"), chat);
        assert!(eventually(|| server.count("close_timeouts") == 1));
        assert_eq!(mute.close_code(), Some(4001));

        let mut full = join_deaf(server, "/close", chat);
        ask_without_reading(&mut full, 1_000);
        full.stream.write_all(b"\x81\x00").unwrap(); // not masked
        assert!(eventually(|| server.count("close_timeouts") == 2));
        server.wait_for_log("it did not close in time");
        assert_eq!(server.count("protocol_violations"), 1);
        drop(heir);
        assert!(eventually(|| server.descriptors() <= before));
    });
}

#[test]
fn sigterm_ends_a_crowd_with_slow_ones_in_it() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let options = ["--message-rate=0", "--byte-rate=0", "--close-timeout=1"];
    let mut server = Server::start(&[&options[..], &["--max-connections=19500"]].concat());
    let mut slow: Vec<_> = (0..20).map(|_| Peer::join(&server, "/drain")).collect();
    let mut readers: Vec<_> = (0..scaled(19_000))
        .map(|_| Peer::join(&server, "/drain"))
        .collect();
    let kilobyte = "x".repeat(1_000);
    for _ in 0..20 {
        slow[0].say(&kilobyte);
    }
    for _ in 0..20 {
        assert_eq!(readers[0].hear(), kilobyte); // so all of it is published
    }
    server.signal("TERM");
    for (n, reader) in readers.iter_mut().enumerate() {
        for _ in if n == 0 { 20..20 } else { 0..20 } {
            assert_eq!(reader.hear(), kilobyte, "reader {n}");
        }
        let Some(Frame {
            first: CLOSE,
            payload,
        }) = reader.read()
        else {
            panic!("reader {n} was not told");
        };
        assert_eq!(payload[..2], 1001_u16.to_be_bytes());
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn newcomers_are_turned_away_while_the_server_ends() {
    let mut server = Server::start(&["--close-timeout=2"]);
    let mut peer = Peer::join(&server, "/");
    let mut late = server.connect();
    late.write_all(b"GET").unwrap();
    server.signal("TERM");
    assert!(matches!(peer.read(), Some(Frame { first: CLOSE, .. })));
    let rest = &upgrade(&server, "/", "")[3..];
    let _ = late.write_all(rest.as_bytes());
    let mut answer = String::new();
    let _ = late.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 503 "),
        "{answer}"
    );
    drop(peer);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_reconnect_storm_is_let_in_beside_those_who_are_in() {
    attacked("a reconnect storm", &[], 8 * MIB, |server| {
        let storm = Crowd::join(server, "/storm", scaled(80_000).min(5_000) / 10);
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        for _ in 0..2 {
            let mut streams: Vec<_> = (0..scaled(80_000).min(5_000))
                .map(|_| server.connect())
                .collect();
            let head = upgrade(server, "/storm", "");
            for stream in &mut streams {
                stream.write_all(head.as_bytes()).unwrap();
            }
            for stream in &mut streams {
                let mut answer = [0; 12];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"HTTP/1.1 101");
            }
        }
        storm.verify();
        assert_eq!(
            ask(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status,
            200
        );
    });
}
