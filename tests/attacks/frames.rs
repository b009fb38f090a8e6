//! Frames that lie about what is to come, or come in numbers.

use crate::common::Server;
use crate::common::peer::{BINARY, PING, PONG, Peer, TEXT, frame, header};
use crate::{MIB, attacked, scaled};
use std::io::Write;

#[test]
fn a_declared_length_allocates_nothing() {
    attacked("huge lengths", &[], 0, |server| {
        for (length, code) in [
            (65_537, 1009),
            (1 << 31, 1009),
            (1 << 40, 1009),
            (1 << 53, 1009),
            ((1 << 63) - 1, 1009),
            (1 << 63, 1002),
            (u64::MAX, 1002),
        ] {
            for first in [TEXT, BINARY, 0x02] {
                let mut peer = Peer::join(server, "/lengths");
                peer.stream.write_all(&header(first, length)).unwrap();
                assert_eq!(peer.close_code(), Some(code), "a length of {length}");
            }
        }
    });
}

#[test]
fn the_length_of_a_message_counts_its_fragments_together() {
    attacked("huge lengths in fragments", &[], 64 * 1024, |server| {
        for length in [65_535, 1 << 31, 1 << 40, (1 << 63) - 1] {
            let mut peer = Peer::join(server, "/lengths");
            peer.send(0x02, b"ab");
            peer.stream.write_all(&header(0x00, length)).unwrap();
            assert_eq!(peer.close_code(), Some(1009), "a fragment of {length}");
        }
    });
}

#[test]
fn empty_fragments_are_counted() {
    attacked("200,000 empty fragments", &[], 0, |server| {
        let mut peer = Peer::join(server, "/fragments");
        peer.send(0x01, b"");
        let fragments = frame(0x00, b"").repeat(scaled(200_000));
        let _ = peer.stream.write_all(&fragments); // refused on the way, most likely
        assert!(matches!(peer.close_code(), Some(1008) | None));
        assert_eq!(server.count("messages_of_too_many_frames"), 1);
    });
}

/// All rates off: every frame of a flood is read, and none waits in the kernel.
const ANY_RATE: [&str; 3] = ["--message-rate=0", "--byte-rate=0", "--ping-rate=0"];

#[test]
fn pings_without_reading_the_pongs_hold_nothing() {
    attacked("a million pings", &ANY_RATE, MIB, |server| {
        let mut peer = flood(server, &frame(PING, b"are you there?"));
        // As many pongs as the kernel took, and then the answer to the latest ping.
        peer.say("and now?");
        while peer
            .read()
            .expect("an eager client is no reason to drop it")
            .first
            != TEXT
        {}
    });
}

#[test]
fn pongs_that_nobody_asked_for_hold_nothing() {
    attacked("a million pongs", &ANY_RATE, MIB, |server| {
        let mut peer = flood(server, &frame(PONG, b"here I am"));
        peer.say("and now?");
        assert_eq!(peer.hear(), "and now?");
    });
}

/// Writes a million of these frames and reads nothing.
fn flood(server: &Server, frame: &[u8]) -> Peer {
    let mut peer = Peer::join(server, "/flood");
    let frames = frame.repeat(1_000);
    for _ in 0..scaled(1_000_000) / 1_000 {
        peer.stream.write_all(&frames).unwrap();
    }
    peer
}

#[test]
fn a_message_may_come_in_segments_of_one_byte() {
    attacked("one-byte segments", &[], 0, |server| {
        let mut peer = Peer::join(server, "/segments");
        let text = "Grüße ".repeat(scaled(3_200));
        for byte in frame(TEXT, text.as_bytes()) {
            peer.stream.write_all(&[byte]).unwrap();
        }
        assert_eq!(peer.hear(), text);
    });
}

#[test]
fn garbage_ends_only_the_one_who_sent_it() {
    attacked("garbage", &[], 0, |server| {
        for (bytes, code) in [
            (&b"\x81\x05hello"[..], 1002),            // not masked
            (&b"\xc1\x80\0\0\0\0"[..], 1002),         // RSV1 without an extension
            (&b"\x83\x80\0\0\0\0"[..], 1002),         // a reserved opcode
            (&b"\x80\x80\0\0\0\0"[..], 1002),         // nothing to continue
            (&b"\x09\x80\0\0\0\0"[..], 1002),         // a ping in fragments
            (&b"\x89\xfe\0\x7e\0\0\0\0"[..], 1002),   // a ping of 126 bytes
            (&b"\x81\xfe\0\x01\0\0\0\0a"[..], 1002),  // a length that is not minimal
            (&b"\x81\x81\0\0\0\0\xff"[..], 1007),     // not UTF-8
            (&b"\x88\x81\0\0\0\0a"[..], 1002),        // half a close code
            (&b"\x88\x82\0\0\0\0\x03\xed"[..], 1002), // 1005 is never sent
        ] {
            let mut peer = Peer::join(server, "/garbage");
            peer.stream.write_all(bytes).unwrap();
            assert_eq!(peer.close_code(), Some(code), "{bytes:02x?}");
        }
    });
}
