//! The command line: what its options come to, checked.

mod old_names;
mod options;
mod units;

use std::net::{SocketAddr, ToSocketAddrs};

use clap::{CommandFactory, Parser};
use hushd::chat::RoomLimits;
use hushd::http::{AllowOrigin, HeadLimits};
use hushd::server::Limits;
use log::LevelFilter;

pub(crate) use old_names::CommandLine;
use options::{
    ClientOptions, HistoryOptions, ListeningOptions, LoggingOptions, RoomOptions, TimeOptions,
    TotalOptions,
};
use units::ByteSize;

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
