//! An engine that answers late, as one would behind which a disk or another process stands: after some time or some
//! turns, out of the turn in which it was asked, and sometimes with a refusal. It gives epochs, seqs, times and member
//! numbers of its own. All that is asked of it and all that it answers stands in a journal, which the model reads.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use hushd::chat::members::name::Name;
use hushd::chat::{Format, OwnedSaid, Position, Said, Stamp, What};
use hushd::engine::{Engine, Entered, Outcome, Renamed, RoomState};
use hushd::ids::ConnectionRef;
use hushd::server::Moment;

use crate::random::Random;
use crate::scenario::Scenario;

/// What an engine was asked or has answered.
#[derive(Clone, Debug)]
pub struct Event {
    pub from: ConnectionRef,
    pub what: Happening,
}

/// Its kind.
#[derive(Clone, Debug)]
pub enum Happening {
    AsksToEnter,
    Asks(Spoken),
    AsksToRename,
    Enters(Entered),
    /// A message, at this place of the log with this epoch.
    Publishes(Spoken, u64, u64),
    Renames,
    Refuses,
}

impl Happening {
    pub fn is_answer(&self) -> bool {
        match self {
            Happening::AsksToEnter | Happening::Asks(_) | Happening::AsksToRename => false,
            Happening::Enters(_)
            | Happening::Publishes(..)
            | Happening::Renames
            | Happening::Refuses => true,
        }
    }
}

/// A message, as it was asked for and as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub member: u32,
    pub chat: bool,
    pub text: bool,
    pub payload: Vec<u8>,
    pub id: Option<String>,
}

impl From<&Said<'_>> for Spoken {
    fn from(said: &Said<'_>) -> Spoken {
        let (text, payload) = match &said.what {
            What::Text(text) => (true, text.as_bytes().to_vec()),
            What::Binary(bytes) => (false, bytes.to_vec()),
        };
        Spoken {
            member: said.member,
            chat: said.format == Format::ChatV1,
            text,
            payload,
            id: said.id.as_deref().map(str::to_owned),
        }
    }
}

impl Spoken {
    /// Whether this is what its client said; the member is not known to the client.
    pub fn is_asked_as(&self, asked: &Spoken) -> bool {
        let member = asked.member;
        Spoken {
            member,
            ..self.clone()
        } == *asked
    }
}

/// All events of a turn, in order; shared with the run.
pub type Journal = Rc<RefCell<Vec<Event>>>;

/// How late an engine answers, and how often it refuses.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    /// Microseconds that an answer takes at most.
    pub most: u64,
    /// Turns for which an answer that is ready is held back, at most.
    pub turns: usize,
    /// One in so many requests is refused; 0: none.
    pub refuses: usize,
    /// Requests that it takes on.
    pub holds: usize,
    /// Whether it keeps rooms that nobody follows any more; otherwise they begin anew.
    pub keeps: bool,
}

impl Lateness {
    pub fn new(random: &mut Random, scenario: &Scenario) -> Lateness {
        Lateness {
            most: random.pick(&[0, 1_000, 20_000, 200_000]),
            turns: random.below(4),
            refuses: random.pick(&[0, 0, 4, 20]),
            holds: random.pick(&[1, 3, 1_000]),
            // What it answers behind a jump of the clock would be younger than the room.
            keeps: scenario.weather.jump == 0 && random.once_in(2),
        }
    }
}

/// An engine that answers late.
#[derive(Debug)]
pub struct Late {
    random: Random,
    lateness: Lateness,
    journal: Journal,
    rooms: BTreeMap<String, Room>,
    /// How often it has had nothing more to say.
    rounds: u64,
    /// Requests so far.
    requests: u64,
    held: usize,
    now: Moment,
    /// What it has answered last.
    answered: Option<Request>,
}

#[derive(Debug)]
struct Room {
    position: Position,
    requests: VecDeque<Request>,
    /// The request of which the latest member came.
    entered: u64,
    /// When the latest answer is ready.
    ready: Moment,
}

#[derive(Debug)]
struct Request {
    number: u64,
    from: ConnectionRef,
    /// When the answer is ready, and in which round it is given.
    ready: Moment,
    round: u64,
    refused: bool,
    what: Wish,
}

#[derive(Debug)]
enum Wish {
    /// The room as the server knows it, and the number of the member that comes back.
    Enter(bool, Position, Option<u32>),
    Say(OwnedSaid, u64),
    Rename(Option<Name>),
}

impl Late {
    pub fn new(random: &mut Random, lateness: Lateness, journal: Journal) -> Late {
        Late {
            random: Random::of_seed(random.bits()),
            lateness,
            journal,
            rooms: BTreeMap::new(),
            rounds: 0,
            requests: 0,
            held: 0,
            now: Moment::default(),
            answered: None,
        }
    }

    fn note(&self, from: ConnectionRef, what: Happening) {
        self.journal.borrow_mut().push(Event { from, what });
    }

    fn ask(&mut self, from: ConnectionRef, room: RoomState<'_>, what: Wish, may_refuse: bool) {
        let Lateness {
            most,
            turns,
            refuses,
            ..
        } = self.lateness;
        self.requests += 1;
        self.held += 1;
        let path = room.path.to_owned();
        let begins = Room {
            position: room.position,
            requests: VecDeque::new(),
            entered: 0,
            ready: Moment::default(),
        };
        let late = match self.random.below(3) {
            0 => 0,
            1 => self.random.scaled(1_000).min(most),
            _ => self.random.below(most as usize + 1) as u64,
        };
        let round = self.rounds + self.random.below(turns + 1) as u64;
        let refused = may_refuse && refuses > 0 && self.random.once_in(refuses);
        let (number, now) = (self.requests, self.now);
        let room = self.rooms.entry(path).or_insert(begins);
        // Answers of one room come in order.
        room.ready = room.ready.max(now + Duration::from_micros(late));
        room.requests.push_back(Request {
            number,
            from,
            ready: room.ready,
            round,
            refused,
            what,
        });
    }

    /// When the next answer of a room is ready, unless it is a message that is not taken now.
    fn ready(
        path: &str,
        room: &Room,
        takes: &mut impl FnMut(&str) -> bool,
    ) -> Option<(Moment, u64)> {
        let request = room.requests.front()?;
        let is_taken = match request.what {
            Wish::Say(..) => request.refused || takes(path),
            Wish::Enter(..) | Wish::Rename(_) => true,
        };
        is_taken.then_some((request.ready, request.round))
    }
}

impl Engine for Late {
    const IMMEDIATE: bool = false;

    fn enter(
        &mut self,
        from: ConnectionRef,
        room: RoomState<'_>,
        returning: Option<u32>,
    ) -> Option<Entered> {
        self.note(from, Happening::AsksToEnter);
        let wish = Wish::Enter(room.is_open, room.position, returning);
        self.ask(from, room, wish, true);
        None
    }

    fn say(
        &mut self,
        from: ConnectionRef,
        room: RoomState<'_>,
        said: &Said<'_>,
        time: u64,
    ) -> Option<Stamp> {
        self.note(from, Happening::Asks(said.into()));
        let wish = Wish::Say(said.into(), time);
        self.ask(from, room, wish, said.format == Format::ChatV1);
        None
    }

    fn rename(
        &mut self,
        from: ConnectionRef,
        room: RoomState<'_>,
        _: u32,
        name: Option<&Name>,
    ) -> Option<Renamed> {
        self.note(from, Happening::AsksToRename);
        self.ask(from, room, Wish::Rename(name.cloned()), true);
        None
    }

    fn leave(&mut self, _: u64, _: u32) {}

    fn is_full(&self) -> bool {
        self.held >= self.lateness.holds
    }

    fn due(&self, mut takes: impl FnMut(&str) -> bool) -> Option<Moment> {
        let rooms = self.rooms.iter();
        rooms
            .filter_map(|(path, room)| Late::ready(path, room, &mut takes))
            .map(|(ready, _)| ready)
            .min()
    }

    fn next(&mut self, now: Moment, mut takes: impl FnMut(&str) -> bool) -> Option<Outcome<'_>> {
        self.now = now;
        let (lateness, rounds) = (self.lateness, self.rounds);
        let mut is_ready = |path: &str, room: &Room| {
            let ready = Late::ready(path, room, &mut takes);
            ready.is_some_and(|(ready, round)| ready <= now && round <= rounds)
        };
        let mut ready: Vec<(&String, &mut Room)> = self
            .rooms
            .iter_mut()
            .filter(|(path, room)| is_ready(path, room))
            .collect();
        if ready.is_empty() {
            self.rounds += 1;
            return None;
        }
        let index = self.random.below(ready.len());
        let (path, room) = ready.swap_remove(index);
        let request = room.requests.pop_front()?;
        self.held -= 1;
        let from = request.from;
        let request = self.answered.insert(request);
        let note = |what| self.journal.borrow_mut().push(Event { from, what });
        let outcome = match (&request.what, request.refused) {
            (_, true) => {
                note(Happening::Refuses);
                Outcome::Refused(from)
            }
            (Wish::Enter(is_open, position, returning), false) => {
                // Nobody was there when this was asked, and nobody has come since.
                let is_new = !is_open && room.entered < request.number;
                if is_new && !lateness.keeps {
                    room.position = *position;
                }
                let member = returning.unwrap_or(room.position.arrivals + 1);
                room.position.arrivals = room.position.arrivals.max(member);
                room.entered = self.requests;
                let entered = Entered {
                    epoch: room.position.epoch,
                    seq: room.position.seq,
                    member,
                };
                note(Happening::Enters(entered));
                Outcome::Entered(from, entered)
            }
            (Wish::Say(said, time), false) => {
                let said = said.borrow();
                room.position.seq += 1;
                let Position { epoch, seq, .. } = room.position;
                note(Happening::Publishes((&said).into(), epoch, seq));
                let time = time + seq;
                Outcome::Said {
                    from,
                    room: path,
                    epoch,
                    stamp: Stamp { seq, time },
                    said,
                }
            }
            (Wish::Rename(name), false) => {
                note(Happening::Renames);
                Outcome::Renamed(from, name.as_ref())
            }
        };
        Some(outcome)
    }
}
