//! Tests of the load generator: it finds each fault of servers that break deliveries on purpose.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use hushd_load::crowd::{Crowd, Happened};
use hushd_load::tally::Faults;

const CLIENTS: usize = 3;
const MESSAGES: u64 = 40;

/// What the server does to the frames on their way to its last client.
type Breaks = fn(number: u64, frame: Vec<u8>, held: &mut Option<Vec<u8>>) -> Vec<Vec<u8>>;

/// A server for `CLIENTS` clients, as plain as can be, which passes on every message but breaks it
/// for the last client. It ends when its first client goes.
fn server(breaks: Breaks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|_| shake(listener.accept().unwrap().0))
            .collect();
        let mut unread = vec![Vec::new(); CLIENTS];
        let (mut number, mut held) = (0, None);
        loop {
            let mut frames = Vec::new();
            for (at, unread) in unread.iter_mut().enumerate() {
                let mut bytes = [0; 4096];
                match clients[at].read(&mut bytes) {
                    Ok(0) if at == 0 => return,
                    Ok(count) => unread.extend_from_slice(&bytes[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) if at == 0 => return,
                    Err(_) => {}
                }
                // Masked and short: 2 bytes of header, 4 of mask. What is not text is not passed on.
                while let Some(&[first, second, a, b, c, d]) = unread.first_chunk()
                    && let len = usize::from(second & 0x7f)
                    && unread.len() >= 6 + len
                {
                    let frame: Vec<u8> = unread.drain(..6 + len).collect();
                    let payload = frame[6..]
                        .iter()
                        .zip([a, b, c, d].into_iter().cycle())
                        .map(|(byte, mask)| byte ^ mask);
                    if first == 0x81 {
                        frames.push(
                            [first, len as u8]
                                .into_iter()
                                .chain(payload)
                                .collect::<Vec<_>>(),
                        );
                    }
                }
            }
            for frame in frames {
                for client in &mut clients[..CLIENTS - 1] {
                    client.write_all(&frame).unwrap();
                }
                for broken in breaks(number, frame, &mut held) {
                    // The load generator hangs up on frames that are malformed.
                    let _ = clients[CLIENTS - 1].write_all(&broken);
                }
                number += 1;
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    address
}

fn shake(mut client: TcpStream) -> TcpStream {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    let accept = hushd_load::handshake::accept(key);
    write!(
        client,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .unwrap();
    client.set_nonblocking(true).unwrap();
    client
}

/// Two clients talk without waiting, and all listen until there is nothing more to hear.
fn faults(breaks: Breaks) -> Faults {
    let address = server(breaks);
    let mut crowd = Crowd::new(address, "localhost", 64).unwrap();
    let (mut open, mut happened) = (0, Vec::new());
    for _ in 0..CLIENTS {
        crowd.open("/").unwrap();
    }
    while open < CLIENTS {
        crowd.turn(Duration::from_secs(1), &mut happened).unwrap();
        open += happened
            .iter()
            .filter(|what| matches!(what, Happened::Opened(_)))
            .count();
    }
    for number in 0..MESSAGES {
        crowd.say(number as usize % 2, 0);
    }
    let start = Instant::now();
    while crowd.tally.deliveries < crowd.tally.expected
        && start.elapsed() < Duration::from_millis(500)
    {
        crowd
            .turn(Duration::from_millis(100), &mut happened)
            .unwrap();
    }
    crowd
        .turn(Duration::from_millis(50), &mut happened)
        .unwrap();
    Faults {
        lost: crowd.tally.expected - crowd.tally.deliveries,
        ..crowd.tally.faults
    }
}

#[test]
fn a_server_that_breaks_nothing_passes() {
    assert_eq!(faults(|_, frame, _| vec![frame]), Faults::default());
}

#[test]
fn pings_in_between_are_answered_and_no_fault() {
    assert_eq!(
        faults(|_, frame, _| vec![vec![0x89, 1, b'?'], frame]),
        Faults::default()
    );
}

#[test]
fn dropped_messages_are_lost() {
    let want = Faults {
        lost: MESSAGES / 10,
        ..Faults::default()
    };
    assert_eq!(
        faults(|number, frame, _| if number % 10 == 5 {
            vec![]
        } else {
            vec![frame]
        }),
        want
    );
}

#[test]
fn doubled_messages_are_doubled() {
    let want = Faults {
        doubled: MESSAGES / 10,
        ..Faults::default()
    };
    assert_eq!(
        faults(|number, frame, _| vec![frame; if number % 10 == 5 { 2 } else { 1 }]),
        want
    );
}

#[test]
fn swapped_messages_are_misordered() {
    // Every fourth message is held back until three others (so one of the same sender) have passed.
    let broken = faults(|number, frame, held| match number % 4 {
        0 => {
            *held = Some(frame);
            vec![]
        }
        3 => std::iter::once(frame).chain(held.take()).collect(),
        _ => vec![frame],
    });
    assert!(broken.misordered >= MESSAGES / 8, "{broken}");
    assert_eq!(
        broken,
        Faults {
            misordered: broken.misordered,
            ..Faults::default()
        }
    );
}

#[test]
fn a_changed_byte_is_corrupt_wherever_it_is_in_the_payload() {
    let want = Faults {
        corrupt: MESSAGES,
        lost: MESSAGES,
        ..Faults::default()
    };
    let broken = faults(|number, mut frame, _| {
        frame[2 + number as usize] ^= 0x20;
        vec![frame]
    });
    // A changed digit of sender or number may also name a message that exists, but not its filling.
    assert_eq!(broken, want);
}

#[test]
fn frames_that_are_forbidden_end_the_connection() {
    let masked: Breaks = |_, mut frame, _| {
        frame[1] |= 0x80;
        vec![frame]
    };
    let binary: Breaks = |_, mut frame, _| {
        frame[0] = 0x82;
        vec![frame]
    };
    let wasteful: Breaks = |_, frame, _| vec![[&[0x81, 126, 0, 64], &frame[2..]].concat()];
    for breaks in [masked, binary, wasteful] {
        let want = Faults {
            corrupt: 1,
            dropped: 1,
            lost: MESSAGES,
            ..Faults::default()
        };
        assert_eq!(faults(breaks), want);
    }
}

/// The ceiling delivers correctly, to more clients than the record's first cut has.
#[test]
fn the_ceiling_breaks_nothing() {
    for writes in [hushd_ceiling::Writes::Each, hushd_ceiling::Writes::Gathered] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || hushd_ceiling::serve(&listener, writes));
        let new = || hushd_load::scenario::Load::new(address, "/", 64, None).unwrap();
        let time = Duration::from_millis(200);
        for measured in [
            hushd_load::scenario::connect(&mut new(), 200),
            hushd_load::scenario::churn(&mut new(), 200),
            hushd_load::scenario::broadcast(&mut new(), 20, time),
            hushd_load::scenario::many(&mut new(), 20, 10, time),
            hushd_load::scenario::steady(&mut new(), 20, 500.0, time),
            hushd_load::scenario::ping(&mut new(), 20, time),
        ] {
            let measured = measured.unwrap();
            assert!(
                measured.faults.none() && measured.units > 0,
                "{writes:?}: {measured:?}"
            );
        }
    }
}
