//! The first thing that a connection is told: who it is, and from where on it hears what it has missed.

use serde_json::Value;

use super::{Answer, Asked, Memory, SLACK, Seats, View, Welcome};
use crate::model::Log;
use crate::person::Note;

impl View {
    pub(super) fn welcomed(
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
        ensure!(
            self.given.is_none_or(|given| given == (epoch, welcome.seq)),
            "{json} was let in at {:?}",
            self.given
        );
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
}
