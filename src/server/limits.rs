//! Every limit by its name, its default, and how they must fit each other.

use std::fmt;
use std::time::Duration;

use super::clock::ticks;
use crate::chat;
use crate::http::HeadLimits;

/// What one client, all clients together and the server's patience are bounded by. In each, zero
/// switches off what can be switched off.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections in all (`--max-connections`).
    pub max_connections: usize,
    /// Connections of one address, an IPv6 address being its first 64 bits (`--max-per-address`).
    pub max_per_address: u32,
    /// Whether those on this machine are held to that too: a proxy's clients all come from there.
    pub count_loopback: bool,
    /// Connections that have not finished their handshake; one more ends the oldest
    /// (`--max-handshakes`).
    pub max_handshakes: usize,
    /// Rooms (`--max-rooms`).
    pub max_rooms: usize,
    /// Request heads (`--max-request`, `--max-line`, `--max-headers`).
    pub head: HeadLimits,
    /// Bytes of a message (`--max-message`).
    pub max_message: usize,
    /// Frames of a message, its last not counted (`--max-frames`).
    pub max_frames: u32,
    /// From the first byte of a message to its last (`--message-timeout`).
    pub message_timeout: Duration,
    /// Bytes of unfinished request heads in all (`--max-request-total`).
    pub max_request_total: usize,
    /// Bytes of unfinished messages in all (`--partial-messages-total`).
    pub partial_messages_total: usize,
    /// Bytes owed to single clients, in all (`--client-buffer-total`).
    pub client_buffer_total: usize,
    /// Bytes owed to one client alone (`--client-buffer`).
    pub client_buffer: usize,
    /// Bytes that one lane of a room remembers (`--room-buffer`).
    pub room_buffer: usize,
    /// Bytes that all lanes remember (`--room-buffer-total`).
    pub room_buffer_total: usize,
    /// Messages a second of one client (`--message-rate`).
    pub message_rate: u32,
    /// Messages beyond the rate at once (`--message-burst`).
    pub message_burst: u32,
    /// Bytes a second of one client (`--byte-rate`).
    pub byte_rate: u32,
    /// Pings a second of one client (`--ping-rate`).
    pub ping_rate: u32,
    /// From the connection to the end of the request head (`--handshake-timeout`).
    pub handshake_timeout: Duration,
    /// Silence after which a client is pinged (`--ping-interval`).
    pub ping_interval: Duration,
    /// Silence after a ping that ends a connection (`--ping-timeout`).
    pub ping_timeout: Duration,
    /// For a client that is owed bytes: time in which it takes none of them (`--progress-timeout`).
    pub progress_timeout: Duration,
    /// From our Close to the peer's (`--close-timeout`).
    pub close_timeout: Duration,
    /// How hard messages are compressed, from 1 (fast) to 9 (small) (`--compression-level`).
    pub compression_level: u32,
    /// Bytes of the smallest message that is compressed (`--compression-threshold`).
    pub compression_threshold: usize,
    /// The longest rest of a room under load (`--batch-delay`).
    pub batch_delay: Duration,
    /// Messages that a newcomer is sent; a hundred times as many are held (`--history`).
    pub history: usize,
    /// Bytes of one room's history (`--history-size`).
    pub history_size: usize,
    /// Bytes of all histories (`--history-size-total`).
    pub history_size_total: usize,
    /// For how long messages, empty rooms and sessions are remembered (`--history-ttl`).
    pub history_ttl: Duration,
    /// What one turn takes on.
    pub budget: Budget,
}

/// What one turn of the loop takes on before it looks around again, and so how long anybody waits for
/// the others. Nothing of it may be zero.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Newcomers accepted.
    pub accepts: usize,
    /// Members read, and as many of those who have not finished their handshake.
    pub reads: usize,
    /// The fewest bytes that one read may take, and all that it takes while rates are on.
    pub read: usize,
    /// Connections written to for something that is theirs alone.
    pub writes: usize,
    /// Members visited by the carousel.
    pub visits: usize,
    /// Bytes offered in one write.
    pub offer: usize,
    /// Connections ended because their time is over.
    pub ends: usize,
    /// How long it goes on reading, and how long writing, whatever else is allowed: what a read says or a
    /// visit takes can be much.
    pub time: Duration,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            accepts: 64,
            reads: 256,
            read: 4 * 1024,
            writes: 256,
            visits: 256,
            offer: 256 * 1024,
            ends: 256,
            time: Duration::from_millis(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_connections: 10_000,
            max_per_address: 0,
            count_loopback: false,
            max_handshakes: 10_000,
            max_rooms: 10_000,
            head: HeadLimits::default(),
            max_message: 64 * 1024,
            max_frames: 1_024,
            message_timeout: Duration::from_secs(30),
            max_request_total: 16 * 1024 * 1024,
            partial_messages_total: 64 * 1024 * 1024,
            client_buffer_total: 64 * 1024 * 1024,
            client_buffer: 1024 * 1024,
            room_buffer: 4 * 1024 * 1024,
            room_buffer_total: 256 * 1024 * 1024,
            message_rate: 50,
            message_burst: 100,
            byte_rate: 256 * 1024,
            ping_rate: 10,
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            progress_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            compression_level: 6,
            compression_threshold: 256,
            batch_delay: Duration::from_millis(20),
            history: 50,
            history_size: 1024 * 1024,
            history_size_total: 64 * 1024 * 1024,
            history_ttl: Duration::from_secs(60 * 60),
            budget: Budget::default(),
        }
    }
}

/// Two limits that do not fit each other, or one that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// Bytes of the smallest frame that a client can send: a header with a mask.
const SMALLEST_FRAME: usize = 6;

/// The most bytes that a message takes in any encoding beside six times its own.
const ENVELOPE: usize = 512;

/// The most bytes that a read takes.
const LARGE_READ: usize = 64 * 1024;

/// The most messages or pings that can be allowed at once: what is beyond is kept in 16 bits.
const MOST_AT_ONCE: u32 = 5_000;

/// Time for the peer's FIN in answer to ours. With the tick that a deadline adds to make its time whole,
/// no socket stays for more than a second after its last byte.
pub(super) const DRAINING: Duration = Duration::from_millis(900);

impl Limits {
    /// Bytes that one read takes: as many as half a lane can hold in their worst encoding beside the
    /// largest frame, and few while rates are on, so that nobody runs deep into debt by one read.
    pub fn read_bytes(&self) -> usize {
        if self.has_rates() {
            self.budget.read
        } else {
            self.largest_read().min(LARGE_READ)
        }
    }

    /// What bounds rooms.
    pub(super) fn of_rooms(&self) -> chat::RoomLimits {
        chat::RoomLimits {
            max_rooms: self.max_rooms,
            room_buffer: self.room_buffer,
            room_buffer_total: self.room_buffer_total,
            max_message: self.max_message,
            compression_level: self.compression_level,
            compression_threshold: self.compression_threshold,
            ping: u64::try_from(self.ping_interval.as_millis()).unwrap_or(u64::MAX),
            history: self.history,
            history_size: self.history_size,
            history_size_total: self.history_size_total,
            history_ttl: if self.history_ttl.is_zero() {
                u32::MAX
            } else {
                ticks(self.history_ttl)
            },
        }
    }

    /// Whether what one client says is held to a rate.
    pub fn has_rates(&self) -> bool {
        self.message_rate > 0 || self.byte_rate > 0
    }

    fn largest_read(&self) -> usize {
        let spare = (self.room_buffer / 2).saturating_sub(self.largest_frame());
        spare / ENVELOPE * SMALLEST_FRAME
    }

    /// A message of control characters takes six bytes for each in JSON. That is space for two messages of
    /// the largest size, since none takes more than twice its own: one that a read completes, and a compressed
    /// one behind it.
    fn largest_frame(&self) -> usize {
        self.max_message.saturating_mul(6).saturating_add(1024)
    }

    /// Checks each limit, and that they fit each other.
    ///
    /// # Errors
    /// One sentence that names the options.
    pub fn check(&self) -> Result<(), Unfit> {
        let unfit = |sentence: String| Err(Unfit(sentence));
        for (option, value) in [
            ("--max-connections", self.max_connections),
            ("--max-handshakes", self.max_handshakes),
            ("--max-request", self.head.max_head),
            ("--max-line", self.head.max_line),
            ("--max-headers", self.head.max_headers),
            ("--max-rooms", self.max_rooms),
            ("--max-message", self.max_message),
            ("--max-frames", self.max_frames as usize),
            ("--client-buffer", self.client_buffer),
        ] {
            if value == 0 {
                return unfit(format!("{option} must be at least 1"));
            }
        }
        for (option, value) in [
            ("--handshake-timeout", self.handshake_timeout),
            ("--close-timeout", self.close_timeout),
            ("--progress-timeout", self.progress_timeout),
        ] {
            if value.is_zero() {
                return unfit(format!("{option} must be longer than 0"));
            }
        }
        if self.largest_read() < self.budget.read {
            let needed = 2
                * (self.largest_frame()
                    + self.budget.read.div_ceil(SMALLEST_FRAME) * ENVELOPE
                    + ENVELOPE);
            return unfit(format!(
                "--room-buffer {} is too small for --max-message {}: it must be at least {needed}",
                self.room_buffer, self.max_message
            ));
        }
        for ((all, all_bytes), (one, one_bytes)) in [
            (
                ("--room-buffer-total", self.room_buffer_total),
                ("--room-buffer", self.room_buffer),
            ),
            (
                ("--client-buffer-total", self.client_buffer_total),
                ("--client-buffer", self.client_buffer),
            ),
            (
                ("--partial-messages-total", self.partial_messages_total),
                ("--max-message", self.max_message),
            ),
            (
                ("--max-request-total", self.max_request_total),
                ("--max-request", self.head.max_head),
            ),
        ] {
            if all_bytes < one_bytes {
                return unfit(format!(
                    "{all} {all_bytes} is less than {one} ({one_bytes})"
                ));
            }
        }
        if self.history_size_total < self.history_size {
            return unfit(format!(
                "--history-size-total {} is less than --history-size {}",
                self.history_size_total, self.history_size
            ));
        }
        if self.head.max_headers > HeadLimits::MOST_HEADERS {
            return unfit(format!(
                "--max-headers must be at most {}",
                HeadLimits::MOST_HEADERS
            ));
        }
        if self.message_rate > 0 && self.message_burst == 0 {
            return unfit("--message-burst must be at least 1 while --message-rate is on".into());
        }
        for (option, value) in [
            ("--message-burst", self.message_burst),
            ("--ping-rate", self.ping_rate),
        ] {
            if value > MOST_AT_ONCE {
                return unfit(format!("{option} must be at most {MOST_AT_ONCE}"));
            }
        }
        if let Some(debt) = self.largest_debt()
            && !self.ping_interval.is_zero()
            && debt > self.ping_timeout
        {
            return unfit(format!(
                "a client may be unread for {} s at these rates, longer than --ping-timeout {} s: \
                 raise --message-rate, --byte-rate or --ping-timeout",
                debt.as_secs(),
                self.ping_timeout.as_secs()
            ));
        }
        Ok(())
    }

    /// The longest time for which a client is not read because of what one read brought: compressed, it
    /// may say as much again and one message more before the others get their turn.
    fn largest_debt(&self) -> Option<Duration> {
        let frames = self.budget.read.div_ceil(SMALLEST_FRAME) as u64;
        let messages = frames.checked_div(u64::from(self.message_rate));
        let bytes = (2 * self.budget.read + self.max_message) as u64;
        let bytes = bytes.checked_div(u64::from(self.byte_rate));
        messages.max(bytes).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_each_other() {
        assert_eq!(Limits::default().check(), Ok(()));
        let without_rates = Limits {
            message_rate: 0,
            byte_rate: 0,
            ..Limits::default()
        };
        assert_eq!(without_rates.check(), Ok(()));
        assert!(without_rates.read_bytes() > Budget::default().read);
    }

    #[test]
    fn limits_that_do_not_fit_are_named() {
        let base = Limits::default;
        for (limits, named) in [
            (
                Limits {
                    max_message: 0,
                    ..base()
                },
                "--max-message",
            ),
            (
                Limits {
                    max_rooms: 0,
                    ..base()
                },
                "--max-rooms",
            ),
            (
                Limits {
                    client_buffer: 0,
                    ..base()
                },
                "--client-buffer must be at least 1",
            ),
            (
                Limits {
                    room_buffer: 1 << 20,
                    ..base()
                },
                "--room-buffer 1048576 is too small",
            ),
            (
                Limits {
                    max_message: 1 << 20,
                    ..base()
                },
                "for --max-message 1048576",
            ),
            (
                Limits {
                    room_buffer_total: 1 << 20,
                    ..base()
                },
                "--room-buffer-total",
            ),
            (
                Limits {
                    message_burst: 0,
                    ..base()
                },
                "--message-burst",
            ),
            (
                Limits {
                    message_rate: 1,
                    ..base()
                },
                "--ping-timeout",
            ),
            (
                Limits {
                    byte_rate: 100,
                    ..base()
                },
                "--ping-timeout",
            ),
            (
                Limits {
                    close_timeout: Duration::ZERO,
                    ..base()
                },
                "--close-timeout",
            ),
        ] {
            let sentence = limits.check().unwrap_err().to_string();
            assert!(sentence.contains(named), "{sentence}");
        }
    }

    #[test]
    fn the_lane_that_the_message_for_a_small_one_asks_for_is_large_enough() {
        for max_message in [1, 1000, 65_536, 1 << 24] {
            let small = Limits {
                max_message,
                room_buffer: 1,
                byte_rate: 0,
                ..Limits::default()
            };
            let sentence = small.check().unwrap_err().to_string();
            let needed: usize = sentence.rsplit(' ').next().unwrap().parse().unwrap();
            let fits = Limits {
                room_buffer: needed,
                room_buffer_total: needed,
                ..small
            };
            assert_eq!(fits.check(), Ok(()), "{max_message}");
        }
    }
}
