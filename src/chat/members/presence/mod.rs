//! Presence: which members are in a room, as far as the room has been told. Changes are merged and announced together.
//!
//! A room has two sets of members: the present ones, which are in the members' own entries, and the *announced* ones,
//! which the clients know. Only the difference is stored here. Once a second at most, it becomes one announcement.
//! After that both sets are equal, but for members that left within the last three seconds: those leaves are *held*,
//! because the client may be reloading a page, and if it comes back nothing is announced. A new member is sent the
//! announced set, so that every later announcement applies to it exactly.
//!
//! Announcements have names, and no two of them are ever equal. A room with more than [`MAX_NAMED`] members is sent
//! counts only, and names again from [`NAMED_AGAIN`] members downwards. So the difference is bounded, whatever
//! happens in the room.

mod difference;

use std::collections::{BTreeMap, VecDeque};

pub use difference::Announcement;
use difference::{difference, in_order, spell};

use crate::chat::members::name::{Called, Name};
use crate::time::Tick;

/// Maximum number of members for announcements with names. Held leaves count.
pub const MAX_NAMED: u32 = 200;

/// A room that was larger is announced with names again when it has shrunk to this number of members.
pub const NAMED_AGAIN: u32 = 150;

/// Minimum time between announcements, and from a change to its announcement, in ticks.
pub const PACE: u32 = Tick::SECOND;

/// Time for which a leave is held, in ticks.
pub const HOLD: u32 = 3 * Tick::SECOND;

/// The difference between the present members of a room and the announced ones.
#[derive(Debug)]
pub struct Presence {
    /// Number of announced members.
    announced: u32,
    /// Number of present members.
    here: u32,
    /// There is no announcement before this time.
    not_before: Tick,
    /// Since when a change other than a leave waits for its announcement.
    waiting: Option<Tick>,
    detail: Detail,
}

#[derive(Debug)]
enum Detail {
    /// Changes of members, by member number.
    /// Invariant: at most [`MAX_NAMED`] members are present or held.
    Names(BTreeMap<u32, Change>),
    /// How many members left at each tick of the last [`HOLD`], oldest first. `told`: the room has been sent a count
    /// without names.
    Counts {
        held: VecDeque<(Tick, u32)>,
        told: bool,
    },
}

/// The change of a member since the last announcement. `was`: its announced name; `None` is a guest.
#[derive(Debug)]
enum Change {
    Joined,
    Renamed { was: Option<Name> },
    Left { was: Option<Name>, at: Tick },
}

impl Presence {
    /// The presence of a room with this number of members, all of which count as announced.
    pub fn new(here: u32, now: Tick) -> Presence {
        let detail = match here {
            0..=MAX_NAMED => Detail::Names(BTreeMap::new()),
            _ => Detail::Counts {
                held: VecDeque::new(),
                told: true,
            },
        };
        Presence {
            announced: here,
            here,
            not_before: now,
            waiting: None,
            detail,
        }
    }

    /// Number of announced members.
    pub fn online(&self) -> u32 {
        self.announced
    }

    /// Whether an announcement will say that this member has a new name. It will not while there are counts only, nor
    /// if the member's arrival is not announced yet: that will be with the new name.
    pub fn tells_renaming(&self, number: u32) -> bool {
        match &self.detail {
            Detail::Names(changes) => !matches!(changes.get(&number), Some(Change::Joined)),
            Detail::Counts { .. } => false,
        }
    }

    /// A member came. `left`: when it left, if it has been here before.
    pub fn join(&mut self, number: u32, left: Option<Tick>, now: Tick) {
        self.here += 1;
        self.waiting.get_or_insert(now);
        match &mut self.detail {
            Detail::Names(changes) => {
                let change = match changes.remove(&number) {
                    // Its name may be another one now. If not, there is nothing to announce.
                    Some(Change::Left { was, at: _ }) => Change::Renamed { was },
                    Some(Change::Joined | Change::Renamed { .. }) | None => Change::Joined,
                };
                changes.insert(number, change);
                if self.here + held_of(changes) > MAX_NAMED {
                    self.detail = Detail::Counts {
                        held: moments_of(changes),
                        told: false,
                    };
                }
            }
            Detail::Counts { held, told: _ } => {
                if let Some((_, count)) = held.iter_mut().find(|(at, _)| Some(*at) == left) {
                    *count = count.saturating_sub(1);
                }
            }
        }
    }

    /// A member with this name left; `None` is a guest.
    pub fn leave(&mut self, number: u32, name: Option<Name>, now: Tick) {
        self.here = self.here.saturating_sub(1);
        match &mut self.detail {
            Detail::Names(changes) => {
                let was = match changes.remove(&number) {
                    // Its arrival was never announced.
                    Some(Change::Joined) => return,
                    Some(Change::Renamed { was } | Change::Left { was, at: _ }) => was,
                    None => name,
                };
                changes.insert(number, Change::Left { was, at: now });
            }
            Detail::Counts { held, told: _ } => match held.back_mut() {
                Some((at, count)) if *at == now => *count += 1,
                Some(_) | None => held.push_back((now, 1)),
            },
        }
    }

    /// A member has a new name. This was the old one; `None` is a guest.
    pub fn rename(&mut self, number: u32, was: Option<Name>, now: Tick) {
        if let Detail::Names(changes) = &mut self.detail {
            self.waiting.get_or_insert(now);
            changes.entry(number).or_insert(Change::Renamed { was });
        }
    }

    /// When [`Presence::announce`] is to be called next.
    pub fn due(&self) -> Option<Tick> {
        let oldest_leave = match &self.detail {
            Detail::Names(changes) => moments(changes).min(),
            Detail::Counts { held, told: _ } => held.front().map(|&(at, _)| at),
        };
        let ripe = oldest_leave.map(|at| at.after(HOLD));
        let gathered = self.waiting.map(|since| since.after(PACE));
        ripe.into_iter()
            .chain(gathered)
            .min()
            .map(|due| due.max(self.not_before))
    }

    /// One announcement of all changes; `None` if there are none. To be called when it is [due](Presence::due), with
    /// all present members.
    pub fn announce<'a>(
        &mut self,
        members: impl Iterator<Item = (u32, Called<'a>)>,
        now: Tick,
    ) -> Option<Announcement> {
        self.waiting = None;
        let announcement = match &mut self.detail {
            Detail::Names(changes) => difference(changes, self.announced, members, now)?,
            Detail::Counts { held, told } => {
                held.retain(|(at, _)| now.since(*at) < HOLD);
                let online = self.here + held.iter().map(|(_, count)| count).sum::<u32>();
                if online <= NAMED_AGAIN {
                    self.detail = Detail::Names(BTreeMap::new());
                    Announcement::Everybody(in_order(
                        members.map(|(n, called)| (n, called.to_string())),
                    ))
                } else if *told && online == self.announced {
                    return None;
                } else {
                    *told = true;
                    Announcement::Count(online)
                }
            }
        };
        self.announced = announcement.online();
        self.not_before = now.after(PACE);
        Some(announcement)
    }

    /// The announced names in the order of arrival; `None` while the room is sent counts only. To be called with all
    /// present members.
    pub fn who<'a>(&self, members: impl Iterator<Item = (u32, Called<'a>)>) -> Option<Vec<String>> {
        let Detail::Names(changes) = &self.detail else {
            return None;
        };
        let here = members.filter_map(|(number, called)| match changes.get(&number) {
            Some(Change::Joined) => None,
            Some(Change::Renamed { was } | Change::Left { was, at: _ }) => {
                Some((number, spell(number, was)))
            }
            None => Some((number, called.to_string())),
        });
        let held = changes.iter().filter_map(|(&number, change)| match change {
            Change::Left { was, at: _ } => Some((number, spell(number, was))),
            Change::Joined | Change::Renamed { .. } => None,
        });
        Some(in_order(here.chain(held)))
    }
}

/// The leave times of held members.
fn moments(changes: &BTreeMap<u32, Change>) -> impl Iterator<Item = Tick> {
    changes.values().filter_map(|change| match change {
        Change::Left { was: _, at } => Some(*at),
        Change::Joined | Change::Renamed { .. } => None,
    })
}

fn held_of(changes: &BTreeMap<u32, Change>) -> u32 {
    moments(changes).map(|_| 1).sum()
}

fn moments_of(changes: &BTreeMap<u32, Change>) -> VecDeque<(Tick, u32)> {
    let mut counts = BTreeMap::new();
    for at in moments(changes) {
        *counts.entry(at).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::chat::members::name::Wanted;

    /// A room as its members' entries have it, with unique names.
    struct Room {
        presence: Presence,
        members: BTreeMap<u32, Option<Name>>,
        left: BTreeMap<u32, (Option<Name>, Tick)>,
        next: u32,
        now: Tick,
    }

    impl Room {
        fn new() -> Room {
            let presence = Presence::new(0, Tick(0));
            Room {
                presence,
                members: BTreeMap::new(),
                left: BTreeMap::new(),
                next: 1,
                now: Tick(0),
            }
        }

        fn free(&self, name: &str) -> Option<Name> {
            match Name::parse(name) {
                Ok(Wanted::Name(name)) => {
                    Some(name).filter(|name| !self.members.values().flatten().any(|n| n == name))
                }
                Ok(Wanted::Guest(_)) | Err(_) => None,
            }
        }

        fn join(&mut self, name: &str) -> u32 {
            let number = self.next;
            self.next += 1;
            self.members.insert(number, self.free(name));
            self.presence.join(number, None, self.now);
            number
        }

        fn leave(&mut self, number: u32) {
            if let Some(name) = self.members.remove(&number) {
                self.presence.leave(number, name.clone(), self.now);
                self.left.insert(number, (name, self.now));
            }
        }

        fn return_as(&mut self, number: u32, name: Option<Name>) {
            if let Some((_, at)) = self.left.remove(&number) {
                self.members.insert(number, name);
                self.presence.join(number, Some(at), self.now);
            }
        }

        fn rename(&mut self, number: u32, name: &str) {
            let name = self.free(name);
            if let Some(entry) = self.members.get_mut(&number) {
                self.presence
                    .rename(number, std::mem::replace(entry, name), self.now);
            }
        }

        fn roster(&self) -> impl Iterator<Item = (u32, Called<'_>)> {
            roster(&self.members)
        }

        fn who(&self) -> Option<Vec<String>> {
            self.presence.who(self.roster())
        }

        /// Lets time pass, and returns the announcements of that time.
        fn pass(&mut self, ticks: u32) -> Vec<Announcement> {
            let mut announced = Vec::new();
            for _ in 0..ticks {
                self.now = self.now.after(1);
                if self.presence.due().is_some_and(|due| due <= self.now) {
                    announced.extend(self.presence.announce(roster(&self.members), self.now));
                }
            }
            announced
        }
    }

    fn roster(members: &BTreeMap<u32, Option<Name>>) -> impl Iterator<Item = (u32, Called<'_>)> {
        // The members of a room have no order.
        members.iter().rev().map(|(&number, name)| match name {
            Some(name) => (number, Called::Name(name.as_str())),
            None => (number, Called::Guest(number)),
        })
    }

    fn changes(
        online: u32,
        left: &[&str],
        renamed: &[(&str, &str)],
        joined: &[&str],
    ) -> Announcement {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let renamed = renamed
            .iter()
            .map(|(was, is)| ((*was).to_owned(), (*is).to_owned()))
            .collect();
        Announcement::Changes {
            online,
            left: owned(left),
            renamed,
            joined: owned(joined),
        }
    }

    #[test]
    fn changes_are_gathered_for_a_second_and_told_in_order() {
        let mut room = Room::new();
        let al = room.join("al");
        let bo = room.join("bo");
        assert_eq!(
            (room.presence.online(), room.who()),
            (0, Some(vec![])),
            "nobody knows of them yet"
        );
        assert_eq!(room.pass(9), []);
        room.join("");
        assert_eq!(
            room.pass(1),
            [changes(3, &[], &[], &["al", "bo", "guest-3"])]
        );

        room.leave(bo);
        assert_eq!(room.pass(25), []);
        room.rename(al, "alan");
        room.join("cy");
        assert_eq!(
            (room.presence.online(), room.who().unwrap().len()),
            (3, 3),
            "as announced"
        );
        let want = changes(3, &["bo"], &[("al", "alan")], &["cy"]);
        assert_eq!(
            room.pass(10),
            [want],
            "the leave has become due first, and takes the others along"
        );
        assert_eq!(room.pass(100), []);
        assert_eq!(room.presence.due(), None);
    }

    #[test]
    fn a_reload_shows_nothing() {
        let mut room = Room::new();
        let ann = room.join("ann");
        room.pass(20);
        room.leave(ann);
        room.pass(29);
        assert_eq!(room.who(), Some(vec!["ann".to_owned()]), "still announced");
        room.return_as(ann, room.left[&ann].0.clone());
        assert_eq!(room.pass(100), []);

        room.leave(ann);
        assert_eq!(room.pass(30), [changes(0, &["ann"], &[], &[])]);
        room.return_as(ann, room.left[&ann].0.clone());
        assert_eq!(
            room.pass(30),
            [changes(1, &[], &[], &["ann"])],
            "it came back too late"
        );
    }

    #[test]
    fn what_was_undone_is_not_told() {
        let mut room = Room::new();
        let ann = room.join("ann");
        room.pass(20);
        room.rename(ann, "anna");
        room.rename(ann, "ann");
        let passer_by = room.join("bob");
        room.leave(passer_by);
        assert_eq!(room.pass(100), []);
    }

    #[test]
    fn a_name_that_another_member_takes_is_not_held() {
        let mut room = Room::new();
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.pass(20);
        room.leave(ann);
        room.join("ann");
        assert_eq!(room.pass(100), [], "one ann is as good as another");
        room.leave(3);
        room.rename(bob, "ann");
        assert_eq!(
            room.pass(100),
            [changes(1, &["ann"], &[("bob", "ann")], &[])]
        );
    }

    #[test]
    fn new_names_are_told_in_an_order_in_which_they_are_free() {
        let mut room = Room::new();
        let [a, b, c] = ["a", "b", "c"].map(|name| room.join(name));
        room.pass(20);
        for (who, name) in [(c, "d"), (b, "c"), (a, "b")] {
            room.rename(who, name);
        }
        let in_turn = [("c", "d"), ("b", "c"), ("a", "b")];
        assert_eq!(room.pass(20), [changes(3, &[], &in_turn, &[])]);
        for (who, name) in [(a, "x"), (b, "b"), (a, "c")] {
            room.rename(who, name);
        }
        let swapped = changes(3, &["b"], &[("c", "b")], &["c"]);
        assert_eq!(room.pass(20), [swapped], "as good as two others");
    }

    #[test]
    fn ten_thousand_joins_cost_one_announcement_and_no_memory() {
        let mut room = Room::new();
        for _ in 0..10_000 {
            room.join("");
        }
        let Detail::Counts { held, told: false } = &room.presence.detail else {
            panic!()
        };
        assert_eq!(held.capacity(), 0);
        assert_eq!(room.pass(10), [Announcement::Count(10_000)]);
        assert_eq!((room.who(), room.presence.online()), (None, 10_000));
        for number in 1..=9_850 {
            room.leave(number);
        }
        assert_eq!(room.pass(29), [], "they may all be reloading");
        let names = (9_851..=10_000)
            .map(|number| format!("guest-{number}"))
            .collect();
        assert_eq!(room.pass(1), [Announcement::Everybody(names)]);
    }

    #[test]
    fn in_a_large_room_a_reload_is_not_counted() {
        let mut room = Room::new();
        for _ in 0..300 {
            room.join("");
        }
        room.pass(20);
        room.leave(7);
        room.pass(20);
        room.return_as(7, None);
        assert_eq!(room.pass(100), []);
        room.leave(7);
        assert_eq!(room.pass(30), [Announcement::Count(299)]);
    }

    #[test]
    fn names_return_even_if_a_crowd_only_passed_through() {
        let mut room = Room::new();
        room.join("ann");
        room.pass(20);
        for _ in 0..300 {
            room.join("");
        }
        for number in 2..=301 {
            room.leave(number);
        }
        let told = room.pass(100);
        assert_eq!(
            told.last(),
            Some(&Announcement::Everybody(vec!["ann".to_owned()]))
        );
        assert_eq!(room.who(), Some(vec!["ann".to_owned()]));
    }

    /// The members that a client believes to be present.
    #[derive(Debug, PartialEq)]
    struct Client {
        online: u32,
        names: Option<BTreeSet<String>>,
    }

    impl Client {
        fn new(room: &Room) -> Client {
            let names = room.who();
            if let Some(names) = &names {
                assert_eq!(names.len() as u32, room.presence.online());
                assert_eq!(
                    names.iter().collect::<BTreeSet<_>>().len(),
                    names.len(),
                    "no two are the same"
                );
            }
            Client {
                online: room.presence.online(),
                names: names.map(|names| names.into_iter().collect()),
            }
        }

        fn hear(&mut self, announcement: Announcement) {
            self.online = announcement.online();
            match announcement {
                Announcement::Count(_) => self.names = None,
                Announcement::Everybody(names) => self.names = Some(names.into_iter().collect()),
                Announcement::Changes {
                    online,
                    left,
                    renamed,
                    joined,
                } => {
                    let names = self
                        .names
                        .as_mut()
                        .expect("changes only where names are known");
                    let left = left.into_iter().map(|was| (Some(was), None));
                    let renamed = renamed.into_iter().map(|(was, is)| (Some(was), Some(is)));
                    let joined = joined.into_iter().map(|is| (None, Some(is)));
                    for (was, is) in left.chain(renamed).chain(joined) {
                        assert!(was.is_none_or(|was| names.remove(&was)), "was never here");
                        assert!(is.is_none_or(|is| names.insert(is)), "is here already");
                    }
                    assert_eq!(names.len() as u32, online);
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Join(String),
        Crowd(u32),
        Leave(prop::sample::Index),
        Exodus(u32),
        Return(prop::sample::Index, bool),
        Rename(prop::sample::Index, String),
        Pass(u32),
    }

    fn act() -> impl Strategy<Value = Act> {
        let index = any::<prop::sample::Index>;
        prop_oneof![
            4 => "[a-d]?".prop_map(Act::Join),
            1 => (1u32..130).prop_map(Act::Crowd),
            4 => index().prop_map(Act::Leave),
            1 => (1u32..130).prop_map(Act::Exodus),
            4 => (index(), any::<bool>()).prop_map(|(i, same)| Act::Return(i, same)),
            4 => (index(), "[a-d]?").prop_map(|(i, name)| Act::Rename(i, name)),
            4 => (0u32..45).prop_map(Act::Pass),
        ]
    }

    fn pick<T>(index: prop::sample::Index, from: &BTreeMap<u32, T>) -> Option<u32> {
        (!from.is_empty()).then(|| *from.keys().nth(index.index(from.len())).unwrap())
    }

    proptest! {
        #[test]
        fn every_client_knows_what_was_announced_whenever_it_came(
            acts in prop::collection::vec(act(), 1..60),
        ) {
            let mut room = Room::new();
            let mut clients = vec![Client::new(&room)];
            let mut last = None;
            for act in acts {
                let mut ticks = 0;
                match act {
                    Act::Join(name) => _ = room.join(&name),
                    Act::Crowd(size) => (0..size).for_each(|_| _ = room.join("")),
                    Act::Leave(i) => pick(i, &room.members).into_iter().for_each(|n| room.leave(n)),
                    Act::Exodus(size) => {
                        let gone: Vec<u32> = room.members.keys().take(size as usize).copied().collect();
                        gone.into_iter().for_each(|number| room.leave(number));
                    }
                    Act::Return(i, same) => if let Some(number) = pick(i, &room.left) {
                        let name = room.left[&number].0.clone();
                        room.return_as(number, name.filter(|n| same && room.free(n.as_str()).is_some()));
                    },
                    Act::Rename(i, name) => pick(i, &room.members).into_iter().for_each(|n| room.rename(n, &name)),
                    Act::Pass(passing) => ticks = passing,
                }
                for _ in 0..ticks {
                    for announcement in room.pass(1) {
                        prop_assert!(last.is_none_or(|last| room.now.since(last) >= PACE));
                        last = Some(room.now);
                        clients.iter_mut().for_each(|client| client.hear(announcement.clone()));
                    }
                }
                let newcomer = Client::new(&room);
                for client in &clients {
                    // A client that knows names when the room has just grown too large will be told to forget them.
                    let knows_more = matches!(room.presence.detail, Detail::Counts { told: false, .. });
                    let names = if knows_more { None } else { client.names.clone() };
                    assert_eq!(Client { online: client.online, names }, newcomer);
                }
                clients.push(newcomer);
                match &room.presence.detail {
                    Detail::Names(changes) => prop_assert!(changes.len() as u32 <= MAX_NAMED),
                    Detail::Counts { held, told: _ } => prop_assert!(held.len() as u32 <= HOLD + 1),
                }
            }
            room.pass(HOLD + 2 * PACE).into_iter().for_each(|a| clients.iter_mut().for_each(|c| c.hear(a.clone())));
            prop_assert_eq!(room.presence.due(), None);
            prop_assert_eq!(clients[0].online as usize, room.members.len());
            if let Some(names) = &clients[0].names {
                prop_assert_eq!(names, &room.roster().map(|(_, called)| called.to_string()).collect::<BTreeSet<_>>());
            }
        }
    }
}
