//! The rules by which limits must fit each other, checked at start.

use std::fmt;
use std::time::Duration;

use super::limits::{ENVELOPE, Limits, SMALLEST_FRAME};
use crate::chat::RoomLimits;
use crate::http::HeadLimits;

/// Limits that do not fit each other, or that cannot be: a sentence for each broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(Vec<String>);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Unfit {}

/// The most messages or pings that can be allowed at once: what is beyond is kept in 16 bits.
const MOST_AT_ONCE: usize = 5_000;

/// What is wrong, if this rule is broken.
type Rule = Option<String>;

fn must(holds: bool, sentence: impl FnOnce() -> String) -> Rule {
    (!holds).then(sentence)
}

impl Limits {
    /// Checks each limit, and that the limits fit each other.
    ///
    /// # Errors
    /// All rules that are broken, with the names of the options.
    pub fn check(&self) -> Result<(), Unfit> {
        let rules = self.at_least_one().chain(self.longer_than_zero());
        let rules = rules.chain(self.totals()).chain(self.at_most());
        let broken: Vec<String> = rules.chain(self.relations()).flatten().collect();
        if broken.is_empty() {
            Ok(())
        } else {
            Err(Unfit(broken))
        }
    }

    fn at_least_one(&self) -> impl Iterator<Item = Rule> {
        let limits = [
            ("--max-connections", self.max_connections),
            ("--max-handshakes", self.max_handshakes),
            ("--max-request", self.head.max_head),
            ("--max-line", self.head.max_line),
            ("--max-headers", self.head.max_headers),
            ("--max-rooms", self.rooms.max_rooms),
            ("--max-message", self.rooms.max_message),
            ("--max-frames", self.max_frames as usize),
            ("--client-buffer", self.client_buffer),
        ];
        let rule = |(option, value)| must(value > 0, || format!("{option} must be at least 1"));
        limits.into_iter().map(rule)
    }

    fn longer_than_zero(&self) -> impl Iterator<Item = Rule> {
        let limits = [
            ("--handshake-timeout", self.handshake_timeout),
            ("--close-timeout", self.close_timeout),
            ("--progress-timeout", self.progress_timeout),
        ];
        let rule = |(option, time): (_, Duration)| {
            must(!time.is_zero(), || {
                format!("{option} must be longer than 0")
            })
        };
        limits.into_iter().map(rule)
    }

    /// A limit on all together holds at least one.
    fn totals(&self) -> impl Iterator<Item = Rule> {
        let rooms = &self.rooms;
        let pairs = [
            (
                ("--room-buffer-total", rooms.room_buffer_total),
                ("--room-buffer", rooms.room_buffer),
            ),
            (
                ("--client-buffer-total", self.client_buffer_total),
                ("--client-buffer", self.client_buffer),
            ),
            (
                ("--partial-messages-total", self.partial_messages_total),
                ("--max-message", rooms.max_message),
            ),
            (
                ("--max-request-total", self.max_request_total),
                ("--max-request", self.head.max_head),
            ),
            (
                ("--history-size-total", rooms.history_size_total),
                ("--history-size", rooms.history_size),
            ),
        ];
        let rule = |((all, total), (one, bytes))| {
            must(total >= bytes, || {
                format!("{all} {total} is less than {one} ({bytes})")
            })
        };
        pairs.into_iter().map(rule)
    }

    fn at_most(&self) -> impl Iterator<Item = Rule> {
        let limits = [
            (
                "--max-headers",
                self.head.max_headers,
                HeadLimits::MOST_HEADERS,
            ),
            ("--message-burst", self.message_burst as usize, MOST_AT_ONCE),
            ("--ping-rate", self.ping_rate as usize, MOST_AT_ONCE),
        ];
        let rule = |(option, value, most)| {
            must(value <= most, || format!("{option} must be at most {most}"))
        };
        limits.into_iter().map(rule)
    }

    /// What ties different limits to each other.
    fn relations(&self) -> impl Iterator<Item = Rule> {
        let RoomLimits {
            room_buffer,
            max_message,
            ..
        } = self.rooms;
        let has_burst = self.message_rate == 0 || self.message_burst > 0;
        let pause = self.longest_pause().unwrap_or_default();
        let (pause, patience) = (pause.as_secs(), self.ping_timeout.as_secs());
        let is_patient =
            self.ping_interval.is_zero() || self.longest_pause() <= Some(self.ping_timeout);
        [
            must(self.largest_read() >= self.budget.read, || {
                let needed = self.smallest_lane();
                format!(
                    "--room-buffer {room_buffer} is too small for --max-message {max_message}: \
                     it must be at least {needed}"
                )
            }),
            must(has_burst, || {
                "--message-burst must be at least 1 while --message-rate is on".into()
            }),
            must(is_patient, || {
                format!(
                    "a client may be unread for {pause} s at these rates, longer than --ping-timeout \
                     {patience} s: raise --message-rate, --byte-rate or --ping-timeout"
                )
            }),
        ]
        .into_iter()
    }

    /// The longest time for which a client is not read because of what one read brought: compressed, a client
    /// may say as much again and one message more before the others get their turn. `None` without rates.
    fn longest_pause(&self) -> Option<Duration> {
        let frames = self.budget.read.div_ceil(SMALLEST_FRAME) as u64;
        let messages = frames.checked_div(u64::from(self.message_rate));
        let bytes = (2 * self.budget.read + self.rooms.max_message) as u64;
        let bytes = bytes.checked_div(u64::from(self.byte_rate));
        messages.max(bytes).map(Duration::from_secs)
    }

    /// Bytes of the smallest lane whose half holds what one more read can bring.
    fn smallest_lane(&self) -> usize {
        let read = (self.budget.read.div_ceil(SMALLEST_FRAME) + 1) * ENVELOPE;
        self.largest_frame().saturating_add(read).saturating_mul(2)
    }
}
