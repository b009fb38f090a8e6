//! The turn against a network without weather: what happens is what a test says, and no more.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::http::{ListenerId, Origins, Page};

/// Of a client that takes everything.
const ALL: usize = usize::MAX;

/// Events that one wait brings.
const BATCH: usize = 256;

/// What a client and the server have to do with each other; a client is its index.
#[derive(Default)]
struct Client {
    key: Option<ConnectionKey>,
    /// What the server has not read.
    sent: VecDeque<u8>,
    /// What it has written.
    heard: Vec<u8>,
    /// Bytes that the socket still takes.
    room: usize,
    /// It has vanished.
    broken: bool,
    /// The server has closed the connection.
    gone: bool,
}

#[derive(Default)]
struct World {
    now: Moment,
    /// Up to which time the server may sleep.
    until: Moment,
    clients: Vec<Client>,
    door: VecDeque<usize>,
    events: Vec<Ready>,
    /// Whoever is at the door cannot come in, and may be told so.
    shut: Option<Errno>,
    /// The descriptor in reserve is gone too.
    no_reserve: bool,
    /// Times the server has been at the door.
    asked: usize,
    /// How long it last wanted to wait, and whether it went to sleep.
    patience: Option<Duration>,
    asleep: bool,
}

struct Simulated(Rc<RefCell<World>>);

struct Wire(Rc<RefCell<World>>, usize);

impl Network for Simulated {
    type Socket = Wire;

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let mut world = self.0.borrow_mut();
        let world = &mut *world;
        let batch = world.events.len().min(BATCH);
        ready.extend(world.events.drain(..batch));
        world.patience = timeout;
        world.asleep = ready.is_empty() && timeout != Some(Duration::ZERO);
        if world.asleep {
            let due = timeout.map_or(world.until, |timeout| world.now + timeout);
            world.now = due.min(world.until).max(world.now);
            world.asleep = world.now >= world.until;
        }
        Ok(batch == BATCH)
    }

    fn now(&mut self) -> Moment {
        self.0.borrow().now
    }

    fn unix_millis(&mut self) -> u64 {
        0
    }

    fn accept(&mut self) -> io::Result<Accepted<Wire>> {
        let mut world = self.0.borrow_mut();
        world.asked += 1;
        if let Some(error) = world.shut {
            return Err(error.into());
        }
        let client = world.door.pop_front().ok_or(ErrorKind::WouldBlock)?;
        Ok(Accepted {
            socket: Wire(Rc::clone(&self.0), client),
            address: Ipv4Addr::LOCALHOST.into(),
            listener: ListenerId::default(),
        })
    }

    fn register(&mut self, socket: &mut Wire, key: ConnectionKey) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        world.clients[socket.1].key = Some(key);
        world.readable(socket.1);
        Ok(())
    }

    fn shed(&mut self, response: &[u8]) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        if world.no_reserve {
            return Err(Errno::MFILE.into());
        }
        let client = world.door.pop_front().ok_or(ErrorKind::WouldBlock)?;
        world.clients[client].heard.extend(response);
        Ok(())
    }

    fn stop_listening(&mut self) {}
}

impl World {
    fn readable(&mut self, client: usize) {
        let readiness = Readiness {
            readable: true,
            broken: self.clients[client].broken,
            ..Readiness::default()
        };
        let told = self.clients[client].key;
        self.events
            .extend(told.map(|key| Ready::Connection(key, readiness)));
    }
}

impl Transport for Wire {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Received> {
        let mut world = self.0.borrow_mut();
        let Client { sent, broken, .. } = &mut world.clients[self.1];
        let bytes = into.len().min(sent.len());
        for (to, from) in into.iter_mut().zip(sent.drain(..bytes)) {
            *to = from;
        }
        Ok(Received {
            bytes,
            more: bytes == into.len(),
            end: bytes == 0 && *broken,
        })
    }

    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<Written> {
        let client = &mut self.0.borrow_mut().clients[self.1];
        let mut sent = 0;
        for part in parts {
            let taken = &part[..part.len().min(client.room)];
            client.heard.extend(taken);
            client.room -= if client.room == ALL { 0 } else { taken.len() };
            sent += taken.len();
        }
        let full = sent < parts.iter().map(|part| part.len()).sum();
        Ok(Written { bytes: sent, full })
    }

    fn half_close(&mut self) {}

    fn abandon(&mut self) {}
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.borrow_mut().clients[self.1].gone = true;
    }
}

/// A server, and the world around it.
struct House {
    server: Server<Simulated>,
    world: Rc<RefCell<World>>,
}

impl House {
    fn new(limits: Limits) -> House {
        let world = Rc::new(RefCell::new(World::default()));
        let site = Site {
            origins: Origins::new(Vec::new(), true),
            subprotocols: &["chat.v1", "chat"],
            deflate: false,
            page: Page::embedded(),
        };
        let server = Server::new(Simulated(Rc::clone(&world)), site, limits, 1).unwrap();
        House { server, world }
    }

    /// Somebody comes, and sends this. Returns its index.
    fn come(&mut self, bytes: &[u8]) -> usize {
        let mut world = self.world.borrow_mut();
        let client = world.clients.len();
        world.clients.push(Client {
            sent: bytes.iter().copied().collect(),
            room: ALL,
            ..Client::default()
        });
        world.door.push_back(client);
        world.events.push(Ready::Newcomers);
        client
    }

    fn send(&mut self, client: usize, bytes: &[u8]) {
        let mut world = self.world.borrow_mut();
        world.clients[client].sent.extend(bytes);
        world.readable(client);
    }

    fn vanish(&mut self, client: usize) {
        let mut world = self.world.borrow_mut();
        world.clients[client].broken = true;
        world.readable(client);
    }

    /// The client's socket takes so many bytes from now on.
    fn takes(&mut self, client: usize, room: usize) {
        let mut world = self.world.borrow_mut();
        world.clients[client].room = room;
        let readiness = Readiness {
            writable: true,
            ..Readiness::default()
        };
        let key = world.clients[client].key.unwrap();
        if room > 0 {
            world.events.push(Ready::Connection(key, readiness));
        }
    }

    fn turn(&mut self) {
        self.server.turn().unwrap();
    }

    /// Turns until the server sleeps.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            self.turn();
            if self.world.borrow().asleep {
                self.server.census().unwrap();
                return;
            }
        }
        panic!("the server spins");
    }

    /// Lets time pass. Returns how many turns the server took for it.
    fn pass(&mut self, time: Duration) -> usize {
        let until = self.world.borrow().now + time;
        self.world.borrow_mut().until = until;
        (0..100_000)
            .find(|_| {
                self.turn();
                self.world.borrow().asleep
            })
            .unwrap()
    }

    /// What a client has been written since it was last asked.
    fn hears(&mut self, client: usize) -> String {
        let heard = std::mem::take(&mut self.world.borrow_mut().clients[client].heard);
        String::from_utf8_lossy(&heard).into_owned()
    }

    fn is_gone(&self, client: usize) -> bool {
        self.world.borrow().clients[client].gone
    }
}

/// A request for a room, with these headers more.
fn request(path: &str, more: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
    .into_bytes()
}

const CHAT: &str = "Sec-WebSocket-Protocol: chat.v1\r\n";

/// A whole text message, masked with zeros.
fn text(said: &str) -> Vec<u8> {
    let length = said.len() as u16;
    let mut frame = match length {
        0..126 => vec![0x81, 0x80 | length as u8],
        _ => [&[0x81, 0x80 | 126][..], &length.to_be_bytes()].concat(),
    };
    frame.extend([0; 4]);
    frame.extend(said.as_bytes());
    frame
}

/// The lanes are as small as they may be.
fn smallest(limits: Limits) -> Limits {
    let frame = 6 * limits.max_message + 1024;
    let read = (limits.budget.read.div_ceil(6) + 1) * 512;
    Limits {
        room_buffer: 2 * (frame + read),
        ..limits
    }
}

/// Nobody is pinged, and nobody is held to a rate, but reads are as short as if they were.
fn quiet() -> Limits {
    Limits {
        ping_interval: Duration::ZERO,
        message_rate: u32::MAX,
        message_burst: 5_000,
        byte_rate: 0,
        ping_rate: 0,
        ..Limits::default()
    }
}

#[test]
fn newcomers_that_talk_at_once_do_not_make_the_others_fall_behind() {
    let mut house = House::new(smallest(Limits {
        max_message: 100,
        ..quiet()
    }));
    let honest = house.come(&request("/", CHAT));
    house.settle();
    let breath = [request("/", ""), text("").repeat(600)].concat();
    let crowd: Vec<usize> = (0..60).map(|_| house.come(&breath)).collect();
    house.settle();
    assert_eq!(house.server.counts().slow_consumers_dropped, 0);
    assert!(!house.is_gone(honest));
    let said = house.hears(honest).matches(r#""text":"""#).count() as u64;
    assert_eq!(said, house.server.counts().messages_published);
    let [let_in, turned_away] = ["HTTP/1.1 101", "HTTP/1.1 503"].map(|status| {
        let answered = |client: &&usize| {
            let heard = &house.world.borrow().clients[**client].heard;
            heard.starts_with(status.as_bytes())
        };
        crowd.iter().filter(answered).count()
    });
    assert!(let_in > 0 && turned_away > 0);
    assert_eq!(let_in + turned_away, crowd.len());
}

#[test]
fn what_answers_take_is_bounded_however_many_questions_come_at_once() {
    let mut house = House::new(Limits {
        client_buffer_total: 2_000_000,
        ..quiet()
    });
    let name = "%F0%9F%98%80".repeat(20);
    for n in 0..100 {
        house.come(&request(&format!("/?name={n}{name}"), CHAT));
    }
    house.settle();
    house.pass(Duration::from_secs(2));
    // Each is answered with an error that is twenty times as long.
    let asks = text("x").repeat(580);
    for client in 0..20 {
        house.hears(client);
        house.send(client, &asks);
    }
    let mut most = 0;
    loop {
        house.server.receive();
        most = most.max(house.server.holdings.all().owed);
        house.turn();
        if house.world.borrow().asleep {
            break;
        }
    }
    assert!((1..=2_000_000).contains(&most), "{most} bytes owed");
    assert_eq!(house.server.counts().client_buffers_over_limit, 0);
    for client in 0..20 {
        let answers = house.hears(client).matches(r#"{"type":"error""#).count();
        assert_eq!(answers, 580);
    }
}

#[test]
fn without_descriptors_the_server_sleeps_while_nobody_is_at_the_door() {
    let mut house = House::new(quiet());
    house.settle();
    house.world.borrow_mut().shut = Some(Errno::MFILE);
    let shed = house.come(&request("/", ""));
    house.settle();
    assert!(house.hears(shed).starts_with("HTTP/1.1 503"));
    let turns = house.pass(Duration::from_secs(60));
    assert!(turns < 3, "{turns} turns of an idle server");

    house.world.borrow_mut().shut = None;
    let late = house.come(&request("/", ""));
    house.settle();
    assert!(house.hears(late).starts_with("HTTP/1.1 101"));
}

#[test]
fn whoever_cannot_be_let_in_or_told_so_is_looked_for_ten_times_a_second() {
    for error in [Errno::MFILE, Errno::NOMEM, Errno::NETDOWN, Errno::PERM] {
        let mut house = House::new(quiet());
        house.world.borrow_mut().shut = Some(error);
        house.world.borrow_mut().no_reserve = true;
        let late = house.come(&request("/", ""));
        house.pass(Duration::from_secs(10));
        let asked = std::mem::take(&mut house.world.borrow_mut().asked);
        assert!((90..=101).contains(&asked), "{error}: asked {asked} times");

        house.world.borrow_mut().shut = None;
        house.pass(Duration::from_secs(1));
        assert!(house.hears(late).starts_with("HTTP/1.1 101"), "{error}");
    }
}

#[test]
fn a_slow_handshake_is_not_squeezed_by_those_who_have_finished_theirs() {
    let mut house = House::new(Limits {
        max_handshakes: 10,
        ..quiet()
    });
    let slow = house.come(b"GET / HT");
    house.settle();
    for _ in 0..300 {
        (0..9).for_each(|_| _ = house.come(&request("/", "")));
        house.settle();
    }
    assert!(!house.is_gone(slow));
    assert!(house.server.handshaking.len() < 1_100, "they pile up");
    for _ in 0..9 {
        house.come(b"GET / HT");
    }
    house.settle();
    assert!(!house.is_gone(slow));
    house.come(b"GET / HT");
    house.settle();
    assert!(house.is_gone(slow));
    assert_eq!(house.server.counts().handshakes_over_limit, 1);
}

#[test]
fn announcements_do_not_make_anybody_fall_behind() {
    let mut house = House::new(smallest(Limits {
        max_message: 200,
        batch_delay: Duration::ZERO,
        budget: Budget {
            read: 200,
            visits: 1,
            ..Budget::default()
        },
        ..quiet()
    }));
    let join = |house: &mut House, n: usize| {
        let name = "%F0%9F%98%80".repeat(28);
        house.come(&request(&format!("/?name={n}{name}"), CHAT))
    };
    let members: Vec<usize> = (100..130).map(|n| join(&mut house, n)).collect();
    house.settle();
    house.pass(Duration::from_secs(5));
    let mut guests = Vec::new();
    for second in 0..60 {
        for guest in guests.drain(..) {
            house.vanish(guest);
        }
        guests.extend((0..20).map(|n| join(&mut house, 1000 + 20 * second + n)));
        // The hand is slow: a turn takes half a second, and a lap fifty turns.
        for _ in 0..2 {
            let mut world = house.world.borrow_mut();
            world.now = world.now + Duration::from_millis(500);
            drop(world);
            house.turn();
        }
    }
    house.pass(Duration::from_secs(5));
    assert_eq!(house.server.counts().slow_consumers_dropped, 0);
    for member in members {
        assert!(
            house.hears(member).contains("\"2180"),
            "the last are announced too"
        );
    }
}

#[test]
fn a_ping_behind_a_long_line_is_answered_in_time_when_it_has_come() {
    let mut house = House::new(Limits {
        ping_interval: Duration::from_secs(30),
        ping_timeout: Duration::from_secs(20),
        ..quiet()
    });
    let slow = house.come(&request("/", ""));
    let talker = house.come(&request("/", ""));
    house.settle();
    house.takes(slow, 0);
    for _ in 0..60 {
        house.send(talker, &text(&"a".repeat(60_000)));
        house.settle();
    }
    // It reads 20 kB a second, which is three minutes for all.
    let mut heard = Vec::new();
    for second in 0..200 {
        house.takes(slow, 20_000);
        house.pass(Duration::from_secs(1));
        let fresh = std::mem::take(&mut house.world.borrow_mut().clients[slow].heard);
        heard.extend(fresh);
        if second % 10 == 0 {
            house.send(talker, &[0x8a, 0x80, 0, 0, 0, 0]);
        }
        assert!(!house.is_gone(slow), "after {second} seconds");
        if heard.ends_with(&[0x89, 0x00]) {
            house.send(slow, &[0x8a, 0x80, 0, 0, 0, 0]);
        }
    }
    assert!(heard.len() > 60 * 60_000);
}

#[test]
fn who_comes_back_hears_what_it_has_missed_although_the_history_moves_on() {
    let mut house = House::new(Limits {
        history_size: 4_000,
        ..quiet()
    });
    let talker = house.come(&request("/", CHAT));
    house.settle();
    let welcome = house.hears(talker);
    let epoch = welcome.split(r#""epoch":""#).nth(1).unwrap()[..16].to_owned();
    let say = |house: &mut House| {
        let said = format!(r#"{{"type":"message","text":"{}"}}"#, "a".repeat(400));
        house.send(talker, &text(&said));
    };
    for _ in 0..20 {
        say(&mut house);
        house.settle();
    }
    let held = house
        .server
        .rooms
        .iter()
        .next()
        .unwrap()
        .1
        .archive()
        .unwrap()
        .len();
    let seq = 20 - held / 500;
    for since in seq - 2..20 {
        // It comes in the turn in which others talk.
        let back = house.come(&request(&format!("/?since={epoch}.{since}"), CHAT));
        say(&mut house);
        house.turn();
        say(&mut house);
        house.settle();
        assert!(!house.is_gone(back), "since {since}");
    }
    assert_eq!(house.server.counts().slow_consumers_dropped, 0);
}

#[test]
fn what_a_storm_has_taken_is_given_back() {
    let mut house = House::new(Limits {
        max_per_address: 10_000,
        count_loopback: true,
        ..quiet()
    });
    let crowd: Vec<usize> = (0..5_000).map(|_| house.come(&request("/", ""))).collect();
    house.settle();
    for client in crowd {
        house.send(client, &[0x88, 0x80, 0, 0, 0, 0]);
    }
    house.settle();
    house.pass(Duration::from_secs(60));
    let server = &house.server;
    assert_eq!((server.connections.len(), server.highest), (0, 0));
    for (capacity, what) in [
        (server.connections.capacity(), "connections"),
        (server.to_read.capacity(), "to_read"),
        (server.to_read_on.capacity(), "to_read_on"),
        (server.knocking.capacity(), "knocking"),
        (server.to_write.capacity(), "to_write"),
        (server.resting.capacity(), "resting"),
        (server.busy.capacity(), "busy"),
        (server.ended.capacity(), "ended"),
        (server.addresses.capacity(), "addresses"),
    ] {
        assert!(capacity <= SPARE, "{what}: {capacity}");
    }
}

#[test]
fn members_do_not_stand_in_line_behind_newcomers() {
    let mut house = House::new(quiet());
    let (ann, ben) = (house.come(&request("/", "")), house.come(&request("/", "")));
    let crowd: Vec<usize> = (0..1_000).map(|_| house.come(b"")).collect();
    house.settle();
    house.hears(ben);
    for &newcomer in &crowd {
        house.send(newcomer, &request("/", ""));
    }
    house.send(ann, &text("hi"));
    house.turn();
    assert!(house.hears(ben).ends_with("hi"));
    let welcomed = |house: &mut House| {
        let heard = crowd.iter().map(|&newcomer| house.hears(newcomer));
        heard
            .filter(|heard| heard.starts_with("HTTP/1.1 101"))
            .count()
    };
    let at_once = welcomed(&mut house);
    assert!((1..1_000).contains(&at_once), "{at_once}");
    house.settle();
    assert_eq!(at_once + welcomed(&mut house), 1_000);
}

/// After a read of 4 KiB a client is in debt for three seconds; whatever else it waits for takes one.
fn thrifty() -> Limits {
    Limits {
        byte_rate: 1_024,
        message_timeout: Duration::from_secs(1),
        ping_interval: Duration::from_secs(1),
        ping_timeout: Duration::from_secs(100),
        ..quiet()
    }
}

/// A text message of so many bytes, of which all but the last `missing` come.
fn long_text(bytes: usize, missing: usize) -> Vec<u8> {
    let mut frame = text(&"x".repeat(bytes));
    frame.truncate(frame.len() - missing);
    frame
}

#[test]
fn whoever_is_not_read_is_not_pinged_and_loses_no_time_for_its_message() {
    let mut house = House::new(thrifty());
    let slow = house.come(&request("/", ""));
    house.settle();
    house.hears(slow);
    house.send(slow, &long_text(10_000, 2_000));
    house.pass(Duration::from_millis(2_900));
    assert!(!house.world.borrow().clients[slow].sent.is_empty());
    assert_eq!(house.hears(slow), "", "no ping while it is in debt");
    // The second read comes, and with it half a second for the rest.
    house.pass(Duration::from_millis(700));
    assert!(house.world.borrow().clients[slow].sent.is_empty());
    assert_eq!(house.hears(slow), "", "the message still has time");
    house.send(slow, &[b'x'; 2_000]);
    house.pass(Duration::from_secs(4));
    assert!(house.hears(slow).ends_with(&"x".repeat(10_000)));
    assert_eq!(house.server.counts().message_timeouts, 0);
    // Whoever is read, and sends no more, has no such excuse.
    house.pass(Duration::from_secs(5));
    house.send(slow, &long_text(100, 50));
    house.pass(Duration::from_secs(3));
    assert_eq!(house.server.counts().message_timeouts, 1);
}

#[test]
fn an_error_ends_at_once_whoever_is_not_read() {
    let mut house = House::new(thrifty());
    let slow = house.come(&request("/", ""));
    house.settle();
    house.send(slow, &long_text(10_000, 0));
    house.settle();
    let now = house.server.now;
    assert!(!house.is_gone(slow));
    house.vanish(slow);
    house.turn();
    assert!(house.is_gone(slow));
    assert_eq!(house.server.now, now);
}

#[test]
fn nobody_is_woken_in_place_of_somebody_who_is_gone() {
    let mut house = House::new(thrifty());
    let first = house.come(&request("/", ""));
    house.settle();
    house.send(first, &long_text(10_000, 0));
    house.pass(Duration::from_secs(2));
    house.vanish(first);
    house.turn();
    let second = house.come(&request("/", ""));
    house.settle();
    house.send(second, &long_text(10_000, 0));
    house.settle();
    let [gone, key] = [first, second].map(|client| house.world.borrow().clients[client].key);
    assert_eq!(gone, key, "it has the same place");
    let heard = |house: &House| house.server.connections[key.unwrap().0 as usize].last_received;
    let then = heard(&house);
    house.pass(Duration::from_millis(2_500));
    assert_eq!(heard(&house), then, "the first was to be woken meanwhile");
    house.pass(Duration::from_secs(2));
    assert!(heard(&house) > then);
}

#[test]
fn accepting_goes_on_as_soon_as_somebody_leaves() {
    let mut house = House::new(quiet());
    let ann = house.come(&request("/", ""));
    house.settle();
    house.world.borrow_mut().shut = Some(Errno::MFILE);
    house.world.borrow_mut().no_reserve = true;
    let ben = house.come(&request("/", ""));
    house.settle();
    assert_eq!(house.world.borrow().door.len(), 1);
    house.world.borrow_mut().shut = None;
    let now = house.server.now;
    house.vanish(ann);
    house.settle();
    assert_eq!(house.server.now, now);
    assert!(house.hears(ben).starts_with("HTTP/1.1 101"));
}

#[test]
fn newcomers_are_admitted_at_a_bounded_pace() {
    let mut house = House::new(quiet());
    for _ in 0..1_000 {
        house.come(b"");
    }
    let accepts = house.server.limits.budget.accepts;
    for turns in 1..4 {
        house.turn();
        assert_eq!(house.server.connections.len(), turns * accepts);
    }
    house.settle();
    assert_eq!(house.server.connections.len(), 1_000);
}

#[test]
fn a_crowd_whose_time_is_over_is_ended_in_many_turns() {
    let mut house = House::new(Limits {
        ping_interval: Duration::from_secs(5),
        ..quiet()
    });
    for n in 0..2_000 {
        house.come(if n < 1_000 { b"" } else { b"GET /" });
        house.come(&request("/", ""));
    }
    house.settle();
    let (mut ended, mut most) = (0, 0);
    for _ in 0..10_000 {
        house.world.borrow_mut().until = house.server.now + Duration::from_millis(50);
        house.turn();
        house.server.census().unwrap();
        let counts = house.server.counts();
        let now = counts.handshake_timeouts + counts.ping_timeouts;
        most = most.max(now - ended);
        ended = now;
    }
    assert_eq!(house.server.connections.len(), 0);
    assert_eq!(house.server.counts().ping_timeouts, 2_000);
    assert_eq!(most, house.server.limits.budget.ends as u64);
}

#[test]
fn who_says_little_does_not_stand_in_line_behind_those_who_say_much() {
    let mut house = House::new(quiet());
    let (ann, ben) = (house.come(&request("/", "")), house.come(&request("/", "")));
    let crowd: Vec<usize> = (0..1_000)
        .map(|_| house.come(&request("/crowd", "")))
        .collect();
    house.settle();
    house.hears(ben);
    let pong = [0x8a, 0x80, 0, 0, 0, 0];
    let much = pong.repeat(9 * house.server.scratch.len() / pong.len());
    for &talker in &crowd {
        house.send(talker, &much);
    }
    while !(house.world.borrow().events.is_empty() && house.server.to_read.is_empty()) {
        house.turn();
    }
    house.send(ann, &text("hi"));
    house.turn();
    assert!(house.hears(ben).ends_with("hi"));
    assert!(
        house.server.to_read_on.len() > 512,
        "more than a turn reads"
    );
}

/// A room of a talker that says more than ten lanes hold, of a listener who takes nothing for now, and of
/// one who takes all. Returns the messages, too.
fn overwhelmed() -> (House, [usize; 3], usize) {
    let mut house = House::new(smallest(quiet()));
    let [talker, slow, fast] = [(); 3].map(|()| house.come(&request("/", "")));
    house.settle();
    house.takes(slow, 0);
    let messages = 10 * house.server.limits.room_buffer / 4_004;
    for _ in 0..messages {
        house.send(talker, &text(&"x".repeat(4_000)));
    }
    house.settle();
    (house, [talker, slow, fast], messages)
}

#[test]
fn a_socket_that_is_full_for_a_moment_makes_nobody_fall_behind() {
    let (mut house, [talker, slow, fast], messages) = overwhelmed();
    let unread = |house: &House| house.world.borrow().clients[talker].sent.len();
    let heard = |house: &House, client: usize| {
        let heard = &house.world.borrow().clients[client].heard;
        let xs = heard.iter().filter(|&&byte| byte == b'x').count();
        xs / 4_000
    };
    assert!(unread(&house) > 0, "the room waits for those who lag");
    assert_eq!(heard(&house, slow), 0);
    // A lane at a time, and never all that there is.
    let sip = house.server.limits.room_buffer / 2;
    while unread(&house) > 0 {
        assert!(!house.is_gone(slow));
        house.takes(slow, sip);
        house.settle();
    }
    house.takes(slow, ALL);
    house.settle();
    assert_eq!(
        [slow, fast].map(|client| heard(&house, client)),
        [messages; 2]
    );
    assert_eq!(house.server.counts.slow_consumers_dropped, 0);
}

#[test]
fn who_never_reads_is_not_waited_for_long() {
    let (mut house, [talker, slow, fast], _) = overwhelmed();
    house.pass(Duration::from_secs(3));
    assert!(house.is_gone(slow));
    assert!(!house.is_gone(fast) && !house.is_gone(talker));
    assert!(house.world.borrow().clients[talker].sent.is_empty());
    assert!(house.server.waiting.is_empty());
}

#[test]
fn those_who_never_read_hold_nobody_up_for_long_however_they_take_turns() {
    const STEP: Duration = Duration::from_millis(10);
    let mut house = House::new(Limits {
        ping_interval: Duration::ZERO,
        ..Limits::default()
    });
    let come = |house: &mut House| {
        let who = house.come(&request("/", ""));
        house.settle();
        who
    };
    let [ann, ben] = [(); 2].map(|()| come(&mut house));
    // As much as they may: a quarter of a lane in half a second.
    let talkers = [(); 8].map(|()| come(&mut house));
    let (mut said, mut on_time, mut heard) = (0, 0, 0);
    for step in 0..1_000 {
        if step % 30 == 0 {
            let deaf = come(&mut house);
            house.takes(deaf, 0);
        }
        if step % 10 == 0 {
            for talker in talkers {
                house.send(talker, &text(&"x".repeat(25_600)));
            }
        }
        if step % 5 == 0 {
            house.send(ann, &text("?"));
            said += 1;
        }
        house.pass(STEP);
        for client in talkers.into_iter().chain([ann]) {
            house.hears(client);
        }
        heard += house.hears(ben).matches('?').count();
        on_time += usize::from(step % 5 == 0 && heard == said);
    }
    assert!(
        house.server.counts().slow_consumers_dropped > 1
            && house.server.counts().reads_paused_by_room > 0
    );
    assert!(on_time * 100 >= said * 85, "{on_time} of {said}");
    house.pass(Duration::from_millis(400));
    heard += house.hears(ben).matches('?').count();
    assert_eq!(heard, said);
}
