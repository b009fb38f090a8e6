//! A running hushd, seen from outside: its socket, its log, and what the kernel says about its process.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr
)]

pub mod crowd;
pub mod peer;
pub mod schema;

use std::fs;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: a guard against hanging, not a promise of hushd.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One process of hushd, killed when dropped.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    log: Arc<Log>,
}

/// What the server has printed so far, and whether we go on reading it.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    stalled: AtomicBool,
    gone: AtomicBool,
}

impl Server {
    /// Starts hushd on a free port of 127.0.0.1 with these further options and waits until it says so.
    pub fn start(options: &[&str]) -> Server {
        Server::start_as(Command::new(binary()), options)
    }

    /// The same with these variables in its environment.
    pub fn start_with_variables(variables: &[(&str, &str)], options: &[&str]) -> Server {
        let mut command = Command::new(binary());
        command.envs(variables.iter().copied());
        Server::start_as(command, options)
    }

    /// The same, as a child that may hold only so many open files.
    pub fn start_with_open_files(limit: usize, options: &[&str]) -> Server {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")])
            .arg(binary());
        Server::start_as(shell, options)
    }

    fn start_as(mut command: Command, options: &[&str]) -> Server {
        let (reader, writer) = io::pipe().unwrap();
        let child = command
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .env_remove("HUSHD_BIN") // it would be warned of
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        drop(command); // it holds the pipe's other end
        let log = Arc::new(Log::default());
        thread::spawn({
            let log = log.clone();
            move || log.follow(reader)
        });
        let mut server = Server {
            address: ([127, 0, 0, 1], 0).into(),
            child,
            log,
        };
        let line = server.wait_for_log("127.0.0.1:");
        let digits = line.split("127.0.0.1:").nth(1).unwrap_or_default();
        let port: String = digits.chars().take_while(char::is_ascii_digit).collect();
        server.address.set_port(port.parse().expect(&line));
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// A bare connection whose reads and writes give up at last.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// All lines printed so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// The first line that holds these words, waited for.
    pub fn wait_for_log(&mut self, words: &str) -> String {
        let mut found = None;
        let died = eventually(|| {
            found = self.log().into_iter().find(|line| line.contains(words));
            found.is_some() || !self.is_alive()
        });
        found.unwrap_or_else(|| panic!("no {words:?} in the log ({died}): {:#?}", self.log()))
    }

    /// From now on nobody reads the log, as with `hushd | less`.
    pub fn stall_log(&self) {
        self.log.stalled.store(true, Ordering::Relaxed);
    }

    /// The reader of the log goes on.
    pub fn resume_log(&self) {
        self.log.stalled.store(false, Ordering::Relaxed);
    }

    /// From the next line on the log has no reader at all, as with `hushd | head`.
    pub fn close_log(&self) {
        self.log.gone.store(true, Ordering::Relaxed);
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// A figure from the server's own report.
    pub fn count(&self, name: &str) -> u64 {
        let lines = self.log().len();
        self.signal("USR1");
        let mut report = None;
        let came = eventually(|| {
            let words = " rooms; ";
            report = self
                .log()
                .split_off(lines)
                .into_iter()
                .find(|line| line.contains(words));
            report.is_some()
        });
        assert!(came, "no report");
        let report = report.unwrap();
        report
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
            .unwrap_or(0)
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        assert!(eventually(|| !self.is_alive()), "the process did not end");
        self.child.wait().unwrap()
    }

    /// Open descriptors of the process.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    /// Bytes of memory that the process holds now.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most bytes of memory that it has ever held.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with(field))
            .expect(field);
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    /// Processor time that the process has used.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/schedstat", self.pid())).unwrap();
        Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            eprintln!(
                "--- the last lines of hushd ---\n{}",
                log[log.len().saturating_sub(20)..].join("\n")
            );
        }
    }
}

impl Log {
    fn follow(&self, reader: PipeReader) {
        for line in BufReader::with_capacity(1024, reader).split(b'\n') {
            let Ok(line) = line else { return };
            self.lines
                .lock()
                .unwrap()
                .push(String::from_utf8_lossy(&line).into_owned());
            while self.stalled.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
            if self.gone.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Waits until this is so; says whether it came to be.
pub fn eventually(mut so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !so() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The binary under test: cargo's, or the one that `HUSHD_BIN` names.
pub fn binary() -> String {
    std::env::var("HUSHD_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_hushd").into())
}
