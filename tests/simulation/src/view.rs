//! One connection of `chat.v1` as docs/protocol.md has it: what its client must be told, and in which order.

macro_rules! ensure {
    ($fact:expr, $($otherwise:tt)+) => {
        if !$fact {
            return Err(format!($($otherwise)+));
        }
    };
}

mod hear;
mod json;
mod welcome;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use crate::model::Log;
use crate::names::MemberId;

/// How a client introduces itself.
#[derive(Clone, Debug, Default)]
pub struct Hello {
    /// What it wants to be called, and whether nobody can be called that.
    pub name: Option<(String, bool)>,
    pub since: Option<(u64, u64)>,
    /// The epoch of the session that it shows.
    pub session: Option<u64>,
    /// Whose number that was, if it was told to anybody who could know.
    pub member: Option<u32>,
}

/// What a client asks.
#[derive(Clone, Debug)]
pub enum Request {
    Message {
        id: String,
        text: String,
    },
    /// The name, and whether nobody can have it.
    Rename(String, bool),
    Who,
    History {
        before: Option<u64>,
        limit: usize,
    },
    Ping,
    /// The code of the error that this deserves.
    Nonsense(&'static str),
}

/// What the server has read and not yet answered.
#[derive(Clone, Debug)]
struct Asked {
    answer: Answer,
    /// What was said before this in the room is to be heard before the answer.
    after: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Pong,
    /// Who is here; or that there was such a question already.
    Who(bool),
    /// The messages below this, at most so many; or that there was such a question already.
    History(Option<u64>, usize, bool),
    /// The message with this id was heard already; `true` if that is not certain.
    Accepted(String, bool),
    Error(&'static str),
    /// The engine has not done what was asked; with the id of the message.
    Refused(Option<String>),
}

/// What the server remembers, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub history: u64,
    pub bytes: usize,
    pub ttl: u64,
    /// Nothing but these limits makes it forget.
    pub is_ample: bool,
}

/// When each member under one path was last seen to be there.
pub type Seats = BTreeMap<MemberId, u64>;

/// Where a client joins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joining {
    /// What was said before this it has not heard, ...
    pub at: usize,
    /// ... and what was said before this it may have heard.
    pub loose: usize,
    pub clock: u64,
    /// How often the room may have been opened anew before.
    pub life: u32,
    /// The clock has jumped just now.
    pub jumped: bool,
}

#[derive(Clone, Copy, Debug)]
struct Welcome {
    epoch: u64,
    seq: u64,
    resumed: bool,
    member: u32,
}

/// What one connection has been told so far.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub hello: Hello,
    pub joining: Joining,
    welcome: Option<Welcome>,
    /// The seq that comes next, if it is known.
    next: Option<u64>,
    /// Where in the past it is, and what stands before which it may hear in any order.
    past: Option<(usize, usize)>,
    names: Option<BTreeSet<String>>,
    online: u32,
    asked: VecDeque<Asked>,
    /// It has asked who is here, and for the history: another such question may be one too many, as long
    /// as anything for this client alone is on its way, a ping included.
    has_asked_who: bool,
    has_asked_history: bool,
    /// Changes of its name that were read.
    renames: u32,
    /// Epoch and seq with which the engine has let it in, if it answers late.
    pub given: Option<(u64, u64)>,
    pub said_bye: bool,
    /// Somebody has come with its session.
    pub replaced: bool,
}

/// Half a second more than the server's clock may be wrong.
const SLACK: u64 = 700_000;

impl View {
    /// Its member and epoch, once it was told.
    pub fn member(&self) -> Option<MemberId> {
        self.welcome.map(|welcome| (welcome.epoch, welcome.member))
    }

    /// The server has read something that it answers.
    pub fn ask(&mut self, request: &Request, after: usize) {
        let answer = match request {
            Request::Message { .. } => return,
            Request::Rename(_, false) => {
                self.renames += 1;
                return;
            }
            Request::Rename(_, true) => Answer::Error("bad_name"),
            Request::Who => Answer::Who(mem::replace(&mut self.has_asked_who, true)),
            Request::History { before, limit } => {
                let again = mem::replace(&mut self.has_asked_history, true);
                Answer::History(*before, *limit, again)
            }
            Request::Ping => Answer::Pong,
            Request::Nonsense(code) => Answer::Error(code),
        };
        self.asked.push_back(Asked { answer, after });
    }

    /// The engine has refused something.
    pub fn refused(&mut self, id: Option<String>, after: usize) {
        let answer = Answer::Refused(id);
        self.asked.push_back(Asked { answer, after });
    }

    /// The server has read a message that it heard before; or perhaps did not.
    pub fn repeats(&mut self, id: &str, perhaps: bool, after: usize) {
        let answer = Answer::Accepted(id.to_owned(), perhaps);
        self.asked.push_back(Asked { answer, after });
    }

    /// The engine is asked to publish a message that the server perhaps knew: it does not, and owes no other answer.
    pub fn repeats_nothing(&mut self, id: &str) {
        let answer = Answer::Accepted(id.to_owned(), true);
        let latest = self.asked.iter().rposition(|asked| asked.answer == answer);
        latest.and_then(|latest| self.asked.remove(latest));
    }

    /// What this client would miss if it were told nothing more now.
    pub fn missing(&self, memory: Memory, log: &Log) -> Option<String> {
        let Some(welcome) = self.welcome else {
            return Some("a welcome".into());
        };
        let perhaps = |asked: &&Asked| !matches!(asked.answer, Answer::Accepted(_, true));
        if let Some(asked) = self.asked.iter().find(perhaps) {
            return Some(format!("an answer, {:?}", asked.answer));
        }
        self.owed(welcome, memory, log)
            .map(|seq| format!("message {seq} of the past"))
    }

    /// The next message of the past that is still to come.
    fn owed(&self, welcome: Welcome, memory: Memory, log: &Log) -> Option<u64> {
        match self.next {
            Some(next) => Some(next).filter(|next| *next <= welcome.seq),
            None => Some(welcome.seq).filter(|_| self.newest(welcome, memory, log) > 0),
        }
    }

    /// How many of the newest messages a newcomer is told at least.
    fn newest(&self, welcome: Welcome, memory: Memory, log: &Log) -> u64 {
        self.held(welcome, memory, log).min(memory.history)
    }

    fn held(&self, welcome: Welcome, memory: Memory, log: &Log) -> u64 {
        if !memory.is_ample || self.joining.jumped {
            return 0;
        }
        let since = (self.joining.clock + SLACK).saturating_sub(memory.ttl);
        let held = log.surely_held((welcome.epoch, welcome.seq), memory.bytes, since);
        held.min(memory.history * 100)
    }

    /// Whether what was announced is who is here: so many, and these among others.
    pub fn is_up_to_date(&self, here: usize, names: &[String]) -> Result<(), String> {
        ensure!(
            self.online as usize == here,
            "{here} are here, and {} were announced",
            self.online
        );
        if let Some(announced) = &self.names {
            for name in names {
                ensure!(
                    announced.contains(name),
                    "{name} is not among {announced:?}"
                );
            }
        }
        Ok(())
    }
}
