//! What the server says about itself: counters, and log lines that do not flood.

use std::fmt;

use super::{Network, Server, Tick};

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What has happened since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl fmt::Display for Counts {
            /// Those that are not zero, as `name=value`.
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
    accepted,
    /// Handshakes that became WebSockets.
    upgraded,
    /// Members who came back while their old connection still hung, which was closed.
    replaced,
    /// Requests answered with the page.
    pages,
    /// Requests refused, whatever for.
    refused,
    /// Messages published.
    messages,
    /// Messages compressed, each once for each window that somebody in its room has.
    compressions,
    /// Connections failed because the client broke the protocol.
    violations,
    /// Messages refused because of their size.
    too_big,
    /// Messages refused because of their number of frames.
    too_many_frames,
    /// Clients that were dropped because they read too slowly.
    fell_behind,
    /// Clients that were dropped because they took nothing of what they were owed.
    no_progress,
    /// Clients that were dropped because they did not answer a ping.
    silent,
    /// Clients that did not finish the handshake in time.
    handshake_timeouts,
    /// Clients that did not finish a message in time.
    message_timeouts,
    /// Clients that did not close in time.
    close_timeouts,
    /// Times a client was not read because of its rate.
    slowed,
    /// Times a client was not read because its room was full, or waited for those who lag.
    parked,
    /// Times accepting found no descriptor or memory.
    accept_shortages,
    /// Newcomers turned away by way of the reserve.
    shed,
    /// Newcomers turned away because of a limit.
    surplus,
    /// Handshakes ended because there were too many.
    handshakes_squeezed,
    /// Handshakes ended because all unfinished heads together were too large.
    heads_squeezed,
    /// Clients dropped because all private answers together were too large.
    owed_squeezed,
    /// Half messages ended because all together were too large.
    half_messages_squeezed,
    /// Clients dropped because private answers to them were too large.
    owed_too_much,
    /// Times that the largest lanes were cut because all together were too large.
    lanes_squeezed,
    /// Times that a history was cut, or a room that nobody was in forgotten, because all were too large.
    histories_squeezed,
}

/// Kinds of log lines that strangers can cause, each limited for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Refused,
    Violated,
    Dropped,
    Shortage,
}

impl Notice {
    const COUNT: usize = 4;

    /// Lines of this kind in a second.
    fn limit(self) -> u32 {
        match self {
            Notice::Refused | Notice::Violated | Notice::Dropped => 10,
            Notice::Shortage => 1,
        }
    }
}

/// How many lines of each kind there were in the present second.
#[derive(Debug, Default)]
pub(super) struct Notices([Tally; Notice::COUNT]);

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    second: u32,
    lines: u32,
    left_out: u32,
}

impl Notices {
    /// Whether a line may be logged, and how many were left out before it.
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

impl<N: Network> Server<N> {
    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        Counts {
            compressions: self.rooms.compressions(),
            histories_squeezed: self.rooms.archives_cut(),
            ..self.counts
        }
    }

    /// Logs a line that a stranger caused, unless there were many like it in this second.
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
            accepted: 3,
            shed: 1,
            ..Counts::default()
        };
        assert_eq!(counts.to_string(), "accepted=3 shed=1");
    }
}
