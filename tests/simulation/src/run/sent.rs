//! What the server has written, and whether that was due.

use hushd::engine::Engine;
use hushd::server::Limits;
use serde_json::Value;

use super::Run;
use crate::client::Opening;
use crate::model::Hearing;
use crate::wire::Heard;
use crate::world::Socket;

impl<E: Engine> Run<E> {
    /// The server has written to a client.
    pub(super) fn was_sent(&mut self, number: usize) -> Result<(), String> {
        let fresh = std::mem::take(&mut self.world.borrow_mut().sockets[number].fresh);
        if fresh.is_empty() {
            return Ok(());
        }
        let client = &mut self.clients[number];
        client.ear.hear(&fresh);
        let head_only = client.asks_head;
        let terms = client.terms.clone();
        let memory = self.memory();
        while let Some(heard) = self.clients[number].ear.next(head_only, &terms)? {
            match heard {
                Heard::Response(status) => self.responded(number, status)?,
                Heard::Message(text, payload) => {
                    let client = &mut self.clients[number];
                    let Some(position) = &mut client.position else {
                        return Err("hears a message before it has joined".into());
                    };
                    let (log, seats) = (&mut self.logs[client.room], &mut self.seats[client.room]);
                    if client.person.is_none() {
                        log.hear(position, client.skip, &Hearing::Plain(text, &payload))?;
                        continue;
                    }
                    if !text {
                        return Err(format!("hears {payload:?}"));
                    }
                    let json: Value =
                        serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
                    let mut world = self.world.borrow_mut();
                    let clock = world.clock;
                    world.trace.note(clock, ("Hears", number, json.to_string()));
                    drop(world);
                    let note = client
                        .view
                        .hear(&json, position, number, memory, (log, seats))?;
                    let at = client.ear.heard;
                    client.notes.extend(note.map(|note| (at, note)));
                }
                Heard::Ping => {
                    let client = &mut self.clients[number];
                    client.asked += 1;
                    client.pinged_at = self.world.borrow().clock;
                }
                Heard::Pong(payload) => {
                    let client = &mut self.clients[number];
                    let Some(ping) = client.pings.iter().position(|ping| *ping == payload) else {
                        return Err("is answered a ping that it has not sent now".into());
                    };
                    client.pings.drain(..=ping);
                }
                Heard::Close(code) => self.dismissed(number, code)?,
            }
        }
        Ok(())
    }

    fn responded(&mut self, number: usize, status: u16) -> Result<(), String> {
        let world = self.world.borrow();
        let (limits, socket) = (&self.scenario.limits, &world.sockets[number]);
        let client = &mut self.clients[number];
        let is_late =
            world.clock - socket.accepted_at >= limits.handshake_timeout.as_micros() as u64;
        let is_shed = socket.key.is_none();
        let is_surplus = is_surplus(socket, limits);
        let is_scarce = is_surplus || self.scenario.paths.len() > limits.rooms.max_rooms;
        let has_asked = client.position.is_some() || client.waits_for_room;
        let is_due = match (client.opening, status) {
            (Opening::Upgrade, 101) => client.position.is_some() && !is_surplus,
            (Opening::Upgrade, 503) if has_asked && is_scarce => true,
            // Its room was full.
            (Opening::Upgrade, 503) if client.talks_at_once => true,
            // The engine has refused to let it in, or was too late.
            (Opening::Upgrade, 503) if client.was_refused => true,
            (Opening::Upgrade, 503) if !E::IMMEDIATE && has_asked && is_late => true,
            (_, 503) => self.ending || is_shed || self.server.counts().requests_over_total > 0,
            (_, 408) => is_late && client.position.is_none(),
            (Opening::Request(due), status) => status == due,
            (Opening::Upgrade | Opening::HalfHead, _) => false,
        };
        if !is_due {
            return Err(format!(
                "{:?} is answered {status}, surplus: {is_surplus} after {:?}",
                client.opening, socket.before
            ));
        }
        let granted = status == 101;
        (client.granted, client.status) = (Some(granted), Some(status));
        if !granted {
            (client.position, client.deaf) = (None, true);
        }
        self.logs[client.room].settle(number, granted)
    }

    fn dismissed(&mut self, number: usize, code: Option<u16>) -> Result<(), String> {
        let client = &mut self.clients[number];
        client.dismissed = Some(code);
        let counts = self.server.counts();
        let due = match code {
            Some(1001) => self.ending && (client.person.is_none() || client.view.said_bye),
            Some(4001) => client.view.replaced,
            Some(1002 | 1003 | 1007 | 1009) if client.violated => true,
            Some(1008) => counts.message_timeouts > 0,
            Some(1013) => counts.partial_messages_over_total > 0,
            None | Some(_) => client.closed,
        };
        if !due {
            return Err(format!("is dismissed with {code:?}"));
        }
        let upto = match code {
            Some(1001) => usize::MAX,
            // In the middle of a turn, whatever it said in that.
            Some(1013) => 0,
            _ => client.due,
        };
        let log = &self.logs[client.room];
        match client
            .position
            .and_then(|position| log.missing(position.max(client.skip), upto))
        {
            Some(missing) => Err(format!("is dismissed before it has heard {missing:?}")),
            None => Ok(()),
        }
    }
}

/// Whether the server took somebody only to tell it that there is no room.
fn is_surplus(socket: &Socket, limits: &Limits) -> bool {
    let [all, from_there] = socket.before;
    let is_loopback = socket.address.to_canonical().is_loopback();
    let counts = limits.max_per_address > 0 && (limits.count_loopback || !is_loopback);
    all >= limits.max_connections || counts && from_there >= limits.max_per_address as usize
}
