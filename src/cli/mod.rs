//! The command line: every option, its default, and its environment variable.

mod old_names;
mod units;

use std::net::{SocketAddr, ToSocketAddrs};

use clap::{Args, CommandFactory, Parser};
use hushd::chat::RoomLimits;
use hushd::http::{AllowOrigin, HeadLimits};
use hushd::server::Limits;
use log::LevelFilter;

pub(crate) use old_names::CommandLine;
use units::{ByteSize, Timespan, byte_rate, milliseconds};

/// Descriptors that are not for connections: listeners, the poll, logs, and some in reserve.
const DESCRIPTORS_BESIDE: u64 = 64;

/// Bytes of the kernel's send buffer for each connection.
const SEND_BUFFER: usize = 128 << 10;

/// A WebSocket chat server: one thread, one event loop, many quiet clients.
///
/// Open the page it shows, or connect with any WebSocket client: the URL's path is the room, and what
/// one says there, everyone there hears. Sizes are bytes, or take K, M or G (powers of 1024). Times are
/// seconds, or take ms, s, m or h.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    listening: ListeningOptions,
    #[command(flatten)]
    client: ClientOptions,
    #[command(flatten)]
    room: RoomOptions,
    #[command(flatten)]
    history: HistoryOptions,
    #[command(flatten)]
    total: TotalOptions,
    #[command(flatten)]
    time: TimeOptions,
    #[command(flatten)]
    logging: LoggingOptions,
}

// What stands as a doc comment on a group would be taken for the description of the whole command.

#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
struct ListeningOptions {
    /// Address to listen on. May be given more than once; port 0 takes any free port
    #[arg(
        long,
        env = "HUSHD_LISTEN",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:8001"
    )]
    listen: Vec<String>,

    /// Pages that may connect: an origin like https://example.org, or * for all. May be given more than
    /// once. Without it: pages of this server, and on loopback those of loopback and of files
    #[arg(long, env = "HUSHD_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    allow_origin: Vec<AllowOrigin>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Each client")]
struct ClientOptions {
    /// Size of the largest message that is accepted
    #[arg(long, env = "HUSHD_MAX_MESSAGE", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().max_message))]
    max_message: ByteSize,

    /// Frames of a message, its last not counted
    #[arg(long, env = "HUSHD_MAX_FRAMES", value_name = "N", default_value_t = Limits::default().max_frames)]
    max_frames: u32,

    /// Messages per second, 0 = unlimited. A client that sends more is read more slowly
    #[arg(long, env = "HUSHD_MESSAGE_RATE", value_name = "N", default_value_t = Limits::default().message_rate)]
    message_rate: u32,

    /// Messages above the rate that are accepted at once
    #[arg(long, env = "HUSHD_MESSAGE_BURST", value_name = "N", default_value_t = Limits::default().message_burst)]
    message_burst: u32,

    /// Bytes of messages per second, 0 = unlimited
    #[arg(long, env = "HUSHD_BYTE_RATE", value_name = "SIZE", default_value_t = ByteSize(Limits::default().byte_rate as usize), value_parser = byte_rate)]
    byte_rate: ByteSize,

    /// Pings per second, 0 = unlimited
    #[arg(long, env = "HUSHD_PING_RATE", value_name = "N", default_value_t = Limits::default().ping_rate)]
    ping_rate: u32,

    /// Size of a request
    #[arg(long, env = "HUSHD_MAX_REQUEST", value_name = "SIZE", default_value_t = ByteSize(HeadLimits::default().max_head))]
    max_request: ByteSize,

    /// Size of one line of a request
    #[arg(long, env = "HUSHD_MAX_LINE", value_name = "SIZE", default_value_t = ByteSize(HeadLimits::default().max_line))]
    max_line: ByteSize,

    #[arg(long, env = "HUSHD_MAX_HEADERS", value_name = "N", default_value_t = HeadLimits::default().max_headers, help = format!("Header lines of a request, at most {}", HeadLimits::MOST_HEADERS))]
    max_headers: usize,

    /// Bytes queued for one client alone (pongs, answers); above this the client is dropped
    #[arg(long, env = "HUSHD_CLIENT_BUFFER", value_name = "SIZE", default_value_t = ByteSize(Limits::default().client_buffer))]
    client_buffer: ByteSize,

    /// The kernel's send buffer of a connection, 0 = the kernel decides
    #[arg(long, env = "HUSHD_SEND_BUFFER", value_name = "SIZE", default_value_t = ByteSize(SEND_BUFFER))]
    send_buffer: ByteSize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Rooms")]
struct RoomOptions {
    /// Send buffer of a room: a client that lags further behind is disconnected
    #[arg(long, env = "HUSHD_ROOM_BUFFER", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().room_buffer))]
    room_buffer: ByteSize,

    /// Maximum batching delay of a busy room, 0 = none (a bare number is milliseconds)
    #[arg(long, env = "HUSHD_BATCH_DELAY", value_name = "TIME", default_value_t = Timespan(Limits::default().batch_delay), value_parser = milliseconds)]
    batch_delay: Timespan,

    /// Whether permessage-deflate is spoken with clients that offer it
    #[arg(long, env = "HUSHD_COMPRESSION", value_name = "on|off", default_value = "on", action = clap::ArgAction::Set, value_parser = on_or_off)]
    compression: bool,

    /// How hard messages are compressed: 1 (fast) to 9 (small)
    #[arg(long, env = "HUSHD_COMPRESSION_LEVEL", value_name = "N", default_value_t = RoomLimits::default().compression_level, value_parser = clap::value_parser!(u32).range(1..=9))]
    compression_level: u32,

    /// Size of the smallest message that is compressed
    #[arg(long, env = "HUSHD_COMPRESSION_THRESHOLD", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().compression_threshold))]
    compression_threshold: ByteSize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "History")]
struct HistoryOptions {
    /// Messages that a new member of a chat.v1 room is sent, 0 = no history. A hundred times as many are
    /// held
    #[arg(long, env = "HUSHD_HISTORY", value_name = "N", default_value_t = RoomLimits::default().history)]
    history: usize,

    /// Size of one room's history
    #[arg(long, env = "HUSHD_HISTORY_SIZE", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().history_size))]
    history_size: ByteSize,

    /// How long messages, empty rooms and sessions are remembered, 0 = as long as there is space
    #[arg(long, env = "HUSHD_HISTORY_TTL", value_name = "TIME", default_value_t = Timespan(RoomLimits::default().history_ttl))]
    history_ttl: Timespan,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits in total")]
struct TotalOptions {
    /// Connections in all [default: as many as the open-file limit allows]
    #[arg(long, env = "HUSHD_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,

    #[arg(long, env = "HUSHD_MAX_PER_ADDRESS", value_name = "N", help = per_address())]
    max_per_address: Option<u32>,

    /// Concurrent handshakes; above this the oldest is dropped
    #[arg(long, env = "HUSHD_MAX_HANDSHAKES", value_name = "N", default_value_t = Limits::default().max_handshakes)]
    max_handshakes: usize,

    /// Rooms
    #[arg(long, env = "HUSHD_MAX_ROOMS", value_name = "N", default_value_t = RoomLimits::default().max_rooms)]
    max_rooms: usize,

    /// Total bytes of partially received requests, over all clients
    #[arg(long, env = "HUSHD_MAX_REQUEST_TOTAL", value_name = "SIZE", default_value_t = ByteSize(Limits::default().max_request_total))]
    max_request_total: ByteSize,

    #[arg(long, env = "HUSHD_PARTIAL_MESSAGES_TOTAL", value_name = "SIZE", help = or_one("Total bytes of partially received messages, over all clients", Limits::default().partial_messages_total, "one message"))]
    partial_messages_total: Option<ByteSize>,

    #[arg(long, env = "HUSHD_CLIENT_BUFFER_TOTAL", value_name = "SIZE", help = or_one("Total bytes queued for individual clients (pongs, answers), over all clients", Limits::default().client_buffer_total, "one client's"))]
    client_buffer_total: Option<ByteSize>,

    #[arg(long, env = "HUSHD_ROOM_BUFFER_TOTAL", value_name = "SIZE", help = or_one("Total bytes of the send buffers of all rooms", RoomLimits::default().room_buffer_total, "one room's"))]
    room_buffer_total: Option<ByteSize>,

    /// Total size of the histories of all rooms
    #[arg(long, env = "HUSHD_HISTORY_SIZE_TOTAL", value_name = "SIZE", default_value_t = ByteSize(RoomLimits::default().history_size_total))]
    history_size_total: ByteSize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Time")]
struct TimeOptions {
    /// Time to complete the request
    #[arg(long, env = "HUSHD_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().handshake_timeout))]
    handshake_timeout: Timespan,

    /// Time to complete a message that has begun, 0 = unlimited
    #[arg(long, env = "HUSHD_MESSAGE_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().message_timeout))]
    message_timeout: Timespan,

    /// Keepalive: silence after which a client is pinged, 0 = never
    #[arg(long, env = "HUSHD_PING_INTERVAL", value_name = "TIME", default_value_t = Timespan(Limits::default().ping_interval))]
    ping_interval: Timespan,

    /// Time to answer a ping
    #[arg(long, env = "HUSHD_PING_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().ping_timeout))]
    ping_timeout: Timespan,

    /// Time in which a client must take some of what is queued for it
    #[arg(long, env = "HUSHD_PROGRESS_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().progress_timeout))]
    progress_timeout: Timespan,

    /// Time to answer a Close
    #[arg(long, env = "HUSHD_CLOSE_TIMEOUT", value_name = "TIME", default_value_t = Timespan(Limits::default().close_timeout))]
    close_timeout: Timespan,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
struct LoggingOptions {
    /// What is logged: off, error, warn, info, debug or trace
    #[arg(
        long,
        env = "HUSHD_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: LevelFilter,
}

/// What the command line says, checked.
pub(crate) struct Config {
    /// Addresses to listen on: for each option, all that its host name stands for.
    pub(crate) listen: Vec<Vec<SocketAddr>>,
    /// Origins whose pages may connect, beside those that may anyway.
    pub(crate) allow_origin: Vec<AllowOrigin>,
    pub(crate) limits: Limits,
    /// Whether permessage-deflate is spoken.
    pub(crate) compression: bool,
    /// Bytes of the kernel's send buffer for each connection, 0 for the kernel's own choice.
    pub(crate) send_buffer: usize,
    /// The process's limit of open files.
    pub(crate) open_files: u64,
}

impl Cli {
    /// The names of all variables that the parser reads.
    pub(crate) fn variables() -> Vec<String> {
        let command = Cli::command();
        let variables = command
            .get_arguments()
            .filter_map(|option| option.get_env());
        variables
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    /// The lowest severity that is logged.
    pub(crate) fn log_level(&self) -> LevelFilter {
        self.logging.log_level
    }

    /// Checks everything that the parser cannot.
    pub(crate) fn config(self, open_files: u64) -> Result<Config, String> {
        let limits = self.limits(open_files)?;
        limits.check().map_err(|unfit| unfit.to_string())?;
        Ok(Config {
            listen: addresses(&self.listening.listen)?,
            allow_origin: self.listening.allow_origin,
            limits,
            compression: self.room.compression,
            send_buffer: self.client.send_buffer.0,
            open_files,
        })
    }

    fn limits(&self, open_files: u64) -> Result<Limits, String> {
        let possible =
            usize::try_from(open_files.saturating_sub(DESCRIPTORS_BESIDE)).unwrap_or(usize::MAX);
        let max_connections = self.total.max_connections.unwrap_or(possible);
        if max_connections > possible {
            return Err(format!(
                "--max-connections {max_connections} needs {} open files, but the system allows {open_files}",
                max_connections as u64 + DESCRIPTORS_BESIDE
            ));
        }
        let defaults = Limits::default();
        // A limit on all together that was not given grows with the limit on one.
        let or_one = |given: Option<ByteSize>, default: usize, one: ByteSize| {
            given.map_or(default.max(one.0), |size| size.0)
        };
        let Cli {
            client,
            room,
            history,
            total,
            time,
            ..
        } = self;
        Ok(Limits {
            max_connections,
            max_per_address: total.max_per_address.unwrap_or(defaults.max_per_address),
            count_loopback: total.max_per_address.is_some(),
            max_handshakes: total.max_handshakes,
            head: HeadLimits {
                max_head: client.max_request.0,
                max_line: client.max_line.0,
                max_headers: client.max_headers,
            },
            max_request_total: total.max_request_total.0,
            rooms: RoomLimits {
                max_rooms: total.max_rooms,
                room_buffer: room.room_buffer.0,
                room_buffer_total: or_one(
                    total.room_buffer_total,
                    defaults.rooms.room_buffer_total,
                    room.room_buffer,
                ),
                max_message: client.max_message.0,
                compression_level: room.compression_level,
                compression_threshold: room.compression_threshold.0,
                history: history.history,
                history_size: history.history_size.0,
                history_size_total: total.history_size_total.0,
                history_ttl: history.history_ttl.0,
            },
            max_frames: client.max_frames,
            partial_messages_total: or_one(
                total.partial_messages_total,
                defaults.partial_messages_total,
                client.max_message,
            ),
            client_buffer: client.client_buffer.0,
            client_buffer_total: or_one(
                total.client_buffer_total,
                defaults.client_buffer_total,
                client.client_buffer,
            ),
            message_rate: client.message_rate,
            message_burst: client.message_burst,
            byte_rate: u32::try_from(client.byte_rate.0).unwrap_or(u32::MAX),
            ping_rate: client.ping_rate,
            handshake_timeout: time.handshake_timeout.0,
            message_timeout: time.message_timeout.0,
            ping_interval: time.ping_interval.0,
            ping_timeout: time.ping_timeout.0,
            progress_timeout: time.progress_timeout.0,
            close_timeout: time.close_timeout.0,
            batch_delay: room.batch_delay.0,
            budget: defaults.budget,
        })
    }
}

/// What each `HOST:PORT` stands for, each address once.
fn addresses(given: &[String]) -> Result<Vec<Vec<SocketAddr>>, String> {
    let mut all: Vec<Vec<SocketAddr>> = Vec::new();
    for text in given {
        let found = text.to_socket_addrs().map_err(|error| {
            format!("--listen {text} is not HOST:PORT with a host that can be found: {error}")
        })?;
        let mut new = Vec::new();
        for address in found {
            if !all
                .iter()
                .flatten()
                .chain(&new)
                .any(|known| *known == address)
            {
                new.push(address);
            }
        }
        all.push(new);
    }
    Ok(all)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_option_reaches_its_limit() {
        let options = "hushd --max-connections 1 --max-per-address 2 --max-handshakes 3 --max-rooms 4 \
            --max-request 5 --max-line 6 --max-headers 7 --max-message 8 --max-frames 9 --message-timeout 10 \
            --max-request-total 11 --partial-messages-total 12 --client-buffer-total 14 --client-buffer 13 --room-buffer 1M \
            --room-buffer-total 2M --message-rate 15 --message-burst 16 --byte-rate 17 --ping-rate 18 \
            --handshake-timeout 19 --ping-interval 20 --ping-timeout 6000 --progress-timeout 22 \
            --close-timeout 23 --compression-level 1 --compression-threshold 24 --batch-delay 25 --history 26 \
            --history-size 27 --history-size-total 28 --history-ttl 29";
        let config = Cli::parse_from(options.split_whitespace()).config(1_000);
        let limits = Limits {
            max_connections: 1,
            max_per_address: 2,
            count_loopback: true,
            max_handshakes: 3,
            head: HeadLimits {
                max_head: 5,
                max_line: 6,
                max_headers: 7,
            },
            rooms: RoomLimits {
                max_rooms: 4,
                room_buffer: 1 << 20,
                room_buffer_total: 2 << 20,
                max_message: 8,
                compression_level: 1,
                compression_threshold: 24,
                history: 26,
                history_size: 27,
                history_size_total: 28,
                history_ttl: Duration::from_secs(29),
            },
            max_frames: 9,
            message_timeout: Duration::from_secs(10),
            max_request_total: 11,
            partial_messages_total: 12,
            client_buffer_total: 14,
            client_buffer: 13,
            message_rate: 15,
            message_burst: 16,
            byte_rate: 17,
            ping_rate: 18,
            handshake_timeout: Duration::from_secs(19),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(6_000),
            progress_timeout: Duration::from_secs(22),
            close_timeout: Duration::from_secs(23),
            batch_delay: Duration::from_millis(25),
            ..Limits::default()
        };
        assert_eq!(
            format!("{:?}", config.unwrap().limits),
            format!("{limits:?}")
        );
    }

    #[test]
    fn more_connections_than_open_files_are_refused() {
        let error = Cli::parse_from(["hushd", "--max-connections", "1000"])
            .config(500)
            .err()
            .unwrap();
        assert_eq!(
            error,
            "--max-connections 1000 needs 1064 open files, but the system allows 500"
        );
    }
}
