//! Honest clients that chat while something else goes on, and see to it that they miss nothing of it.

use super::peer::{Frame, PING, PONG, Peer, TEXT};
use super::{PATIENCE, Server};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A promise of hushd: whatever one client does, the others have each message within this time.
const PROMISE: Duration = Duration::from_secs(5);

/// Messages that they exchange however short the chat.
const AT_LEAST: usize = 20;

/// The time between two messages.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients in one room, chatting on a thread of their own.
pub struct Crowd {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Delays>,
}

/// How late things were, each in ascending order.
pub struct Delays {
    /// From when a message was sent to when each member had read it.
    pub deliveries: Vec<Duration>,
    /// From when the crowd wanted to speak to when it did. That is nobody's doing but that of the machine
    /// and of whoever shares it, and the crowd reads as late as it speaks.
    pub own: Vec<Duration>,
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
            deliveries: Vec::new(),
            own: Vec::new(),
        };
        let stopped = stop.clone();
        Crowd {
            stop,
            thread: thread::spawn(move || {
                chat.run(&stopped);
                chat.verify()
            }),
        }
    }

    /// Ends the chat. Panics unless everybody heard every message once, in one order, and in time.
    pub fn verify(self) -> Delays {
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
    deliveries: Vec<Duration>,
    own: Vec<Duration>,
}

impl Chat {
    fn run(&mut self, stop: &AtomicBool) {
        for member in &self.members {
            member.peer.stream.set_nonblocking(true).unwrap();
        }
        let start = Instant::now();
        while !stop.load(Ordering::Relaxed) || self.sent.len() < AT_LEAST {
            let due = start + PAUSE * self.sent.len() as u32;
            let now = Instant::now();
            if now >= due {
                self.own.push(now - due);
                let speaker = self.sent.len() % self.members.len();
                self.sent.push(now);
                let n = self.sent.len() - 1;
                self.members[speaker].peer.say(&n.to_string());
            }
            self.listen(due.saturating_duration_since(now));
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
            self.listen(PAUSE);
        }
    }

    fn verify(&mut self) -> Delays {
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
        self.deliveries.sort_unstable();
        self.own.sort_unstable();
        Delays {
            deliveries: std::mem::take(&mut self.deliveries),
            own: std::mem::take(&mut self.own),
        }
    }

    fn heard(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.heard).collect()
    }

    /// Everybody for whom there is something reads it; nobody waits longer than this for anything.
    fn listen(&mut self, patience: Duration) {
        let mut ready: Vec<_> = self
            .members
            .iter()
            .map(|member| PollFd::new(&member.peer.stream, PollFlags::IN))
            .collect();
        poll(&mut ready, Some(&Timespec::try_from(patience).unwrap())).unwrap();
        let ready: Vec<_> = ready.iter().map(|it| !it.revents().is_empty()).collect();
        for (member, _) in self
            .members
            .iter_mut()
            .zip(ready)
            .filter(|(_, ready)| *ready)
        {
            match member.peer.fill() {
                Ok(0) => panic!("an honest client was dropped"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("an honest client was dropped: {error}"),
            }
            let now = Instant::now();
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
                self.deliveries.push(delay);
            }
        }
    }
}
