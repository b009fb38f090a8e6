//! Deduplication: a client that did not see its message come back sends it again, and it must not be published twice.
//!
//! A message is identified by its session and by the id that the client gave it. The window stores a keyed hash of
//! the id with the message's seq. Two generations suffice to remember each message for a minute: new messages go into
//! the younger one, and each minute the older one is dropped as a whole.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;

use siphasher::sip::SipHasher24;

use crate::chat::members::session::Session;
use crate::time::Tick;

/// Minimum time for which a message is remembered, in ticks. A full generation makes it shorter.
pub const MEMORY: u32 = 60 * Tick::SECOND;

/// How many messages of one session are remembered: its latest.
pub const PER_SESSION: usize = 64;

/// The ids of the messages of the last minute.
pub struct DedupWindow {
    /// Keyed, so that a client cannot make ids that collide.
    hasher: SipHasher24,
    young: Generation,
    old: Generation,
    turned: Tick,
    /// Maximum number of messages in one generation. A full generation becomes the older one early.
    limit: usize,
}

#[derive(Debug, Default)]
struct Generation {
    /// For each session: hash of the id, and seq.
    messages: BTreeMap<Session, VecDeque<(u64, u64)>>,
    count: usize,
}

impl DedupWindow {
    /// A window that remembers at most `2 * limit` messages.
    pub fn new(random: u128, limit: usize) -> DedupWindow {
        DedupWindow {
            hasher: SipHasher24::new_with_key(&random.to_le_bytes()),
            young: Generation::default(),
            old: Generation::default(),
            turned: Tick(0),
            limit,
        }
    }

    /// The seq of this message, if it was published already.
    pub fn seq(&mut self, session: Session, id: &str, now: Tick) -> Option<u64> {
        // The clock may have jumped since the last call of `forget`.
        self.forget(now);
        let hash = self.hasher.hash(id.as_bytes());
        let of_session = [&self.young, &self.old]
            .into_iter()
            .filter_map(|g| g.messages.get(&session));
        of_session
            .flatten()
            .find(|(known, _)| *known == hash)
            .map(|&(_, seq)| seq)
    }

    /// A message was published with this seq.
    pub fn note(&mut self, session: Session, id: &str, seq: u64, now: Tick) {
        self.forget(now);
        if self.is_empty() {
            self.turned = now;
        }
        if self.young.count >= self.limit {
            self.turn(now);
        }
        let messages = self.young.messages.entry(session).or_default();
        if messages.len() == PER_SESSION {
            messages.pop_front();
            self.young.count -= 1;
        }
        messages.push_back((self.hasher.hash(id.as_bytes()), seq));
        self.young.count += 1;
    }

    /// When there is something to [forget](DedupWindow::forget).
    pub fn due(&self) -> Option<Tick> {
        (!self.is_empty()).then(|| self.turned.after(MEMORY))
    }

    /// Forgets messages that are older than two minutes, and some that are older than one.
    pub fn forget(&mut self, now: Tick) {
        while self.due().is_some_and(|due| due <= now) {
            self.turn(self.turned.after(MEMORY));
        }
    }

    fn is_empty(&self) -> bool {
        self.young.count + self.old.count == 0
    }

    fn turn(&mut self, now: Tick) {
        self.old = mem::take(&mut self.young);
        self.turned = now;
    }
}

impl fmt::Debug for DedupWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        f.debug_struct("DedupWindow")
            .field("count", &(self.young.count + self.old.count))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Session = Session {
        epoch: 1,
        number: 7,
    };
    const BOB: Session = Session {
        epoch: 1,
        number: 8,
    };
    const ANN_ELSEWHERE: Session = Session {
        epoch: 2,
        number: 7,
    };

    #[test]
    fn a_message_is_known_by_its_session_and_its_id() {
        let mut heard = DedupWindow::new(3, 100);
        heard.note(ANN, "c-1", 41, Tick(0));
        heard.note(ANN, "c-2", 42, Tick(1));
        heard.note(BOB, "c-1", 43, Tick(1));
        for (session, id, seq) in [
            (ANN, "c-1", Some(41)),
            (ANN, "c-2", Some(42)),
            (BOB, "c-1", Some(43)),
            (BOB, "c-2", None),
            (ANN_ELSEWHERE, "c-1", None),
            (ANN, "c-", None),
        ] {
            assert_eq!(heard.seq(session, id, Tick(1)), seq, "{session:?} {id}");
        }
    }

    #[test]
    fn a_message_is_remembered_for_a_minute_and_not_for_three() {
        for start in [0, 1, 599, 600, 12_345] {
            for noise in [1, 7, 100, 599] {
                let mut heard = DedupWindow::new(3, 100_000);
                heard.note(BOB, "before", 1, Tick(start / 2));
                heard.note(ANN, "c-1", 41, Tick(start));
                for now in (start..start + 3 * MEMORY).step_by(noise) {
                    if now < start + MEMORY {
                        assert_eq!(
                            heard.seq(ANN, "c-1", Tick(now)),
                            Some(41),
                            "{start} {noise} {now}"
                        );
                    }
                    if now > start + 2 * MEMORY + 600 {
                        assert_eq!(
                            heard.seq(ANN, "c-1", Tick(now)),
                            None,
                            "{start} {noise} {now}"
                        );
                    }
                    heard.note(BOB, &now.to_string(), 1, Tick(now));
                }
            }
        }
    }

    #[test]
    fn what_has_been_quiet_for_two_minutes_holds_nothing() {
        let mut heard = DedupWindow::new(3, 100);
        heard.note(ANN, "c-1", 41, Tick(100));
        assert_eq!(heard.due(), Some(Tick(700)));
        heard.forget(Tick(700));
        assert_eq!(
            (heard.seq(ANN, "c-1", Tick(700)), heard.due()),
            (Some(41), Some(Tick(1300)))
        );
        heard.forget(Tick(1300));
        assert_eq!(
            (heard.seq(ANN, "c-1", Tick(1300)), heard.due()),
            (None, None)
        );
    }

    #[test]
    fn what_is_too_old_is_forgotten_before_it_is_looked_for() {
        let mut heard = DedupWindow::new(3, 100);
        heard.note(ANN, "c-1", 41, Tick(100));
        // The clock has jumped.
        assert_eq!(heard.seq(ANN, "c-1", Tick(100 + 2 * MEMORY)), None);
    }

    #[test]
    fn one_session_pushes_out_only_its_own() {
        let mut heard = DedupWindow::new(3, 1000);
        heard.note(ANN, "c-1", 1, Tick(0));
        for n in 0..10_000 {
            heard.note(BOB, &n.to_string(), n, Tick(1));
        }
        assert_eq!(heard.young.count, 1 + PER_SESSION);
        assert_eq!(heard.seq(ANN, "c-1", Tick(1)), Some(1));
        assert_eq!(heard.seq(BOB, "9999", Tick(1)), Some(9999));
        assert_eq!(heard.seq(BOB, "9936", Tick(1)), Some(9936));
        assert_eq!(heard.seq(BOB, "9935", Tick(1)), None);
    }

    #[test]
    fn all_together_hold_at_most_twice_the_limit() {
        let mut heard = DedupWindow::new(3, 100);
        for number in 0..1000 {
            heard.note(
                Session { epoch: 1, number },
                "c",
                u64::from(number),
                Tick(0),
            );
            assert!(heard.young.count + heard.old.count <= 200);
        }
        assert_eq!(
            heard.seq(
                Session {
                    epoch: 1,
                    number: 900
                },
                "c",
                Tick(0)
            ),
            Some(900),
            "the latest hundred at least"
        );
    }
}
