//! The turn on a network that does what a test says, and no more.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::chat::RoomLimits;
use crate::http::{Method, Methods, Origins, Page, Pattern, Resource, Route, Routes, Target};
use network::{ALL, CHAT_V1, KEPT, Simulated, World, client, frame, heard, request};

#[path = "../../tests/network/mod.rs"]
#[allow(dead_code)]
mod network;

/// Server, and the clients around it, which go by their numbers.
struct House {
    server: Server<Simulated<KEPT>>,
    world: Rc<RefCell<World>>,
}

impl House {
    fn new(limits: Limits) -> House {
        House::with_routes(Routes::default(), limits)
    }

    fn with_routes(routes: Routes, limits: Limits) -> House {
        let world = World::kept();
        let site = Site {
            origins: Origins::new(Vec::new(), true),
            subprotocols: &["chat.v1", "chat"],
            deflate: false,
            page: Page::embedded(),
            routes,
        };
        let server = Server::new(Simulated(Rc::clone(&world)), site, limits, 1).unwrap();
        House { server, world }
    }

    /// A client comes, and sends these bytes. Returns its number.
    fn come(&mut self, bytes: &[u8]) -> u32 {
        self.world.borrow_mut().come(bytes)
    }

    fn send(&mut self, client: u32, bytes: &[u8]) {
        self.world.borrow_mut().send(client, bytes);
    }

    /// The client's connection is reset.
    fn vanish(&mut self, client: u32) {
        self.world.borrow_mut().vanish(client);
    }

    /// The client's socket takes so many bytes from now on.
    fn takes(&mut self, client: u32, room: usize) {
        self.world.borrow_mut().takes(client, room);
    }

    /// `accept` fails with this error.
    fn shut(&mut self, error: Errno) {
        self.world.borrow_mut().shut = Some(error);
    }

    /// `accept` works again.
    fn reopen(&mut self) {
        self.world.borrow_mut().shut = None;
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
        self.world.borrow_mut().until = Some(until);
        (0..100_000)
            .find(|_| {
                self.turn();
                self.world.borrow().asleep
            })
            .unwrap()
    }

    /// What a client has been sent since the test last asked.
    fn hears(&mut self, client: u32) -> String {
        String::from_utf8_lossy(&heard(client)).into_owned()
    }

    fn is_gone(&self, number: u32) -> bool {
        client(number, |client| client.gone)
    }

    /// Bytes that the client has sent and the server has not read.
    fn unread(&self, number: u32) -> usize {
        client(number, |client| client.unread.len())
    }
}

/// A whole text message.
fn text(said: &str) -> Vec<u8> {
    frame(0x1, said.as_bytes())
}

/// The same, with the smallest lanes that the other limits allow.
fn smallest(limits: Limits) -> Limits {
    let frame = 6 * limits.rooms.max_message + 1024;
    let read = (limits.budget.read.div_ceil(6) + 1) * 512;
    Limits {
        rooms: RoomLimits {
            room_buffer: 2 * (frame + read),
            ..limits.rooms
        },
        ..limits
    }
}

/// No pings, no rate limits; reads are as short as with them.
fn quiet() -> Limits {
    Limits {
        ping_interval: Duration::ZERO,
        message_rate: u32::MAX,
        message_burst: 5_000,
        byte_rate: 0,
        ping_rate: 0,
        max_per_address: 0,
        ..Limits::default()
    }
}

#[test]
fn new_clients_that_talk_at_once_do_not_make_members_fall_behind() {
    let mut house = House::new(smallest(Limits {
        rooms: RoomLimits {
            max_message: 100,
            ..RoomLimits::default()
        },
        ..quiet()
    }));
    let honest = house.come(&request("/", CHAT_V1));
    house.settle();
    let burst = [request("/", ""), text("").repeat(600)].concat();
    let crowd: Vec<u32> = (0..60).map(|_| house.come(&burst)).collect();
    house.settle();
    assert_eq!(house.server.counts().slow_consumers_dropped, 0);
    assert!(!house.is_gone(honest));
    let said = house.hears(honest).matches(r#""text":"""#).count() as u64;
    assert_eq!(said, house.server.counts().messages_published);
    let [let_in, turned_away] = ["HTTP/1.1 101", "HTTP/1.1 503"].map(|status| {
        let answered = |number: &&u32| {
            client(**number, |client| {
                client.heard.starts_with(status.as_bytes())
            })
        };
        crowd.iter().filter(answered).count()
    });
    assert!(let_in > 0 && turned_away > 0);
    assert_eq!(let_in + turned_away, crowd.len());
}

#[test]
fn memory_for_answers_is_bounded_however_many_questions_come_at_once() {
    let mut house = House::new(Limits {
        client_buffer_total: 2_000_000,
        ..quiet()
    });
    let name = "%F0%9F%98%80".repeat(20);
    for n in 0..100 {
        house.come(&request(&format!("/?name={n}{name}"), CHAT_V1));
    }
    house.settle();
    house.pass(Duration::from_secs(2));
    // The answer to each is an error, twenty times as long.
    let asks = text("x").repeat(580);
    for client in 0..20 {
        house.hears(client);
        house.send(client, &asks);
    }
    let mut most = 0;
    loop {
        house.server.receive();
        most = most.max(house.server.connections.heap().private.total());
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
fn a_server_without_descriptors_sleeps_while_no_client_waits_to_be_accepted() {
    let mut house = House::new(quiet());
    house.settle();
    house.shut(Errno::MFILE);
    let shed = house.come(&request("/", ""));
    house.settle();
    assert!(house.hears(shed).starts_with("HTTP/1.1 503"));
    let turns = house.pass(Duration::from_secs(60));
    assert!(turns < 3, "{turns} turns of an idle server");

    house.reopen();
    let late = house.come(&request("/", ""));
    house.settle();
    assert!(house.hears(late).starts_with("HTTP/1.1 101"));
}

#[test]
fn accept_is_retried_ten_times_a_second_while_it_fails() {
    for error in [Errno::MFILE, Errno::NOMEM, Errno::NETDOWN, Errno::PERM] {
        let mut house = House::new(quiet());
        house.shut(error);
        house.world.borrow_mut().no_reserve = true;
        let late = house.come(&request("/", ""));
        house.pass(Duration::from_secs(10));
        let asked = std::mem::take(&mut house.world.borrow_mut().accepts);
        assert!((90..=101).contains(&asked), "{error}: asked {asked} times");

        house.reopen();
        house.pass(Duration::from_secs(1));
        assert!(house.hears(late).starts_with("HTTP/1.1 101"), "{error}");
    }
}

#[test]
fn a_slow_handshake_is_not_evicted_by_handshakes_that_have_finished() {
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
    assert!(
        house.server.timers.of(queues::Deadline::Handshake).len() < 1_100,
        "finished handshakes pile up"
    );
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
fn announcements_do_not_make_a_member_fall_behind() {
    let mut house = House::new(smallest(Limits {
        rooms: RoomLimits {
            max_message: 200,
            ..RoomLimits::default()
        },
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
        house.come(&request(&format!("/?name={n}{name}"), CHAT_V1))
    };
    let members: Vec<u32> = (100..130).map(|n| join(&mut house, n)).collect();
    house.settle();
    house.pass(Duration::from_secs(5));
    let mut guests = Vec::new();
    for second in 0..60 {
        for guest in guests.drain(..) {
            house.vanish(guest);
        }
        guests.extend((0..20).map(|n| join(&mut house, 1000 + 20 * second + n)));
        // The server is slow: a turn takes half a second, and a round of the room fifty turns.
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
            "the last guests are announced too"
        );
    }
}

#[test]
fn a_ping_behind_a_long_backlog_may_be_answered_once_it_has_arrived() {
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
    // The client reads 20 kB a second, so the backlog takes three minutes.
    let mut all = Vec::new();
    for second in 0..200 {
        house.takes(slow, 20_000);
        house.pass(Duration::from_secs(1));
        all.extend(heard(slow));
        if second % 10 == 0 {
            house.send(talker, &[0x8a, 0x80, 0, 0, 0, 0]);
        }
        assert!(!house.is_gone(slow), "after {second} seconds");
        if all.ends_with(&[0x89, 0x00]) {
            house.send(slow, &[0x8a, 0x80, 0, 0, 0, 0]);
        }
    }
    assert!(all.len() > 60 * 60_000);
}

#[test]
fn a_client_that_comes_back_hears_what_it_missed_although_the_history_moves_on() {
    let mut house = House::new(Limits {
        rooms: RoomLimits {
            history_size: 4_000,
            ..RoomLimits::default()
        },
        ..quiet()
    });
    let talker = house.come(&request("/", CHAT_V1));
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
        // The client comes back in the turn in which the talker speaks.
        let back = house.come(&request(&format!("/?since={epoch}.{since}"), CHAT_V1));
        say(&mut house);
        house.turn();
        say(&mut house);
        house.settle();
        assert!(!house.is_gone(back), "since {since}");
    }
    assert_eq!(house.server.counts().slow_consumers_dropped, 0);
}

#[test]
fn memory_that_a_crowd_took_is_given_back() {
    let mut house = House::new(Limits {
        max_per_address: 10_000,
        count_loopback: true,
        ..quiet()
    });
    let crowd: Vec<u32> = (0..5_000).map(|_| house.come(&request("/", ""))).collect();
    house.settle();
    for client in crowd {
        house.send(client, &[0x88, 0x80, 0, 0, 0, 0]);
    }
    house.settle();
    house.pass(Duration::from_secs(60));
    let server = &house.server;
    let of_connections = (server.connections.len(), server.connections.key_bound());
    assert_eq!(of_connections, (0, 0));
    for (capacity, what) in [
        (server.connections.capacity(), "connections"),
        (server.reads.capacity(), "reads"),
        (server.writes.capacity(), "writes"),
        (server.paused.capacity(), "paused"),
        (server.run_queue.capacity(), "run queue"),
    ] {
        assert!(capacity <= SPARE_ENTRIES, "{what}: {capacity}");
    }
}

#[test]
fn members_are_read_before_handshakes() {
    let mut house = House::new(quiet());
    let (ann, ben) = (house.come(&request("/", "")), house.come(&request("/", "")));
    let crowd: Vec<u32> = (0..1_000).map(|_| house.come(b"")).collect();
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

/// A read of 4 KiB exceeds the rate for three seconds; each other deadline is one second.
fn thrifty() -> Limits {
    Limits {
        byte_rate: 1_024,
        message_timeout: Duration::from_secs(1),
        ping_interval: Duration::from_secs(1),
        ping_timeout: Duration::from_secs(100),
        ..quiet()
    }
}

/// Text message of so many bytes, without the last `missing` of them.
fn long_text(bytes: usize, missing: usize) -> Vec<u8> {
    let mut frame = text(&"x".repeat(bytes));
    frame.truncate(frame.len() - missing);
    frame
}

#[test]
fn a_paused_client_is_not_pinged_and_loses_no_time_for_its_message() {
    let mut house = House::new(thrifty());
    let slow = house.come(&request("/", ""));
    house.settle();
    house.hears(slow);
    house.send(slow, &long_text(10_000, 2_000));
    house.pass(Duration::from_millis(2_900));
    assert!(house.unread(slow) > 0);
    assert_eq!(house.hears(slow), "", "no ping while the client is paused");
    // The second read comes, and the rest of the message has half a second from then on.
    house.pass(Duration::from_millis(700));
    assert_eq!(house.unread(slow), 0);
    assert_eq!(house.hears(slow), "", "the message still has time");
    house.send(slow, &[b'x'; 2_000]);
    house.pass(Duration::from_secs(4));
    assert!(house.hears(slow).ends_with(&"x".repeat(10_000)));
    assert_eq!(house.server.counts().message_timeouts, 0);
    // A client that is read and sends no more runs out of time.
    house.pass(Duration::from_secs(5));
    house.send(slow, &long_text(100, 50));
    house.pass(Duration::from_secs(3));
    assert_eq!(house.server.counts().message_timeouts, 1);
}

#[test]
fn a_reset_ends_a_paused_client_at_once() {
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
fn a_client_is_not_resumed_in_place_of_one_that_is_gone() {
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
    let [gone, key] = [first, second].map(|number| client(number, |client| client.key));
    assert_eq!(gone, key, "both had the same key");
    let heard = |house: &House| {
        let connection = house.server.connections.get(key.unwrap());
        connection.unwrap().last_received
    };
    let then = heard(&house);
    house.pass(Duration::from_millis(2_500));
    assert_eq!(heard(&house), then, "the first was due meanwhile");
    house.pass(Duration::from_secs(2));
    assert!(heard(&house) > then);
}

#[test]
fn accepting_goes_on_as_soon_as_a_client_leaves() {
    let mut house = House::new(quiet());
    let ann = house.come(&request("/", ""));
    house.settle();
    house.shut(Errno::MFILE);
    house.world.borrow_mut().no_reserve = true;
    let ben = house.come(&request("/", ""));
    house.settle();
    assert_eq!(house.world.borrow().door.len(), 1);
    house.reopen();
    let now = house.server.now;
    house.vanish(ann);
    house.settle();
    assert_eq!(house.server.now, now);
    assert!(house.hears(ben).starts_with("HTTP/1.1 101"));
}

#[test]
fn new_clients_are_accepted_at_a_bounded_pace() {
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
fn a_crowd_that_times_out_is_ended_over_many_turns() {
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
        house.world.borrow_mut().until = Some(house.server.now + Duration::from_millis(50));
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
fn a_client_that_says_little_is_read_before_clients_that_say_much() {
    let mut house = House::new(quiet());
    let (ann, ben) = (house.come(&request("/", "")), house.come(&request("/", "")));
    let crowd: Vec<u32> = (0..1_000)
        .map(|_| house.come(&request("/crowd", "")))
        .collect();
    house.settle();
    house.hears(ben);
    let pong = [0x8a, 0x80, 0, 0, 0, 0];
    let much = pong.repeat(9 * house.server.limits.read_bytes() / pong.len());
    for &talker in &crowd {
        house.send(talker, &much);
    }
    while !(house.world.borrow().events.is_empty() && house.server.reads.len(ReadClass::Ready) == 0)
    {
        house.turn();
    }
    house.send(ann, &text("hi"));
    house.turn();
    assert!(house.hears(ben).ends_with("hi"));
    assert!(
        house.server.reads.len(ReadClass::Backlog) > 512,
        "more clients than a turn reads"
    );
}

/// Room of a talker that sends more than ten lanes hold, a slow listener that takes nothing yet, and a fast
/// one that takes everything. Returns the number of messages, too.
fn overwhelmed() -> (House, [u32; 3], usize) {
    let mut house = House::new(smallest(quiet()));
    let [talker, slow, fast] = [(); 3].map(|()| house.come(&request("/", "")));
    house.settle();
    house.takes(slow, 0);
    let messages = 10 * house.server.limits.rooms.room_buffer / 4_004;
    for _ in 0..messages {
        house.send(talker, &text(&"x".repeat(4_000)));
    }
    house.settle();
    (house, [talker, slow, fast], messages)
}

#[test]
fn a_client_whose_socket_is_full_for_a_moment_does_not_fall_behind() {
    let (mut house, [talker, slow, fast], messages) = overwhelmed();
    let heard = |number: u32| {
        let xs = |heard: &[u8]| heard.iter().filter(|&&byte| byte == b'x').count();
        client(number, |client| xs(&client.heard) / 4_000)
    };
    assert!(
        house.unread(talker) > 0,
        "the room waits for the slow client"
    );
    assert_eq!(heard(slow), 0);
    // The client takes half a lane at a time, never the whole backlog.
    let sip = house.server.limits.rooms.room_buffer / 2;
    while house.unread(talker) > 0 {
        assert!(!house.is_gone(slow));
        house.takes(slow, sip);
        house.settle();
    }
    house.takes(slow, ALL);
    house.settle();
    assert_eq!([slow, fast].map(heard), [messages; 2]);
    assert_eq!(house.server.counts.slow_consumers_dropped, 0);
}

#[test]
fn a_room_does_not_wait_long_for_a_client_that_never_reads() {
    let (mut house, [talker, slow, fast], _) = overwhelmed();
    house.pass(Duration::from_secs(3));
    assert!(house.is_gone(slow));
    assert!(!house.is_gone(fast) && !house.is_gone(talker));
    assert_eq!(house.unread(talker), 0);
    assert_eq!(house.server.paused.iter_by_room().count(), 0);
    assert_eq!(house.server.paused.due(), None);
}

#[test]
fn clients_that_never_read_cannot_hold_up_a_room_by_taking_turns() {
    const STEP: Duration = Duration::from_millis(10);
    let mut house = House::new(Limits {
        ping_interval: Duration::ZERO,
        ..Limits::default()
    });
    let come = |house: &mut House| {
        let number = house.come(&request("/", ""));
        house.settle();
        number
    };
    let [ann, ben] = [(); 2].map(|()| come(&mut house));
    // The talkers send as much as they may: a quarter of a lane in half a second.
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

/// Routes with a resource that takes a body.
fn echoing() -> Routes {
    const ECHO: &[Route] = &[Route {
        methods: Methods::of(&[Method::Post]),
        path: Pattern::Exactly("/-/echo"),
        target: Target::Resource(Resource::Echo),
        max_body: 100_000,
    }];
    Routes::new(vec![ECHO])
}

/// A request with a body of this length, which is still to come.
fn post(length: usize, more: &str) -> Vec<u8> {
    let head = "POST /-/echo HTTP/1.1\r\nHost: localhost\r\n";
    format!("{head}{more}Content-Length: {length}\r\n\r\n").into_bytes()
}

#[test]
fn a_body_is_asked_for_and_comes_in_pieces_and_is_answered() {
    let mut house = House::with_routes(echoing(), quiet());
    let client = house.come(&post(9_000, "Expect: 100-continue\r\n"));
    house.settle();
    assert_eq!(house.hears(client), "HTTP/1.1 100 Continue\r\n\r\n");
    for _ in 0..8 {
        house.send(client, &[b'a'; 1_000]);
        house.settle();
        assert_eq!(house.hears(client), "");
    }
    house.send(client, &[b'a'; 1_000]);
    house.settle();
    let answer = house.hears(client);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(&format!("\r\n\r\n{}", "a".repeat(9_000))));
    house.vanish(client);
    house.settle();
    assert!(house.is_gone(client));
}

#[test]
fn a_body_that_does_not_come_in_time_is_not_waited_for() {
    let mut house = House::with_routes(echoing(), quiet());
    let client = house.come(&post(9_000, ""));
    house.settle();
    for _ in 0..12 {
        house.send(client, b"a");
        house.pass(Duration::from_secs(1));
    }
    let answer = house.hears(client);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn bodies_that_are_not_whole_count_among_partial_requests() {
    let mut house = House::with_routes(
        echoing(),
        Limits {
            max_request_total: 150_000,
            ..quiet()
        },
    );
    // A declared length costs nothing.
    let clients: Vec<u32> = (0..20).map(|_| house.come(&post(100_000, ""))).collect();
    house.settle();
    assert_eq!(house.server.counts().requests_over_total, 0);
    for &client in &clients[..3] {
        house.send(client, &[b'a'; 60_000]);
        house.settle();
    }
    assert_eq!(house.server.counts().requests_over_total, 1);
    let refused: Vec<u32> = clients
        .into_iter()
        .filter(|&client| house.hears(client).starts_with("HTTP/1.1 503 "))
        .collect();
    assert_eq!(refused.len(), 1);
}

#[test]
fn a_client_that_never_reads_does_not_disturb_a_quiet_conversation() {
    const STEP: Duration = Duration::from_millis(10);
    let mut house = House::new(Limits {
        ping_interval: Duration::ZERO,
        ..Limits::default()
    });
    let come = |house: &mut House| {
        let number = house.come(&request("/", ""));
        house.settle();
        number
    };
    let [ann, ben, stalled] = [(); 3].map(|()| come(&mut house));
    house.takes(stalled, 0);
    // Soon nine tenths of a lane are unsent to one client.
    let talkers = [(); 8].map(|()| come(&mut house));
    let mut unsent = 0;
    while unsent < house.server.limits.rooms.room_buffer / 10 * 9 {
        for talker in talkers {
            house.send(talker, &text(&"x".repeat(25_600)));
            unsent += 25_604;
        }
        house.pass(20 * STEP);
        for client in talkers.into_iter().chain([ann, ben]) {
            house.hears(client);
        }
    }
    house.pass(Duration::from_secs(2));
    for n in 0..400 {
        house.send(ann, &text("?"));
        house.pass(STEP);
        assert_eq!(house.hears(ben).matches('?').count(), 1, "question {n}");
        house.pass(4 * STEP);
        for client in talkers.into_iter().chain([ann]) {
            house.hears(client);
        }
    }
    assert!(!house.is_gone(stalled));
}
