//! What the server has read, and what that is to lead to.

use hushd::engine::Engine;

use super::{Run, TICKS};
use crate::client::{Mark, Wish};
use crate::late::Spoken;
use crate::model::Saying;
use crate::view::{Joining, Request};

/// For so long at least a message is known by its id, and for so long at most.
const KNOWN: u64 = 60_000_000;
const UNKNOWN: u64 = 181_000_000;

/// So many of the latest messages of a session are known.
const KNOWN_OF_ONE: usize = 64;

impl<E: Engine> Run<E> {
    /// The server has read so far in a client's stream.
    pub(super) fn was_read(&mut self, number: usize, upto: u64) -> Result<(), String> {
        self.check_debts(number)?;
        while let Some(mark) = self.clients[number].passed(upto) {
            let client = &mut self.clients[number];
            let log = &mut self.logs[client.room];
            if client.deaf {
                continue;
            }
            let here = self.loose[client.room].unwrap_or(log.len());
            match mark {
                Mark::Joins(at) if !E::IMMEDIATE => {
                    (client.waits_for_room, client.charged) = (true, at);
                    client.talks_at_once = upto > at;
                }
                Mark::Joins(at) => {
                    client.charged = at;
                    client.talks_at_once = upto > at;
                    self.is_in(number, here);
                }
                Mark::Asks => {}
                Mark::Says(text, payload) => {
                    client.debts[0] += 1.0;
                    if !self.ending {
                        self.says(number, text, payload, None, true);
                    }
                }
                Mark::Chats(request) => {
                    client.debts[0] += 1.0;
                    if !self.ending {
                        self.chats(number, request, here)?;
                    }
                }
                Mark::Pings(payload) => {
                    client.debts[2] += 1.0;
                    client.pings.push_back(payload);
                }
                Mark::Closes => (client.closed, client.deaf, client.due) = (true, true, here),
                Mark::Violates => (client.violated, client.deaf, client.due) = (true, true, here),
            }
        }
        let client = &mut self.clients[number];
        if client.position.is_some() {
            client.debts[1] += (upto - client.charged) as f64;
            client.charged = upto;
        }
        // Pings that would take too long to pay are let off.
        let limits = &self.scenario.limits;
        let most = f64::from(limits.ping_rate) * (limits.ping_timeout.as_secs() + 1) as f64;
        client.debts[2] = client.debts[2].min(most);
        Ok(())
    }

    /// A client is let into its room.
    pub(super) fn is_in(&mut self, number: usize, here: usize) {
        let client = &mut self.clients[number];
        client.position = Some(here);
        // Where the welcome found the connection broken, nothing is heard that came with the request.
        let world = self.world.borrow();
        let socket = &world.sockets[number];
        client.deaf |= socket.reset && socket.told_end && socket.wrote_at == socket.accepted_at;
        drop(world);
        self.joins(number, here);
    }

    /// A request to join was read.
    fn joins(&mut self, number: usize, here: usize) {
        let memory = self.memory();
        let world = self.world.borrow();
        let client = &mut self.clients[number];
        let room = client.room;
        // In a turn whose order is not known, what else is said in it may come before this, or not.
        client.skip = match self.loose[room] {
            None => here,
            Some(_) => usize::MAX,
        };
        let jumped = world
            .jumped_at
            .is_some_and(|at| at + 1_000_000 > world.clock);
        if let Some(since) = self.empty_since[room] {
            let age = world.clock - since;
            if !memory.is_ample || jumped || age + TICKS.as_micros() as u64 * 4 > memory.ttl {
                self.logs[room].lives += 1;
            }
        }
        client.view.joining = Joining {
            at: here,
            loose: client.skip,
            clock: world.clock,
            life: self.logs[room].lives,
            jumped,
        };
        self.stirred_at[room] = world.clock;
        let (person, hello) = (client.person, client.view.hello.clone());
        if person.is_some() {
            let wanted = hello.name.filter(|(_, bad)| !bad).map(|(name, _)| name);
            let member = hello.session.zip(hello.member);
            let names = &mut self.logs[room].names;
            names.come(number, wanted, member, self.turns);
        }
        if hello.session.is_none() {
            return;
        }
        for other in &mut self.clients {
            if other.number != number && other.person == person {
                // The first byte of what is not allowed is no reason yet to send it away, and whoever was replaced
                // before was told so then.
                if !other.deaf && !other.view.replaced {
                    other.due = here;
                }
                other.view.replaced = true;
            }
        }
    }

    /// Somebody says something in `chat.v1`.
    fn chats(&mut self, number: usize, request: Request, here: usize) -> Result<(), String> {
        let clock = self.world.borrow().clock;
        if !matches!(request, Request::Message { .. }) {
            self.overtakes_nothing(number)?;
        }
        let client = &mut self.clients[number];
        if E::IMMEDIATE || !matches!(request, Request::Rename(_, false)) {
            client.view.ask(&request, here);
        }
        let room = client.room;
        let (id, text) = match request {
            Request::Message { id, text } => (id, text),
            Request::Rename(name, false) => {
                let doubtful = self.clients[number].may_be_unheard(clock);
                if !E::IMMEDIATE {
                    let wish = Wish::Rename(name, doubtful);
                    self.clients[number].unasked.push_back(wish);
                    return Ok(());
                }
                self.stirred_at[room] = clock;
                let names = &mut self.logs[room].names;
                names.rename(number, name, doubtful, self.turns);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let log = &self.logs[room];
        let mut is_new = true;
        let this = self.clients[number].view.member();
        let is_perhaps_this = |client: usize| {
            let that = self.clients[client].view.member();
            this.is_none() || that.is_none() || this == that
        };
        if let Some((before, at, certain)) = log.said(&id, is_perhaps_this) {
            let that = self.clients[before].view.member();
            let age = clock - at;
            if age < UNKNOWN {
                let clients = |client: usize| self.clients[client].view.member() == that;
                let is_known = certain
                    && this.is_some()
                    && that.is_some()
                    && age + 200_000 < KNOWN
                    && log.said_since(clients, at) < KNOWN_OF_ONE;
                self.clients[number].view.repeats(&id, !is_known, here);
                if is_known {
                    self.overtakes_nothing(number)?;
                    return Ok(());
                }
                is_new = false;
            }
        }
        self.says(number, true, text.into_bytes(), Some(id), is_new);
        Ok(())
    }

    /// What somebody asks is answered behind what became of its messages.
    fn overtakes_nothing(&self, number: usize) -> Result<(), String> {
        let client = &self.clients[number];
        let is_asked = |wish: &&Wish| !matches!(wish, Wish::Say(.., true) | Wish::Rename(_, true));
        let mut wishes = client.unanswered.iter().chain(&client.unasked);
        let waits = wishes.find(is_asked);
        match waits {
            Some(wish) if !client.ended_just_now => Err(format!(
                "{number} is answered before the engine has: {wish:?}"
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn says(
        &mut self,
        number: usize,
        text: bool,
        payload: Vec<u8>,
        id: Option<String>,
        is_new: bool,
    ) {
        let at = self.world.borrow().clock;
        let client = &self.clients[number];
        let loose = self.loose[client.room].map(|_| self.turns);
        let certain = is_new && !client.may_be_unheard(at);
        if !E::IMMEDIATE {
            let stint = self.logs[client.room].names.latest(number);
            let spoken = Spoken {
                member: 0,
                chat: client.person.is_some(),
                text,
                payload,
                id,
            };
            let wish = Wish::Say(spoken, stint, !certain);
            self.clients[number].unasked.push_back(wish);
            return;
        }
        let said = String::from_utf8_lossy(&payload);
        let mut world = self.world.borrow_mut();
        world.trace.note(at, ("Says", number, said, certain, loose));
        drop(world);
        let saying = Saying {
            text,
            payload,
            id,
            stint: self.logs[client.room].names.latest(number),
            certain,
            loose,
            at,
        };
        self.logs[client.room].say(client, saying);
    }

    /// Whoever is read has paid its debts but for one burst.
    fn check_debts(&mut self, number: usize) -> Result<(), String> {
        let clock = self.world.borrow().clock;
        let client = &mut self.clients[number];
        // Whoever has been told its last is read all the same: its Close may come.
        let is_told = client.may_be_unheard(clock);
        let seconds = (clock - client.paid_at) as f64 / 1e6;
        client.paid_at = clock;
        let limits = &self.scenario.limits;
        for (debt, (rate, burst)) in client.debts.iter_mut().zip([
            (limits.message_rate, limits.message_burst),
            (limits.byte_rate, limits.byte_rate),
            (limits.ping_rate, limits.ping_rate),
        ]) {
            let (rate, burst) = (f64::from(rate), f64::from(burst));
            *debt = (*debt - seconds * rate).max(0.0);
            let allowed = burst + rate * TICKS.as_secs_f64() + 1.0;
            let is_held = E::IMMEDIATE && !client.deaf && !client.terms.deflate && !is_told;
            if rate > 0.0 && is_held && *debt > allowed {
                return Err(format!(
                    "{number} is read, but its debt is {debt} of {allowed}"
                ));
            }
        }
        Ok(())
    }
}
