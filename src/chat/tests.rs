//! Rooms and their members without a server: what each client reads in the end.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::rooms::tests::LIMITS;
use super::v1::Hello;
use super::*;
use crate::feed::{Lane, Outbox, Piece, Record};
use crate::ids::ConnectionKey;
use crate::time::Tick;
use crate::ws::Frame;
use crate::ws::Message;

#[path = "../../tests/common/schema.rs"]
mod schema;

/// A server's part in a chat.
struct House {
    rooms: Rooms,
    people: BTreeMap<ConnectionKey, Person>,
    next_key: u32,
    now: Tick,
}

/// A connection.
struct Person {
    member: Member,
    outbox: Outbox,
    /// What it has been written and has not read.
    wire: Vec<u8>,
    /// What it was told at length since its outbox was last empty.
    answered: Vec<Question>,
}

impl Roster for BTreeMap<ConnectionKey, Person> {
    fn member(&self, key: ConnectionKey) -> Option<&Member> {
        self.get(&key).map(|person| &person.member)
    }
}

fn frame(json: &str) -> Piece {
    Piece::Bytes(Cow::Owned(Frame::text(json).to_vec()))
}

impl House {
    fn new(limits: RoomLimits) -> House {
        House {
            rooms: Rooms::new(7, limits, Duration::from_secs(30)),
            people: BTreeMap::new(),
            next_key: 0,
            now: Tick(0),
        }
    }

    fn come(&mut self, path: &str, encoding: Encoding, hello: &Hello<'_>) -> ConnectionKey {
        let room = self.rooms.enter(path).unwrap();
        if let Some(old) = self.rooms.replaced(room, hello, &self.people) {
            self.go(old);
        }
        let key = ConnectionKey(self.next_key);
        self.next_key += 1;
        let next = self.rooms.get(room).unwrap().position().arrivals + 1;
        let returning = self.rooms.returning(room, hello, &self.people);
        let newcomer = Newcomer {
            key,
            encoding,
            hello,
            number: returning.unwrap_or(next),
        };
        let arrival = self
            .rooms
            .join(room, newcomer, &self.people, self.now)
            .unwrap();
        let lane = self.rooms.get(room).unwrap().lane(encoding).unwrap();
        let mut outbox = Outbox::join(lane);
        if let Some(greeting) = arrival.greeting {
            outbox.splice(lane, frame(&greeting.welcome));
            outbox.splice(lane, greeting.replay);
            greeting
                .refused
                .into_iter()
                .for_each(|refused| outbox.splice(lane, frame(&refused)));
        }
        self.people.insert(
            key,
            Person {
                member: arrival.member,
                outbox,
                wire: Vec::new(),
                answered: Vec::new(),
            },
        );
        key
    }

    fn chat(&mut self, path: &str, name: &str) -> ConnectionKey {
        self.come(
            path,
            Encoding::ChatV1,
            &Hello {
                name: Some(name),
                ..Hello::default()
            },
        )
    }

    fn plain(&mut self, path: &str) -> ConnectionKey {
        self.come(path, Encoding::Plain, &Hello::default())
    }

    fn go(&mut self, key: ConnectionKey) {
        let member = self.people[&key].member.clone();
        self.rooms.depart(key, &member, &self.people, self.now);
        self.people.remove(&key);
        if let Some(moved) = self.rooms.leave(member.place, None, self.now) {
            let person = self.people.get_mut(&moved.key).unwrap();
            person.member.place.seat = moved.seat;
        }
    }

    fn say(&mut self, key: ConnectionKey, message: Message<'_>) {
        let person = self.people.get_mut(&key).unwrap();
        if person.outbox.holds() == 0 {
            person.answered.clear();
        }
        let person = &self.people[&key];
        let place = person.member.place;
        let time = 1_755_500_000_000 + u64::from(self.now.0) * 100;
        let waits = |question| person.answered.contains(&question);
        let when = (self.now, time);
        match self
            .rooms
            .judge(&person.member, message, waits, &self.people, when)
        {
            Verdict::Say(said) => {
                let seq = self.rooms.get(place.room).unwrap().position().seq + 1;
                let (now, time) = when;
                self.rooms
                    .append(place.room, &said, Stamp { seq, time }, now);
            }
            Verdict::Answer(json) => self.tell(key, &json),
            Verdict::LongAnswer(question, json) => {
                self.tell(key, &json);
                self.people.get_mut(&key).unwrap().answered.push(question);
            }
            Verdict::Rename(wanted) => {
                let member = self.people[&key].member.clone();
                let renamed = self
                    .rooms
                    .rename(key, &member, wanted, &self.people, self.now);
                if let Some((name, answer)) = renamed {
                    self.people.get_mut(&key).unwrap().member.name = name;
                    answer.into_iter().for_each(|json| self.tell(key, &json));
                }
            }
            Verdict::Nothing => {}
        }
    }

    fn ask(&mut self, key: ConnectionKey, request: Value) {
        self.say(key, Message::Text(&request.to_string()));
    }

    fn tell(&mut self, key: ConnectionKey, json: &str) {
        let person = self.people.get_mut(&key).unwrap();
        let room = self.rooms.get(person.member.place.room).unwrap();
        person.outbox.splice(
            room.lane(person.member.place.encoding).unwrap(),
            frame(json),
        );
    }

    fn pass(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.now = self.now.after(1);
            self.rooms.run_due(&self.people, self.now);
        }
    }

    /// Writes at most so many bytes to a connection.
    fn write(&mut self, key: ConnectionKey, bytes: usize) {
        let person = self.people.get_mut(&key).unwrap();
        let room = self.rooms.get(person.member.place.room).unwrap();
        let lane = room.lane(person.member.place.encoding).unwrap();
        let mut left = bytes;
        while left > 0 {
            let owed = person
                .outbox
                .next_write(lane, room.archive(), left)
                .unwrap();
            let taken = owed.len();
            if taken == 0 {
                return;
            }
            owed.slices()
                .iter()
                .for_each(|slice| person.wire.extend_from_slice(slice));
            person.outbox.wrote(taken);
            left -= taken;
        }
    }

    /// What a client reads when it reads everything.
    fn read(&mut self, key: ConnectionKey) -> Vec<Value> {
        self.write(key, usize::MAX);
        let person = self.people.get_mut(&key).unwrap();
        let (frames, rest) = frames(&person.wire);
        assert_eq!(rest, 0, "only whole frames");
        let is_plain = person.member.place.encoding == Encoding::Plain;
        let read = frames.iter().map(|(text, payload)| match (is_plain, text) {
            (true, true) => Value::from(str::from_utf8(payload).unwrap()),
            (true, false) => json!(payload),
            (false, _) => serde_json::from_slice(payload).unwrap(),
        });
        let read: Vec<Value> = read.collect();
        if !is_plain {
            read.iter().for_each(schema::assert_server_sends);
        }
        person.wire.clear();
        read
    }

    /// The same, of one type only.
    fn read_all(&mut self, key: ConnectionKey, kind: &str) -> Vec<Value> {
        self.read(key)
            .into_iter()
            .filter(|frame| frame["type"] == kind)
            .collect()
    }
}

/// The whole frames in these bytes, whether each is text, and how many bytes are left.
fn frames(mut bytes: &[u8]) -> (Vec<(bool, Vec<u8>)>, usize) {
    let mut frames = Vec::new();
    loop {
        let (header, length) = match *bytes {
            [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
            [_, 127, _, _, _, _, a, b, c, d, ..] => (10, u32::from_be_bytes([a, b, c, d]) as usize),
            [_, short @ ..126, ..] => (2, usize::from(short)),
            _ => return (frames, bytes.len()),
        };
        let Some((frame, rest)) = bytes.split_at_checked(header + length) else {
            return (frames, bytes.len());
        };
        frames.push((frame[0] == 0x81, frame[header..].to_vec()));
        bytes = rest;
    }
}

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames
        .iter()
        .filter(|frame| frame["type"] == "message")
        .map(|frame| frame["seq"].as_u64().unwrap())
        .collect()
}

fn message(text: &str) -> Value {
    json!({ "type": "message", "text": text })
}

#[test]
fn a_new_member_is_welcomed_and_receives_its_own_messages() {
    let mut house = House::new(LIMITS);
    let ann = house.chat("/tea", "ann");
    house.ask(ann, json!({ "type": "message", "text": "hi", "id": "c-7" }));
    let read = house.read(ann);
    let [welcome, hi] = &read[..] else {
        panic!("{read:?}")
    };
    let (session, epoch) = (welcome["session"].clone(), welcome["epoch"].clone());
    assert_eq!(
        *welcome,
        json!({ "type": "welcome", "room": "/tea", "name": "ann", "member": 1, "session": session, "epoch": epoch,
            "seq": 0, "resumed": false, "online": 0, "ping": 30_000, "max_message": 1000 })
    );
    assert_eq!(
        (
            session.as_str().unwrap().len(),
            epoch.as_str().unwrap().len()
        ),
        (32, 16)
    );
    assert_eq!(
        *hi,
        json!({ "type": "message", "seq": 1, "time": 1_755_500_000_000u64, "from": "ann", "member": 1,
            "text": "hi", "id": "c-7" })
    );
    house.pass(10);
    let presence =
        json!({ "type": "presence", "online": 1, "left": [], "renamed": [], "joined": ["ann"] });
    assert_eq!(house.read(ann), [presence]);
}

#[test]
fn plain_clients_and_others_hear_each_other_each_in_their_way() {
    let mut house = House::new(LIMITS);
    let plain = house.plain("/tea");
    house.say(plain, Message::Text("alone"));
    let ann = house.chat("/tea", "ann");
    house.say(plain, Message::Text("hi"));
    house.say(plain, Message::Binary(&[0, 255]));
    house.ask(ann, message("hello"));
    assert_eq!(
        house.read(plain),
        [
            json!("alone"),
            json!("hi"),
            json!([0, 255]),
            json!("ann: hello")
        ]
    );
    let read = house.read(ann);
    assert_eq!(
        (&read[0]["seq"], &read[0]["online"], &read[0]["member"]),
        (&json!(1), &json!(1), &json!(2))
    );
    let heard: Vec<_> = read[1..]
        .iter()
        .map(|m| (m["seq"].as_u64().unwrap(), m["from"].as_str().unwrap()))
        .collect();
    assert_eq!(heard, [(2, "guest-1"), (3, "guest-1"), (4, "ann")]);
    assert_eq!(
        (&read[2]["base64"], read[2].get("text")),
        (&json!("AP8="), None)
    );
    house.pass(100);
    assert_eq!(
        house.read(plain),
        [] as [Value; 0],
        "no presence on the plain lane"
    );
}

#[test]
fn a_room_of_plain_members_remembers_nothing() {
    let mut house = House::new(LIMITS);
    let plain = house.plain("/tea");
    for _ in 0..10 {
        house.say(plain, Message::Text("hi"));
    }
    let room = house
        .rooms
        .get(house.people[&plain].member.place.room)
        .unwrap();
    assert!(room.chat.is_none() && room.lane(Encoding::ChatV1).is_none());
    assert_eq!((house.rooms.due(), house.rooms.archived()), (None, 0));
    house.go(plain);
    assert!(house.rooms.is_empty());
}

#[test]
fn what_would_be_too_large_in_json_is_announced_with_its_size() {
    let mut house = House::new(LIMITS);
    let (plain, ann) = (house.plain("/"), house.chat("/", "ann"));
    let quotes = "\"".repeat(1000);
    let control = "\u{1}".repeat(1000);
    for text in [&quotes, &control] {
        house.say(plain, Message::Text(text));
    }
    house.say(plain, Message::Binary(&[0; 1000]));
    assert_eq!(house.read(plain)[..2], [json!(quotes), json!(control)]);
    let read = house.read_all(ann, "message");
    assert_eq!(
        (&read[0]["text"], &read[1]["size"], read[1].get("text")),
        (&json!(quotes), &json!(1000), None)
    );
    assert!(read[2]["base64"].is_string());
}

#[test]
fn a_newcomer_gets_the_newest_and_can_ask_for_more() {
    let mut house = House::new(LIMITS);
    let ann = house.chat("/", "ann");
    for n in 1..=12 {
        house.ask(ann, message(&format!("message {n}")));
    }
    let bob = house.chat("/", "bob");
    house.ask(ann, message("live"));
    let read = house.read(bob);
    assert_eq!(
        (&read[0]["resumed"], &read[0]["seq"]),
        (&json!(false), &json!(12))
    );
    assert_eq!(seqs(&read), [8, 9, 10, 11, 12, 13]);

    house.ask(bob, json!({ "type": "history", "before": 8, "limit": 4 }));
    house.ask(bob, json!({ "type": "history", "before": 4 }));
    let read = house.read(bob);
    assert_eq!(
        (
            seqs(read[0]["messages"].as_array().unwrap()),
            &read[0]["more"]
        ),
        (vec![4, 5, 6, 7], &json!(true))
    );
    assert_eq!(
        (&read[1]["code"], &read[1]["retry"]),
        (&json!("busy"), &json!(true)),
        "one at a time"
    );
    house.ask(bob, json!({ "type": "history", "before": 4 }));
    let read = house.read(bob);
    assert_eq!(
        (
            seqs(read[0]["messages"].as_array().unwrap()),
            &read[0]["more"]
        ),
        (vec![1, 2, 3], &json!(false))
    );
}

#[test]
fn a_question_with_a_long_answer_waits_until_the_last_answer_is_taken() {
    let mut house = House::new(LIMITS);
    let ann = house.chat("/", "ann");
    house.read(ann);
    for _ in 0..2 {
        for question in ["who", "history", "who", "history"] {
            house.ask(ann, json!({ "type": question }));
        }
        let read = house.read(ann);
        let told: Vec<_> = read
            .iter()
            .map(|frame| frame["code"].as_str().or(frame["type"].as_str()).unwrap())
            .collect();
        assert_eq!(told, ["who", "history", "busy", "busy"]);
    }
}

#[test]
fn a_client_that_comes_back_is_the_same_member_and_gets_what_it_missed() {
    let mut house = House::new(LIMITS);
    let (ann, bob) = (house.chat("/", "ann"), house.chat("/", "bob"));
    let welcome = house.read(ann).remove(0);
    house.pass(20);
    house.ask(bob, message("one"));
    assert_eq!(seqs(&house.read(ann)), [1]);
    house.read(bob);
    house.go(ann);
    house.ask(bob, message("two"));
    house.ask(bob, message("three"));
    house.pass(5);

    let since = format!("{}.1", welcome["epoch"].as_str().unwrap());
    let hello = |session| Hello::parse(Some("ignored"), Some(&since), Some(session)).clone();
    let first = welcome["session"].as_str().unwrap().to_owned();
    let ann = house.come("/", Encoding::ChatV1, &hello(&first));
    let read = house.read(ann);
    let who = (
        &read[0]["name"],
        &read[0]["member"],
        &read[0]["resumed"],
        &read[0]["online"],
    );
    assert_eq!(who, (&json!("ann"), &json!(1), &json!(true), &json!(2)));
    assert_eq!(seqs(&read), [2, 3]);
    let second = read[0]["session"].as_str().unwrap().to_owned();

    // It never learned its new token, and comes back while the old connection hangs.
    let third = house.come("/", Encoding::ChatV1, &hello(&first));
    assert!(!house.people.contains_key(&ann), "replaced");
    assert_eq!(house.read(third)[0]["member"], 1);
    let fourth = house.come("/", Encoding::ChatV1, &hello(&second));
    assert!(
        !house.people.contains_key(&third),
        "replaced by way of where it was before"
    );
    assert_eq!(
        (&house.read(fourth)[0]["member"], house.people.len()),
        (&json!(1), 2)
    );
    house.pass(100);
    assert_eq!(
        house.read_all(bob, "presence"),
        [] as [Value; 0],
        "no other member saw any of it"
    );

    let stranger = house.come("/other", Encoding::ChatV1, &hello(&first));
    let read = house.read(stranger);
    assert_eq!(
        (&read[0]["name"], &read[0]["resumed"]),
        (&json!("ignored"), &json!(false)),
        "of another room"
    );
}

#[test]
fn a_message_sent_again_is_accepted_and_not_published_again() {
    let mut house = House::new(LIMITS);
    let ann = house.chat("/", "ann");
    let welcome = house.read(ann).remove(0);
    let said = json!({ "type": "message", "text": "hi", "id": "c-1" });
    house.ask(ann, said.clone());
    house.ask(ann, said.clone());
    let read = house.read(ann);
    assert_eq!(
        (seqs(&read), &read[1]),
        (
            vec![1],
            &json!({ "type": "accepted", "id": "c-1", "seq": 1 })
        )
    );

    house.go(ann);
    let bob = house.chat("/", "bob");
    let ann = house.come(
        "/",
        Encoding::ChatV1,
        &Hello::parse(None, None, welcome["session"].as_str()),
    );
    house.ask(ann, said.clone());
    house.ask(bob, said);
    assert_eq!(
        house.read(ann).last().unwrap()["seq"],
        2,
        "bob's is another message"
    );
    assert_eq!(house.read_all(bob, "message").len(), 2);
}

#[test]
fn names_are_given_changed_and_refused() {
    let mut house = House::new(LIMITS);
    let names: Vec<_> = ["ann", "ann", "guest-9", "", "a\u{202e}"]
        .iter()
        .map(|name| house.chat("/", name))
        .collect();
    let welcomes: Vec<_> = names.iter().map(|&key| house.read(key)).collect();
    let called: Vec<_> = welcomes
        .iter()
        .map(|read| read[0]["name"].as_str().unwrap())
        .collect();
    assert_eq!(called, ["ann", "ann-2", "guest-3", "guest-4", "guest-5"]);
    assert_eq!(welcomes[4][1]["code"], "bad_name");
    house.pass(10);
    for (key, wish) in [
        (0, "guest-1"),
        (1, "ann"),
        (2, "guest-9"),
        (3, "bob"),
        (4, "bob"),
    ] {
        house.ask(names[key], json!({ "type": "name", "name": wish }));
    }
    house.pass(10);
    let read = house.read(names[2]);
    assert_eq!(read[1]["code"], "bad_name", "{read:?}");
    let renamed = json!([
        ["ann", "guest-1"],
        ["ann-2", "ann"],
        ["guest-4", "bob"],
        ["guest-5", "bob-2"]
    ]);
    assert_eq!(read[2]["renamed"], renamed);
    house.ask(names[2], json!({ "type": "who" }));
    let who = json!({ "type": "who", "online": 5, "names": ["guest-1", "ann", "guest-3", "bob", "bob-2"] });
    assert_eq!(house.read(names[2]), [who]);
}

#[test]
fn a_new_name_before_the_announcement_of_the_old_one_is_told_to_its_bearer_alone() {
    let mut house = House::new(LIMITS);
    let (ann, bob) = (house.chat("/", "ann"), house.chat("/", "bob"));
    house.ask(ann, json!({ "type": "name", "name": "bob" }));
    let told = |house: &mut House, key| house.read_all(key, "presence");
    let alone = json!({ "type": "presence", "online": 0, "renamed": [["ann", "bob-2"]] });
    assert_eq!(told(&mut house, ann), [alone]);
    assert_eq!(told(&mut house, bob), [json!(null); 0]);
    house.pass(10);
    let all = json!({ "type": "presence", "online": 2, "left": [], "renamed": [], "joined": ["bob-2", "bob"] });
    for key in [ann, bob] {
        assert_eq!(told(&mut house, key), std::slice::from_ref(&all));
    }
}

#[test]
fn what_is_no_request_is_answered_with_an_error() {
    let mut house = House::new(LIMITS);
    let ann = house.chat("/", "ann");
    house.read(ann);
    house.say(ann, Message::Binary(b"x"));
    house.say(ann, Message::Text("hi"));
    house.ask(ann, json!({ "type": "dance" }));
    house.ask(ann, json!({ "type": "ping" }));
    let read = house.read(ann);
    let codes: Vec<_> = read
        .iter()
        .map(|frame| frame["code"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(codes, ["unsupported", "bad_request", "unknown_type", "-"]);
    assert_eq!(
        read[3],
        json!({ "type": "pong", "time": 1_755_500_000_000u64 })
    );
}

#[test]
fn an_empty_room_is_remembered_until_its_time_is_over_or_its_place_is_needed() {
    let mut house = House::new(LIMITS);
    let epoch_of = |house: &mut House, path: &str| {
        let key = house.chat(path, "ann");
        let epoch = house.read(key)[0]["epoch"].clone();
        house.go(key);
        epoch
    };
    let tea = epoch_of(&mut house, "/tea");
    house.pass(LIMITS.ttl() - 1);
    assert_eq!(epoch_of(&mut house, "/tea"), tea);
    house.pass(LIMITS.ttl());
    assert!(house.rooms.is_empty() && house.rooms.due().is_none());
    let again = epoch_of(&mut house, "/tea");
    assert_ne!(again, tea);

    house.pass(1);
    for path in ["/a", "/b", "/c"] {
        epoch_of(&mut house, path);
        assert!(house.rooms.len() <= LIMITS.max_rooms);
    }
    assert_ne!(
        epoch_of(&mut house, "/tea"),
        again,
        "it was empty for longest"
    );
}

#[test]
fn all_archives_together_are_bounded_and_the_largest_pays() {
    let mut house = House::new(RoomLimits {
        max_rooms: 100,
        ..LIMITS
    });
    let shout = |house: &mut House, path: &str, times: u32| {
        let key = house.chat(path, "ann");
        (0..times).for_each(|_| house.ask(key, message(&"x".repeat(500))));
        assert!(house.rooms.archived() <= LIMITS.history_size_total);
        key
    };
    let gone = shout(&mut house, "/gone", 10);
    house.go(gone);
    for path in ["/a", "/b", "/c", "/d", "/e"] {
        shout(&mut house, path, 100);
        assert!(house.rooms.archived() > 0);
    }
    shout(&mut house, "/small", 1);
    assert_eq!(
        house
            .rooms
            .iter()
            .filter(|(_, room)| room.is_empty())
            .count(),
        0,
        "empty rooms go first"
    );
    let small = house.chat("/small", "bob");
    assert_eq!(seqs(&house.read(small)), [1]);
    assert!(house.rooms.archives_cut() > 0);
}

#[test]
fn ten_thousand_members_that_come_at_once_cost_their_welcomes_and_one_announcement() {
    let mut house = House::new(LIMITS);
    let keys: Vec<_> = (0..10_000).map(|_| house.chat("/", "ann")).collect();
    house.pass(10);
    let lane = house
        .rooms
        .get(house.people[&keys[0]].member.place.room)
        .unwrap()
        .lane(Encoding::ChatV1)
        .unwrap();
    assert!(lane.len() < 100, "one short frame: {}", lane.len());
    let read = house.read(keys[9_999]);
    assert_eq!(
        (read.len(), &read[1]),
        (2, &json!({ "type": "presence", "online": 10_000 }))
    );
    assert_eq!(read[0]["name"], "ann-10000");

    house.ask(keys[0], json!({ "type": "name", "name": "ann-2" }));
    let renamed = json!([["ann", "ann-2-2"]]);
    assert_eq!(
        house.read_all(keys[0], "presence").last().unwrap()["renamed"],
        renamed
    );
    house.pass(100);
    assert_eq!(
        house.read_all(keys[1], "presence").len(),
        1,
        "only the member that asked is told"
    );
}

/// A client that never gives up.
#[derive(Default)]
struct Stubborn {
    at: Option<ConnectionKey>,
    /// Before its welcome, a client does not know under which session it would speak.
    welcomed: bool,
    session: Option<String>,
    epoch: Option<String>,
    heard: Vec<u64>,
    unheard: BTreeSet<u64>,
    next_id: u64,
}

impl Stubborn {
    fn dial(&mut self, house: &mut House) {
        let latest = self.heard.last().copied().unwrap_or(0);
        let since = self.epoch.as_ref().map(|epoch| format!("{epoch}.{latest}"));
        let hello = Hello::parse(Some("stubborn"), since.as_deref(), self.session.as_deref());
        self.at = Some(house.come("/", Encoding::ChatV1, &hello));
        self.welcomed = false;
    }

    /// Says something new, or all again that was not acknowledged.
    fn say(&mut self, house: &mut House, again: bool) {
        let Some(key) = self.at.filter(|_| self.welcomed) else {
            return;
        };
        if !again {
            self.next_id += 1;
            self.unheard.insert(self.next_id);
        }
        let ids = if again {
            self.unheard.clone()
        } else {
            BTreeSet::from([self.next_id])
        };
        for id in ids {
            house.ask(key, json!({ "type": "message", "text": "x".repeat(id as usize * 7 % 300), "id": id.to_string() }));
        }
    }

    /// Receives at most this many bytes, and parses the whole frames.
    fn take(&mut self, house: &mut House, bytes: usize) {
        let Some(key) = self.at else { return };
        house.write(key, bytes);
        let wire = &mut house.people.get_mut(&key).unwrap().wire;
        let (frames, rest) = frames(wire);
        wire.drain(..wire.len() - rest);
        for (_, payload) in frames {
            let frame: Value = serde_json::from_slice(&payload).unwrap();
            match frame["type"].as_str().unwrap() {
                "welcome" => {
                    assert_eq!(
                        frame["resumed"],
                        self.epoch.is_some(),
                        "nothing was forgotten"
                    );
                    self.welcomed = true;
                    self.session = frame["session"].as_str().map(str::to_owned);
                    self.epoch = frame["epoch"].as_str().map(str::to_owned);
                }
                "message" => {
                    self.heard.push(frame["seq"].as_u64().unwrap());
                    if frame["member"] == house.people[&key].member.number {
                        self.acknowledge(&frame["id"]);
                    }
                }
                "accepted" => self.acknowledge(&frame["id"]),
                "presence" | "who" => {}
                other => panic!("{other}: {frame}"),
            }
        }
    }

    fn acknowledge(&mut self, id: &Value) {
        self.unheard.remove(&id.as_str().unwrap().parse().unwrap());
    }
}

#[derive(Clone, Debug)]
enum Act {
    Say(bool),
    Take(usize),
    Drop,
    Dial,
    Pass(u32),
}

proptest! {
    #[test]
    fn a_client_that_drops_at_any_byte_and_comes_back_hears_and_says_everything_exactly_once(
        acts in prop::collection::vec((0usize..3, prop_oneof![
            3 => any::<bool>().prop_map(Act::Say),
            4 => (1usize..700).prop_map(Act::Take),
            2 => Just(Act::Drop),
            3 => Just(Act::Dial),
            1 => (0u32..40).prop_map(Act::Pass),
        ]), 0..150),
    ) {
        let mut house = House::new(RoomLimits { history: 100, history_size: 1 << 20, history_size_total: 1 << 20, ..LIMITS });
        let keeper = house.chat("/", "keeper");
        let mut clients: [Stubborn; 3] = Default::default();
        for (who, act) in acts {
            let client = &mut clients[who];
            // A hanging connection that was replaced is noticed when it ends.
            client.at = client.at.filter(|key| house.people.contains_key(key));
            match act {
                Act::Say(again) => client.say(&mut house, again),
                Act::Take(bytes) => client.take(&mut house, bytes),
                Act::Drop => client.at.take().into_iter().for_each(|key| house.go(key)),
                Act::Dial => client.dial(&mut house),
                Act::Pass(ticks) => house.pass(ticks),
            }
        }
        for client in &mut clients {
            client.dial(&mut house);
            client.take(&mut house, usize::MAX);
            client.say(&mut house, true);
        }
        let all = seqs(&house.read(keeper));
        let published = clients.iter().map(|client| client.next_id).sum::<u64>();
        prop_assert_eq!(&all, &(1..=published).collect::<Vec<_>>(), "each exactly once");
        for client in &mut clients {
            client.take(&mut house, usize::MAX);
            prop_assert_eq!(&client.heard, &all[all.len() - client.heard.len()..], "no gap and no double");
            prop_assert!(client.unheard.is_empty());
        }
    }
}

#[test]
fn lanes_are_what_they_were_for_plain_members() {
    let lane = |speaks: fn(&mut House) -> ConnectionKey| {
        let mut house = House::new(LIMITS);
        let key = speaks(&mut house);
        house.say(key, Message::Text("hi"));
        house.say(key, Message::Binary(b"\0"));
        let room = house
            .rooms
            .get(house.people[&key].member.place.room)
            .unwrap();
        let lane: &Lane = room.lane(Encoding::Plain).unwrap();
        lane.between(lane.start(), lane.end()).unwrap().concat()
    };
    let echo = [
        Frame::text("hi").parts().concat(),
        Frame::binary(b"\0").parts().concat(),
    ]
    .concat();
    assert_eq!(lane(|house| house.plain("/")), echo);
}
