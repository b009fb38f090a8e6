//! The log as a way in.

use crate::common::peer::{Peer, upgrade};
use crate::common::{Server, eventually};
use crate::requests::ask;
use crate::{MIB, attacked, scaled};

/// Makes the server write a lot: two lines or more for each of these.
fn chatter(server: &Server, times: usize) {
    for n in 0..times {
        drop(Peer::join(server, &format!("/{n}{}", "x".repeat(100))));
    }
}

#[test]
fn a_log_reader_that_stops_reading_stops_nobody() {
    attacked("a stalled log", &["--log-level", "debug"], MIB, |server| {
        server.stall_log();
        chatter(server, scaled(64_000));
        server.resume_log();
        // One line or another has room again, and begins with what is missing before it.
        assert!(eventually(|| {
            chatter(server, 1);
            let log = server.log();
            log.iter().any(|line| line.contains(" log lines were lost"))
        }));
    });
}

#[test]
fn a_log_reader_that_goes_away_ends_nothing() {
    attacked("a closed log", &["--log-level", "debug"], MIB, |server| {
        server.close_log();
        chatter(server, scaled(16_000));
    });
}

#[test]
fn a_line_of_the_log_is_cut_to_what_a_pipe_takes_at_once() {
    // At the start a line tells where the server is to be found: at a hundred addresses here.
    let addresses: Vec<String> = (2..102).map(|n| format!("127.0.0.{n}:0")).collect();
    let mut server = Server::start(&["--listen", &addresses.join(",")]);
    let line = server.wait_for_log("hushd is running on ");
    assert!((3_900..4_096).contains(&line.len()), "{line}");
    assert_eq!(server.count("connections_accepted"), 0); // the next line is one of its own
}

#[test]
fn what_clients_send_cannot_forge_a_line_of_the_log() {
    attacked("log injection", &["--log-level", "trace"], MIB, |server| {
        for forged in [
            "%0d%0aINFO%20forged",
            "%0AINFO%20forged",
            "%1b%5b2JINFO%20forged",
            "%1b]0;forged%07",
            "%e2%80%a8INFO%20forged",
            "%c2%85INFO%20forged",
            "%e2%80%aeforged",
            "%00forged",
            &"forged".repeat(1_000),
        ] {
            ask(
                server,
                upgrade(server, &format!("/{forged}"), "").as_bytes(),
            );
        }
        for forged in [
            "\x1b[2Jforged",
            "http://\u{2028}INFO forged",
            "http://a\u{85}forged",
            "\u{202e}forged",
        ] {
            for name in [
                "Origin",
                "Host",
                "Sec-WebSocket-Protocol",
                "User-Agent",
                "Upgrade",
            ] {
                ask(
                    server,
                    upgrade(server, "/", &format!("{name}: {forged}\r\n")).as_bytes(),
                );
            }
        }
        let mut peer = Peer::join(server, "/");
        peer.send(0x88, "\u{3}\u{e8}\n\x1b[2J\u{2028}INFO forged".as_bytes());
        peer.close_code();
        for line in server.log() {
            assert!(!line.starts_with("INFO") && line.len() < 4_096, "{line:?}");
            let stray =
                |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
            assert!(!line.contains(stray), "{line:?}");
        }
    });
}
