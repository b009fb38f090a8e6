//! What a room knows beside its lanes, from its first `chat.v1` member on: who has which name, who has been
//! announced, and what was said.

use crate::chat::format::v1::Since;
use crate::chat::history::archive::{Archive, Bounds, Span};
use crate::chat::members::name::{BadName, Name, Names, Wanted};
use crate::chat::members::name_of;
use crate::chat::members::presence::Presence;
use crate::chat::{Member, Roster};
use crate::ids::ConnectionKey;
use crate::time::Tick;

/// A room's memory. It stays when everybody has left, until the room is closed.
#[derive(Debug)]
pub(in crate::chat) struct ChatState {
    pub(in crate::chat) names: Names,
    /// Only while somebody follows `chat.v1`.
    pub(in crate::chat) presence: Option<Presence>,
    pub(in crate::chat) archive: Archive,
}

/// What a newcomer is sent of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) struct Replay {
    /// The messages.
    pub(in crate::chat) span: Span,
    /// Whether they are exactly what the newcomer has missed since it was last here.
    pub(in crate::chat) resumed: bool,
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
    /// Of a room whose latest message had this seq. `random` makes the names' hashes unforeseeable.
    pub(in crate::chat) fn new(random: u128, seq: u64, bounds: Bounds) -> ChatState {
        ChatState {
            names: Names::new(random),
            presence: None,
            archive: Archive::new(seq + 1, bounds),
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

    /// A member asks for another name.
    pub(in crate::chat) fn rename(
        &mut self,
        key: ConnectionKey,
        member: &Member,
        wish: &str,
        roster: &dyn Roster,
        now: Tick,
    ) -> Result<Renamed, BadName> {
        let wanted = match Name::parse(wish)? {
            Wanted::Name(name) => Some(name),
            Wanted::Guest(number) if number == member.number => None,
            Wanted::Guest(_) => return Err(BadName::Reserved),
        };
        if wanted == member.name {
            return Ok(Renamed::No);
        }
        if let Some(name) = &member.name {
            self.names.remove(key, name, name_of(roster));
        }
        let name = self.take_name(key, member.number, wanted, roster);
        if name == member.name {
            return Ok(Renamed::No);
        }
        if let Some(presence) = &mut self.presence {
            presence.rename(member.number, member.name.clone(), now);
        }
        Ok(Renamed::To(name))
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

    /// What to send to somebody who has heard everything up to `since`, or nothing yet.
    pub(in crate::chat) fn replay(
        &self,
        epoch: u64,
        since: Option<Since>,
        newest: usize,
    ) -> Replay {
        let missed = since
            .filter(|since| since.epoch == epoch)
            .and_then(|since| self.archive.since(since.seq));
        match missed {
            Some(span) => Replay {
                span,
                resumed: true,
            },
            None => Replay {
                span: self.archive.newest(newest),
                resumed: false,
            },
        }
    }

    /// When there is something to announce or to forget.
    pub(in crate::chat) fn due(&self) -> Option<Tick> {
        let announcement = self.presence.as_ref().and_then(Presence::due);
        announcement.into_iter().chain(self.archive.due()).min()
    }
}
