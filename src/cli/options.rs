//! Every option, by group, with its default and its environment variable.

use clap::Args;
use hushd::chat::RoomLimits;
use hushd::http::{AllowOrigin, HeadLimits};
use hushd::server::Limits;
use log::LevelFilter;

use super::units::{ByteSize, Timespan, byte_rate, milliseconds};

/// Bytes of the kernel's send buffer for each connection.
const SEND_BUFFER: usize = 128 << 10;

// What stands as a doc comment on a group would be taken for the description of the whole command.

#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub(super) struct ListeningOptions {
    /// Address to listen on. May be given more than once; port 0 takes any free port
    #[arg(
        long,
        env = "HUSHD_LISTEN",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:8001"
    )]
    pub(super) listen: Vec<String>,

    /// Pages that may connect: an origin like https://example.org, or * for all. May be given more than
    /// once. Without it: pages of this server, and on loopback those of loopback and of files
    #[arg(long, env = "HUSHD_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub(super) allow_origin: Vec<AllowOrigin>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Each client")]
pub(super) struct ClientOptions {
    /// Size of the largest message that is accepted
    #[arg(long, env = "HUSHD_MAX_MESSAGE", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().max_message))]
    pub(super) max_message: ByteSize,

    /// Frames of a message, its last not counted
    #[arg(long, env = "HUSHD_MAX_FRAMES", value_name = "N", default_value_t = Limits::default().max_frames)]
    pub(super) max_frames: u32,

    /// Messages per second, 0 = unlimited. A client that sends more is read more slowly
    #[arg(long, env = "HUSHD_MESSAGE_RATE", value_name = "N", default_value_t = Limits::default().message_rate)]
    pub(super) message_rate: u32,

    /// Messages above the rate that are accepted at once
    #[arg(long, env = "HUSHD_MESSAGE_BURST", value_name = "N", default_value_t = Limits::default().message_burst)]
    pub(super) message_burst: u32,

    /// Bytes of messages per second, 0 = unlimited
    #[arg(long, env = "HUSHD_BYTE_RATE", value_name = "SIZE", default_value_t = ByteSize(Limits::default().byte_rate as usize), value_parser = byte_rate)]
    pub(super) byte_rate: ByteSize,

    /// Pings per second, 0 = unlimited
    #[arg(long, env = "HUSHD_PING_RATE", value_name = "N", default_value_t = Limits::default().ping_rate)]
    pub(super) ping_rate: u32,

    /// Size of a request
    #[arg(long, env = "HUSHD_MAX_REQUEST", value_name = "SIZE", default_value_t = ByteSize(HeadLimits::default().max_head))]
    pub(super) max_request: ByteSize,

    /// Size of one line of a request
    #[arg(long, env = "HUSHD_MAX_LINE", value_name = "SIZE", default_value_t = ByteSize(HeadLimits::default().max_line))]
    pub(super) max_line: ByteSize,

    #[arg(long, env = "HUSHD_MAX_HEADERS", value_name = "N", default_value_t = HeadLimits::default().max_headers, help = format!("Header lines of a request, at most {}", HeadLimits::MOST_HEADERS))]
    pub(super) max_headers: usize,

    /// Bytes queued for one client alone (pongs, answers); above this the client is dropped
    #[arg(long, env = "HUSHD_CLIENT_BUFFER", value_name = "SIZE", default_value_t = ByteSize(Limits::default().client_buffer))]
    pub(super) client_buffer: ByteSize,

    /// The kernel's send buffer of a connection, 0 = the kernel decides
    #[arg(long, env = "HUSHD_SEND_BUFFER", value_name = "SIZE", default_value_t = ByteSize(SEND_BUFFER))]
    pub(super) send_buffer: ByteSize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Rooms")]
pub(super) struct RoomOptions {
    /// Send buffer of a room: a client that lags further behind is disconnected
    #[arg(long, env = "HUSHD_ROOM_BUFFER", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().room_buffer))]
    pub(super) room_buffer: ByteSize,

    /// Maximum batching delay of a busy room, 0 = none (a bare number is milliseconds)
    #[arg(long, env = "HUSHD_BATCH_DELAY", value_name = "TIME", default_value_t = Timespan(Limits::default().batch_delay), value_parser = milliseconds)]
    pub(super) batch_delay: Timespan,

    /// Whether permessage-deflate is spoken with clients that offer it
    #[arg(long, env = "HUSHD_COMPRESSION", value_name = "on|off", default_value = "on", action = clap::ArgAction::Set, value_parser = on_or_off)]
    pub(super) compression: bool,

    /// How hard messages are compressed: 1 (fast) to 9 (small)
    #[arg(long, env = "HUSHD_COMPRESSION_LEVEL", value_name = "N", default_value_t = RoomLimits::default().compression_level, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(super) compression_level: u32,

    /// Size of the smallest message that is compressed
    #[arg(long, env = "HUSHD_COMPRESSION_THRESHOLD", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().compression_threshold))]
    pub(super) compression_threshold: ByteSize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "History")]
pub(super) struct HistoryOptions {
    /// Messages that a new member of a chat.v1 room is sent, 0 = no history. A hundred times as many are
    /// held
    #[arg(long, env = "HUSHD_HISTORY", value_name = "N", default_value_t = RoomLimits::default().history)]
    pub(super) history: usize,

    /// Size of one room's history
    #[arg(long, env = "HUSHD_HISTORY_SIZE", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().history_size))]
    pub(super) history_size: ByteSize,

    /// How long messages, empty rooms and sessions are remembered, 0 = as long as there is space
    #[arg(long, env = "HUSHD_HISTORY_TTL", value_name = "TIME", default_value_t = Timespan(RoomLimits::default().history_ttl))]
    pub(super) history_ttl: Timespan,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits in total")]
pub(super) struct TotalOptions {
    /// Connections in all [default: as many as the open-file limit allows]
    #[arg(long, env = "HUSHD_MAX_CONNECTIONS", value_name = "N")]
    pub(super) max_connections: Option<usize>,

    #[arg(long, env = "HUSHD_MAX_PER_ADDRESS", value_name = "N", help = per_address())]
    pub(super) max_per_address: Option<u32>,

    /// Concurrent handshakes; above this the oldest is dropped
    #[arg(long, env = "HUSHD_MAX_HANDSHAKES", value_name = "N", default_value_t = Limits::default().max_handshakes)]
    pub(super) max_handshakes: usize,

    /// Rooms
    #[arg(long, env = "HUSHD_MAX_ROOMS", value_name = "N", default_value_t = RoomLimits::default().max_rooms)]
    pub(super) max_rooms: usize,

    /// Total bytes of partially received requests, over all clients
    #[arg(long, env = "HUSHD_MAX_REQUEST_TOTAL", value_name = "SIZE", default_value_t = ByteSize(Limits::default().max_request_total))]
    pub(super) max_request_total: ByteSize,

    #[arg(long, env = "HUSHD_PARTIAL_MESSAGES_TOTAL", value_name = "SIZE", help = or_one("Total bytes of partially received messages, over all clients", Limits::default().partial_messages_total, "one message"))]
    pub(super) partial_messages_total: Option<ByteSize>,

    #[arg(long, env = "HUSHD_CLIENT_BUFFER_TOTAL", value_name = "SIZE", help = or_one("Total bytes queued for individual clients (pongs, answers), over all clients", Limits::default().client_buffer_total, "one client's"))]
    pub(super) client_buffer_total: Option<ByteSize>,

    #[arg(long, env = "HUSHD_ROOM_BUFFER_TOTAL", value_name = "SIZE", help = or_one("Total bytes of the send buffers of all rooms", RoomLimits::default().room_buffer_total, "one room's"))]
    pub(super) room_buffer_total: Option<ByteSize>,

    /// Total size of the histories of all rooms
    #[arg(long, env = "HUSHD_HISTORY_SIZE_TOTAL", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().history_size_total))]
    pub(super) history_size_total: ByteSize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Time")]
pub(super) struct TimeOptions {
    /// Time to complete the request
    #[arg(long, env = "HUSHD_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().handshake_timeout))]
    pub(super) handshake_timeout: Timespan,

    /// Time to complete a message that has begun, 0 = unlimited
    #[arg(long, env = "HUSHD_MESSAGE_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().message_timeout))]
    pub(super) message_timeout: Timespan,

    /// Keepalive: silence after which a client is pinged, 0 = never
    #[arg(long, env = "HUSHD_PING_INTERVAL", value_name = "TIME", default_value_t = Timespan(Limits::default().ping_interval))]
    pub(super) ping_interval: Timespan,

    /// Time to answer a ping
    #[arg(long, env = "HUSHD_PING_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().ping_timeout))]
    pub(super) ping_timeout: Timespan,

    /// Time in which a client must take some of what is queued for it
    #[arg(long, env = "HUSHD_PROGRESS_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().progress_timeout))]
    pub(super) progress_timeout: Timespan,

    /// Time to answer a Close
    #[arg(long, env = "HUSHD_CLOSE_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().close_timeout))]
    pub(super) close_timeout: Timespan,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(super) struct LoggingOptions {
    /// What is logged: off, error, warn, info, debug or trace
    #[arg(
        long,
        env = "HUSHD_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(super) log_level: LevelFilter,
}

/// The help of a limit on all together whose default is at least the limit on one.
fn or_one(what: &str, default: usize, one: &str) -> String {
    format!(
        "{what} [default: {}, or {one} if that is more]",
        ByteSize(default)
    )
}

fn per_address() -> String {
    format!(
        "Connections of one address (IPv6: of one /64), 0 = unlimited [default: {}, unlimited from \
         this machine]",
        Limits::default().max_per_address
    )
}

fn origin(text: &str) -> Result<AllowOrigin, String> {
    text.parse()
        .map_err(|error: hushd::http::BadOrigin| error.to_string())
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is on or off".into()),
    }
}
