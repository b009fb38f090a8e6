//! What the server reports about itself: counters (metrics), and a rate limit for log lines that clients cause.

use std::fmt;

use super::{Network, Server, Tick};
use crate::engine::Engine;

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counters of events since the start. Their names are public: operators read them in the log.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl fmt::Display for Counts {
            /// Writes the counters that are not zero, as `name=value`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut gap = "";
                for (name, value) in [$((stringify!($name), self.$name),)*] {
                    if value > 0 {
                        write!(f, "{gap}{name}={value}")?;
                        gap = " ";
                    }
                }
                Ok(())
            }
        }
    };
}

counts! {
    /// Connections accepted.
    connections_accepted,
    /// Connections turned away because of `--max-connections` or `--max-per-address`.
    connections_over_limit,
    /// Connections turned away by way of the reserved descriptor, because no other was free.
    rejected_without_descriptor,
    /// Times that accepting found no descriptor or memory.
    accept_shortages,
    /// Handshakes completed: connections that became WebSockets.
    handshakes_completed,
    /// Handshakes ended because of `--handshake-timeout`.
    handshake_timeouts,
    /// Handshakes dropped, the oldest first, because of `--max-handshakes`.
    handshakes_over_limit,
    /// Unfinished requests refused, the largest first, because of `--max-request-total`.
    requests_over_total,
    /// Requests refused for any reason.
    requests_refused,
    /// Requests answered with the page, or told that the client has it already.
    pages_served,
    /// Connections closed because their member came back on a new one.
    connections_replaced,
    /// Messages published.
    messages_published,
    /// Compressions of messages: one for each window size in use in the room.
    compressions,
    /// Clients disconnected because they broke the protocol, those of the next two included.
    protocol_violations,
    /// Clients disconnected because of `--max-message`.
    messages_too_large,
    /// Clients disconnected because of `--max-frames`.
    messages_of_too_many_frames,
    /// Clients disconnected because of `--message-timeout`.
    message_timeouts,
    /// Clients disconnected, the one with the largest message first, because of `--partial-messages-total`.
    partial_messages_over_total,
    /// Times that reading a client was paused by its rate limits.
    reads_paused_by_rate,
    /// Times that reading a client was paused by backpressure of its room.
    reads_paused_by_room,
    /// Slow consumers dropped because they fell behind `--room-buffer` or `--room-buffer-total`.
    slow_consumers_dropped,
    /// Times that a room's buffer was cut, the largest first, because of `--room-buffer-total`.
    room_buffers_over_total,
    /// Clients dropped because of `--client-buffer`.
    client_buffers_over_limit,
    /// Clients dropped, the one with the most queued first, because of `--client-buffer-total`.
    client_buffers_over_total,
    /// Clients dropped because of `--progress-timeout`.
    progress_timeouts,
    /// Clients dropped because of `--ping-timeout`.
    ping_timeouts,
    /// Clients closed because of `--close-timeout`.
    close_timeouts,
    /// Times that a history was cut, or an empty room forgotten, because of `--history-size-total`.
    histories_over_total,
}

/// Kinds of log lines that clients can cause. Each kind has its own rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Refused,
    Violated,
    Dropped,
    Shortage,
}

impl Notice {
    const COUNT: usize = 4;

    /// Lines a second.
    fn limit(self) -> u32 {
        match self {
            Notice::Refused | Notice::Violated | Notice::Dropped => 10,
            Notice::Shortage => 1,
        }
    }
}

/// Log lines of each kind in the current second.
#[derive(Debug, Default)]
pub(super) struct Notices([Tally; Notice::COUNT]);

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    second: u32,
    lines: u32,
    left_out: u32,
}

impl Notices {
    /// `None` if the line is to be left out, else the number of lines left out before it.
    fn admit(&mut self, notice: Notice, now: Tick) -> Option<u32> {
        let tally = &mut self.0[notice as usize];
        let second = now.0 / Tick::SECOND;
        if tally.second != second {
            *tally = Tally {
                second,
                lines: 0,
                left_out: tally.left_out,
            };
        }
        if tally.lines == notice.limit() {
            tally.left_out += 1;
            return None;
        }
        tally.lines += 1;
        Some(std::mem::take(&mut tally.left_out))
    }
}

impl<N: Network, E: Engine> Server<N, E> {
    /// The counters as they stand now.
    pub fn counts(&self) -> Counts {
        Counts {
            compressions: self.rooms.compressions(),
            histories_over_total: self.rooms.archives_cut(),
            ..self.counts
        }
    }

    /// Logs a warning that a client caused, unless its kind has reached its limit in this second.
    pub(super) fn notice(&mut self, notice: Notice, line: fmt::Arguments<'_>) {
        match self.notices.admit(notice, self.now.tick()) {
            None => {}
            Some(0) => log::warn!("{line}"),
            Some(left_out) => log::warn!("{line} ({left_out} lines like this were left out)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_kind_are_limited_and_those_left_out_are_counted() {
        let mut notices = Notices::default();
        let admitted = (0..25)
            .filter(|_| notices.admit(Notice::Refused, Tick(13)).is_some())
            .count();
        assert_eq!(admitted, 10);
        assert_eq!(notices.admit(Notice::Shortage, Tick(15)), Some(0));
        assert_eq!(notices.admit(Notice::Shortage, Tick(19)), None);
        assert_eq!(notices.admit(Notice::Refused, Tick(20)), Some(15));
        assert_eq!(notices.admit(Notice::Refused, Tick(20)), Some(0));
    }

    #[test]
    fn counters_that_are_zero_are_not_shown() {
        let counts = Counts {
            connections_accepted: 3,
            ping_timeouts: 1,
            ..Counts::default()
        };
        assert_eq!(counts.to_string(), "connections_accepted=3 ping_timeouts=1");
    }
}
