//! Clients, honest ones and others: what they are like, what they send, and what that is to lead to.

use std::collections::VecDeque;

use crate::random::Random;
use crate::scenario::Scenario;
use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Ear, PING, PONG, TEXT};
use crate::world::{State, World};

/// How a client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It joins a room.
    Upgrade,
    /// It asks for a page, or for nonsense, which is answered with this status.
    Request(u16),
    /// It never finishes its head.
    HalfHead,
}

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Everything, whenever it can.
    Prompt,
    /// Now and then a little.
    Slow,
    /// Never.
    Never,
}

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talking {
    /// Now and then something.
    Chats,
    /// As much as it can.
    Floods,
    /// Nothing.
    Listens,
    /// Half messages, and no more.
    Halves,
    /// One ping after the other.
    Pings,
}

/// What the server has to make of a client's stream, once it has read so far.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A request to join a room, which ends there in the stream.
    Joins(u64),
    /// Another request.
    Asks,
    /// A message: whether it is text, and its payload.
    Says(bool, Vec<u8>),
    Pings(Vec<u8>),
    /// A Close.
    Closes,
    /// The first byte of something that is not allowed.
    Violates,
}

/// One client, on the socket of the same number.
#[derive(Debug)]
pub struct Client {
    pub number: usize,
    pub opening: Opening,
    pub reading: Reading,
    pub talking: Talking,
    /// It answers pings.
    pub polite: bool,
    /// The index of its room's path.
    pub room: usize,
    /// What it has still to send, and the length of the stream with that.
    plan: VecDeque<u8>,
    planned: u64,
    /// What the server has to make of it, by places in the stream.
    marks: VecDeque<(u64, Mark)>,
    serial: u32,
    /// Frames of an unfinished message that were planned.
    fragments: u32,
    fragment: (bool, Vec<u8>),
    /// Nothing is planned any more.
    spoke_its_last: bool,
    /// It has vanished: its machine has lost power.
    pub vanished: bool,
    /// It has closed its socket.
    pub left: bool,
    /// What the server has sent.
    pub ear: Ear,
    /// Whether it has joined, once the answer is known.
    pub granted: Option<bool>,
    pub status: Option<u16>,
    /// The room's next message that it is to hear.
    pub position: Option<usize>,
    /// It has said something in one breath with its request.
    pub talks_at_once: bool,
    /// Nothing that it sends counts any more.
    pub deaf: bool,
    /// What was said before this it is still to hear.
    pub due: usize,
    /// It has asked for a head without a body.
    pub asks_head: bool,
    /// The server has read its Close.
    pub closed: bool,
    /// The server has read what is not allowed.
    pub violated: bool,
    /// The code of the server's Close, once it was sent.
    pub dismissed: Option<Option<u16>>,
    /// Pings that the server has read and not answered.
    pub pings: VecDeque<Vec<u8>>,
    /// When the server last wrote it a ping.
    pub pinged_at: u64,
    /// Pings of the server that are to be answered.
    pub asked: u32,
    /// What it has said beyond its rates: messages, bytes, pings; as of when it was last read.
    pub debts: [f64; 3],
    pub paid_at: u64,
    /// How far in its stream bytes are charged already.
    pub charged: u64,
}

impl Client {
    /// Somebody comes.
    pub fn new(random: &mut Random, number: usize, scenario: &Scenario) -> Client {
        let opening = match random.below(12) {
            0 => Opening::HalfHead,
            1 => Opening::Request(0),
            _ => Opening::Upgrade,
        };
        let mut client = Client {
            number,
            opening,
            reading: random.pick(&[
                Reading::Prompt,
                Reading::Prompt,
                Reading::Prompt,
                Reading::Slow,
                Reading::Slow,
                Reading::Never,
            ]),
            talking: if scenario.stampede {
                Talking::Floods
            } else {
                random.pick(&[
                    Talking::Chats,
                    Talking::Chats,
                    Talking::Chats,
                    Talking::Floods,
                    Talking::Listens,
                    Talking::Halves,
                    Talking::Pings,
                ])
            },
            polite: !random.once_in(4),
            room: random.below(scenario.paths.len()),
            plan: VecDeque::new(),
            planned: 0,
            marks: VecDeque::new(),
            serial: 0,
            fragments: 0,
            fragment: (false, Vec::new()),
            spoke_its_last: false,
            vanished: false,
            left: false,
            ear: Ear::default(),
            granted: None,
            status: None,
            position: None,
            talks_at_once: false,
            deaf: false,
            due: 0,
            asks_head: false,
            closed: false,
            violated: false,
            dismissed: None,
            pings: VecDeque::new(),
            pinged_at: 0,
            asked: 0,
            debts: [0.0; 3],
            paid_at: 0,
            charged: 0,
        };
        let mut bytes = wire::upgrade(random, &scenario.paths[client.room]);
        match opening {
            Opening::Upgrade => {
                let end = bytes.len() as u64;
                client.will_send(bytes, Some(Mark::Joins(end)));
            }
            Opening::HalfHead => {
                bytes.truncate(random.below(bytes.len()));
                client.will_send(bytes, None);
                client.spoke_its_last = true;
            }
            Opening::Request(_) => {
                let (bytes, status) = wire::request(random);
                client.opening = Opening::Request(status);
                client.asks_head = bytes.starts_with(b"HEAD");
                client.will_send(bytes, Some(Mark::Asks));
                client.spoke_its_last = true;
            }
        }
        client
    }

    fn will_send(&mut self, bytes: Vec<u8>, mark: Option<Mark>) {
        self.planned += bytes.len() as u64;
        self.plan.extend(bytes);
        self.marks.extend(mark.map(|mark| (self.planned, mark)));
    }

    /// The marks that the server has passed when it has read so far.
    pub fn passed(&mut self, upto: u64) -> Option<Mark> {
        self.marks
            .pop_front_if(|(at, _)| *at <= upto)
            .map(|(_, mark)| mark)
    }

    /// Whether the end of the stream has come or is on its way.
    pub fn is_gone(&self) -> bool {
        self.left || self.vanished
    }

    /// Does something, or nothing.
    pub fn step(&mut self, world: &mut World, scenario: &Scenario) {
        if self.is_gone() {
            return;
        }
        let mut random = world.random.clone();
        if !self.spoke_its_last && self.plan.len() < 2_000 {
            self.speak(&mut random, scenario);
        }
        let most = match random.below(4) {
            0 => 1,
            1 => random.within(1, 40),
            _ => usize::MAX,
        };
        world.random = random;
        world.client_sends(self.number, &mut self.plan, most);
        let most = match self.reading {
            Reading::Prompt => usize::MAX,
            Reading::Slow if world.random.once_in(4) => world.random.scaled(2_000) as usize,
            Reading::Slow | Reading::Never => 0,
        };
        world.client_reads(self.number, most);
        self.answer_pings(world);
        self.maybe_leave(world);
    }

    fn answer_pings(&mut self, world: &mut World) {
        // A Pong may not stand between the pieces of a frame: it is planned behind what is planned.
        if self.polite && !self.spoke_its_last && self.reading != Reading::Never {
            for _ in 0..std::mem::take(&mut self.asked) {
                let mut bytes = Vec::new();
                wire::frame(&mut world.random, 0x80 | PONG, b"", &mut bytes);
                self.will_send(bytes, None);
            }
        }
    }

    fn maybe_leave(&mut self, world: &mut World) {
        let number = self.number;
        let socket = &world.sockets[number];
        let over = socket.state == State::Closed || socket.server_fin.is_some();
        if over && socket.outbound.is_empty() {
            // The server has said its last: most say goodbye to that, some do not.
            if world.random.once_in(3) {
                world.client_fin(number);
                self.left = true;
            }
            return;
        }
        if self.dismissed.is_some() && !self.spoke_its_last && self.reading != Reading::Never {
            let mut bytes = Vec::new();
            if self.fragments == 0 || self.plan.is_empty() {
                wire::frame(&mut world.random, 0x80 | CLOSE, &[3, 0xe8], &mut bytes);
                self.will_send(bytes, Some(Mark::Closes));
            }
            self.spoke_its_last = true;
        }
        match world.random.below(400) {
            0 => {
                world.client_reset(number);
                self.left = true;
            }
            1 if self.plan.is_empty() => {
                world.client_fin(number);
                self.left = self.reading == Reading::Never || world.random.once_in(2);
                self.spoke_its_last = true;
            }
            2 => self.vanished = true,
            _ => {}
        }
    }

    /// Goes away for good, in one way or another.
    pub fn leave(&mut self, world: &mut World) {
        if !self.left {
            if world.random.once_in(2) && !self.vanished {
                world.client_fin(self.number);
            } else {
                world.client_reset(self.number);
            }
            self.left = true;
        }
    }

    /// Plans to say something.
    fn speak(&mut self, random: &mut Random, scenario: &Scenario) {
        let often = match self.talking {
            Talking::Floods => 1,
            Talking::Pings => 2,
            Talking::Chats => 4,
            Talking::Halves => 10,
            Talking::Listens => 60,
        };
        if !random.once_in(often) {
            return;
        }
        match (self.talking, random.below(100)) {
            (_, 0) => {
                let mut bytes = Vec::new();
                let before = self.planned;
                wire::violation(
                    random,
                    scenario.limits.max_message,
                    self.fragments > 0,
                    &mut bytes,
                );
                self.marks.push_back((before + 1, Mark::Violates));
                self.will_send(bytes, None);
                self.spoke_its_last = true;
            }
            (_, 1) => {
                let mut bytes = Vec::new();
                let payload: &[u8] =
                    random.pick(&[&[][..], &[3, 0xe8], &[0x0f, 0xa0, b'b', b'y', b'e']]);
                wire::frame(random, 0x80 | CLOSE, payload, &mut bytes);
                self.will_send(bytes, Some(Mark::Closes));
                self.spoke_its_last = true;
            }
            (Talking::Pings, _) | (_, 2..6) => self.ping(random),
            (Talking::Halves, _) => {
                let half = random.within(1, scenario.limits.max_message);
                let mut bytes = Vec::new();
                wire::frame(random, 0x80 | BINARY, &vec![9; half], &mut bytes);
                bytes.pop();
                self.will_send(bytes, None);
                self.spoke_its_last = true;
            }
            (Talking::Chats | Talking::Listens, _) => self.say(random, scenario),
            (Talking::Floods, _) => (0..8).for_each(|_| self.say(random, scenario)),
        }
    }

    fn ping(&mut self, random: &mut Random) {
        for _ in 0..random.scaled(20) {
            self.serial += 1;
            let payload = format!("{}", self.serial).into_bytes();
            let mut bytes = Vec::new();
            wire::frame(random, 0x80 | PING, &payload, &mut bytes);
            self.will_send(bytes, Some(Mark::Pings(payload)));
        }
    }

    /// The next frame of a message that has begun, or of a new one.
    fn say(&mut self, random: &mut Random, scenario: &Scenario) {
        let limits = &scenario.limits;
        let text =
            self.fragments == 0 && random.once_in(2) || self.fragments > 0 && self.fragment.0;
        let room = limits.max_message - self.fragment.1.len();
        let anything = self.granted == Some(true);
        let payload = self.payload(random, room, anything);
        let fin = self.fragments + 1 >= limits.max_frames || !random.once_in(5);
        let opcode = match (self.fragments, text) {
            (0, true) => TEXT,
            (0, false) => BINARY,
            (_, _) => CONTINUATION,
        };
        let first = if fin { 0x80 | opcode } else { opcode };
        let mut bytes = Vec::new();
        wire::frame(random, first, &payload, &mut bytes);
        self.fragment.0 = text;
        self.fragment.1.extend(payload);
        self.fragments += 1;
        let mark = fin.then(|| {
            self.fragments = 0;
            Mark::Says(text, std::mem::take(&mut self.fragment.1))
        });
        self.will_send(bytes, mark);
    }

    /// At most so many bytes; such that nobody else says, unless it may be anything.
    fn payload(&mut self, random: &mut Random, most: usize, anything: bool) -> Vec<u8> {
        self.serial += 1;
        let mut text = format!("{}.{}:", self.number, self.serial);
        let length = if anything && random.once_in(6) {
            random.below(most + 1)
        } else {
            text.len() + random.scaled(60) as usize
        };
        while text.len() < length {
            text.push(random.pick(&['a', 'é', '漢', '😀']));
        }
        while text.len() > most.min(length) {
            text.pop();
        }
        text.into_bytes()
    }
}
