//! Who comes and comes back, what everybody does before a turn, and how all go in the end.

use hushd::engine::Engine;
use hushd::server::{Census, Signal};

use super::Run;
use crate::client::{Client, Reading};
use crate::person::Person;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::world::{self, World};

/// Turns in which everybody must have gone.
const LAST_TURNS: usize = 20_000;

impl<E: Engine> Run<E> {
    /// Newcomers.
    pub(super) fn come(&mut self) {
        let world = &mut *self.world.borrow_mut();
        let mut random = world.random.clone();
        let crowd = if random.once_in(30) { 8 } else { 1 };
        for _ in 0..crowd {
            let strangers = self.clients.len() - (self.scenario.returns - self.returns);
            if strangers < self.scenario.clients && random.once_in(4) {
                let person = self.scenario.chat.is_some_and(|chat| random.once_in(chat));
                let person = person.then(|| {
                    let number = self.persons.len();
                    let room = random.below(self.scenario.paths.len());
                    self.persons.push(Person::new(number, room));
                    number
                });
                connect(
                    &mut self.clients,
                    &mut self.persons,
                    person,
                    &self.scenario,
                    world,
                    &mut random,
                );
            }
        }
        for person in 0..self.persons.len() {
            let client = &mut self.clients[self.persons[person].client];
            let is_over =
                client.is_gone() || client.dismissed.is_some() || client.granted == Some(false);
            if self.returns > 0 && random.once_in(if is_over { 4 } else { 200 }) {
                self.returns -= 1;
                // The old connection may still hang there.
                client.vanished = true;
                connect(
                    &mut self.clients,
                    &mut self.persons,
                    Some(person),
                    &self.scenario,
                    world,
                    &mut random,
                );
            }
        }
        world.random = random;
    }

    pub(super) fn step(&mut self) {
        let world = &mut *self.world.borrow_mut();
        for client in &mut self.clients {
            if world.random.once_in(2) {
                let person = client.person.map(|person| &mut self.persons[person]);
                client.step(world, &self.scenario, person);
            }
        }
    }

    /// The server is asked to end, and does.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.world.borrow_mut().signals.push_back(Signal::End);
        self.asked_to_end = true;
        let hurries = self.world.borrow_mut().random.once_in(8);
        for turn in 0..LAST_TURNS {
            self.step();
            if hurries && turn == 10 {
                self.world.borrow_mut().signals.push_back(Signal::End);
            }
            if turn == LAST_TURNS / 2 {
                // Its deadlines are times, which do not pass while every turn is woken for nothing.
                self.world.borrow_mut().weather.spurious = 0;
            }
            if !self.turn()? {
                return self.check_farewell(hurries);
            }
        }
        Err("the server does not end".into())
    }

    /// Whoever reads has heard everything, and that this is the end.
    fn check_farewell(&self, hurried: bool) -> Result<(), String> {
        let world = self.world.borrow();
        if hurried || world.weather.jump > 0 {
            return Ok(());
        }
        for resident in &self.census.residents {
            let number = world.by_key[resident.key.0 as usize].unwrap_or(usize::MAX);
            let client = &self.clients[number];
            let reads = client.reading == Reading::Prompt && !client.is_gone();
            if reads && client.granted == Some(true) && client.dismissed.is_none() {
                return Err(format!("{number} was not told that the server ends"));
            }
        }
        Ok(())
    }

    /// Everybody leaves, and nothing stays behind.
    pub(super) fn leave(&mut self) -> Result<(), String> {
        self.world.borrow_mut().quiet = true;
        for turn in 0..LAST_TURNS {
            {
                let world = &mut *self.world.borrow_mut();
                for client in &mut self.clients {
                    client.leave(world);
                    if turn == LAST_TURNS / 2 {
                        // What it has said may take an hour to hear, at the rate that it is held to.
                        world.client_reset(client.number);
                    }
                }
                // Rooms with a memory are forgotten in their time.
                if world.held == 0 && world.door.is_empty() && self.census.rooms == 0 {
                    break;
                }
            }
            self.turn()?;
        }
        let Census {
            residents,
            rooms,
            room_buffer,
            held,
            ..
        } = &self.census;
        if !residents.is_empty() || rooms + room_buffer + held.iter().sum::<usize>() > 0 {
            return Err(format!("somebody or something is left: {:?}", self.census));
        }
        Ok(())
    }
}

/// Somebody connects, for the first time or again.
fn connect(
    clients: &mut Vec<Client>,
    persons: &mut [Person],
    person: Option<usize>,
    scenario: &Scenario,
    world: &mut World,
    random: &mut Random,
) {
    let address = world::address(random);
    let rooms = [random.scaled(6_000), random.scaled(30_000)];
    let [inbound, outbound] = rooms.map(|room| room as usize + 16);
    let number = world.connect(address, inbound, outbound);
    let mut person = person.map(|person| &mut persons[person]);
    if let Some(person) = &mut person {
        person.client = number;
    }
    clients.push(Client::new(random, number, scenario, person.as_deref()));
}
