//! Names of members: each [`Name`] is valid, and the room's [`Names`] keep them unique.
//!
//! A member without a name is `guest-N`, where N is its number. So two guests never have the same name, and no string
//! is stored for them. The index of a room has only the members with a name, and only their keys: the string itself
//! is stored once, with the member.

use std::fmt;

use arcstr::ArcStr;
use hashbrown::HashTable;
use serde::{Serialize, Serializer};
use siphasher::sip::SipHasher13;
use unicode_normalization::UnicodeNormalization;

use crate::ids::ConnectionKey;

/// A name that a client chose.
///
/// Invariant: 1 to [`Name::MAX_CHARS`] characters in NFC, some of them visible, none of them a control, a
/// direction or an invisible character; single spaces, and none at the ends; not of the form `guest-N`.
///
/// One pointer and one heap block, shared by all copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(ArcStr);

/// The name that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A name of its own.
    Name(Name),
    /// `guest-N`. Only member N can have it, to be a guest again.
    Guest(u32),
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// It has no visible character.
    Empty,
    /// It has more than [`Name::MAX_CHARS`] characters.
    TooLong,
    /// It has a control character, one that changes the direction of text, or an invisible one: two names that look the
    /// same must be the same.
    Forbidden(char),
    /// It looks like the name of a guest.
    Reserved,
}

impl Name {
    /// The longest name, in characters (Unicode scalar values after NFC).
    pub const MAX_CHARS: usize = 32;

    /// Longer texts are refused unread, in bytes. Composing shortens a text, but not that much.
    const MAX_INPUT: usize = 1024;

    /// Parses what a user typed: trims it, makes every run of white space one space, composes it (NFC).
    pub fn parse(text: &str) -> Result<Wanted, BadName> {
        let text = text.trim();
        if text.len() > Name::MAX_INPUT {
            return Err(BadName::TooLong);
        }
        let mut name = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            if !name.is_empty() {
                name.push(' ');
            }
            name.extend(word.nfc());
        }
        if name.chars().count() > Name::MAX_CHARS {
            return Err(BadName::TooLong);
        }
        let mut before = None;
        for c in name.chars() {
            if is_hidden(c) && !before.is_some_and(|before| is_joined(before, c)) {
                return Err(BadName::Forbidden(c));
            }
            if before == Some(ZERO_WIDTH_JOINER) && !is_pictorial(c) {
                return Err(BadName::Forbidden(ZERO_WIDTH_JOINER));
            }
            before = Some(c);
        }
        match before {
            None => Err(BadName::Empty),
            // A joiner without anything to join is invisible.
            Some(ZERO_WIDTH_JOINER) => Err(BadName::Forbidden(ZERO_WIDTH_JOINER)),
            Some(_) => match guest_number(&name) {
                Some(number) => number.map(Wanted::Guest),
                None => Ok(Wanted::Name(Name(name.into()))),
            },
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name with a number, shortened if it would become too long.
    fn numbered(&self, number: u32) -> Name {
        let number = format!("-{number}");
        let room = Name::MAX_CHARS - number.len();
        let mut name: String = self.0.chars().take(room).collect();
        name.truncate(name.trim_end_matches([' ', ZERO_WIDTH_JOINER]).len());
        name.push_str(&number);
        Name(name.into())
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => f.write_str("a name needs a character that can be seen"),
            BadName::TooLong => write!(f, "a name has at most {} characters", Name::MAX_CHARS),
            BadName::Forbidden(c) => write!(f, "U+{:04X} cannot be part of a name", *c as u32),
            BadName::Reserved => f.write_str("guests get their numbers from the server"),
        }
    }
}

/// The name of a member as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called<'a> {
    /// The name that the client chose.
    Name(&'a str),
    /// `guest-N`.
    Guest(u32),
}

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Called::Name(name) => f.write_str(name),
            Called::Guest(number) => write!(f, "guest-{number}"),
        }
    }
}

impl Serialize for Called<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Called::Name(name) => serializer.serialize_str(name),
            Called::Guest(_) => serializer.collect_str(self),
        }
    }
}

/// Which member of a room has which name: an index of keys, without the names themselves.
///
/// The caller's `name_of` gives the name of the member with a key. It must stay the same from [`Names::insert`] to
/// [`Names::remove`].
#[derive(Debug)]
pub struct Names {
    keys: HashTable<ConnectionKey>,
    hasher: SipHasher13,
}

impl Names {
    /// An empty index. The random bits seed the hash, so that clients cannot choose names that collide.
    pub fn new(random: u128) -> Names {
        Names {
            keys: HashTable::new(),
            hasher: SipHasher13::new_with_key(&random.to_le_bytes()),
        }
    }

    /// Whether a member has this name.
    pub fn contains<'a>(&self, name: &Name, name_of: impl Fn(ConnectionKey) -> &'a str) -> bool {
        let hash = self.hasher.hash(name.0.as_bytes());
        self.keys
            .find(hash, |&key| name_of(key) == name.as_str())
            .is_some()
    }

    /// The name if it is free, else the name with the first free number from 2 to 9, else the name with the number of
    /// this member. If another member chose that by hand, `None`: this member is a guest. So the search is short
    /// however many members ask for one name.
    pub fn free<'a>(
        &self,
        wanted: Name,
        number: u32,
        name_of: impl Fn(ConnectionKey) -> &'a str,
    ) -> Option<Name> {
        if !self.contains(&wanted, &name_of) {
            return Some(wanted);
        }
        (2..=9)
            .chain([number])
            .map(|n| wanted.numbered(n))
            .find(|name| guest_number(&name.0).is_none() && !self.contains(name, &name_of))
    }

    /// The member with this key has this name from now on.
    pub fn insert<'a>(
        &mut self,
        key: ConnectionKey,
        name: &Name,
        name_of: impl Fn(ConnectionKey) -> &'a str,
    ) {
        let hasher = self.hasher;
        self.keys
            .insert_unique(hasher.hash(name.0.as_bytes()), key, |&key| {
                hasher.hash(name_of(key).as_bytes())
            });
    }

    /// The member with this key has this name no more. The names of all others must be unchanged.
    pub fn remove<'a>(
        &mut self,
        key: ConnectionKey,
        name: &Name,
        name_of: impl Fn(ConnectionKey) -> &'a str,
    ) {
        let hasher = self.hasher;
        if let Ok(entry) = self
            .keys
            .find_entry(hasher.hash(name.0.as_bytes()), |&other| other == key)
        {
            entry.remove();
        }
        if self.keys.capacity() > 4 * self.keys.len() {
            self.keys
                .shrink_to(0, |&key| hasher.hash(name_of(key).as_bytes()));
        }
    }
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// "Draw this in colour."
const VARIATION_16: char = '\u{fe0f}';

/// `Some` if this is, or could be mistaken for, the name of a guest.
fn guest_number(name: &str) -> Option<Result<u32, BadName>> {
    let (guest, digits) = name.split_at_checked("guest-".len())?;
    if !guest.eq_ignore_ascii_case("guest-")
        || digits.is_empty()
        || !digits.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let number = digits
        .parse()
        .ok()
        .filter(|&number| Called::Guest(number).to_string() == name);
    Some(number.ok_or(BadName::Reserved))
}

/// Characters that control something or are invisible: Unicode's `Cc` and
/// `Default_Ignorable_Code_Point` (which has the directional ones), and others that are drawn as nothing.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a hidden character belongs where it is, because it puts an emoji together.
fn is_joined(before: char, hidden: char) -> bool {
    match hidden {
        VARIATION_16 => is_pictorial(before),
        ZERO_WIDTH_JOINER => is_pictorial(before) || before == VARIATION_16,
        _ => false,
    }
}

/// Roughly: what emoji are made of, the signs of their blocks included.
fn is_pictorial(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        match Name::parse(text) {
            Ok(Wanted::Name(name)) => name,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_name_is_trimmed_and_composed_and_its_spaces_are_single() {
        for (text, want) in [
            ("ann", "ann"),
            ("  ann\t", "ann"),
            ("Ann  van\u{3000}Dyk", "Ann van Dyk"),
            ("e\u{301}va", "\u{e9}va"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("\u{5c71}\u{7530}", "\u{5c71}\u{7530}"),
            ("guest", "guest"),
            ("guest-", "guest-"),
            ("guest-seven", "guest-seven"),
            ("<b>&\"'", "<b>&\"'"),
            ("\u{2764}\u{fe0f}", "\u{2764}\u{fe0f}"),
            (
                "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
                "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            ),
            (
                "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
                "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
            ),
            ("\u{3f3}\u{644}\u{64a}", "\u{3f3}\u{644}\u{64a}"),
        ] {
            assert_eq!(name(text).as_str(), want, "{text:?}");
        }
        for count in [1, 32] {
            assert_eq!(
                name(&"\u{1f600}".repeat(count)).as_str().chars().count(),
                count
            );
            assert_eq!(
                name(&"e\u{301}".repeat(count)).as_str().chars().count(),
                count,
                "counted after NFC"
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_reason() {
        for (text, want) in [
            ("", BadName::Empty),
            (" \u{3000}\n ", BadName::Empty),
            ("a\0b", BadName::Forbidden('\0')),
            ("a\u{1b}[2J", BadName::Forbidden('\u{1b}')),
            ("a\u{7f}", BadName::Forbidden('\u{7f}')),
            ("a\u{202e}nna", BadName::Forbidden('\u{202e}')),
            ("\u{2067}anna", BadName::Forbidden('\u{2067}')),
            ("an\u{200b}n", BadName::Forbidden('\u{200b}')),
            ("an\u{200d}n", BadName::Forbidden('\u{200d}')),
            ("ann\u{fe0f}", BadName::Forbidden('\u{fe0f}')),
            ("\u{200d}\u{1f600}", BadName::Forbidden('\u{200d}')),
            ("\u{1f600}\u{200d}", BadName::Forbidden('\u{200d}')),
            ("q\u{301}\u{fe0f}", BadName::Forbidden('\u{fe0f}')),
            ("a\u{2014}\u{200d}\u{2014}b", BadName::Forbidden('\u{200d}')),
            ("\u{2764}\u{fe0f}\u{fe0f}", BadName::Forbidden('\u{fe0f}')),
            (
                "\u{1f600}\u{200d}\u{200d}\u{1f600}",
                BadName::Forbidden('\u{200d}'),
            ),
            ("\u{1f600}\u{200d}ann", BadName::Forbidden('\u{200d}')),
            ("ann\u{3164}", BadName::Forbidden('\u{3164}')),
            ("\u{2800}", BadName::Forbidden('\u{2800}')),
            ("ann\u{e0041}", BadName::Forbidden('\u{e0041}')),
            ("Guest-7", BadName::Reserved),
            ("guest-007", BadName::Reserved),
            ("guest-99999999999", BadName::Reserved),
        ] {
            assert_eq!(Name::parse(text), Err(want), "{text:?}");
        }
        assert_eq!(Name::parse(&"a".repeat(33)), Err(BadName::TooLong));
        assert_eq!(Name::parse(&"a".repeat(100_000)), Err(BadName::TooLong));
        assert_eq!(Name::parse(" guest-7 "), Ok(Wanted::Guest(7)));
    }

    #[test]
    fn a_name_in_use_gets_a_number_and_stays_a_name() {
        let mut room = Room::default();
        let wanted: Vec<_> = (1..=12).map(|member| room.enter(member, "ann")).collect();
        let want = [
            "ann", "ann-2", "ann-3", "ann-4", "ann-5", "ann-6", "ann-7", "ann-8", "ann-9",
            "ann-10", "ann-11", "ann-12",
        ];
        assert_eq!(wanted, want);
        room.enter(20, "ann-21");
        assert_eq!(
            room.enter(21, "ann"),
            "guest-21",
            "somebody chose that number by hand"
        );

        assert_eq!(room.enter(22, "guest"), "guest");
        assert_eq!(
            room.enter(23, "guest"),
            "guest-23",
            "not guest-2, who is somebody else"
        );

        let long = "\u{e9}".repeat(32);
        assert_eq!(room.enter(30, &long), long);
        assert_eq!(room.enter(31, &long), format!("{}-2", "\u{e9}".repeat(30)));
        let spaced = format!("{} b", "a".repeat(29) + " ");
        room.enter(40, &spaced);
        assert_eq!(
            room.enter(41, &spaced),
            format!("{}-2", "a".repeat(29)),
            "no space before the number"
        );
    }

    #[test]
    fn a_name_that_was_left_is_free_again() {
        let mut room = Room::default();
        room.enter(1, "ann");
        room.enter(2, "bob");
        room.leave(1);
        assert_eq!(room.enter(3, "ann"), "ann");
        assert_eq!(room.enter(4, "bob"), "bob-2");
    }

    #[test]
    fn a_big_room_that_emptied_gives_its_memory_back() {
        let mut room = Room::default();
        for member in 0..1000 {
            room.enter(member, &format!("n{member}"));
        }
        for member in 0..1000 {
            room.leave(member);
        }
        assert_eq!(room.index.keys.capacity(), 0);
    }

    /// Members by key, as the caller keeps them.
    struct Room {
        index: Names,
        members: BTreeMap<u32, Name>,
    }

    impl Default for Room {
        fn default() -> Room {
            Room {
                index: Names::new(7),
                members: BTreeMap::new(),
            }
        }
    }

    impl Room {
        fn enter(&mut self, member: u32, wanted: &str) -> String {
            let members = &self.members;
            let name_of = |key: ConnectionKey| members[&key.0].as_str();
            let Some(name) = self.index.free(name(wanted), member, name_of) else {
                return Called::Guest(member).to_string();
            };
            self.index.insert(ConnectionKey(member), &name, name_of);
            self.members.insert(member, name.clone());
            name.as_str().to_owned()
        }

        fn leave(&mut self, member: u32) {
            if let Some(name) = self.members.remove(&member) {
                self.index.remove(ConnectionKey(member), &name, |key| {
                    self.members[&key.0].as_str()
                });
            }
        }
    }

    proptest! {
        #[test]
        fn every_name_that_parses_parses_to_itself(text in "\\PC{0,40}|[a-c \u{301}\u{200d}\u{fe0f}\u{1f600}]{0,40}") {
            if let Ok(Wanted::Name(name)) = Name::parse(&text) {
                prop_assert_eq!(Name::parse(name.as_str()), Ok(Wanted::Name(name.clone())));
                let numbered = name.numbered(4_294_967_295);
                prop_assert_eq!(Name::parse(numbered.as_str()), Ok(Wanted::Name(numbered.clone())));
            }
        }

        #[test]
        fn no_two_members_have_the_same_name(moves in prop::collection::vec((0u32..40, "[ab]{1,2}"), 0..200)) {
            let mut room = Room::default();
            for (member, wanted) in moves {
                if room.members.contains_key(&member) {
                    room.leave(member);
                } else {
                    room.enter(member, &wanted);
                }
                let mut names: Vec<_> = room.members.values().map(|name| name.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                prop_assert_eq!(names.len(), room.members.len());
                prop_assert_eq!(room.index.keys.len(), room.members.len());
            }
        }
    }
}
