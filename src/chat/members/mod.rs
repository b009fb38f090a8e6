//! One member of a room, as its own entry says.

pub mod name;
pub mod presence;
pub mod session;

use self::name::{Called, Name};
use super::Place;
use crate::ids::ConnectionKey;

/// A member, from its arrival until it departs.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it sits, and what it hears.
    pub place: Place,
    /// Its number in the room, counted from 1; that of its session, if it has been here before.
    pub number: u32,
    /// What it is called; `None` is `guest-N`.
    pub name: Option<Name>,
}

impl Member {
    /// How it appears to others.
    pub fn called(&self) -> Called<'_> {
        match &self.name {
            Some(name) => Called::Name(name.as_str()),
            None => Called::Guest(self.number),
        }
    }
}

/// Where the members' entries are kept: a room itself knows keys only.
pub trait Roster {
    /// The member behind a key, if there is one that has not departed.
    fn member(&self, key: ConnectionKey) -> Option<&Member>;
}

/// What a member behind a key is called, if it gave a name.
pub(in crate::chat) fn name_of<'r>(roster: &'r dyn Roster) -> impl Fn(ConnectionKey) -> &'r str {
    |key| {
        roster
            .member(key)
            .and_then(|member| member.name.as_ref())
            .map_or("", Name::as_str)
    }
}

/// Members as presence wants them.
pub(in crate::chat) fn named<'m>(
    members: impl Iterator<Item = &'m Member>,
) -> impl Iterator<Item = (u32, Called<'m>)> {
    members.map(|member| (member.number, member.called()))
}
