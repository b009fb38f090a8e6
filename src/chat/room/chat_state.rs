//! Names and presence of a room that had a `chat.v1` member.

use crate::chat::members::name::{Name, Names};
use crate::chat::members::name_of;
use crate::chat::members::presence::Presence;
use crate::chat::{Member, Roster};
use crate::ids::ConnectionKey;
use crate::time::Tick;

/// It is kept until the room is closed, also while the room is empty.
#[derive(Debug)]
pub(in crate::chat) struct ChatState {
    names: Names,
    /// Only while there are `chat.v1` subscribers.
    pub(in crate::chat) presence: Option<Presence>,
}

/// The result of a request for another name.
#[derive(Debug)]
pub(in crate::chat) enum NameChange {
    /// The member has that name already.
    No,
    /// The member has this name now; `None` is `guest-N`.
    To(Option<Name>),
}

impl ChatState {
    /// `random` seeds the hashes of names.
    pub(in crate::chat) fn new(random: u128) -> ChatState {
        ChatState {
            names: Names::new(random),
            presence: None,
        }
    }

    /// A member comes and asks for this name. Returns the name that it gets.
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

    /// Gives a member this name, or one like it if it is taken.
    pub(in crate::chat) fn rename(
        &mut self,
        key: ConnectionKey,
        member: &Member,
        wanted: Option<Name>,
        roster: &dyn Roster,
        now: Tick,
    ) -> NameChange {
        if wanted == member.name {
            return NameChange::No;
        }
        if let Some(name) = &member.name {
            self.names.remove(key, name, name_of(roster));
        }
        let name = self.take_name(key, member.number, wanted, roster);
        if name == member.name {
            return NameChange::No;
        }
        if let Some(presence) = &mut self.presence {
            presence.rename(member.number, member.name.clone(), now);
        }
        NameChange::To(name)
    }

    /// A member departs.
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
