//! Clients, honest ones and others: what they are like, what they send, and what that is to lead to.

use std::collections::VecDeque;

use serde_json::json;

use crate::late::{Happening, Spoken};
use crate::person::{self, Note, Person};
use crate::random::Random;
use crate::scenario::Scenario;
use crate::view::{Request, View};
use crate::wire::{self, BINARY, CLOSE, CONTINUATION, Ear, PING, PONG, TEXT, Terms};
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
    /// Something in `chat.v1`.
    Chats(Request),
    /// A Close.
    Closes,
    /// The first byte of something that is not allowed.
    Violates,
}

/// What a client wants of the room, for an engine that answers late.
#[derive(Clone, Debug)]
pub enum Wish {
    /// To be let in.
    Enter,
    /// To say something, and what it is called then. It is perhaps not asked for.
    Say(Spoken, Option<usize>, bool),
    /// To have another name; perhaps.
    Rename(String, bool),
}

/// When a client that is back says again what it kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SaysAgain {
    Never,
    /// When it has heard all of the past.
    AfterPong,
    Now,
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
    pub terms: Terms,
    /// Whose client it is, if it speaks `chat.v1`.
    pub person: Option<usize>,
    pub view: View,
    /// It has taken its welcome; or it talks before that.
    may_talk: bool,
    /// It says again what has not come back.
    says_again: SaysAgain,
    /// Bytes that it has taken, and what it takes note of when it has taken so many.
    took: u64,
    pub notes: VecDeque<(u64, Note)>,
    /// What the server has read and not yet heard: bytes.
    pub unheard: usize,
    /// It was a member of its room after the last turn.
    pub is_inside: bool,
    /// It was, and it is not after this one.
    pub ended_just_now: bool,
    /// In this turn the largest half messages were ended.
    pub squeezed_just_now: bool,
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
    /// What was read of it and is to be asked of the engine; and what the engine was asked and has not answered.
    pub unasked: VecDeque<Wish>,
    pub unanswered: VecDeque<Wish>,
    /// When the engine was asked for something that it has not answered, or answered last.
    pub engine_at: u64,
    /// Its request to join was read, and the engine has not let it in yet.
    pub waits_for_room: bool,
    /// The engine has refused to let it in.
    pub was_refused: bool,
    /// It has said something in one breath with its request.
    pub talks_at_once: bool,
    /// Nothing that it sends counts any more.
    pub deaf: bool,
    /// What was said before this it need not hear.
    pub skip: usize,
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
    pub fn new(
        random: &mut Random,
        number: usize,
        scenario: &Scenario,
        person: Option<&Person>,
    ) -> Client {
        let opening = match random.below(12) {
            _ if person.is_some() => Opening::Upgrade,
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
            room: person.map_or_else(|| random.below(scenario.paths.len()), |person| person.room),
            terms: Terms::default(),
            person: person.map(|person| person.number),
            view: View::default(),
            may_talk: person.is_none_or(|person| person.session.is_none()) && random.once_in(4),
            says_again: SaysAgain::Never,
            took: 0,
            notes: VecDeque::new(),
            unheard: 0,
            is_inside: false,
            ended_just_now: false,
            squeezed_just_now: false,
            skip: 0,
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
            unasked: VecDeque::new(),
            unanswered: VecDeque::new(),
            engine_at: 0,
            waits_for_room: false,
            was_refused: false,
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
        client.terms = Terms {
            target: scenario.paths[client.room].clone(),
            chat: person.is_some(),
            deflate: scenario.deflate && random.once_in(2),
        };
        if let Some(person) = person {
            client.introduce(random, person);
        }
        let mut bytes = wire::upgrade(random, &client.terms);
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

    /// Says who it is, and what it has heard.
    fn introduce(&mut self, random: &mut Random, person: &Person) {
        let mut query = Vec::new();
        let hello = &mut self.view.hello;
        if !random.once_in(3) {
            let (name, bad) = person::name(random, person.number);
            let coded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            query.push(format!("name={coded}"));
            hello.name = Some((name, bad));
        }
        if let (Some(session), false) = (&person.session, random.once_in(10)) {
            (hello.session, hello.member) = (person.epoch, person.member);
            query.push(format!("session={session}"));
        }
        if let (Some(epoch), false) = (person.epoch, random.once_in(10)) {
            hello.since = Some((epoch, person.seq));
            query.push(format!("since={epoch:016x}.{}", person.seq));
        }
        if !query.is_empty() {
            self.terms.target += &format!("?{}", query.join("&"));
        }
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

    /// Who ends in this turn may not have been heard to its end, and who joined in it not at all.
    pub fn may_be_unheard(&self, clock: u64) -> bool {
        let by_others = self.view.replaced || self.squeezed_just_now;
        let has_just_joined = self.view.joining.clock == clock;
        self.ended_just_now && (self.terms.deflate || by_others || has_just_joined)
    }

    /// Whether this must wait for what the engine was asked before: nothing goes before a change of the name, a retry
    /// not before the message, and a connection has only so much with the engine.
    pub fn is_overtaken(&self, asks: &Happening) -> bool {
        let id = match asks {
            Happening::Asks(spoken) => spoken.id.as_ref(),
            _ => return !self.unanswered.is_empty(),
        };
        let must_wait = |wish: &Wish| match wish {
            Wish::Say(before, ..) => id.is_some() && before.id.as_ref() == id,
            Wish::Enter | Wish::Rename(..) => true,
        };
        self.unanswered.len() >= 16 || self.unanswered.iter().any(must_wait)
    }

    /// Does something, or nothing.
    pub fn step(
        &mut self,
        world: &mut World,
        scenario: &Scenario,
        mut person: Option<&mut Person>,
    ) {
        if self.is_gone() {
            return;
        }
        let mut random = world.random.clone();
        if !self.spoke_its_last && self.plan.len() < 2_000 {
            self.speak(&mut random, scenario, person.as_deref_mut());
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
        self.takes(world, most, person.as_deref_mut());
        self.answer_pings(world);
        self.maybe_leave(world, scenario, person);
    }

    /// Takes bytes that have come, and note of what they say.
    fn takes(&mut self, world: &mut World, most: usize, person: Option<&mut Person>) {
        self.took += world.client_reads(self.number, most) as u64;
        let Some(person) = person else {
            return;
        };
        while let Some((_, note)) = self.notes.pop_front_if(|(at, _)| *at <= self.took) {
            person.note(&note);
            match note {
                Note::Welcome { .. } => {
                    self.may_talk = true;
                    self.says_again = match person.kept.is_empty() {
                        true => SaysAgain::Never,
                        false if world.random.once_in(2) => SaysAgain::Now,
                        false => SaysAgain::AfterPong,
                    };
                    if self.says_again == SaysAgain::AfterPong && !self.spoke_its_last {
                        self.request(&mut world.random, Request::Ping);
                    }
                }
                Note::Pong if self.says_again == SaysAgain::AfterPong => {
                    self.says_again = SaysAgain::Now;
                }
                Note::Refused(id) => {
                    let kept = person.kept.iter().find(|(kept, _)| *kept == id);
                    if let Some((id, text)) = kept.cloned()
                        && !self.spoke_its_last
                        && world.random.once_in(2)
                    {
                        self.request(&mut world.random, Request::Message { id, text });
                    }
                }
                Note::Pong | Note::Message { .. } | Note::Accepted(_) => {}
            }
        }
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

    fn maybe_leave(&mut self, world: &mut World, scenario: &Scenario, person: Option<&mut Person>) {
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
        let is_restless = scenario.restless && self.person.is_some();
        match world.random.below(if is_restless { 40 } else { 400 }) {
            0 => {
                // It may have taken some of what has come, down to any byte.
                let come = world.sockets[number].outbound.len();
                let most = world.random.below(come + 1);
                self.takes(world, most, person);
                world.client_reset(number);
                self.left = true;
            }
            1 if self.plan.is_empty() || is_restless => {
                self.plan.clear();
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
    fn speak(&mut self, random: &mut Random, scenario: &Scenario, person: Option<&mut Person>) {
        let often = match self.talking {
            Talking::Floods => 1,
            Talking::Pings => 2,
            Talking::Chats => 4,
            Talking::Halves => 10,
            Talking::Listens => 60,
        };
        if self.person.is_some() && !self.may_talk {
            return;
        }
        if self.says_again == SaysAgain::Now
            && let Some(person) = person.as_deref()
        {
            self.says_again = SaysAgain::Never;
            for (id, text) in person.kept.iter().cloned() {
                self.request(random, Request::Message { id, text });
            }
        }
        if !random.once_in(often) {
            return;
        }
        match (self.talking, random.below(100)) {
            (_, 0) => {
                let mut bytes = Vec::new();
                let before = self.planned;
                wire::violation(
                    random,
                    scenario.limits.rooms.max_message,
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
                let half = random.within(1, scenario.limits.rooms.max_message);
                let mut bytes = Vec::new();
                wire::frame(random, 0x80 | BINARY, &vec![9; half], &mut bytes);
                bytes.pop();
                self.will_send(bytes, None);
                self.spoke_its_last = true;
            }
            (Talking::Chats | Talking::Listens | Talking::Floods, _) => {
                let times = if self.talking == Talking::Floods {
                    8
                } else {
                    1
                };
                match person {
                    Some(person) => (0..times).for_each(|_| self.chat(random, scenario, person)),
                    None => (0..times).for_each(|_| self.say(random, scenario)),
                }
            }
        }
    }

    /// Something in `chat.v1`, most often a message.
    fn chat(&mut self, random: &mut Random, scenario: &Scenario, person: &mut Person) {
        let limit = random.pick(&[1, 5, 500]);
        let request = match random.below(24) {
            0 => Request::Who,
            1 => Request::Ping,
            2 => Request::History {
                before: random.once_in(2).then(|| person.seq / 2 + 1),
                limit,
            },
            3 => {
                let (name, bad) = person::name(random, person.number);
                Request::Rename(name, bad)
            }
            4 => Request::Nonsense(random.pick(&["bad_request", "unknown_type", "unsupported"])),
            5 if scenario.repeats && !person.kept.is_empty() => {
                // It does not wait for what becomes of it.
                let (id, text) = person.kept[random.below(person.kept.len())].clone();
                Request::Message { id, text }
            }
            _ => {
                let length = scenario.limits.rooms.max_message.saturating_sub(80);
                let (id, text) = person.message(random, length);
                Request::Message { id, text }
            }
        };
        self.request(random, request);
    }

    fn request(&mut self, random: &mut Random, request: Request) {
        let mut text = true;
        let json = match &request {
            Request::Message { id, text } => json!({"type": "message", "text": text, "id": id}),
            Request::Rename(name, _) => json!({"type": "name", "name": name}),
            Request::Who => json!({"type": "who"}),
            Request::History { before, limit } => {
                json!({"type": "history", "before": before, "limit": limit})
            }
            Request::Ping => json!({"type": "ping", "more": [{}]}),
            Request::Nonsense("unknown_type") => json!({"type": "tea"}),
            Request::Nonsense(code) => {
                text = *code != "unsupported";
                json!({"type": "message"})
            }
        };
        let json = json.to_string().into_bytes();
        let bytes = wire::message(random, text, &json, self.terms.deflate, 3);
        self.will_send(bytes, Some(Mark::Chats(request)));
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
        let room = limits.rooms.max_message - self.fragment.1.len();
        let anything = self.granted == Some(true);
        let payload = self.payload(random, room, anything);
        if self.terms.deflate && self.fragments == 0 {
            let bytes = wire::message(random, text, &payload, true, limits.max_frames);
            return self.will_send(bytes, Some(Mark::Says(text, payload)));
        }
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
