//! What clients may make the server hold, each alone and all together.

use crate::common::peer::{BINARY, Peer, TEXT, frame, header};
use crate::common::{Server, eventually};
use crate::{MIB, attacked, scaled};
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::time::Duration;

/// With this a client that reads nothing has little in the kernel, and the rest in the server.
pub(crate) const SMALL: [&str; 3] = ["--send-buffer=4K", "--message-rate=0", "--byte-rate=0"];

/// Joins a room and never reads, with as little space as the kernel allows for what it does not read.
pub(crate) fn join_deaf(server: &Server, path: &str, lines: &str) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.connect(&server.address.into()).unwrap();
    Peer::join_by(socket.into(), server, path, lines)
}

/// Asks for so many answers of 40 bytes or so that are for this client alone, and reads none.
pub(crate) fn ask_without_reading(peer: &mut Peer, times: usize) {
    let ask = frame(TEXT, br#"{"type":"ping"}"#).repeat(times);
    let _ = peer.stream.write_all(&ask); // dropped on the way, maybe
}

const CHAT: &str = "Sec-WebSocket-Protocol: chat.v1\r\n";

#[test]
fn owed_to_one_client() {
    let options = [&SMALL[..], &["--client-buffer=64K"]].concat();
    attacked("--client-buffer", &options, MIB, |server| {
        let mut modest = join_deaf(server, "/owed", CHAT);
        let mut greedy = join_deaf(server, "/owed", CHAT);
        ask_without_reading(&mut modest, 10);
        ask_without_reading(&mut greedy, 20_000);
        server.wait_for_log("is dropped: ");
        assert_eq!(server.count("client_buffers_over_limit"), 1);
        assert_eq!(server.count("client_buffers_over_total"), 0);
        for _ in 0..10 {
            while !modest.hear().contains("pong") {}
        }
    });
}

#[test]
fn the_send_buffer_is_as_large_as_it_was_set() {
    // What the kernel does not take is owed by the server: of 40 KB, most of it or nothing.
    for (buffer, dropped) in [("--send-buffer=4K", 1), ("--send-buffer=128K", 0)] {
        let options = [&SMALL[1..], &[buffer, "--client-buffer=16K"]].concat();
        attacked(buffer, &options, MIB, |server| {
            let mut deaf = join_deaf(server, "/deaf", CHAT);
            let mut other = Peer::join(server, "/other");
            for _ in 0..200 {
                ask_without_reading(&mut deaf, 5); // no more than a turn writes
                other.say("what came before this has been answered");
                other.hear();
            }
            assert_eq!(server.count("client_buffers_over_limit"), dropped);
            if dropped == 0 {
                for _ in 0..1_000 {
                    while !deaf.hear().contains("pong") {}
                }
            }
        });
    }
}

#[test]
fn owed_to_all_together() {
    let options = [&SMALL[..], &["--client-buffer-total=1M"]].concat();
    attacked("--client-buffer-total", &options, 2 * MIB, |server| {
        let mut greedy: Vec<_> = (0..8).map(|_| join_deaf(server, "/owed", CHAT)).collect();
        for peer in &mut greedy {
            ask_without_reading(peer, 10_000); // 400 KB, of which each may be owed 1 MiB
        }
        assert!(eventually(|| server.count("client_buffers_over_total") > 0));
        assert_eq!(server.count("client_buffers_over_limit"), 0);
    });
}

/// With these, half messages of up to a megabyte come as fast as they can be sent.
const MEGABYTES: [&str; 4] = [
    "--max-message=1M",
    "--room-buffer=16M",
    "--byte-rate=0",
    "--message-rate=0",
];

/// What all of them may hold, and cost: whatever ends leaves room that whoever comes next can use.
const HALVES: u64 = 64 * MIB;

#[test]
fn half_messages_of_all_together() {
    attacked("half messages", &MEGABYTES, HALVES, |server| {
        let half = &[header(BINARY, 1_000_000), vec![b'x'; 999_000]].concat();
        let mut peers: Vec<_> = (0..scaled(3_200))
            .map(|_| Peer::join(server, "/half"))
            .collect();
        for peer in &mut peers {
            let _ = peer.stream.write_all(half);
        }
        assert!(eventually(
            || server.count("partial_messages_over_total") > 0
        ));
    });
}

#[test]
fn half_messages_of_every_size_that_grow_side_by_side_and_go() {
    let name = "half messages of every size";
    attacked(name, &MEGABYTES, HALVES, |server| {
        let bytes = vec![b'x'; 50_000];
        let (mut growing, mut grown) = (VecDeque::new(), Vec::new());
        for nth in 0..scaled(160_000) {
            // Two hundred grow at a time, by pieces of up to 50 KB.
            if growing.len() < 200 {
                let length = 1_000_000 >> (nth % 5);
                let mut peer = Peer::join(server, "/half");
                peer.stream.write_all(&header(BINARY, length)).unwrap();
                growing.push_back((peer, length as usize - 1));
            }
            let Some((mut peer, left)) = growing.pop_front() else {
                continue;
            };
            let piece = left.min(1 + nth * 7_919 % bytes.len());
            if peer.stream.write_all(&bytes[..piece]).is_err() {
                continue; // it was the largest
            }
            if piece < left {
                growing.push_back((peer, left - piece));
            } else {
                grown.push(peer);
            }
            if grown.len() > 400 {
                grown.swap_remove(nth % 400);
            }
        }
        assert!(eventually(
            || server.count("partial_messages_over_total") > 0
        ));
    });
}

#[test]
fn the_largest_half_message_ends_and_the_others_go_on() {
    let options = [
        "--partial-messages-total=1M",
        "--byte-rate=0",
        "--max-message=512K",
        "--room-buffer=16M",
    ];
    attacked("--partial-messages-total", &options, 2 * MIB, |server| {
        let mut small: Vec<_> = (0..4).map(|_| Peer::join(server, "/half")).collect();
        for peer in &mut small {
            peer.send(0x02, b"a begin");
        }
        let mut large: Vec<_> = (0..4).map(|_| Peer::join(server, "/large")).collect();
        let half = [header(BINARY, 500_000), vec![b'x'; 400_000]].concat();
        for peer in &mut large {
            peer.stream.write_all(&half).unwrap();
        }
        assert!(eventually(
            || server.count("partial_messages_over_total") == 2
        ));
        let mut told = 0;
        for peer in &mut large {
            peer.stream
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            told += usize::from(
                peer.fill().is_ok_and(|count| count > 0) && peer.close_code() == Some(1013),
            );
        }
        assert_eq!(told, 2);
        small[0].send(0x80, b"ning");
        assert_eq!(small[1].read().unwrap().payload, b"a beginning");
    });
}

#[test]
fn heads_of_all_together() {
    attacked(
        "--max-request-total",
        &["--max-request-total=16K", "--handshake-timeout=60"],
        MIB,
        |server| {
            let half = format!("GET /{} HTTP/1.1\r\n", "x".repeat(6_000));
            let mut peers: Vec<_> = (0..8).map(|_| server.connect()).collect();
            for peer in &mut peers {
                peer.write_all(half.as_bytes()).unwrap();
            }
            // Two of them fit; who is one too many is told so.
            server.wait_for_log("the server is full");
            let mut told = 0;
            for mut peer in peers {
                peer.set_read_timeout(Some(std::time::Duration::from_millis(300)))
                    .unwrap();
                let mut response = String::new();
                let _ = peer.read_to_string(&mut response);
                told += usize::from(response.starts_with("HTTP/1.1 503 "));
            }
            assert!(told >= 5, "{told} were told");
            assert!(server.count("requests_over_total") >= 5);
        },
    );
}

#[test]
fn no_progress() {
    let options = [&SMALL[..], &["--progress-timeout=1"]].concat();
    attacked("--progress-timeout", &options, 4 * MIB, |server| {
        let _stuck = join_deaf(server, "/stuck", "");
        let mut speaker = Peer::join(server, "/stuck");
        let message = "x".repeat(10_000);
        for _ in 0..20 {
            speaker.say(&message);
            speaker.hear();
        }
        server.wait_for_log("is dropped: ");
        assert_eq!(server.count("progress_timeouts"), 1);
    });
}

#[test]
fn all_rooms_together() {
    let options = [
        &SMALL[..],
        &[
            "--max-message=4K",
            "--room-buffer=1M",
            "--room-buffer-total=4M",
        ],
    ]
    .concat();
    attacked("--room-buffer-total", &options, 8 * MIB, |server| {
        // Each of them alone would be remembered a megabyte.
        let mut rooms: Vec<_> = (0..20)
            .map(|n| {
                let path = format!("/{n}");
                (Peer::join(server, &path), join_deaf(server, &path, ""))
            })
            .collect();
        for (speaker, _) in &mut rooms {
            for _ in 0..220 {
                speaker.send(BINARY, &[0; 4_000]);
                assert!(speaker.read().is_some(), "who reads was dropped");
            }
        }
        assert!(server.count("room_buffers_over_total") > 0);
        // Whoever was cut off is found when there is something to tell it.
        for (speaker, _) in &mut rooms {
            speaker.say("are you there?");
        }
        assert!(eventually(|| server.count("slow_consumers_dropped") >= 15));
    });
}
