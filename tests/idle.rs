//! What an idle client costs: its entry, four bytes in its room, and not one block of heap.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "network/mod.rs"]
#[allow(dead_code)]
mod network;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use hushd::chat::RoomLimits;
use hushd::http::{Origins, Page, Routes, Site};
use hushd::server::{Limits, Server};
use network::{Asks, COUNTED, Simulated, World};

/// As many as make tables that double grow by as many entries.
const CLIENTS: u32 = 1_024;

/// An entry, its place in the room, and what the lists that outlive a turn have grown by.
const BYTES_EACH: i64 = 88 + 4 + 3 * 16;

/// What a name may cost beside itself: its one block's header, and its key in the room's index.
const BYTES_OF_A_NAME: i64 = 64;
const NAME: i64 = "0000000".len() as i64;

/// Frames of a client, with a mask of zeros: a message, a ping and a pong.
const SAID: &[u8] = &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
const SAID_IN_CHAT: &[u8] = b"\x81\x9e\0\0\0\0{\"type\":\"message\",\"text\":\"hi\"}";
const PING: &[u8] = &[0x89, 0x80, 0, 0, 0, 0];
const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];
/// The first half of a message, and the second.
const HALF: &[u8] = &[0x01, 0x82, 0, 0, 0, 0, b'h', b'i'];
const REST: &[u8] = &[0x80, 0x82, 0, 0, 0, 0, b'h', b'i'];

struct Stage {
    server: Server<Simulated<COUNTED>>,
    world: Rc<RefCell<World>>,
    clients: u32,
}

impl Stage {
    fn new(asks: Asks) -> Stage {
        let world = World::counted(4 * CLIENTS);
        world.borrow_mut().asks = asks;
        let site = Site {
            origins: Origins::new(Vec::new(), true),
            subprotocols: &["chat.v1"],
            deflate: false,
            page: Page::embedded(),
            routes: Routes::default(),
        };
        let limits = Limits {
            message_rate: 0,
            byte_rate: 0,
            ping_rate: 0,
            max_per_address: 0,
            rooms: RoomLimits {
                history: 0,
                ..RoomLimits::default()
            },
            ..Limits::default()
        };
        let server = Server::new(Simulated(Rc::clone(&world)), site, limits, 1).unwrap();
        Stage {
            server,
            world,
            clients: 0,
        }
    }

    fn settle(&mut self) {
        loop {
            self.server.turn().unwrap();
            if self.world.borrow().asleep {
                return;
            }
        }
    }

    fn each_sends(&mut self, frame: &'static [u8]) {
        for client in 0..self.clients {
            self.world.borrow_mut().repeat(client, frame, 1);
        }
        self.settle();
    }

    /// So many more clients come, and all do everything that clients do.
    fn live(&mut self, more: u32) {
        self.world.borrow_mut().arrive(more);
        self.clients += more;
        self.settle();
        for frame in [SAID, SAID_IN_CHAT, PING, HALF, REST] {
            self.each_sends(frame);
        }
        let pinged = self.world.borrow().time() + Duration::from_secs(35);
        while self.world.borrow().time() < pinged {
            self.server.turn().unwrap();
        }
        self.each_sends(PONG);
        self.server.census().unwrap();
    }
}

/// Blocks of heap that a thousand more clients own, and bytes for each of them.
fn cost(asks: Asks) -> (i64, i64) {
    let mut stage = Stage::new(asks);
    stage.live(CLIENTS);
    let AllocationInfo {
        count_current,
        bytes_current,
        ..
    } = measure(|| stage.live(CLIENTS));
    let counts = stage.server.counts();
    let messages = match asks {
        Asks::Room => 3 + 2 * 3, // those of the first thousand, then those of all
        Asks::Guest | Asks::Named => 1 + 2, // of which only one is JSON
    };
    assert_eq!(counts.messages_published, u64::from(CLIENTS) * messages);
    assert_eq!(counts.ping_timeouts, 0);
    (count_current, bytes_current / i64::from(CLIENTS))
}

#[test]
fn an_idle_open_connection_owns_no_heap() {
    for asks in [Asks::Room, Asks::Guest] {
        let (blocks, each) = cost(asks);
        assert_eq!(blocks, 0);
        assert!(each <= BYTES_EACH, "{each} bytes of heap for each");
    }
}

#[test]
fn a_name_is_one_block_of_heap_and_a_key() {
    let (blocks, each) = cost(Asks::Named);
    assert_eq!(blocks, i64::from(CLIENTS));
    let most = BYTES_EACH + BYTES_OF_A_NAME + NAME;
    assert!(each <= most, "{each} bytes of heap for each");
}

#[test]
fn a_client_that_has_sent_half_a_message_owns_heap() {
    let mut stage = Stage::new(Asks::Room);
    stage.live(CLIENTS);
    let half = measure(|| stage.each_sends(HALF));
    assert!(half.count_current >= i64::from(CLIENTS));
    let rest = measure(|| stage.each_sends(REST));
    assert_eq!(half.count_current + rest.count_current, 0);
}
