//! The chat from end to end: a real process, real sockets, an independent client.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use common::{Server, eventually};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

type Client = WebSocket<TcpStream>;

fn join(server: &Server, path: &str) -> Client {
    let (client, _) = tungstenite::client(server.url(path), server.connect()).unwrap();
    client
}

fn text(text: &str) -> Message {
    Message::text(text)
}

#[test]
fn what_one_says_everybody_in_the_room_hears_and_nobody_else() {
    let server = Server::start(&[]);
    let mut tea = [
        join(&server, "/tea"),
        join(&server, "/tea"),
        join(&server, "/te%61"),
    ];
    let mut root = join(&server, "/");
    tea[0].send(text("milk?")).unwrap();
    tea[1].send(Message::binary(vec![0, 255, 7])).unwrap();
    for member in &mut tea {
        let heard = [member.read().unwrap(), member.read().unwrap()];
        assert!(
            heard.contains(&text("milk?")) && heard.contains(&Message::binary(vec![0, 255, 7]))
        );
    }
    root.send(text("only here")).unwrap();
    assert_eq!(root.read().unwrap(), text("only here"));
}

#[test]
fn a_subprotocol_is_answered_only_where_it_was_offered() {
    let server = Server::start(&[]);
    for (offered, answered) in [
        (None, None),
        (Some("chat"), Some("chat")),
        (Some("mqtt, chat"), Some("chat")),
    ] {
        let mut request = server.url("/").into_client_request().unwrap();
        if let Some(offered) = offered {
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", offered.parse().unwrap());
        }
        let (_, response) = tungstenite::client(request, server.connect()).unwrap();
        let protocol = response.headers().get("Sec-WebSocket-Protocol");
        assert_eq!(protocol.map(|value| value.to_str().unwrap()), answered);
    }
}

#[test]
fn pings_are_answered_and_closes_are_echoed() {
    let server = Server::start(&[]);
    let mut client = join(&server, "/");
    client.send(Message::Ping("are you there?".into())).unwrap();
    assert_eq!(
        client.read().unwrap(),
        Message::Pong("are you there?".into())
    );
    let goodbye = tungstenite::protocol::CloseFrame {
        code: CloseCode::Library(4321),
        reason: "bye".into(),
    };
    client.close(Some(goodbye)).unwrap();
    let Message::Close(Some(echo)) = client.read().unwrap() else {
        panic!("no Close")
    };
    assert_eq!(echo.code, CloseCode::Library(4321));
    // We close the connection, not the client (RFC 6455, section 7.1.1).
    assert!(matches!(
        client.read(),
        Err(tungstenite::Error::ConnectionClosed)
    ));
}

#[test]
fn a_violation_is_answered_with_its_code() {
    let server = Server::start(&["--max-message", "1000"]);
    for (frame, code) in [
        (&b"\x81\x05hello"[..], 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x82\xfe\x03\xe9\0\0\0\0", 1009),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
    ] {
        let mut client = join(&server, "/");
        client.get_mut().write_all(frame).unwrap();
        let Message::Close(Some(close)) = client.read().unwrap() else {
            panic!("no Close")
        };
        assert_eq!(
            u16::from(close.code),
            code,
            "{frame:02x?}: {}",
            close.reason
        );
    }
}

#[test]
fn data_and_fin_that_arrive_together_leave_nothing_behind() {
    let server = Server::start(&["--ping-interval", "0"]);
    let mut other = join(&server, "/");
    let before = server.descriptors();
    for number in 0..50u8 {
        let mut client = join(&server, "/");
        let socket = client.get_mut();
        socket.write_all(&[0x82, 0x81, 0, 0, 0, 0, number]).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(other.read().unwrap(), Message::binary(vec![number]));
    }
    assert!(
        eventually(|| server.descriptors() == before),
        "descriptors are left"
    );
}

#[test]
fn a_peer_that_vanishes_at_any_moment_leaves_nothing_behind() {
    let server = Server::start(&["--ping-interval", "0"]);
    let before = server.descriptors();
    let request =
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
        \x81\x85\0\0\0\0hello\x88\x80\0\0\0\0";
    for end in 0..=request.len() {
        for reset in [false, true] {
            let mut socket = server.connect();
            socket.write_all(&request[..end]).unwrap();
            if reset && end % 3 == 0 {
                let _ = socket.set_read_timeout(Some(Duration::from_millis(1)));
                let _ = socket.read(&mut [0; 1]);
            }
            drop(socket);
        }
    }
    assert!(
        eventually(|| server.descriptors() == before),
        "descriptors are left"
    );
}

#[test]
fn whoever_never_reads_falls_behind_and_the_others_lose_nothing() {
    let server = Server::start(&[
        "--message-rate",
        "0",
        "--byte-rate",
        "0",
        "--send-buffer",
        "64K",
    ]);
    let mut deaf = join(&server, "/");
    let mut crowd = [join(&server, "/"), join(&server, "/")];
    let message = vec![7u8; 60_000];
    for number in 0..400u32 {
        let mut said = message.clone();
        said[..4].copy_from_slice(&number.to_be_bytes());
        crowd[0].send(Message::binary(said.clone())).unwrap();
        for member in &mut crowd {
            assert_eq!(member.read().unwrap().into_data(), said);
        }
    }
    // 24 MB were said; a lane holds 4 MiB, and the kernel some more.
    assert!(
        server
            .log()
            .iter()
            .any(|line| line.contains("it fell behind")),
        "{:#?}",
        server.log()
    );
    assert!(server.memory() < 32 << 20, "{} bytes", server.memory());
    while deaf.read().is_ok() {}
}

#[test]
fn sigterm_tells_everybody_to_go_and_ends_in_good_order() {
    let mut server = Server::start(&[]);
    let mut members = [join(&server, "/"), join(&server, "/tea")];
    members[0].send(text("last words")).unwrap();
    assert_eq!(members[0].read().unwrap(), text("last words"));
    server.signal("TERM");
    for member in &mut members {
        let Message::Close(Some(close)) = member.read().unwrap() else {
            panic!("no Close")
        };
        assert_eq!(u16::from(close.code), 1001);
        while member.read().is_ok() {}
    }
    assert!(server.wait().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Server::start(&["--close-timeout", "60"]);
    let _hangs = join(&server, "/");
    server.signal("INT");
    server.wait_for_log("shutting down");
    server.signal("INT");
    assert!(server.wait().success());
}

#[test]
fn a_silent_client_is_pinged_and_a_dead_one_dropped() {
    let server = Server::start(&[
        "--ping-interval",
        "0.3",
        "--ping-timeout",
        "14",
        "--message-rate",
        "500",
    ]);
    let mut client = join(&server, "/");
    assert_eq!(client.read().unwrap(), Message::Ping(Default::default()));
    let strict = Server::start(&[
        "--ping-interval",
        "0.3",
        "--ping-timeout",
        "0.3",
        "--message-rate",
        "0",
        "--byte-rate",
        "0",
    ]);
    let mut dead = strict.connect();
    dead.write_all(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .unwrap();
    let mut all = Vec::new();
    let ended = dead.read_to_end(&mut all);
    assert!(!ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    assert!(all.ends_with(b"\r\n\r\n\x89\x00"));
    assert_eq!(strict.count("ping_timeouts"), 1);
}

#[test]
fn a_slow_head_is_answered_with_408() {
    let server = Server::start(&["--handshake-timeout", "0.3"]);
    let mut slow = server.connect();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut response = String::new();
    slow.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
}

#[test]
fn a_full_server_says_so_and_takes_others_again() {
    let server = Server::start(&["--max-connections", "2"]);
    let first = join(&server, "/");
    let _second = join(&server, "/");
    let Err(refused) = tungstenite::client(server.url("/"), server.connect()) else {
        panic!("let in")
    };
    assert!(format!("{refused:?}").contains("503"), "{refused:?}");
    drop(first);
    assert!(eventually(|| tungstenite::client(
        server.url("/"),
        server.connect()
    )
    .is_ok()));
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    for close in [false, true] {
        let mut server = Server::start(&["--log-level", "debug"]);
        if close {
            server.close_log()
        } else {
            server.stall_log()
        }
        for number in 0..1_000 {
            let mut client = join(&server, "/");
            if number % 100 == 0 {
                client.send(text("still there?")).unwrap();
                assert_eq!(client.read().unwrap(), text("still there?"));
            }
        }
        assert!(server.is_alive());
    }
}
