//! One connection of `chat.v1` as docs/protocol.md has it: what its client must be told, and in which order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use serde_json::Value;

use crate::model::{Content, Hearing, Log, Told};
use crate::names::MemberId;
use crate::person::Note;

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
    pub said_bye: bool,
    /// Somebody has come with its session.
    pub replaced: bool,
}

macro_rules! ensure {
    ($fact:expr, $($otherwise:tt)+) => {
        if !$fact {
            return Err(format!($($otherwise)+));
        }
    };
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

    /// The server has read a message that it heard before; or perhaps did not.
    pub fn repeats(&mut self, id: &str, perhaps: bool, after: usize) {
        let answer = Answer::Accepted(id.to_owned(), perhaps);
        self.asked.push_back(Asked { answer, after });
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

    /// The server says this. Returns what the client takes note of.
    pub fn hear(
        &mut self,
        json: &Value,
        position: &mut usize,
        number: usize,
        memory: Memory,
        (log, seats): (&mut Log, &mut Seats),
    ) -> Result<Option<Note>, String> {
        ensure!(!self.said_bye, "hears {json} after bye");
        let kind = json["type"].as_str().ok_or("hears what has no type")?;
        if kind == "welcome" {
            return self.welcomed(json, number, memory, (log, seats)).map(Some);
        }
        let welcome = self.welcome.ok_or("hears something before it is welcome")?;
        match kind {
            "message" => {
                let told = told(json, welcome.epoch)?;
                self.message(&told, position, memory, log)?;
                let own = told.member == welcome.member;
                return Ok(Some(Note::Message {
                    seq: told.seq,
                    id: told.id.filter(|_| own),
                }));
            }
            "presence" => self.presence(json)?,
            "bye" => {
                ensure!(json["code"] == 1001, "bye: {json}");
                self.said_bye = true;
            }
            "who" => {
                self.answered(
                    json,
                    &|answer| matches!(answer, Answer::Who(_)),
                    *position,
                    memory,
                    log,
                )?;
                let names = strings(&json["names"])?;
                let announced: BTreeSet<String> = names.iter().cloned().collect();
                ensure!(
                    announced.len() == names.len(),
                    "twice the same name: {json}"
                );
                ensure!(json["online"] == names.len(), "who and how many: {json}");
                ensure!(
                    names.len() == self.online as usize,
                    "{} were announced: {json}",
                    self.online
                );
                if let Some(before) = &self.names {
                    ensure!(*before == announced, "{before:?} were announced: {json}");
                }
                self.names = Some(announced);
            }
            "history" => {
                let is_it = |answer: &Answer| matches!(answer, Answer::History(..));
                let asked = self.answered(json, &is_it, *position, memory, log)?;
                if let Answer::History(before, limit, _) = asked {
                    let latest = self.next.map_or(welcome.seq, |next| next - 1);
                    history(json, welcome.epoch, latest, before, limit, log)?;
                }
            }
            "accepted" => {
                let id = json["id"].as_str().ok_or("what is accepted?")?.to_owned();
                let is_it = |answer: &Answer| matches!(answer, Answer::Accepted(i, _) if *i == id);
                self.answered(json, &is_it, *position, memory, log)?;
                let known = log.seq_of(&id, (welcome.epoch, welcome.member));
                ensure!(
                    known.is_none_or(|known| json["seq"] == known),
                    "{json}, which was {known:?}"
                );
                return Ok(Some(Note::Accepted(id)));
            }
            "pong" => {
                self.answered(
                    json,
                    &|answer| *answer == Answer::Pong,
                    *position,
                    memory,
                    log,
                )?;
                return Ok(Some(Note::Pong));
            }
            "error" => {
                let code = json["code"].as_str().unwrap_or("");
                let is_it = |answer: &Answer| match answer {
                    Answer::Error(due) => *due == code,
                    Answer::History(_, _, busy) | Answer::Who(busy) => *busy && code == "busy",
                    _ => false,
                };
                self.answered(json, &is_it, *position, memory, log)?;
            }
            _ => return Err(format!("hears {json}")),
        }
        Ok(None)
    }

    fn welcomed(
        &mut self,
        json: &Value,
        number: usize,
        memory: Memory,
        (log, seats): (&mut Log, &mut Seats),
    ) -> Result<Note, String> {
        ensure!(self.welcome.is_none(), "is welcome twice");
        let text = |field: &str| json[field].as_str().map(str::to_owned).unwrap_or_default();
        let int = |field: &str| json[field].as_u64().unwrap_or(u64::MAX);
        let epoch = u64::from_str_radix(&text("epoch"), 16).map_err(|e| e.to_string())?;
        let welcome = Welcome {
            epoch,
            seq: int("seq"),
            resumed: json["resumed"] == true,
            member: int("member") as u32,
        };
        let (name, joining) = (text("name"), self.joining);
        log.began.entry(epoch).or_insert(welcome.seq);
        ensure!(
            log.place_of(epoch, welcome.seq)
                .is_none_or(|at| at < joining.loose)
                && log
                    .place_of(epoch, welcome.seq + 1)
                    .is_none_or(|at| at >= joining.at),
            "{json} at {joining:?}"
        );
        let before = *log.epochs.entry(joining.life).or_insert(epoch);
        ensure!(before == epoch, "{json}, but the epoch is {before:016x}");
        // What was missed.
        let since = self
            .hello
            .since
            .filter(|(of, seq)| *of == epoch && *seq <= welcome.seq);
        match (welcome.resumed, since) {
            (true, None) => return Err(format!("{json} after {:?}", self.hello)),
            (true, Some((_, seq))) => self.next = Some(seq + 1),
            (false, Some((_, seq))) => {
                let missed = welcome.seq - seq;
                ensure!(
                    missed > self.held(welcome, memory, log),
                    "{json} after {seq}, but that is still held"
                );
            }
            (false, None) => {}
        }
        // Who it is.
        let before = self
            .hello
            .session
            .filter(|of| *of == epoch)
            .and(self.hello.member);
        let seen_at = before.and_then(|member| seats.get(&(epoch, member)));
        let is_back = before == Some(welcome.member);
        if let (Some(&seen_at), Some(member)) = (seen_at, before) {
            let is_remembered = joining.clock - seen_at.min(joining.clock) + SLACK < memory.ttl;
            ensure!(
                is_back || !is_remembered || joining.jumped,
                "{json} is {member}"
            );
        }
        if !is_back {
            ensure!(
                !seats.contains_key(&(epoch, welcome.member)),
                "{json} is another"
            );
            if let Some((_, true)) = self.hello.name {
                let (answer, after) = (Answer::Error("bad_name"), 0);
                self.asked.push_front(Asked { answer, after });
            }
        }
        let member = (epoch, welcome.member);
        seats.insert(member, joining.clock);
        let heard = *log.voices.entry(number).or_insert(welcome.member);
        ensure!(heard == welcome.member, "{json} was heard as {heard}");
        log.names.identify(number, member);
        log.names.welcome(number, &name)?;
        self.online = int("online") as u32;
        self.welcome = Some(welcome);
        Ok(Note::Welcome {
            session: text("session"),
            epoch,
            member: welcome.member,
        })
    }

    fn message(
        &mut self,
        told: &Told,
        position: &mut usize,
        memory: Memory,
        log: &mut Log,
    ) -> Result<(), String> {
        let Some(welcome) = self.welcome else {
            return Err("hears a message before it is welcome".into());
        };
        let seq = told.seq;
        match self.next {
            Some(next) => ensure!(seq == next, "hears {told:?} instead of {next}"),
            None => {
                let most = memory.history.min(welcome.seq);
                let least = self.newest(welcome, memory, log);
                let newest = (welcome.seq + 1).checked_sub(seq);
                ensure!(
                    newest.is_some_and(|newest| (least..=most).contains(&newest)),
                    "hears {told:?} first, of {least} to {most} until {}",
                    welcome.seq
                );
            }
        }
        self.next = Some(seq + 1);
        let hearing = Hearing::Chat(told);
        if seq > welcome.seq {
            return log.hear(position, self.joining.loose, &hearing);
        }
        let joining = self.joining;
        let past = match &mut self.past {
            Some(past) => past,
            None => {
                let behind = welcome.seq - seq;
                let place = log.locate(told, behind, joining.at, joining.loose);
                let (at, skip) = place.ok_or_else(|| {
                    let said = log.recall(told);
                    format!("hears {told:?} of the past at {joining:?}, but: {said}")
                })?;
                let is_loose = joining.at < joining.loose;
                self.past
                    .insert((at, if is_loose { usize::MAX } else { skip }))
            }
        };
        let (past, skip) = past;
        log.hear(past, *skip, &hearing)?;
        let said_at = log.said_at(told.epoch, seq).unwrap_or(u64::MAX);
        ensure!(
            joining.jumped || said_at.saturating_add(memory.ttl + 2 * SLACK) > joining.clock,
            "hears {told:?}, which should be forgotten"
        );
        Ok(())
    }

    /// An answer comes: it is that to the next question, behind all that was said before that.
    fn answered(
        &mut self,
        json: &Value,
        is_it: &dyn Fn(&Answer) -> bool,
        position: usize,
        memory: Memory,
        log: &Log,
    ) -> Result<Answer, String> {
        while let Some(asked) = self.asked.pop_front() {
            if !is_it(&asked.answer) {
                match asked.answer {
                    Answer::Accepted(_, true) => continue,
                    due => return Err(format!("hears {json}, but is due {due:?}")),
                }
            }
            let position = position.max(self.joining.loose.min(asked.after));
            if let Some(missing) = log.missing(position, asked.after) {
                return Err(format!("hears {json} before {missing:?}"));
            }
            let Some(welcome) = self.welcome else { break };
            if let Some(seq) = self.owed(welcome, memory, log) {
                return Err(format!("hears {json} before message {seq} of the past"));
            }
            return Ok(asked.answer);
        }
        Err(format!("hears {json} and has not asked"))
    }

    fn presence(&mut self, json: &Value) -> Result<(), String> {
        if json["left"].is_null() && json["joined"].is_null() {
            // This one alone is told, since it was not announced yet.
            let pairs = json["renamed"].as_array().map_or(0, Vec::len);
            ensure!(
                pairs == 1 && self.renames > 0 && json["online"] == self.online,
                "{json} to one of {} who has asked for {} names",
                self.online,
                self.renames
            );
            self.renames -= 1;
            return Ok(());
        }
        let (left, joined) = (strings(&json["left"])?, strings(&json["joined"])?);
        let renamed: Vec<Vec<String>> = json["renamed"]
            .as_array()
            .ok_or("presence without names")?
            .iter()
            .map(strings)
            .collect::<Result<_, _>>()?;
        let online = json["online"].as_u64().unwrap_or(u64::MAX);
        let counted = u64::from(self.online) + joined.len() as u64;
        ensure!(
            counted.checked_sub(left.len() as u64) == Some(online),
            "{} were announced, now {json}",
            self.online
        );
        ensure!(
            left.len() + joined.len() + renamed.len() > 0,
            "an announcement of nothing"
        );
        self.online = online as u32;
        let mut comers = renamed.iter().filter_map(|pair| pair.get(1)).chain(&joined);
        let mut once = BTreeSet::new();
        let twice = comers.find(|name| !once.insert(*name));
        ensure!(twice.is_none(), "{twice:?} comes twice: {json}");
        let Some(names) = &mut self.names else {
            return Ok(());
        };
        for name in &left {
            ensure!(names.remove(name), "{name} was not there: {json}");
        }
        for pair in &renamed {
            let [was, is] = pair.as_slice() else {
                return Err(format!("renamed by {pair:?}"));
            };
            ensure!(names.remove(was), "{was} was not there: {json}");
            ensure!(names.insert(is.clone()), "{is} is there already: {json}");
        }
        for name in joined {
            ensure!(
                names.insert(name.clone()),
                "{name} is there already: {json}"
            );
        }
        Ok(())
    }
}

/// Whether these are messages below `before`, the latest of so many.
fn history(
    json: &Value,
    epoch: u64,
    latest: u64,
    before: Option<u64>,
    limit: usize,
    log: &Log,
) -> Result<(), String> {
    let messages = json["messages"]
        .as_array()
        .ok_or("history without messages")?;
    ensure!(
        messages.len() <= limit,
        "more than {limit} messages: {json}"
    );
    let mut due = (latest + 1).min(before.unwrap_or(u64::MAX));
    for message in messages.iter().rev() {
        let told = told(message, epoch)?;
        due = due.saturating_sub(1);
        ensure!(
            told.seq == due && log.has(&told),
            "{told:?} instead of {due}"
        );
    }
    Ok(())
}

fn told(json: &Value, epoch: u64) -> Result<Told, String> {
    let content = match (&json["text"], &json["base64"], &json["size"]) {
        (Value::String(text), Value::Null, Value::Null) => Content::Text(text.clone()),
        (Value::Null, Value::String(bytes), Value::Null) => Content::Base64(bytes.clone()),
        (Value::Null, Value::Null, size) if size.is_u64() => {
            Content::Size(size.as_u64().unwrap_or(0))
        }
        _ => return Err(format!("not a message: {json}")),
    };
    Ok(Told {
        epoch,
        seq: json["seq"].as_u64().ok_or("a message without a seq")?,
        from: json["from"]
            .as_str()
            .ok_or("a message from nobody")?
            .to_owned(),
        member: json["member"].as_u64().ok_or("a message of nobody")? as u32,
        id: json["id"].as_str().map(str::to_owned),
        content,
    })
}

fn strings(json: &Value) -> Result<Vec<String>, String> {
    let strings = json.as_array().ok_or("a list is missing")?.iter();
    let strings = strings.map(|text| text.as_str().map(str::to_owned));
    strings
        .collect::<Option<_>>()
        .ok_or_else(|| "not names".into())
}
