//! Graceful shutdown: no connection is accepted, nothing more is published, what is owed is written, and all
//! clients are told to go, at a bounded pace.

use std::time::Duration;

use super::connections::Stage;
use super::{Moment, Network, Server, Signal};
use crate::chat::{Format, v1};
use crate::engine::Engine;
use crate::http::Refusal;
use crate::ids::ConnectionKey;
use crate::ws::CloseCode;

/// Goodbyes in a second, if that suffices to have said all of them in [`LONGEST`].
const GOODBYES: u64 = 5_000;

/// By when all goodbyes have been said.
const LONGEST: Duration = Duration::from_secs(3);

/// From one batch of goodbyes to the next.
const STEP: Duration = Duration::from_millis(10);

/// Clients come back within so many milliseconds as there were of them, but not less than this, ...
const SOONEST: u32 = 1_000;

/// ... and not more.
const LATEST: u32 = 30_000;

/// Why they are to go.
const SHUTTING_DOWN: &str = "shutting down";

/// A server that is about to end.
#[derive(Debug)]
pub(super) struct Shutdown {
    began: Moment,
    /// The next slab entry to be told.
    next: usize,
    /// Slab entries to be told in a second.
    pace: u64,
    due: Moment,
    /// Then the server ends, even if connections are left.
    at_last: Moment,
    /// Asked a second time: it ends with this turn.
    at_once: bool,
}

impl Shutdown {
    pub(super) fn due(&self) -> Moment {
        self.due
    }
}

impl<N: Network, E: Engine> Server<N, E> {
    pub(super) fn on_signal(&mut self, signal: Signal) {
        match (signal, &mut self.shutdown) {
            (Signal::Report, _) => {
                let (here, rooms) = (self.connections.len(), self.rooms.len());
                log::info!("{here} connections in {rooms} rooms; {}", self.counts());
            }
            (Signal::End, Some(shutdown)) => shutdown.at_once = true,
            (Signal::End, None) => {
                log::info!(
                    "shutting down: {} connections are told to go",
                    self.connections.len()
                );
                self.network.stop_listening();
                let longest = LONGEST + self.limits.close_timeout + Duration::from_secs(2);
                self.shutdown = Some(Shutdown {
                    began: self.now,
                    next: 0,
                    pace: GOODBYES.max(self.connections.key_bound() as u64 / LONGEST.as_secs()),
                    due: self.now,
                    at_last: self.now + longest,
                    at_once: false,
                });
            }
        }
    }

    /// Says the goodbyes that are due.
    pub(super) fn continue_shutdown(&mut self) {
        let bound = self.connections.key_bound();
        let Some(shutdown) = &mut self.shutdown else {
            return;
        };
        if shutdown.due > self.now {
            return;
        }
        let elapsed = (self.now - shutdown.began + STEP).as_micros() as u64;
        let upto = bound.min((elapsed * shutdown.pace / 1_000_000) as usize);
        let entries = shutdown.next..upto;
        shutdown.next = shutdown.next.max(upto);
        shutdown.due = if upto < bound {
            self.now + STEP
        } else {
            shutdown.at_last
        };
        for entry in entries {
            self.say_goodbye(ConnectionKey(entry as u32));
        }
    }

    fn say_goodbye(&mut self, key: ConnectionKey) {
        let bye = v1::ServerMessage::Bye {
            code: CloseCode::GOING_AWAY.get(),
            reason: SHUTTING_DOWN,
            reconnect_ms: [
                0,
                (self.connections.key_bound() as u32).clamp(SOONEST, LATEST),
            ],
        };
        let bye = bye.to_json();
        let Some(connection) = self.connections.live_mut(key) else {
            return;
        };
        match connection.stage() {
            Stage::Handshaking(_) | Stage::Joining(_) => self.refuse(key, Refusal::ShuttingDown),
            Stage::Open(open) => {
                if open.member.place.encoding.format() == Format::ChatV1 {
                    self.answer(key, &bye);
                }
                self.close_and_await_reply(key, CloseCode::GOING_AWAY, SHUTTING_DOWN);
            }
            Stage::Closing(_) => {}
        }
    }

    /// Whether there is nothing more to do, ever.
    pub(super) fn is_over(&self) -> bool {
        let Some(shutdown) = &self.shutdown else {
            return false;
        };
        shutdown.at_once || self.connections.is_empty() || self.now >= shutdown.at_last
    }
}
