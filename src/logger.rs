//! Logging that can neither end nor block the server.
//!
//! simple_logger prints to the standard output. Printing panics when the pipe is closed or the disk is full, and
//! blocks when the reader of the pipe has stopped. Therefore each line is cut to what a pipe takes in one piece and
//! is written only if the descriptor takes it now, and a panic in between costs that line alone.

use std::cell::Cell;
use std::fmt::Arguments;
use std::io;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use simple_logger::SimpleLogger;

/// Bytes of a message: with what is put in front, a line is never longer than a pipe takes at once
/// (`PIPE_BUF`, 4,096).
const LONGEST: usize = 4_096 - 128;

struct Contained {
    logger: SimpleLogger,
    /// Lines dropped since the last one that was printed.
    lost: AtomicU64,
}

thread_local! {
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Starts logging to the standard output.
pub(crate) fn start(level: LevelFilter) -> Result<(), log::SetLoggerError> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !LOGGING.get() {
            hook(panic);
        }
    }));
    let logger = SimpleLogger::new().with_level(level).with_utc_timestamps();
    log::set_max_level(level);
    log::set_boxed_logger(Box::new(Contained {
        logger,
        lost: AtomicU64::new(0),
    }))
}

impl Log for Contained {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 && self.print(record, format_args!("{lost} log lines were lost")) {
            self.lost.fetch_sub(lost, Ordering::Relaxed);
        }
        let line = record.args().to_string();
        let cut = &line[..line.floor_char_boundary(LONGEST)];
        if !self.print(record, format_args!("{cut}")) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

impl Contained {
    /// Prints one line if that is possible without waiting, and tells whether it did.
    fn print(&self, like: &Record<'_>, line: Arguments<'_>) -> bool {
        if !takes_a_line() {
            return false;
        }
        LOGGING.set(true);
        let record = Record::builder()
            .metadata(like.metadata().clone())
            .args(line)
            .build();
        let printed = panic::catch_unwind(panic::AssertUnwindSafe(|| self.logger.log(&record)));
        LOGGING.set(false);
        printed.is_ok()
    }
}

/// Whether the standard output takes a line now: a pipe that is polled as writable has room for
/// `PIPE_BUF` bytes.
fn takes_a_line() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::OUT)];
    let ready = poll(
        &mut polled,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    );
    ready.is_ok_and(|count| count == 1) && polled[0].revents() == PollFlags::OUT
}
