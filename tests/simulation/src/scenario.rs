//! What a seed decides before anything happens: the limits, the weather, and how much there is of all.

use std::time::Duration;

use hushd::chat::RoomLimits;
use hushd::http::HeadLimits;
use hushd::server::{Budget, Limits};

use crate::random::Random;
use crate::world::Weather;

/// What a run is like.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub limits: Limits,
    pub weather: Weather,
    /// Descriptors that the server may hold for clients.
    pub descriptors: usize,
    /// Turns until everybody is asked to leave.
    pub turns: usize,
    /// Clients that come in all.
    pub clients: usize,
    /// Whether the server is asked to end.
    pub ends: bool,
    /// Whether many clients talk a lot in one room.
    pub stampede: bool,
    /// Clients that speak `chat.v1`: one in so many, if any.
    pub chat: Option<usize>,
    /// So many times somebody who speaks it comes back.
    pub returns: usize,
    /// Whether those drop their connections all the time.
    pub restless: bool,
    /// Whether some say a message again without waiting for what becomes of it.
    pub repeats: bool,
    /// Whether some compress.
    pub deflate: bool,
    /// The paths of the rooms.
    pub paths: Vec<String>,
}

impl Scenario {
    /// Everything is small, so that everything that is limited meets its limit.
    pub fn new(random: &mut Random) -> Scenario {
        let stampede = random.once_in(4);
        let chat = random.once_in(2).then(|| random.pick(&[1, 2, 3]));
        let mut limits = limits(random, chat.is_some());
        if stampede {
            limits.max_connections = 100;
            limits.max_per_address = 0;
            limits.max_handshakes = 100;
            limits.budget.reads = 8;
            limits.budget.visits = 1;
        }
        let crowd = !stampede && random.once_in(8);
        if crowd {
            limits.max_connections = random.within(1, 6);
            limits.max_per_address = 0;
        }
        Scenario {
            limits,
            stampede,
            chat,
            returns: random.within(0, 24),
            restless: random.once_in(2),
            repeats: false,
            deflate: random.once_in(3),
            weather: weather(random),
            descriptors: if !(stampede || crowd) && random.once_in(3) {
                random.within(2, 12)
            } else {
                1_000
            },
            turns: random.within(40, 240),
            clients: if stampede || crowd {
                random.within(12, 40)
            } else {
                random.within(2, 14)
            },
            ends: random.once_in(2),
            paths: ["/", "/tea", "/caf%C3%A9", "/4"]
                [..if stampede { 1 } else { random.within(1, 4) }]
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}

fn limits(random: &mut Random, chat: bool) -> Limits {
    let seconds = |random: &mut Random, most: usize| {
        Duration::from_millis(random.within(1, most * 10) as u64 * 100)
    };
    let or_off = |random: &mut Random, value: Duration| {
        if random.once_in(4) {
            Duration::ZERO
        } else {
            value
        }
    };
    let rates = random.once_in(2);
    let rate = |random: &mut Random, least: usize, most: usize| {
        if rates && random.once_in(2) {
            random.within(least, most) as u32
        } else {
            0
        }
    };
    let (ping_interval, message_timeout) = (seconds(random, 20), seconds(random, 20));
    let mut limits = Limits {
        max_connections: random.within(3, 60),
        max_per_address: random.pick(&[0, 0, 2, 5]),
        count_loopback: random.once_in(2),
        max_handshakes: random.pick(&[2, 5, 100]),
        head: HeadLimits {
            max_head: 2_000,
            max_line: 600,
            max_headers: 12,
        },
        rooms: RoomLimits {
            max_rooms: random.within(1, 4),
            max_message: random.within(16, 600),
            ..RoomLimits::default()
        },
        max_frames: random.within(2, 12) as u32,
        message_timeout: or_off(random, message_timeout),
        max_request_total: random.pick(&[2_000, 10_000]),
        partial_messages_total: random.pick(&[1_000, 10_000]),
        client_buffer_total: 20_000 + random.scaled(20_000) as usize,
        client_buffer: random.scaled(18_000) as usize + 1_000,
        message_rate: rate(random, 5, 50),
        message_burst: random.within(1, 30) as u32,
        byte_rate: rate(random, 200, 5_000),
        ping_rate: rate(random, 1, 10),
        handshake_timeout: Duration::from_secs(2) + seconds(random, 10),
        ping_interval: or_off(random, ping_interval),
        ping_timeout: Duration::from_secs(20) + seconds(random, 10),
        progress_timeout: seconds(random, 20),
        close_timeout: seconds(random, 8),
        batch_delay: Duration::from_millis(random.below(21) as u64),
        budget: Budget {
            accepts: random.within(1, 4),
            reads: random.within(1, 8),
            read: random.pick(&[16, 64, 200]),
            writes: random.within(1, 8),
            visits: random.within(1, 8),
            offer: 32 + random.scaled(20_000) as usize,
            ends: 0,
            time: Duration::from_micros(random.below(200) as u64),
        },
    };
    limits.budget.ends = limits.budget.writes;
    if chat {
        // What is asked in JSON has to fit.
        limits.rooms.max_message = random.within(200, 600);
        limits.max_frames = limits.max_frames.max(3);
        limits.client_buffer = random.within(3_000, 20_000);
        limits.partial_messages_total = 10_000;
        limits.rooms.history = random.pick(&[0, 1, 3, 50]);
        limits.rooms.history_size = random.pick(&[600, 4_000, 100_000]);
        limits.rooms.history_size_total = limits.rooms.history_size * random.pick(&[1, 2, 1_000]);
        limits.rooms.history_ttl = Duration::from_secs(random.pick(&[2, 60, 3_600]));
    }
    limits.rooms.compression_threshold = random.within(1, 300);
    // As small a lane as is allowed, or a little larger.
    let frame = 6 * limits.rooms.max_message + 1024;
    let read = (limits.budget.read.div_ceil(6) + 1) * 512;
    limits.rooms.room_buffer = 2 * (frame + read) + random.below(4_000);
    limits.rooms.room_buffer_total = limits.rooms.room_buffer * random.pick(&[1, 2, 4]);
    limits
}

fn weather(random: &mut Random) -> Weather {
    let jump = random.pick(&[0, 0, 30, 300]);
    let mut often = |times: usize| {
        if random.once_in(2) {
            0
        } else {
            1 + random.below(times)
        }
    };
    Weather {
        short_read: often(8),
        short_write: often(8),
        late: often(6),
        spurious: often(20),
        bad_accept: often(6),
        bad_register: often(12),
        jump,
    }
}
