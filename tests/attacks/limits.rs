//! Each limit, run into from outside.

use crate::common::peer::{BINARY, Peer, header, upgrade};
use crate::common::{Server, binary, eventually};
use crate::requests::ask;
use crate::{MIB, attacked, scaled};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn connections_in_all() {
    attacked(
        "--max-connections",
        &["--max-connections=110"],
        MIB,
        |server| {
            let join = upgrade(server, "/", "");
            let mut peers: Vec<_> = (0..10).map(|_| Peer::join(server, "/")).collect();
            let refused = ask(server, join.as_bytes());
            assert_eq!(refused.status, 503);
            assert!(
                refused
                    .header("Retry-After")
                    .is_some_and(|s| s.parse::<u32>().is_ok())
            );
            assert!(server.count("connections_over_limit") > 0);
            peers.pop();
            assert!(eventually(|| ask(server, join.as_bytes()).status == 101));
            peers[0].say("still here");
            assert_eq!(peers[0].hear(), "still here");
        },
    );
}

#[test]
fn connections_of_one_address() {
    attacked(
        "--max-per-address",
        &["--max-per-address=105"],
        MIB,
        |server| {
            let join = upgrade(server, "/", "");
            let mut peers: Vec<_> = (0..5).map(|_| Peer::join(server, "/")).collect();
            let refused = ask(server, join.as_bytes());
            assert_eq!(refused.status, 503);
            assert!(refused.body.ends_with(b"from this address\n"));
            assert!(server.count("connections_over_limit") > 0);
            let mut elsewhere = connect_from([127, 0, 0, 2], server);
            elsewhere.write_all(join.as_bytes()).unwrap();
            let mut answer = [0; 12];
            elsewhere.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 101");
            peers.pop();
            assert!(eventually(|| ask(server, join.as_bytes()).status == 101));
        },
    );
}

#[test]
fn one_address_takes_no_places_with_requests_that_never_come() {
    let options = ["--max-per-address=105", "--handshake-timeout=600"];
    attacked("connections without a word", &options, MIB, |server| {
        let before = server.descriptors();
        let mute: Vec<_> = (0..200).map(|_| server.connect()).collect();
        let mut elsewhere = connect_from([127, 0, 0, 2], server);
        let mut answer = [0; 12];
        elsewhere
            .write_all(upgrade(server, "/", "").as_bytes())
            .unwrap();
        elsewhere.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        let taken = server.descriptors() - before;
        assert!(taken < 30, "{taken} places are taken");
        drop(mute);
    });
}

pub(crate) fn connect_from(address: [u8; 4], server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&server.address.into()).unwrap();
    socket.into()
}

#[test]
fn rooms() {
    attacked("--max-rooms", &["--max-rooms=4"], MIB, |server| {
        let mut peers: Vec<_> = (0..3)
            .map(|n| Peer::join(server, &format!("/{n}")))
            .collect();
        let another = upgrade(server, "/another", "");
        assert_eq!(ask(server, another.as_bytes()).status, 503);
        assert_eq!(server.count("requests_refused"), 1);
        drop(Peer::join(server, "/1")); // a room that is there is no new one
        peers.pop();
        assert!(eventually(|| ask(server, another.as_bytes()).status == 101));
    });
}

#[test]
fn room_names() {
    // The slash counts.
    let long = "x".repeat(127);
    attacked("the length of a room's name", &[], MIB, |server| {
        drop(Peer::join(server, &format!("/{long}")));
        let longer = upgrade(server, &format!("/{long}y"), "");
        assert_eq!(ask(server, longer.as_bytes()).status, 414);
        assert_eq!(server.count("requests_refused"), 1);
    });
}

#[test]
fn a_flood_of_rooms_leaves_none() {
    attacked(
        "a flood of room names",
        &["--max-rooms=500"],
        2 * MIB,
        |server| {
            for batch in 0..scaled(160_000) / 1_000 {
                let mut streams: Vec<_> = (0..1_000).map(|_| server.connect()).collect();
                for (n, stream) in streams.iter_mut().enumerate() {
                    let room = format!("/{batch}-{n}-{}", "x".repeat(100));
                    stream
                        .write_all(upgrade(server, &room, "").as_bytes())
                        .unwrap();
                }
                let mut answer = [0; 12];
                for stream in &mut streams {
                    stream.read_exact(&mut answer).unwrap();
                    assert!([b"HTTP/1.1 101", b"HTTP/1.1 503"].contains(&&answer));
                }
            }
        },
    );
}

#[test]
fn the_size_of_a_message() {
    attacked("--max-message", &["--max-message=1000"], MIB, |server| {
        let mut peer = Peer::join(server, "/");
        let largest = "x".repeat(1_000);
        peer.say(&largest);
        assert_eq!(peer.hear(), largest);
        peer.stream.write_all(&header(BINARY, 1_001)).unwrap();
        assert_eq!(peer.close_code(), Some(1009));
        assert_eq!(server.count("messages_too_large"), 1);
    });
}

#[test]
fn the_frames_of_a_message() {
    attacked("--max-frames", &["--max-frames=3"], MIB, |server| {
        let mut peer = Peer::join(server, "/");
        for (first, text) in [(0x01, "a"), (0x00, "b"), (0x80, "c")] {
            peer.send(first, text.as_bytes());
        }
        assert_eq!(peer.hear(), "abc");
        for first in [0x01, 0x00, 0x00, 0x00] {
            peer.send(first, b"");
        }
        assert_eq!(peer.close_code(), Some(1008));
        assert_eq!(server.count("messages_of_too_many_frames"), 1);
    });
}

#[test]
fn the_time_of_a_message() {
    attacked(
        "--message-timeout",
        &["--message-timeout=1"],
        MIB,
        |server| {
            let mut peer = Peer::join(server, "/");
            peer.send(0x01, b"a beginning");
            let start = Instant::now();
            assert_eq!(peer.close_code(), Some(1008));
            assert!(start.elapsed() < Duration::from_secs(10)); // the default is 30 s
            assert_eq!(server.count("message_timeouts"), 1);
        },
    );
}

#[test]
fn every_limit_stands_in_security_md_with_its_default_and_has_its_test() {
    let reliability = include_str!("../../docs/reliability.md");
    let security = include_str!("../../SECURITY.md");
    let help = std::process::Command::new(binary())
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let beside = [
        "listen",
        "allow-origin",
        "log-level",
        "compression",
        "compression-level",
        "compression-threshold",
    ];
    let mut option = "";
    let mut seen = 0;
    for line in help.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("--") {
            option = name.split(' ').next().unwrap();
        } else if let Some(default) = line.strip_prefix("[default: ")
            && !beside.contains(&option)
        {
            let row = security
                .lines()
                .find(|row| row.contains(&format!("| `--{option}` |")));
            let row = row.unwrap_or_else(|| panic!("SECURITY.md does not know --{option}"));
            assert!(
                row.contains(&format!("| {} |", default.trim_end_matches(']'))),
                "{row}: {default}"
            );
            if option != "batch-delay" {
                has_its_test(option, reliability);
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} limits in --help");
}

/// The row of a limit names a file of tests and tests that are in it.
fn has_its_test(option: &str, table: &str) {
    let row = table
        .lines()
        .find_map(|row| row.strip_prefix(&format!("| `--{option}` | ")));
    let row = row.unwrap_or_else(|| panic!("docs/reliability.md knows no test of --{option}"));
    let mut source = String::new();
    let mut tests = 0;
    for word in row.split('`').skip(1).step_by(2) {
        if word.ends_with(".rs") {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(word);
            source = std::fs::read_to_string(path).expect(word);
        } else {
            assert!(source.contains(&format!("fn {word}() {{")), "{row}");
            tests += 1;
        }
    }
    assert!(tests > 0, "{row}");
}
