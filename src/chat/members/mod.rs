//! One member of a room, and the [`Roster`] in which rooms find their members.

pub mod name;
pub mod presence;
pub mod session;

use self::name::{Called, Name};
use super::Place;
use crate::ids::ConnectionKey;

/// A member, from its arrival until it departs.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its room, seat and encoding.
    pub place: Place,
    /// Its number in the room, counted from 1. It stays the same when the member comes back.
    pub number: u32,
    /// Its name; `None` is `guest-N`.
    pub name: Option<Name>,
}

impl Member {
    /// Its name as others see it.
    pub fn called(&self) -> Called<'_> {
        match &self.name {
            Some(name) => Called::Name(name.as_str()),
            None => Called::Guest(self.number),
        }
    }
}

/// The members' entries. A room itself knows their keys only.
pub trait Roster {
    /// The member with this key, if there is one that has not departed.
    fn member(&self, key: ConnectionKey) -> Option<&Member>;
}

/// The name of the member with a key; empty if it has none.
pub(in crate::chat) fn name_of<'r>(roster: &'r dyn Roster) -> impl Fn(ConnectionKey) -> &'r str {
    |key| {
        roster
            .member(key)
            .and_then(|member| member.name.as_ref())
            .map_or("", Name::as_str)
    }
}

/// Members in the form that presence needs.
pub(in crate::chat) fn named<'m>(
    members: impl Iterator<Item = &'m Member>,
) -> impl Iterator<Item = (u32, Called<'m>)> {
    members.map(|member| (member.number, member.called()))
}
