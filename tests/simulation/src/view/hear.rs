//! Whatever the server says to a connection that speaks `chat.v1`, held against what is due.

use std::collections::BTreeSet;

use serde_json::Value;

use super::json::{history, strings, told};
use super::{Answer, Memory, SLACK, Seats, View};
use crate::model::{Hearing, Log, Told};
use crate::person::Note;

impl View {
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
                    Answer::Refused(id) => {
                        code == "unavailable"
                            && json["retry"] == true
                            && json["id"].as_str() == id.as_deref()
                    }
                    Answer::History(_, _, busy) | Answer::Who(busy) => *busy && code == "busy",
                    _ => false,
                };
                let asked = self.answered(json, &is_it, *position, memory, log)?;
                if let Answer::Refused(Some(id)) = asked {
                    return Ok(Some(Note::Refused(id)));
                }
            }
            _ => return Err(format!("hears {json}")),
        }
        Ok(None)
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
