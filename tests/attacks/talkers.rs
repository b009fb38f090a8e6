//! Those who talk too much, and those who never listen.

use crate::common::peer::{BINARY, PING, PONG, Peer, TEXT, frame};
use crate::common::{Server, eventually};
use crate::{MIB, attacked, scaled};
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

/// Publishes messages of 64 KiB that begin with their number; two in the room hear each of them. The
/// speaker is never further ahead of them than an eighth of a lane: they do read.
fn publish(server: &Server, room: &str, count: u64) {
    const AHEAD: u64 = 8;
    let mut speaker = Peer::join(server, room);
    let mut reader = Peer::join(server, room);
    let mut message = vec![b'x'; 64 * 1024];
    for n in 0..count + AHEAD {
        if n < count {
            message[..8].copy_from_slice(&n.to_be_bytes());
            speaker.send(BINARY, &message);
        }
        let Some(heard) = n.checked_sub(AHEAD) else {
            continue;
        };
        for peer in [&mut speaker, &mut reader] {
            let frame = peer.read().expect("somebody who reads was dropped");
            assert_eq!((frame.first, frame.payload.len()), (BINARY, 64 * 1024));
            assert_eq!(frame.payload[..8], heard.to_be_bytes());
        }
    }
}

#[test]
fn whoever_never_reads_is_dropped_and_holds_one_lane_at_most() {
    let options = [
        "--message-rate=0",
        "--byte-rate=0",
        "--max-message=64K",
        "--ping-interval=0", // who only reads is silent for as long as that takes
    ];
    attacked(
        "never-reading clients, 1 GB published",
        &options,
        8 * MIB,
        |server| {
            let never: Vec<_> = (0..10).map(|_| Peer::join(server, "/sink")).collect();
            publish(server, "/sink", scaled(16_384) as u64);
            assert!(eventually(|| server.count("slow_consumers_dropped") == 10));
            drop(never);
        },
    );
}

#[test]
fn small_frames_that_say_a_thousand_times_as_much_leave_nobody_behind() {
    let options = ["--message-rate=0", "--byte-rate=0"];
    attacked(
        "bombs of compressed messages",
        &options,
        16 * MIB,
        |server| {
            let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
            let mut speaker = Peer::join_with(server, "/bombs", deflate);
            let chat = "Sec-WebSocket-Protocol: chat.v1\r\n";
            let mut reader = Peer::join_with(server, "/bombs", chat);
            let mut payload = Vec::with_capacity(1_000);
            flate2::Compress::new(flate2::Compression::best(), false)
                .compress_vec(&[0; 64 * 1024], &mut payload, flate2::FlushCompress::Sync)
                .unwrap();
            payload.truncate(payload.len() - 4); // the tail that RFC 7692 leaves out
            speaker
                .stream
                .write_all(&frame(0xc2, &payload).repeat(60))
                .unwrap();
            let mut heard = 0;
            while heard < 60 {
                let said = reader.hear();
                heard += usize::from(said.starts_with("{\"type\":\"message\""));
            }
        },
    );
}

#[test]
fn a_flood_is_slowed_down_and_loses_nothing() {
    let options = ["--message-rate=100", "--message-burst=50", "--byte-rate=0"];
    attacked("a message flood", &options, MIB, |server| {
        let mut flooder = Peer::join(server, "/flood");
        let start = Instant::now();
        for n in 0..450 {
            flooder.say(&format!("{n:032}"));
        }
        for n in 0..450 {
            assert_eq!(flooder.hear(), format!("{n:032}"));
        }
        // All beyond the burst at 100 a second, less what one read of 4 KiB may bring unpaid.
        assert!(
            start.elapsed() >= Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        assert!(server.count("reads_paused_by_rate") > 0);
    });
}

#[test]
fn a_burst_is_let_through_at_once_and_no_more_than_that() {
    let options = [
        "--message-rate=10",
        "--message-burst=40",
        "--byte-rate=0",
        "--ping-interval=0",
    ];
    attacked("--message-burst", &options, MIB, |server| {
        let mut talker = Peer::join(server, "/burst");
        let mut echo = |times| {
            let start = Instant::now();
            for _ in 0..times {
                talker.say("hello");
                talker.hear();
            }
            start.elapsed()
        };
        let burst = echo(40);
        assert!(burst < Duration::from_secs(2), "{burst:?}"); // 4 s without it
        let beyond = echo(20);
        assert!(beyond > Duration::from_secs(1), "{beyond:?}");
    });
}

#[test]
fn many_bytes_are_slowed_down_and_none_are_lost() {
    attacked(
        "a flood of bytes",
        &["--byte-rate=64K", "--message-rate=0"],
        MIB,
        |server| {
            let mut flooder = Peer::join(server, "/bytes");
            let start = Instant::now();
            let message = "x".repeat(32 * 1024);
            for _ in 0..8 {
                flooder.say(&message);
            }
            for _ in 0..8 {
                assert_eq!(flooder.hear(), message);
            }
            assert!(
                start.elapsed() >= Duration::from_secs(2),
                "{:?}",
                start.elapsed()
            );
        },
    );
}

#[test]
fn many_pings_are_slowed_down_and_the_latest_is_answered() {
    attacked("a flood of pings", &["--ping-rate=50"], MIB, |server| {
        let mut flooder = Peer::join(server, "/pings");
        let start = Instant::now();
        for n in 0..200_u32 {
            flooder.send(PING, &n.to_be_bytes());
        }
        let mut last = None;
        while last != Some(199) {
            let pong = flooder
                .read()
                .expect("an eager client is no reason to drop it");
            assert_eq!(pong.first, PONG);
            let n = u32::from_be_bytes(pong.payload.try_into().unwrap());
            assert!(last < Some(n), "{n} after {last:?}");
            last = Some(n);
        }
        // They came in one read or a few, so it is the next one that waits until they are paid for.
        flooder.say("at last");
        assert_eq!(flooder.hear(), "at last");
        assert!(
            start.elapsed() >= Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        assert!(server.count("reads_paused_by_rate") > 0);
    });
}

#[test]
fn a_full_room_hears_its_talkers_later_and_loses_nothing() {
    const TALKERS: usize = 120;
    const EACH: usize = 10;
    let options = [
        "--message-rate=0",
        "--byte-rate=0",
        "--max-message=1K",
        "--room-buffer=1M",
    ];
    attacked("a full room", &options, 8 * MIB, |server| {
        // More than a turn visits, so that what one turn hears is not through before the next.
        let mut members: Vec<_> = (0..300).map(|_| Peer::join(server, "/full")).collect();
        server.signal("STOP");
        for (n, talker) in members[..TALKERS].iter_mut().enumerate() {
            for m in 0..EACH {
                talker.say(&format!("{n}:{m}:{}", "x".repeat(900)));
            }
        }
        server.signal("CONT");
        let mut order: Option<Vec<String>> = None;
        for member in &mut members {
            let heard: Vec<_> = (0..TALKERS * EACH).map(|_| member.hear()).collect();
            assert_eq!(order.get_or_insert_with(|| heard.clone()), &heard);
        }
        assert!(server.count("reads_paused_by_room") > 0);
        assert_eq!(server.count("slow_consumers_dropped"), 0);
    });
}

#[test]
fn many_who_ask_for_long_answers_in_one_breath_hold_one_each() {
    attacked("questions with long answers", &[], 16 * MIB, |server| {
        let chat = "Sec-WebSocket-Protocol: chat.v1\r\n";
        let emoji = "%F0%9F%98%80".repeat(28);
        let join = |n| Peer::join_with(server, &format!("/who?name={emoji}{n}"), chat);
        let mut askers: Vec<_> = (0..100).map(join).collect();
        thread::sleep(Duration::from_millis(1_500)); // until they have been announced
        let questions = ["who", "history"].map(|kind| format!("{{\"type\":\"{kind}\"}}"));
        let questions = questions.map(|question| frame(TEXT, question.as_bytes()));
        for asker in &mut askers {
            let breath = questions.concat().repeat(40);
            asker.stream.write_all(&breath).unwrap();
        }
        for asker in &mut askers {
            let mut busy = 0;
            while busy < 70 {
                busy += usize::from(asker.hear().contains("\"busy\""));
            }
        }
    });
}

#[test]
fn floods_of_small_messages_from_many_do_not_drown_the_others() {
    attacked("floods from many", &[], 16 * MIB, |server| {
        let mut flooders: Vec<_> = (0..50).map(|_| Peer::join(server, "/floods")).collect();
        let flood = frame(TEXT, b"x").repeat(1_000);
        for flooder in &mut flooders {
            flooder.stream.set_nonblocking(true).unwrap();
        }
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            for flooder in &mut flooders {
                let _ = std::io::Write::write(&mut flooder.stream, &flood);
            }
            thread::sleep(Duration::from_millis(10));
        }
    });
}
