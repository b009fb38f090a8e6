//! Everybody loses the connection at once and comes back: no attack, but as heavy as one.

use crate::common::Server;
use crate::common::peer::{PING, PONG, Peer, TEXT, frame};
use crate::{MIB, attacked, scaled};
use serde_json::Value;
use socket2::SockRef;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

/// Messages while all are there, while nobody is, and at least while they come back.
const SAID: usize = 50;

/// Where a client stands, whether it is connected or not.
struct Stand {
    epoch: String,
    session: String,
    /// The last message that it has heard.
    seq: u64,
}

/// A client of chat.v1.
struct Client {
    peer: Peer,
    stand: Stand,
}

impl Client {
    fn come(server: &Server, query: &str, seq: u64) -> Client {
        let chat = "Sec-WebSocket-Protocol: chat.v1\r\n";
        let mut peer = Peer::join_with(server, &format!("/returns{query}"), chat);
        let welcome: Value = serde_json::from_str(&peer.hear()).unwrap();
        let text = |field: &str| welcome[field].as_str().expect(field).to_owned();
        let (epoch, session) = (text("epoch"), text("session"));
        let stand = Stand {
            epoch,
            session,
            seq,
        };
        Client { peer, stand }
    }

    /// Breaks off without a word.
    fn lose(self) -> Stand {
        let socket = SockRef::from(&self.peer.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        self.stand
    }

    /// Reads on until it has heard this message: each once, in order.
    fn hear_up_to(&mut self, last: u64) {
        while self.stand.seq < last {
            let frame = self.peer.read().expect("a client that reads was dropped");
            match frame.first {
                PING => self.peer.send(PONG, &frame.payload),
                TEXT => {}
                other => panic!("{other:#x}"),
            }
            let text = str::from_utf8(&frame.payload).unwrap();
            if let Some(rest) = text.strip_prefix("{\"type\":\"message\",\"seq\":") {
                let (seq, _) = rest.split_once(',').unwrap();
                self.stand.seq += 1;
                assert_eq!(seq.parse(), Ok(self.stand.seq), "lost or doubled");
            }
        }
    }
}

impl Stand {
    fn come_back(&self, server: &Server) -> Client {
        let Stand {
            epoch,
            session,
            seq,
        } = self;
        let query = format!("?since={epoch}.{seq}&session={session}");
        let client = Client::come(server, &query, *seq);
        assert_eq!(&client.stand.epoch, epoch);
        client
    }
}

#[test]
fn a_whole_crowd_that_comes_back_hears_everything_once() {
    let options = ["--message-rate=0"];
    let message = frame(TEXT, br#"{"type":"message","text":"what was said"}"#);
    attacked("ten thousand come back", &options, 16 * MIB, |server| {
        let server = &*server;
        let mut speaker = Client::come(server, "", 0);
        let mut say = |times| {
            let messages = message.repeat(times);
            speaker.peer.stream.write_all(&messages).unwrap();
            speaker.hear_up_to(speaker.stand.seq + times as u64);
            speaker.stand.seq
        };
        let crowd: Vec<_> = (0..scaled(10_000))
            .map(|_| Client::come(server, "", 0))
            .collect();
        say(SAID);
        let lost: Vec<_> = (0..)
            .zip(crowd)
            .map(|(n, mut client)| {
                client.hear_up_to(n % SAID as u64); // each breaks off somewhere else
                client.lose()
            })
            .collect();
        say(SAID);

        let start = Instant::now();
        let (crowd, back) = thread::scope(|scope| {
            let back = scope.spawn(|| {
                let crowd: Vec<_> = lost.iter().map(|stand| stand.come_back(server)).collect();
                (crowd, start.elapsed())
            });
            for said in 0.. {
                if said >= SAID && back.is_finished() {
                    break;
                }
                say(1);
                thread::sleep(Duration::from_millis(20));
            }
            back.join().unwrap()
        });
        let all = say(1);
        let size = crowd.len();
        for mut client in crowd {
            client.hear_up_to(all);
        }
        let heard = start.elapsed();
        println!("{size} were back after {back:?}, and had heard all {all} after {heard:?}");
    });
}
