//! What an engine that answers late was asked, and what it has answered: held against what clients have sent, and put
//! into the logs of the rooms in the order in which it was committed.

use std::collections::VecDeque;

use hushd::engine::Engine;

use super::Run;
use crate::client::Wish;
use crate::late::{Event, Happening, Spoken};
use crate::model::Saying;
use crate::view::Request;

impl<E: Engine> Run<E> {
    /// The engine has answered, before anything was read in this turn.
    pub(super) fn engine_answered(&mut self, events: &mut VecDeque<Event>) -> Result<(), String> {
        while let Some(Event { from, what }) = events.pop_front_if(|event| event.what.is_answer()) {
            let number = self.askers.get(&from).copied();
            let number = number.ok_or("the engine answers what nobody has asked")?;
            let clock = self.world.borrow().clock;
            let mut world = self.world.borrow_mut();
            world
                .trace
                .note(clock, ("Answers", number, format!("{what:?}")));
            drop(world);
            let client = &mut self.clients[number];
            client.engine_at = clock;
            match what {
                Happening::Enters(entered) => {
                    let Some(Wish::Enter) = client.unanswered.pop_front() else {
                        return Err(format!("{number} has not asked to enter"));
                    };
                    client.waits_for_room = false;
                    client.view.given = Some((entered.epoch, entered.seq));
                    let here = self.logs[client.room].len();
                    self.is_in(number, here);
                }
                Happening::Publishes(spoken, epoch, seq) => {
                    let Some(Wish::Say(asked, stint, _)) = client.unanswered.pop_front() else {
                        return Err(format!("{number} has not asked for {spoken:?}"));
                    };
                    if asked != spoken {
                        return Err(format!("{number} asked for {asked:?}, not {spoken:?}"));
                    }
                    if !self.ending {
                        self.is_published(number, spoken, stint, (epoch, seq))?;
                    }
                }
                Happening::Renames => {
                    let Some(Wish::Rename(name, _)) = client.unanswered.pop_front() else {
                        return Err(format!("{number} has not asked for a name"));
                    };
                    if client.is_inside {
                        let room = client.room;
                        let doubtful = client.ended_just_now;
                        client.view.ask(&Request::Rename(name.clone(), false), 0);
                        self.stirred_at[room] = clock;
                        let names = &mut self.logs[room].names;
                        names.rename(number, name, doubtful, self.turns);
                    }
                }
                Happening::Refuses => {
                    let after = self.logs[client.room].len();
                    let id = match client.unanswered.pop_front() {
                        Some(Wish::Enter) => {
                            (client.waits_for_room, client.was_refused) = (false, true);
                            continue;
                        }
                        Some(Wish::Say(spoken, ..)) if spoken.chat => spoken.id,
                        Some(Wish::Rename(..)) => None,
                        wish => return Err(format!("{number} is refused {wish:?}")),
                    };
                    client.view.refused(id, after);
                }
                Happening::AsksToEnter | Happening::Asks(_) | Happening::AsksToRename => {}
            }
        }
        Ok(())
    }

    fn is_published(
        &mut self,
        number: usize,
        spoken: Spoken,
        stint: Option<usize>,
        place: (u64, u64),
    ) -> Result<(), String> {
        let client = &self.clients[number];
        let saying = Saying {
            text: spoken.text,
            payload: spoken.payload,
            id: spoken.id,
            stint,
            certain: true,
            loose: None,
            at: self.world.borrow().clock,
        };
        self.logs[client.room].commit(client, spoken.member, saying, place)
    }

    /// The engine was asked for what was read in this turn: for everything, and once.
    pub(super) fn engine_was_asked(&mut self, events: VecDeque<Event>) -> Result<(), String> {
        if E::IMMEDIATE {
            return Ok(());
        }
        for Event { from, what } in events {
            let number = self.world.borrow().by_key[from.key.0 as usize];
            let number = number.ok_or("nobody asks the engine")?;
            self.askers.insert(from, number);
            let clock = self.world.borrow().clock;
            let client = &mut self.clients[number];
            if client.unanswered.is_empty() {
                client.engine_at = clock;
            }
            match what {
                Happening::AsksToEnter if client.waits_for_room => {
                    client.unanswered.push_back(Wish::Enter);
                }
                Happening::Asks(_) | Happening::AsksToRename if client.is_overtaken(&what) => {
                    return Err(format!(
                        "{number}: {what:?} overtakes {:?}",
                        client.unanswered
                    ));
                }
                Happening::Asks(spoken) => loop {
                    match client.unasked.pop_front() {
                        Some(Wish::Say(said, stint, perhaps)) if said.is_asked_as(&spoken) => {
                            if let (true, Some(id)) = (perhaps, &spoken.id) {
                                client.view.repeats_nothing(id);
                            }
                            let wish = Wish::Say(spoken, stint, false);
                            client.unanswered.push_back(wish);
                            break;
                        }
                        Some(Wish::Say(.., true) | Wish::Rename(_, true)) => {}
                        wish => return Err(format!("{number}: {spoken:?} is asked for {wish:?}")),
                    }
                },
                Happening::AsksToRename => loop {
                    match client.unasked.pop_front() {
                        Some(wish @ Wish::Rename(..)) => {
                            client.unanswered.push_back(wish);
                            break;
                        }
                        Some(Wish::Say(.., true)) => {}
                        wish => return Err(format!("{number}: a name is asked for {wish:?}")),
                    }
                },
                what => return Err(format!("{number}: {what:?}")),
            }
        }
        for client in &mut self.clients {
            let is_over = client.ended_just_now || client.is_gone();
            for wish in client.unasked.drain(..) {
                let perhaps = matches!(&wish, Wish::Say(.., true) | Wish::Rename(_, true));
                if !perhaps && !is_over {
                    return Err(format!(
                        "{} was read, but not asked: {wish:?}",
                        client.number
                    ));
                }
            }
        }
        Ok(())
    }
}
