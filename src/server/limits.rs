//! Every limit by its name, with its default.

use std::time::Duration;

use crate::chat::RoomLimits;
use crate::http::HeadLimits;

/// What bounds one client, all clients together, and the server's patience. Zero switches off what can be
/// switched off.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections in all (`--max-connections`).
    pub max_connections: usize,
    /// Connections of one address, an IPv6 address being its first 64 bits (`--max-per-address`).
    pub max_per_address: u32,
    /// Whether `max_per_address` holds for this machine too. A proxy's clients all come from there.
    pub count_loopback: bool,
    /// Concurrent handshakes; one more drops the oldest (`--max-handshakes`).
    pub max_handshakes: usize,
    /// One request (`--max-request`, `--max-line`, `--max-headers`).
    pub head: HeadLimits,
    /// Bytes of all partially received requests (`--max-request-total`).
    pub max_request_total: usize,
    /// Rooms, their messages and their histories.
    pub rooms: RoomLimits,
    /// Frames of a message, its last not counted (`--max-frames`).
    pub max_frames: u32,
    /// Bytes of all partially received messages (`--partial-messages-total`).
    pub partial_messages_total: usize,
    /// Bytes queued for one client alone (`--client-buffer`).
    pub client_buffer: usize,
    /// Bytes queued for individual clients, over all of them (`--client-buffer-total`).
    pub client_buffer_total: usize,
    /// Messages a second of one client (`--message-rate`).
    pub message_rate: u32,
    /// Messages above the rate that are accepted at once (`--message-burst`).
    pub message_burst: u32,
    /// Bytes of messages a second of one client (`--byte-rate`).
    pub byte_rate: u32,
    /// Pings a second of one client (`--ping-rate`).
    pub ping_rate: u32,
    /// From the connection to the end of the request (`--handshake-timeout`).
    pub handshake_timeout: Duration,
    /// From the first byte of a message to its last (`--message-timeout`).
    pub message_timeout: Duration,
    /// Silence after which a client is pinged (`--ping-interval`).
    pub ping_interval: Duration,
    /// Silence after a ping that ends a connection (`--ping-timeout`).
    pub ping_timeout: Duration,
    /// Time in which a client must take some of what is queued for it (`--progress-timeout`).
    pub progress_timeout: Duration,
    /// From our Close to the client's (`--close-timeout`).
    pub close_timeout: Duration,
    /// The longest rest of a busy room between two rounds (`--batch-delay`).
    pub batch_delay: Duration,
    /// What one turn takes on.
    pub budget: Budget,
}

/// What one turn of the loop takes on before it looks around again: the fairness between clients. Nothing of
/// it may be zero.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Connections accepted.
    pub accepts: usize,
    /// Members read, and as many clients that have not finished their handshake.
    pub reads: usize,
    /// Bytes that each read may take at least, and at most while rates are on.
    pub read: usize,
    /// Connections written to for something that is theirs alone.
    pub writes: usize,
    /// Members of busy rooms visited.
    pub visits: usize,
    /// Bytes offered in one write.
    pub offer: usize,
    /// Connections ended because their time is over.
    pub ends: usize,
    /// Time spent on reading, and on writing, whatever the other numbers allow: one read or one visit can be
    /// much work.
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
            max_per_address: 256,
            count_loopback: false,
            max_handshakes: 10_000,
            head: HeadLimits::default(),
            max_request_total: 16 << 20,
            rooms: RoomLimits::default(),
            max_frames: 1_024,
            partial_messages_total: 64 << 20,
            client_buffer: 1 << 20,
            client_buffer_total: 64 << 20,
            message_rate: 50,
            message_burst: 100,
            byte_rate: 256 << 10,
            ping_rate: 10,
            handshake_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            progress_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            batch_delay: Duration::from_millis(20),
            budget: Budget::default(),
        }
    }
}

/// Bytes of the smallest frame that a client can send: a header with a mask.
pub(super) const SMALLEST_FRAME: usize = 6;

/// The most bytes that a message takes in any encoding beside six times its own.
pub(super) const ENVELOPE: usize = 512;

/// The most bytes that a read takes.
const LARGE_READ: usize = 64 * 1024;

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

    /// Whether what one client says is held to a rate.
    pub fn has_rates(&self) -> bool {
        self.message_rate > 0 || self.byte_rate > 0
    }

    /// Bytes of frames whose messages fit into half a lane, each in its worst encoding, beside the largest one.
    pub(super) fn largest_read(&self) -> usize {
        let spare = (self.rooms.room_buffer / 2).saturating_sub(self.largest_frame());
        spare / ENVELOPE * SMALLEST_FRAME
    }

    /// A message of control characters takes six bytes for each in JSON. That is space for two messages of
    /// the largest size, since none takes more than twice its own: one that a read completes, and a compressed
    /// one behind it.
    pub(super) fn largest_frame(&self) -> usize {
        self.rooms
            .max_message
            .saturating_mul(6)
            .saturating_add(1024)
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
                    rooms: RoomLimits {
                        max_message: 0,
                        ..RoomLimits::default()
                    },
                    ..base()
                },
                "--max-message",
            ),
            (
                Limits {
                    rooms: RoomLimits {
                        max_rooms: 0,
                        ..RoomLimits::default()
                    },
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
                    rooms: RoomLimits {
                        room_buffer: 1 << 20,
                        ..RoomLimits::default()
                    },
                    ..base()
                },
                "--room-buffer 1048576 is too small",
            ),
            (
                Limits {
                    rooms: RoomLimits {
                        max_message: 1 << 20,
                        ..RoomLimits::default()
                    },
                    ..base()
                },
                "for --max-message 1048576",
            ),
            (
                Limits {
                    rooms: RoomLimits {
                        room_buffer_total: 1 << 20,
                        ..RoomLimits::default()
                    },
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
    fn all_that_is_wrong_is_said_at_once() {
        let limits = Limits {
            max_frames: 0,
            close_timeout: Duration::ZERO,
            ping_rate: 5_001,
            ..Limits::default()
        };
        assert_eq!(
            limits.check().unwrap_err().to_string(),
            "--max-frames must be at least 1; --close-timeout must be longer than 0; \
             --ping-rate must be at most 5000"
        );
    }

    #[test]
    fn the_lane_that_the_message_for_a_small_one_asks_for_is_large_enough() {
        for max_message in [1, 1000, 65_536, 1 << 24] {
            let with_lane = |room_buffer| Limits {
                rooms: RoomLimits {
                    max_message,
                    room_buffer,
                    room_buffer_total: room_buffer,
                    ..RoomLimits::default()
                },
                byte_rate: 0,
                ..Limits::default()
            };
            let sentence = with_lane(1).check().unwrap_err().to_string();
            let needed: usize = sentence.rsplit(' ').next().unwrap().parse().unwrap();
            let fits = with_lane(needed);
            assert_eq!(fits.check(), Ok(()), "{max_message}");
        }
    }
}
