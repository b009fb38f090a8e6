//! The difference between the announced members of a room and its present ones, as lists of names.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, HOLD};
use crate::chat::members::name::{Called, Name};
use crate::time::Tick;

/// What is announced to the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Members came, left or changed their names.
    Changes {
        /// Number of members after these changes.
        online: u32,
        /// The names of the members that left.
        left: Vec<String>,
        /// Old and new names.
        renamed: Vec<(String, String)>,
        /// The names of the members that joined.
        joined: Vec<String>,
    },
    /// The room is too large for names: the number of members only.
    Count(u32),
    /// The room is small enough again: the names of all members, in the order of their arrival.
    Everybody(Vec<String>),
}

impl Announcement {
    /// The number of members that it announces.
    pub fn online(&self) -> u32 {
        match self {
            Announcement::Changes { online, .. } | Announcement::Count(online) => *online,
            Announcement::Everybody(names) => u32::try_from(names.len()).unwrap_or(u32::MAX),
        }
    }
}

/// Takes out of `changes` what can be announced now, and returns it as lists of names.
pub(in crate::chat) fn difference<'a>(
    changes: &mut BTreeMap<u32, Change>,
    announced: u32,
    members: impl Iterator<Item = (u32, Called<'a>)>,
    now: Tick,
) -> Option<Announcement> {
    let (mut joined, mut renamed) = (Vec::new(), BTreeMap::new());
    for (number, called) in members {
        let is = called.to_string();
        match changes.remove(&number) {
            Some(Change::Joined) => joined.push((number, is)),
            Some(Change::Renamed { was }) => _ = renamed.insert(spell(number, &was), is),
            Some(Change::Left { .. }) | None => {}
        }
    }
    let mut joined = in_order(joined);
    renamed.retain(|was, is| was != is);

    // If another member has the name of a held leave by now, the leave is announced, or the name would be there twice.
    let taken: BTreeSet<&str> = joined
        .iter()
        .chain(renamed.values())
        .map(String::as_str)
        .collect();
    let mut left = Vec::new();
    changes.retain(|&number, change| match change {
        Change::Left { was, at } => {
            let name = spell(number, was);
            let hold = now.since(*at) < HOLD && !taken.contains(name.as_str());
            if !hold {
                left.push(name);
            }
            hold
        }
        Change::Joined | Change::Renamed { .. } => false,
    });
    // If one member left and another came with the same name, nothing has changed for the room.
    let both: BTreeSet<String> = left
        .iter()
        .filter(|name| joined.contains(name))
        .cloned()
        .collect();
    left.retain(|name| !both.contains(name));
    joined.retain(|name| !both.contains(name));
    let renamed = in_turn(renamed, &mut left, &mut joined);

    let count = |names: &Vec<String>| u32::try_from(names.len()).unwrap_or(u32::MAX);
    let online = (announced + count(&joined)).saturating_sub(count(&left));
    let nothing = left.is_empty() && renamed.is_empty() && joined.is_empty();
    (!nothing).then_some(Announcement::Changes {
        online,
        left,
        renamed,
        joined,
    })
}

/// Pairs of old and new name, in an order in which each new name is free when its turn comes. Where members have
/// swapped their names there is no such order, and one of them leaves and joins instead.
fn in_turn(
    mut renamed: BTreeMap<String, String>,
    left: &mut Vec<String>,
    joined: &mut Vec<String>,
) -> Vec<(String, String)> {
    let mut in_turn = Vec::new();
    while let Some((first, mut last)) = renamed.pop_first() {
        let mut chain = vec![(first.clone(), last.clone())];
        while let Some((was, is)) = renamed.remove_entry(&last) {
            last.clone_from(&is);
            chain.push((was, is));
        }
        if last == first {
            let (was, is) = chain.remove(0);
            left.push(was);
            joined.push(is);
        }
        in_turn.extend(chain.into_iter().rev());
    }
    in_turn
}

pub(in crate::chat) fn spell(number: u32, name: &Option<Name>) -> String {
    match name {
        Some(name) => name.as_str().to_owned(),
        None => Called::Guest(number).to_string(),
    }
}

/// Sorted by member number, which is the order of arrival.
pub(in crate::chat) fn in_order<T>(by_number: impl IntoIterator<Item = (u32, T)>) -> Vec<T> {
    let sorted: BTreeMap<u32, T> = by_number.into_iter().collect();
    sorted.into_values().collect()
}
