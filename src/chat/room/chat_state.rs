//! What a room knows beside its lanes and its log, from its first `chat.v1` member on: which member has which name, and
//! which members have been announced.

use crate::chat::members::name::{Name, Names};
use crate::chat::members::name_of;
use crate::chat::members::presence::Presence;
use crate::chat::{Member, Roster};
use crate::ids::ConnectionKey;
use crate::time::Tick;

/// A room's chat. It stays when everybody has left, until the room is closed.
#[derive(Debug)]
pub(in crate::chat) struct ChatState {
    pub(in crate::chat) names: Names,
    /// Only while somebody follows `chat.v1`.
    pub(in crate::chat) presence: Option<Presence>,
}

/// What comes of asking for another name.
#[derive(Debug)]
pub(in crate::chat) enum Renamed {
    /// The member is called that already.
    No,
    /// It has this name now; `None` is `guest-N`.
    To(Option<Name>),
}

impl ChatState {
    /// `random` makes the names' hashes unforeseeable.
    pub(in crate::chat) fn new(random: u128) -> ChatState {
        ChatState {
            names: Names::new(random),
            presence: None,
        }
    }

    /// Somebody comes, who would like to be called this. Returns what it is called.
    pub(in crate::chat) fn arrive(
        &mut self,
        key: ConnectionKey,
        number: u32,
        wanted: Option<Name>,
        left: Option<Tick>,
        roster: &dyn Roster,
        now: Tick,
    ) -> Option<Name> {
        if let Some(presence) = &mut self.presence {
            presence.join(number, left, now);
        }
        self.take_name(key, number, wanted, roster)
    }

    /// A member is to be called this, as far as it can be.
    pub(in crate::chat) fn rename(
        &mut self,
        key: ConnectionKey,
        member: &Member,
        wanted: Option<Name>,
        roster: &dyn Roster,
        now: Tick,
    ) -> Renamed {
        if wanted == member.name {
            return Renamed::No;
        }
        if let Some(name) = &member.name {
            self.names.remove(key, name, name_of(roster));
        }
        let name = self.take_name(key, member.number, wanted, roster);
        if name == member.name {
            return Renamed::No;
        }
        if let Some(presence) = &mut self.presence {
            presence.rename(member.number, member.name.clone(), now);
        }
        Renamed::To(name)
    }

    /// A member goes.
    pub(in crate::chat) fn depart(
        &mut self,
        key: ConnectionKey,
        member: &Member,
        roster: &dyn Roster,
        now: Tick,
    ) {
        if let Some(presence) = &mut self.presence {
            presence.leave(member.number, member.name.clone(), now);
        }
        if let Some(name) = &member.name {
            self.names.remove(key, name, name_of(roster));
        }
    }

    fn take_name(
        &mut self,
        key: ConnectionKey,
        number: u32,
        wanted: Option<Name>,
        roster: &dyn Roster,
    ) -> Option<Name> {
        let name = self.names.free(wanted?, number, name_of(roster))?;
        self.names.insert(key, &name, name_of(roster));
        Some(name)
    }

    /// When there is something to announce.
    pub(in crate::chat) fn due(&self) -> Option<Tick> {
        self.presence.as_ref().and_then(Presence::due)
    }
}
