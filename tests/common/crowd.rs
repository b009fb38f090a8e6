//! Honest clients that chat while something else goes on, and see to it that they miss nothing of it.

use super::peer::{Frame, PING, PONG, Peer, TEXT};
use super::{PATIENCE, Server};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A promise of hushd: whatever one client does, the others have each message within this time.
const PROMISE: Duration = Duration::from_secs(5);

/// Messages that they exchange however short the chat.
const AT_LEAST: usize = 20;

/// Clients in one room, chatting on a thread of their own.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Crowd {
    /// So many clients join the room of this path and begin to chat, 50 messages a second between them.
    pub fn join(server: &Server, path: &str, size: usize) -> Crowd {
        let members = (0..size)
            .map(|_| Member {
                peer: Peer::join(server, path),
                heard: 0,
            })
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut chat = Chat {
            members,
            sent: Vec::new(),
            order: Vec::new(),
            delays: Vec::new(),
        };
        let stopped = stop.clone();
        Crowd {
            stop,
            thread: thread::spawn(move || chat.run(&stopped)),
        }
    }

    /// Ends the chat. Panics unless everybody heard every message once, in one order, and in time.
    /// Returns how long each message took to reach each member, in ascending order.
    pub fn verify(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(delays) => delays,
            Err(complaint) => std::panic::resume_unwind(complaint),
        }
    }
}

struct Member {
    peer: Peer,
    /// How many of the room's messages it has heard.
    heard: usize,
}

struct Chat {
    members: Vec<Member>,
    /// When each message was sent; its text is its place here.
    sent: Vec<Instant>,
    /// The room's messages in the order in which the quickest member heard them.
    order: Vec<usize>,
    delays: Vec<Duration>,
}

impl Chat {
    fn run(&mut self, stop: &AtomicBool) -> Vec<Duration> {
        for member in &self.members {
            member.peer.stream.set_nonblocking(true).unwrap();
        }
        let start = Instant::now();
        while !stop.load(Ordering::Relaxed) || self.sent.len() < AT_LEAST {
            if start.elapsed() > Duration::from_millis(20) * self.sent.len() as u32 {
                let speaker = self.sent.len() % self.members.len();
                self.members[speaker].peer.say(&self.sent.len().to_string());
                self.sent.push(Instant::now());
            }
            self.listen();
            thread::sleep(Duration::from_millis(2));
        }
        let stopped = Instant::now();
        while self
            .members
            .iter()
            .any(|member| member.heard < self.sent.len())
        {
            assert!(
                stopped.elapsed() < PATIENCE,
                "lost: {:?} of {}",
                self.heard(),
                self.sent.len()
            );
            self.listen();
            thread::sleep(Duration::from_millis(2));
        }
        let mut all = self.order.clone();
        all.sort_unstable();
        assert!(
            all.iter().copied().eq(0..self.sent.len()),
            "a message was lost or came twice"
        );
        for speaker in 0..self.members.len() {
            let own = self
                .order
                .iter()
                .filter(|&n| n % self.members.len() == speaker);
            assert!(
                own.is_sorted(),
                "the messages of member {speaker} came out of order"
            );
        }
        self.delays.sort_unstable();
        std::mem::take(&mut self.delays)
    }

    fn heard(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.heard).collect()
    }

    /// Everybody reads what there is.
    fn listen(&mut self) {
        let now = Instant::now();
        for member in &mut self.members {
            loop {
                match member.peer.fill() {
                    Ok(0) => panic!("an honest client was dropped"),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("an honest client was dropped: {error}"),
                }
            }
            while let Some(Frame { first, payload }) = member.peer.take() {
                match first {
                    TEXT => {}
                    PING => {
                        member.peer.send(PONG, &payload);
                        continue;
                    }
                    _ => panic!("an honest client received {first:#x} {payload:?}"),
                }
                let n: usize = String::from_utf8(payload).unwrap().parse().unwrap();
                if member.heard == self.order.len() {
                    self.order.push(n);
                }
                assert_eq!(self.order[member.heard], n, "lost, doubled or out of order");
                member.heard += 1;
                let delay = now.saturating_duration_since(self.sent[n]);
                assert!(delay < PROMISE, "message {n} took {delay:?}");
                self.delays.push(delay);
            }
        }
    }
}
