//! The command line: every option, its default, and its environment variable.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::Parser;
use hushd::http::{AllowOrigin, HeadLimits};
use hushd::server::Limits;
use log::LevelFilter;

/// Descriptors that are not for connections: listeners, the poll, logs, and some in reserve.
const DESCRIPTORS_BESIDE: u64 = 64;

/// A WebSocket chat server: one thread, one event loop, many quiet clients.
///
/// Open the page it shows, or connect with any WebSocket client: the URL's path is the room, and what
/// one says there, everyone there hears. Sizes are bytes, or take K, M or G (powers of 1024). Times are
/// seconds, or take ms, s, m or h.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Where to listen. May be given more than once; port 0 takes any free one
    #[arg(
        long,
        env = "HUSHD_LISTEN",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:8001"
    )]
    listen: Vec<String>,

    /// Which pages may connect: an origin like https://example.org, or * for all. May be given more than
    /// once. Without it: pages of this server, and on loopback those of loopback and of files
    #[arg(long, env = "HUSHD_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    allow_origin: Vec<AllowOrigin>,

    /// Connections in all [default: as many as the open-file limit allows]
    #[arg(long, env = "HUSHD_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,

    /// Connections of one address (IPv6: of one /64), 0 = any number [default: 256, any number from this
    /// machine]
    #[arg(long, env = "HUSHD_MAX_PER_ADDRESS", value_name = "N")]
    max_per_address: Option<u32>,

    /// Rooms
    #[arg(
        long,
        env = "HUSHD_MAX_ROOMS",
        value_name = "N",
        default_value_t = 10_000
    )]
    max_rooms: usize,

    /// Size of a message
    #[arg(long, env = "HUSHD_MAX_MESSAGE", value_name = "SIZE", default_value = "64K", value_parser = size)]
    max_message: usize,

    /// Frames of a message, its last not counted
    #[arg(
        long,
        env = "HUSHD_MAX_FRAMES",
        value_name = "N",
        default_value_t = 1024
    )]
    max_frames: u32,

    /// Time to finish a message that has begun, 0 = any
    #[arg(long, env = "HUSHD_MESSAGE_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = time)]
    message_timeout: Duration,

    /// What one client alone may be owed (answers to pings and the like)
    #[arg(long, env = "HUSHD_MAX_OWED", value_name = "SIZE", default_value = "1M", value_parser = size)]
    max_owed: usize,

    /// Connections whose request has not wholly come; one more drops the oldest
    #[arg(
        long,
        env = "HUSHD_MAX_HANDSHAKING",
        value_name = "N",
        default_value_t = 10_000
    )]
    max_handshaking: usize,

    /// Size of a request
    #[arg(long, env = "HUSHD_MAX_HEAD", value_name = "SIZE", default_value = "16K", value_parser = size)]
    max_head: usize,

    /// Size of a line of it
    #[arg(long, env = "HUSHD_MAX_LINE", value_name = "SIZE", default_value = "8K", value_parser = size)]
    max_line: usize,

    /// Header lines of it, at most 64
    #[arg(
        long,
        env = "HUSHD_MAX_HEADERS",
        value_name = "N",
        default_value_t = HeadLimits::MOST_HEADERS
    )]
    max_headers: usize,

    /// Size of all requests that have not wholly come
    #[arg(long, env = "HUSHD_MAX_HEADS", value_name = "SIZE", default_value = "16M", value_parser = size)]
    max_heads: usize,

    /// Size of all messages that have not wholly come [default: 64M, or one message if that is more]
    #[arg(long, env = "HUSHD_MAX_HALF_MESSAGES", value_name = "SIZE", value_parser = size)]
    max_half_messages: Option<usize>,

    /// What all clients together may be owed, each alone [default: 64M, or one client's if that is more]
    #[arg(long, env = "HUSHD_MAX_OWED_IN_ALL", value_name = "SIZE", value_parser = size)]
    max_owed_in_all: Option<usize>,

    /// What a room remembers for those who read slowly; whoever is further behind is dropped
    #[arg(long, env = "HUSHD_LANE_BYTES", value_name = "SIZE", default_value = "4M", value_parser = size)]
    lane_bytes: usize,

    /// What all rooms remember together [default: 256M, or one room's if that is more]
    #[arg(long, env = "HUSHD_LANES_BYTES", value_name = "SIZE", value_parser = size)]
    lanes_bytes: Option<usize>,

    /// Messages a second of one client, 0 = any number. Who says more is read more slowly
    #[arg(
        long,
        env = "HUSHD_MESSAGE_RATE",
        value_name = "N",
        default_value_t = 50
    )]
    message_rate: u32,

    /// Messages beyond the rate at once
    #[arg(
        long,
        env = "HUSHD_MESSAGE_BURST",
        value_name = "N",
        default_value_t = 100
    )]
    message_burst: u32,

    /// Bytes of messages a second of one client, 0 = any number
    #[arg(long, env = "HUSHD_BYTE_RATE", value_name = "SIZE", default_value = "256K", value_parser = rate)]
    byte_rate: u32,

    /// Pings a second of one client, 0 = any number
    #[arg(long, env = "HUSHD_PING_RATE", value_name = "N", default_value_t = 10)]
    ping_rate: u32,

    /// Time to finish the request
    #[arg(long, env = "HUSHD_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = time)]
    handshake_timeout: Duration,

    /// Silence after which a client is pinged, 0 = never
    #[arg(long, env = "HUSHD_PING_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = time)]
    ping_interval: Duration,

    /// Time to answer a ping
    #[arg(long, env = "HUSHD_PING_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = time)]
    ping_timeout: Duration,

    /// Time in which a client must take some of what it is owed
    #[arg(long, env = "HUSHD_PROGRESS_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = time)]
    progress_timeout: Duration,

    /// Time to answer a Close
    #[arg(long, env = "HUSHD_CLOSE_TIMEOUT", value_name = "TIME", default_value = "5s", value_parser = time)]
    close_timeout: Duration,

    /// The longest that a busy room waits for more to say in one go, 0 = never (a bare number is
    /// milliseconds)
    #[arg(long, env = "HUSHD_GATHER", value_name = "TIME", default_value = "20ms", value_parser = milliseconds)]
    gather: Duration,

    /// Messages that a newcomer of a chat.v1 room is sent, 0 = no history. A hundred times as many are held
    #[arg(long, env = "HUSHD_HISTORY", value_name = "N", default_value_t = 50)]
    history: usize,

    /// Size of one room's history
    #[arg(long, env = "HUSHD_HISTORY_BYTES", value_name = "SIZE", default_value = "1M", value_parser = size)]
    history_bytes: usize,

    /// Size of all histories together
    #[arg(long, env = "HUSHD_HISTORIES_BYTES", value_name = "SIZE", default_value = "64M", value_parser = size)]
    histories_bytes: usize,

    /// For how long messages, empty rooms and sessions are remembered, 0 = as long as there is space
    #[arg(long, env = "HUSHD_HISTORY_TTL", value_name = "TIME", default_value = "1h", value_parser = time)]
    history_ttl: Duration,

    /// Whether permessage-deflate is spoken with clients that offer it
    #[arg(long, env = "HUSHD_COMPRESSION", value_name = "on|off", default_value = "on", action = clap::ArgAction::Set, value_parser = on_or_off)]
    compression: bool,

    /// How hard messages are compressed: 1 (fast) to 9 (small)
    #[arg(long, env = "HUSHD_COMPRESSION_LEVEL", value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=9))]
    compression_level: u32,

    /// Size of the smallest message that is compressed
    #[arg(long, env = "HUSHD_COMPRESSION_THRESHOLD", value_name = "SIZE", default_value = "256", value_parser = size)]
    compression_threshold: usize,

    /// The kernel's send buffer of a connection, 0 = as the kernel likes
    #[arg(long, env = "HUSHD_SEND_BUFFER", value_name = "SIZE", default_value = "128K", value_parser = size)]
    pub(crate) send_buffer: usize,

    /// What is logged: off, error, warn, info, debug or trace
    #[arg(
        long,
        env = "HUSHD_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(crate) log_level: LevelFilter,
}

/// What the command line says, checked.
pub(crate) struct Config {
    /// Where to listen: what each option's name stands for.
    pub(crate) listen: Vec<Vec<SocketAddr>>,
    /// Which pages may connect, beside those that may anyway.
    pub(crate) allow_origin: Vec<AllowOrigin>,
    /// What is bounded, and how.
    pub(crate) limits: Limits,
    /// Whether permessage-deflate is spoken.
    pub(crate) compression: bool,
    /// As many files as may be open.
    pub(crate) open_files: u64,
}

impl Cli {
    /// Checks everything that the parser cannot.
    pub(crate) fn config(self, open_files: u64) -> Result<Config, String> {
        let mut listen: Vec<Vec<SocketAddr>> = Vec::new();
        for address in &self.listen {
            let found = address.to_socket_addrs().map_err(|error| {
                format!(
                    "--listen {address} is not HOST:PORT with a host that can be found: {error}"
                )
            })?;
            let mut of_this = Vec::new();
            for found in found {
                if !listen
                    .iter()
                    .chain([&of_this])
                    .flatten()
                    .any(|known| *known == found)
                {
                    of_this.push(found);
                }
            }
            listen.push(of_this);
        }
        let possible =
            usize::try_from(open_files.saturating_sub(DESCRIPTORS_BESIDE)).unwrap_or(usize::MAX);
        let max_connections = self.max_connections.unwrap_or(possible);
        if max_connections > possible {
            return Err(format!(
                "--max-connections {max_connections} needs {} open files, but the system allows {open_files}",
                max_connections as u64 + DESCRIPTORS_BESIDE
            ));
        }
        let usual = Limits::default();
        let limits = Limits {
            max_connections,
            max_per_address: self.max_per_address.unwrap_or(256),
            count_loopback: self.max_per_address.is_some(),
            max_handshakes: self.max_handshaking,
            max_rooms: self.max_rooms,
            head: HeadLimits {
                max_head: self.max_head,
                max_line: self.max_line,
                max_headers: self.max_headers,
            },
            max_message: self.max_message,
            max_frames: self.max_frames,
            message_timeout: self.message_timeout,
            max_request_total: self.max_heads,
            partial_messages_total: self
                .max_half_messages
                .unwrap_or(usual.partial_messages_total.max(self.max_message)),
            client_buffer_total: self
                .max_owed_in_all
                .unwrap_or(usual.client_buffer_total.max(self.max_owed)),
            client_buffer: self.max_owed,
            room_buffer: self.lane_bytes,
            room_buffer_total: self
                .lanes_bytes
                .unwrap_or(usual.room_buffer_total.max(self.lane_bytes)),
            message_rate: self.message_rate,
            message_burst: self.message_burst,
            byte_rate: self.byte_rate,
            ping_rate: self.ping_rate,
            handshake_timeout: self.handshake_timeout,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            progress_timeout: self.progress_timeout,
            close_timeout: self.close_timeout,
            batch_delay: self.gather,
            compression_level: self.compression_level,
            compression_threshold: self.compression_threshold,
            history: self.history,
            history_size: self.history_bytes,
            history_size_total: self.histories_bytes,
            history_ttl: self.history_ttl,
            ..usual
        };
        limits.check().map_err(|unfit| unfit.to_string())?;
        Ok(Config {
            listen,
            allow_origin: self.allow_origin,
            limits,
            compression: self.compression,
            open_files,
        })
    }
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

fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let unit = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return Err("a size is a number, with K, M or G if need be".into()),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "a size is a number, with K, M or G if need be".to_string())?;
    number
        .checked_mul(unit)
        .filter(|&size| size <= 1 << 40)
        .ok_or("that is more than 1024G".into())
}

fn rate(text: &str) -> Result<u32, String> {
    let most = u32::MAX / 40;
    u32::try_from(size(text)?)
        .ok()
        .filter(|&rate| rate <= most)
        .ok_or(format!("that is more than {most}"))
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text, 1.0)
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    duration(text, 0.001)
}

/// A time with units, or a bare number of `unit` seconds.
fn duration(text: &str, unit: f64) -> Result<Duration, String> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let parsed = match text.parse::<f64>() {
        Ok(number) => Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    };
    parsed.and_then(|time| {
        if time > DAY {
            Err("that is longer than a day".into())
        } else {
            Ok(time)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_with_and_without_units() {
        for (text, want) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("64K", Some(65_536)),
            ("1MiB", Some(1 << 20)),
            ("2g", Some(2 << 30)),
            ("", None),
            ("K", None),
            ("1T", None),
            ("-1", None),
            ("99999999999G", None),
        ] {
            assert_eq!(size(text).ok(), want, "{text}");
        }
        for (text, want) in [
            ("0", Some(0)),
            ("30", Some(30_000)),
            ("0.5", Some(500)),
            ("20ms", Some(20)),
            ("2m", Some(120_000)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
            ("25h", None),
        ] {
            assert_eq!(time(text).ok(), want.map(Duration::from_millis), "{text}");
        }
        assert_eq!(milliseconds("20"), Ok(Duration::from_millis(20)));
    }

    #[test]
    fn the_defaults_of_the_options_are_those_of_the_limits() {
        let config = Cli::parse_from(["hushd"]).config(1_000_000).unwrap();
        let limits = Limits {
            max_connections: 1_000_000 - DESCRIPTORS_BESIDE as usize,
            max_per_address: 256,
            ..Limits::default()
        };
        assert_eq!(format!("{:?}", config.limits), format!("{limits:?}"));
        assert_eq!(config.listen, [["127.0.0.1:8001".parse().unwrap()]]);
    }

    #[test]
    fn every_option_reaches_its_limit() {
        let options = "hushd --max-connections 1 --max-per-address 2 --max-handshaking 3 --max-rooms 4 \
            --max-head 5 --max-line 6 --max-headers 7 --max-message 8 --max-frames 9 --message-timeout 10 \
            --max-heads 11 --max-half-messages 12 --max-owed-in-all 14 --max-owed 13 --lane-bytes 1M \
            --lanes-bytes 2M --message-rate 15 --message-burst 16 --byte-rate 17 --ping-rate 18 \
            --handshake-timeout 19 --ping-interval 20 --ping-timeout 6000 --progress-timeout 22 \
            --close-timeout 23 --compression-level 1 --compression-threshold 24 --gather 25 --history 26 \
            --history-bytes 27 --histories-bytes 28 --history-ttl 29";
        let config = Cli::parse_from(options.split_whitespace()).config(1_000);
        let limits = Limits {
            max_connections: 1,
            max_per_address: 2,
            count_loopback: true,
            max_handshakes: 3,
            max_rooms: 4,
            head: HeadLimits {
                max_head: 5,
                max_line: 6,
                max_headers: 7,
            },
            max_message: 8,
            max_frames: 9,
            message_timeout: Duration::from_secs(10),
            max_request_total: 11,
            partial_messages_total: 12,
            client_buffer_total: 14,
            client_buffer: 13,
            room_buffer: 1 << 20,
            room_buffer_total: 2 << 20,
            message_rate: 15,
            message_burst: 16,
            byte_rate: 17,
            ping_rate: 18,
            handshake_timeout: Duration::from_secs(19),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(6_000),
            progress_timeout: Duration::from_secs(22),
            close_timeout: Duration::from_secs(23),
            compression_level: 1,
            compression_threshold: 24,
            batch_delay: Duration::from_millis(25),
            history: 26,
            history_size: 27,
            history_size_total: 28,
            history_ttl: Duration::from_secs(29),
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
