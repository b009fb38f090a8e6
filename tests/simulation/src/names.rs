//! Who is called what in one room, as docs/protocol.md has it: a name in use gets a number, is nobody else's for so
//! long, and is free the moment its holder leaves. Time is counted in turns: within one, the order is not known.

use std::collections::BTreeMap;

/// Epoch and number of a member.
pub type MemberId = (u64, u32);

/// The time in which a client is called the same: from its coming, or a change of its name, to the next change, or
/// to its going.
#[derive(Clone, Debug)]
struct Stint {
    client: usize,
    /// Who it is; or whose session it shows.
    member: Option<MemberId>,
    origin: Origin,
    /// What it asked for; a guest has asked for nothing.
    wanted: Option<String>,
    /// The turn in which it began, and that in which it ended.
    since: usize,
    until: usize,
    /// What it is called, once the server has said so.
    name: Option<String>,
}

/// How somebody comes to be called something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It is new.
    New,
    /// It shows a session, and is perhaps called what it was called in that.
    Claims,
    /// It is back, and called what it was called before.
    Back,
    /// It has asked for another name, and was heard.
    Renames,
    /// It has asked for another name, and was perhaps not heard any more.
    PerhapsRenames,
}

/// All who were ever called something in one room.
#[derive(Clone, Debug, Default)]
pub struct Names {
    stints: Vec<Stint>,
    /// Of each client, the first and the latest of its stints.
    of: BTreeMap<usize, (usize, usize)>,
}

impl Names {
    /// A client has asked to join, and shows the session of a member, if any.
    pub fn come(
        &mut self,
        client: usize,
        wanted: Option<String>,
        member: Option<MemberId>,
        turn: usize,
    ) {
        let origin = match member {
            Some(_) => Origin::Claims,
            None => Origin::New,
        };
        self.begin(client, member, origin, wanted, turn);
    }

    /// A client has asked for a name that one can have; perhaps too late.
    pub fn rename(&mut self, client: usize, wanted: String, doubtful: bool, turn: usize) {
        let origin = match doubtful {
            true => Origin::PerhapsRenames,
            false => Origin::Renames,
        };
        let member = self
            .of
            .get(&client)
            .and_then(|&(_, latest)| self.stints[latest].member);
        self.go(client, turn);
        self.begin(client, member, origin, Some(wanted), turn);
    }

    fn begin(
        &mut self,
        client: usize,
        member: Option<MemberId>,
        origin: Origin,
        wanted: Option<String>,
        turn: usize,
    ) {
        let stint = self.stints.len();
        self.of.entry(client).or_insert((stint, stint)).1 = stint;
        self.stints.push(Stint {
            client,
            member,
            origin,
            wanted,
            since: turn,
            until: usize::MAX,
            name: None,
        });
    }

    /// A client is not a member any more.
    pub fn go(&mut self, client: usize, turn: usize) {
        if let Some(&(_, latest)) = self.of.get(&client) {
            let stint = &mut self.stints[latest];
            stint.until = stint.until.min(turn);
        }
    }

    /// The stint of a client that has not ended, or ended last.
    pub fn latest(&self, client: usize) -> Option<usize> {
        self.of.get(&client).map(|&(_, latest)| latest)
    }

    /// What a client is called now, if that is known.
    pub fn name(&self, client: usize) -> Option<&str> {
        self.stints[self.latest(client)?].name.as_deref()
    }

    /// A client turns out to be this member.
    pub fn identify(&mut self, client: usize, member: MemberId) {
        let stints = self.stints.iter_mut().filter(|s| s.client == client);
        for stint in stints {
            let is_back = stint.member == Some(member);
            match stint.origin {
                Origin::Claims if is_back => (stint.origin, stint.wanted) = (Origin::Back, None),
                Origin::Claims => stint.origin = Origin::New,
                Origin::New | Origin::Back | Origin::Renames | Origin::PerhapsRenames => {}
            }
            stint.member = Some(member);
        }
    }

    /// A client was welcome as this.
    pub fn welcome(&mut self, client: usize, name: &str) -> Result<(), String> {
        match self.of.get(&client) {
            Some(&(first, _)) => self.learn(first, name),
            None => Err(format!("{client} is welcome and has not come")),
        }
    }

    /// The server says what somebody is called.
    pub fn learn(&mut self, stint: usize, name: &str) -> Result<(), String> {
        if !self.is_due(stint, name) {
            let (bases, since) = self.bases(stint);
            return Err(format!(
                "is called {name} since turn {since}, of {bases:?}: {:?}",
                self.stints[stint]
            ));
        }
        if self.stints[stint].name.is_some() {
            return Ok(());
        }
        let this = &self.stints[stint];
        let both = self.stints.iter().find(|other| {
            let (since, until) = (this.since.max(other.since), this.until.min(other.until));
            other.name.as_deref() == Some(name) && since < until
        });
        if let Some(other) = both {
            return Err(format!(
                "two are called {name} at a time: {this:?}, {other:?}"
            ));
        }
        self.stints[stint].name = Some(name.to_owned());
        Ok(())
    }

    /// Whether that may be what somebody is called: what it asked for or was called before, or that with a number if
    /// somebody else may have been called so.
    pub fn is_due(&self, stint: usize, name: &str) -> bool {
        let this = &self.stints[stint];
        if let Some(known) = &this.name {
            return known == name;
        }
        let (bases, since) = self.bases(stint);
        if bases.contains(&name) || this.may_be_guest(name) {
            return true;
        }
        let is_numbered = bases.iter().any(|base| is_numbered(name, base));
        is_numbered
            && name.rsplit_once('-').is_some_and(|(used, _)| {
                (0..self.stints.len()).any(|i| {
                    let other = &self.stints[i];
                    let is_same = other.member.is_some() && other.member == this.member;
                    let is_itself =
                        other.client == this.client || is_same && other.origin != Origin::Claims;
                    !is_itself
                        && other.since <= this.since
                        && other.until >= since
                        && self.may_be(i, used)
                })
            })
    }

    fn may_be(&self, stint: usize, name: &str) -> bool {
        let this = &self.stints[stint];
        match &this.name {
            Some(known) => known == name,
            None => {
                let (bases, _) = self.bases(stint);
                this.may_be_guest(name) || bases.iter().any(|base| is_numbered(name, base))
            }
        }
    }

    /// What somebody would be called if nobody else was, and the turn from which on it may have got a number.
    fn bases(&self, stint: usize) -> (Vec<&str>, usize) {
        let this = &self.stints[stint];
        let mut bases: Vec<&str> = this.wanted.as_deref().into_iter().collect();
        let mut since = this.since;
        if !matches!(this.origin, Origin::Claims | Origin::Back) {
            return (bases, since);
        }
        for before in self.stints.iter().rev() {
            let is_other = before.member != this.member || before.client == this.client;
            if is_other || before.since > this.since {
                continue;
            }
            if let Some(known) = &before.name {
                bases.push(known);
                break;
            }
            bases.extend(before.wanted.as_deref());
            since = since.min(before.since);
            if before.origin == Origin::Renames {
                break;
            }
        }
        (bases, since)
    }
}

impl Stint {
    fn may_be_guest(&self, name: &str) -> bool {
        let number = name.strip_prefix("guest-");
        let is_own = |number: &str| match (self.origin, self.member) {
            (Origin::New, Some((_, member))) => number == member.to_string(),
            (Origin::New, None) | (Origin::Claims, _) => true,
            (Origin::Back | Origin::Renames | Origin::PerhapsRenames, _) => false,
        };
        self.wanted.is_none() && number.is_some_and(is_own)
    }
}

/// Whether somebody who wants to be called `name` may be called this.
fn is_numbered(called: &str, name: &str) -> bool {
    let number = called.rsplit_once('-').filter(|(_, number)| {
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    });
    called == name || number.is_some_and(|(base, _)| is_numbered(base, name))
}
