//! Request heads that never end.

use crate::common::eventually;
use crate::common::peer::upgrade;
use crate::requests::{self, ask};
use crate::{KIB, MIB, attacked, scaled};
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

#[test]
fn a_head_that_comes_byte_by_byte_runs_out_of_time() {
    attacked("slow heads", &["--handshake-timeout", "1"], MIB, |server| {
        let head = upgrade(server, "/", "");
        let mut streams: Vec<_> = (0..200).map(|_| server.connect()).collect();
        for byte in head.bytes().take(20) {
            for stream in &mut streams {
                let _ = stream.write_all(&[byte]);
            }
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(server.count("handshake_timeouts"), 200);
        for stream in &mut streams {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            // Whoever wrote on after the answer may have had it destroyed by a reset.
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "),
                "{answer:?}"
            );
        }
    });
}

#[test]
fn connections_that_say_nothing_run_out_of_time() {
    attacked(
        "thousands of half-open sockets",
        &["--handshake-timeout", "2"],
        2 * MIB,
        |server| {
            let _ = rlimit::increase_nofile_limit(u64::MAX);
            let streams: Vec<_> = (0..scaled(64_000).min(4_000))
                .map(|_| server.connect())
                .collect();
            for mut stream in streams {
                let mut answer = [0; 12];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"HTTP/1.1 408");
            }
        },
    );
}

#[test]
fn ten_thousand_headers_are_refused_before_they_have_come() {
    attacked("10,000 headers", &[], 64 * KIB, |server| {
        let lines: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
        assert_eq!(
            ask(server, upgrade(server, "/", &lines).as_bytes()).status,
            431
        );
    });
}

#[test]
fn long_lines_are_refused() {
    attacked("long lines", &[], 64 * KIB, |server| {
        let long = "x".repeat(1_000_000);
        assert_eq!(
            ask(server, upgrade(server, &format!("/{long}"), "").as_bytes()).status,
            414
        );
        let line = format!("x-long: {long}\r\n");
        assert_eq!(
            ask(server, upgrade(server, "/", &line).as_bytes()).status,
            431
        );
        let method = format!("{long} / HTTP/1.1\r\n\r\n");
        assert_eq!(ask(server, method.as_bytes()).status, 501);
    });
}

#[test]
fn what_cannot_be_http_is_answered_at_once() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    attacked(
        "a TLS hello",
        &["--handshake-timeout", "600"],
        0,
        |server| {
            for bytes in [
                &hello[..],
                b"\0",
                b"\xff\xff",
                b"{\"json\": 1}",
                b" GET / HTTP/1.1",
            ] {
                assert_eq!(ask(server, bytes).status, 400, "{bytes:?}");
            }
        },
    );
}

#[test]
fn half_a_head_that_asks_for_a_head_is_answered_without_a_body() {
    let options = ["--handshake-timeout=1"];
    attacked("half a HEAD", &options, 0, |server| {
        let mut stream = server.connect();
        stream.write_all(b"HEAD / HTTP/1.1\r\nHost: ").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    });
}

#[test]
fn the_oldest_request_makes_room_where_too_many_have_not_come() {
    let options = ["--max-handshakes=20", "--handshake-timeout=600"];
    attacked("--max-handshakes", &options, MIB, |server| {
        let mut streams: Vec<_> = (0..30).map(|_| server.connect()).collect();
        assert!(eventually(|| server.count("handshakes_over_limit") == 10));
        for (n, stream) in streams.iter_mut().enumerate() {
            let _ = stream.write_all(upgrade(server, "/", "").as_bytes());
            let mut answer = [0; 12];
            let is_in = stream.read_exact(&mut answer).is_ok() && &answer == b"HTTP/1.1 101";
            assert_eq!(is_in, n >= 10, "the {n}. of them");
        }
    });
}

#[test]
fn the_size_of_a_request_its_lines_and_its_headers() {
    let options = ["--max-request=500", "--max-line=300", "--max-headers=6"];
    attacked("--max-request", &options, MIB, |server| {
        let ask = |path: &str, lines: &str| {
            let request = upgrade(server, path, lines);
            (request.len(), ask(server, request.as_bytes()).status)
        };
        let query = |times| format!("/?{}", "x".repeat(times));
        let line = |times| format!("a: {}\r\n", "x".repeat(times));
        // Around the query are 15 bytes of its line, and in front of the value 3 of its own.
        assert_eq!(ask(&query(285), "").1, 101);
        assert_eq!(ask(&query(286), "").1, 414);
        assert_eq!(ask("/", &line(297)).1, 101);
        assert_eq!(ask("/", &line(298)).1, 431);
        let (length, status) = ask("/?", &line(297));
        assert_eq!(status, 101);
        assert_eq!(ask(&query(500 - length), &line(297)), (500, 101));
        assert_eq!(ask(&query(501 - length), &line(297)), (501, 431));
        // It is too much before the line has ended, too.
        let mut endless = upgrade(server, "/", &line(200));
        endless.truncate(endless.len() - 2);
        endless += "b: ";
        endless += &"x".repeat(501 - endless.len());
        assert_eq!(requests::ask(server, endless.as_bytes()).status, 431);
        // An upgrade has five of its own.
        assert_eq!(ask("/", &line(1)).1, 101);
        assert_eq!(ask("/", &line(1).repeat(2)).1, 431);
    });
}
