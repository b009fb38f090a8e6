//! What a room knows beside its lanes, from its first `chat.v1` member on: who has which name, who has been
//! announced, and what was said.

use super::archive::{Archive, Bounds, Span};
use super::member::name_of;
use super::name::{BadName, Name, Names, Wanted};
use super::presence::Presence;
use super::v1::Since;
use super::{Key, Member, Roster, Tick};

/// A room's memory. It stays when everybody has left, until the room is closed.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) names: Names,
    /// Only while somebody follows `chat.v1`.
    pub(super) presence: Option<Presence>,
    pub(super) archive: Archive,
    /// Since when nobody is in the room.
    pub(super) vacant: Option<Tick>,
    /// When the room is to be called, as noted in [`Rooms`](super::Rooms).
    pub(super) noted_due: Option<Tick>,
    /// Bytes of the archive, as noted there.
    pub(super) noted_bytes: usize,
}

/// What a newcomer is sent of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replay {
    /// The messages.
    pub(super) span: Span,
    /// Whether they are exactly what the newcomer has missed since it was last here.
    pub(super) resumed: bool,
}

/// What comes of asking for another name.
#[derive(Debug)]
pub(super) enum Renamed {
    /// The member is called that already.
    No,
    /// It has this name now; `None` is `guest-N`.
    To(Option<Name>),
}

impl Memory {
    /// Of a room whose latest message had this seq. `random` makes the names' hashes unforeseeable.
    pub(super) fn new(random: u128, seq: u64, bounds: Bounds) -> Memory {
        Memory {
            names: Names::new(random),
            presence: None,
            archive: Archive::new(seq + 1, bounds),
            vacant: None,
            noted_due: None,
            noted_bytes: 0,
        }
    }

    /// Somebody comes, who would like to be called this. Returns what it is called.
    pub(super) fn arrive(
        &mut self,
        key: Key,
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
    pub(super) fn rename(
        &mut self,
        key: Key,
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
    pub(super) fn depart(&mut self, key: Key, member: &Member, roster: &dyn Roster, now: Tick) {
        if let Some(presence) = &mut self.presence {
            presence.leave(member.number, member.name.clone(), now);
        }
        if let Some(name) = &member.name {
            self.names.remove(key, name, name_of(roster));
        }
    }

    fn take_name(
        &mut self,
        key: Key,
        number: u32,
        wanted: Option<Name>,
        roster: &dyn Roster,
    ) -> Option<Name> {
        let name = self.names.free(wanted?, number, name_of(roster))?;
        self.names.insert(key, &name, name_of(roster));
        Some(name)
    }

    /// What to send to somebody who has heard everything up to `since`, or nothing yet.
    pub(super) fn replay(&self, epoch: u64, since: Option<Since>, newest: usize) -> Replay {
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
    pub(super) fn due(&self) -> Option<Tick> {
        let announcement = self.presence.as_ref().and_then(Presence::due);
        announcement.into_iter().chain(self.archive.due()).min()
    }
}
