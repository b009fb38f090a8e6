//! What must be so after every turn: nothing is forgotten, nothing exceeds its limit, nobody is sent away
//! without a reason.

use std::time::Duration;

use hushd::engine::Engine;
use hushd::server::{Counts, Phase};

use super::{Run, TICKS};
use crate::world::State;

/// Connections above the limit that the server takes, to tell them so.
const SURPLUS: usize = 16;

/// Turns in which nothing happens and the server still does not want to wait.
const IDLE_TURNS: usize = 64;

/// By then every engine has answered, and no room holds that up any more.
const ANSWERED: u64 = 5_000_000;

/// By then every change of who is here has been announced.
const ANNOUNCED: u64 = 5_000_000;

impl<E: Engine> Run<E> {
    /// What the server would forget if it went to sleep now.
    pub(super) fn forgotten(&self) -> Option<String> {
        let world = self.world.borrow();
        let has_jumped = world
            .jumped_at
            .is_some_and(|at| at + ANSWERED > world.clock);
        for client in &self.clients {
            let waits = !client.unanswered.is_empty();
            if waits && !has_jumped && world.clock > client.engine_at + ANSWERED {
                let number = client.number;
                return Some(format!("the engine has an answer for {number}"));
            }
        }
        for resident in &self.census.residents {
            let number = world.by_key[resident.key.0 as usize]?;
            if world.lies_unread(number) && !resident.unread {
                return Some(format!("{number} has sent something that nobody reads"));
            }
            if resident.blocked && world.is_never_told_of_room(number) {
                return Some(format!("nobody will say that {number} has room again"));
            }
            let client = &self.clients[number];
            if resident.phase == Phase::Open && !resident.blocked && !resident.room_busy {
                let missing = client
                    .position
                    .map(|position| position.max(client.skip))
                    .and_then(|position| self.logs[client.room].missing(position, usize::MAX));
                if let Some(missing) = missing {
                    return Some(format!("{number} has not been written {missing:?}"));
                }
                if !client.pings.is_empty() {
                    return Some(format!("{number} has not been answered its ping"));
                }
                if client.person.is_some() && client.position.is_some() {
                    let log = &self.logs[client.room];
                    let missing = client.view.missing(self.memory(), log);
                    if let Some(missing) = missing.or_else(|| self.unannounced(number)) {
                        return Some(format!("{number} was not told: {missing}"));
                    }
                }
            }
        }
        None
    }

    /// Whether those who are told who is here know it.
    fn unannounced(&self, number: usize) -> Option<String> {
        let world = self.world.borrow();
        let (clock, jumped_at) = (world.clock, world.jumped_at);
        let client = &self.clients[number];
        client.view.member()?;
        // In a full room it waits for a tick, and where the clock has jumped that is all the time there was.
        let has_jumped = jumped_at.is_some_and(|at| at + 1_000_000 > clock);
        if clock - self.stirred_at[client.room] < ANNOUNCED || has_jumped || self.asked_to_end {
            return None;
        }
        let inside = || {
            self.clients
                .iter()
                .filter(|other| other.is_inside && other.room == client.room)
        };
        let known = &self.logs[client.room].names;
        let names: Vec<String> = inside()
            .filter_map(|other| known.name(other.number).map(str::to_owned))
            .collect();
        client.view.is_up_to_date(inside().count(), &names).err()
    }

    /// Whether somebody waits to be accepted, and the server was told.
    pub(super) fn is_somebody_at_the_door(&self) -> bool {
        let world = self.world.borrow();
        world.listening && !world.door.is_empty() && !world.newcomers
    }

    pub(super) fn check_wait(
        &mut self,
        forgotten: Option<String>,
        at_the_door: bool,
    ) -> Result<(), String> {
        let world = self.world.borrow();
        let in_a_hurry = world.patience == Some(Duration::ZERO);
        self.idle_turns = if in_a_hurry && !world.stirred {
            self.idle_turns + 1
        } else {
            0
        };
        if self.idle_turns > IDLE_TURNS {
            return Err("the server spins".into());
        }
        let paused = world
            .patience
            .is_some_and(|patience| patience <= Duration::from_millis(100))
            || self.census.residents.len() >= self.scenario.limits.max_connections + SURPLUS;
        match forgotten {
            Some(forgotten) if !in_a_hurry => Err(format!("the server sleeps, but {forgotten}")),
            _ if at_the_door && !paused => {
                Err("the server sleeps, but somebody is at the door".into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the server had a reason to close this one.
    pub(super) fn check_end(&self, number: usize, counts: &Counts) -> Result<(), String> {
        let world = self.world.borrow();
        let (client, socket) = (&self.clients[number], &world.sockets[number]);
        let limits = &self.scenario.limits;
        let passed = |since: u64, time: Duration| {
            world.clock.saturating_sub(since) >= time.as_micros() as u64
        };
        let before = &self.counts;
        if socket.told_end || socket.told_broken || socket.key.is_none() {
            return Ok(());
        }
        if !socket.abandoned {
            return match socket.server_fin {
                Some(since) if passed(since, Duration::from_millis(900)) => Ok(()),
                Some(_) => Err("is closed before it could answer the end".into()),
                None => Err("is closed without a reason".into()),
            };
        }
        let slow = socket.lags;
        let has_jumped = world
            .jumped_at
            .is_some_and(|at| at + 1_000_000 > client.pinged_at);
        let reasons = [
            slow && counts.slow_consumers_dropped > before.slow_consumers_dropped,
            counts.client_buffers_over_limit > before.client_buffers_over_limit,
            counts.client_buffers_over_total > before.client_buffers_over_total,
            slow && counts.progress_timeouts > before.progress_timeouts
                && passed(socket.wrote_at, limits.progress_timeout),
            counts.ping_timeouts > before.ping_timeouts
                && passed(socket.read_at, limits.ping_interval + limits.ping_timeout)
                && !world.lies_unread(number)
                && (socket.was_full
                    || has_jumped
                    || passed(client.pinged_at, limits.ping_timeout - TICKS)),
            counts.close_timeouts > before.close_timeouts && client.deaf,
            counts.handshakes_over_limit > before.handshakes_over_limit && client.granted.is_none(),
        ];
        if reasons.contains(&true) {
            Ok(())
        } else {
            Err(format!("is dropped without a reason ({})", counts))
        }
    }

    pub(super) fn check_census(&mut self) -> Result<(), String> {
        let world = &mut *self.world.borrow_mut();
        let limits = &self.scenario.limits;
        let here = self.census.residents.len();
        if here != world.held {
            return Err(format!(
                "{here} connections, but {} open sockets",
                world.held
            ));
        }
        // A ping or a Close may have come to what each was owed when all was last weighed.
        let owed = self.census.held[2];
        if owed > limits.client_buffer_total + here * 512 && !self.asked_to_end {
            return Err(format!("{owed} bytes are owed to single clients in all"));
        }
        if here > limits.max_connections + SURPLUS {
            return Err(format!("{here} connections are too many"));
        }
        let members = self.census.residents.iter().filter(|resident| {
            let number = world.by_key[resident.key.0 as usize];
            let granted = number.and_then(|number| self.clients.get(number)?.granted);
            resident.phase == Phase::Open || granted == Some(true)
        });
        let members = members.count();
        if members > limits.max_connections {
            return Err(format!("{members} members are too many"));
        }
        for resident in &self.census.residents {
            let number = world.by_key[resident.key.0 as usize].unwrap_or(usize::MAX);
            let Some(client) = self.clients.get_mut(number) else {
                return Err(format!("{:?} is nobody's", resident.key));
            };
            if world.sockets[number].state != State::Held {
                return Err(format!("{number} is kept, but its socket is closed"));
            }
            if resident.owed > limits.client_buffer + 1_000 {
                return Err(format!(
                    "{number} is owed {} bytes of its own",
                    resident.owed
                ));
            }
            let stuck = Duration::from_micros(world.clock - world.sockets[number].tried_at);
            let patience = limits.progress_timeout * 3 / 2 + Duration::from_secs(2);
            let is_stuck = resident.blocked && resident.phase == Phase::Open;
            if is_stuck && stuck > patience && world.jumped_at.is_none() {
                return Err(format!("{number} has taken nothing for {stuck:?}"));
            }
            if client.skip == usize::MAX {
                let said = self.logs[client.room].len();
                (client.skip, client.view.joining.loose) = (said, said);
            }
            client.deaf |= resident.phase == Phase::Closing;
        }
        Ok(())
    }
}
