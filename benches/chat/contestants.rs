//! The servers that are measured: each a process of its own, on a processor of its own.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;

use hushd_ceiling::Writes;
use hushd_load::process::{Process, pin};
use hushd_load::scenario::Load;

/// This variable is set in a copy of this program that is to be the ceiling.
const ROLE: &str = "HUSHD_BENCH_CEILING";

/// What is switched off in hushd, as environment variables.
pub(crate) const SWITCHED_OFF: &[(&str, &str)] = &[
    ("HUSHD_MESSAGE_RATE", "0"),
    ("HUSHD_BYTE_RATE", "0"),
    ("HUSHD_PING_RATE", "0"),
    ("HUSHD_PING_INTERVAL", "0"),
    ("HUSHD_MAX_PER_ADDRESS", "0"),
];

/// One of the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The raw epoll server.
    Ceiling(Writes),
    /// hushd.
    Hushd,
    /// Another server: a command that prints the address at which it listens.
    Peer { name: String, command: Vec<String> },
}

impl Contestant {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Ceiling(Writes::Gathered) => "ceiling",
            Self::Ceiling(Writes::Each) => "ceiling, a write per message",
            Self::Hushd => "hushd",
            Self::Peer { name, .. } => name,
        }
    }

    fn command(&self) -> io::Result<Command> {
        Ok(match self {
            Self::Ceiling(writes) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.env(
                    ROLE,
                    if *writes == Writes::Each {
                        "each"
                    } else {
                        "gathered"
                    },
                );
                command
            }
            Self::Hushd => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_hushd"));
                command
                    .args(["--listen", "127.0.0.1:0"])
                    .envs(SWITCHED_OFF.iter().copied());
                command
            }
            Self::Peer { command: words, .. } => {
                let Some((program, arguments)) = words.split_first() else {
                    return Err(io::Error::other("a peer without a command"));
                };
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
        })
    }

    /// Starts the server on the first processor, waits until it says where it listens, and goes on
    /// on the processor `load_on`.
    pub(crate) fn start(&self, load_on: usize) -> io::Result<Running> {
        let mut command = self.command()?;
        let (output, writer) = io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        // A process inherits where it may run from the thread that starts it.
        pin(0)?;
        let child = command.spawn();
        pin(load_on)?;
        drop(command);
        let mut said = String::new();
        let mut output = BufReader::new(output);
        let mut running = Running {
            child: child?,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        while output.read_line(&mut said)? > 0 {
            if let Some(address) = said.lines().last().and_then(address) {
                // All its further output is read, so that a full pipe never blocks it.
                thread::spawn(move || io::copy(&mut output, &mut io::sink()));
                running.address = address;
                return Ok(running);
            }
        }
        Err(io::Error::other(format!(
            "{} did not start: {said}",
            self.name()
        )))
    }
}

/// The address in a line such as `listening on http://127.0.0.1:8001/`.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, port) = line.split_once("127.0.0.1:")?;
    let digits = port
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(port.len());
    let port = port[..digits].parse().ok().filter(|&port| port > 0)?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    /// A new crowd for it, with messages of 64 bytes.
    pub(crate) fn load(&self) -> io::Result<Load> {
        Load::new(self.address, "/tea", 64, Some(Process(self.child.id())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the ceiling if this process was started for that; otherwise returns at once.
pub(crate) fn be_the_ceiling() -> io::Result<()> {
    let Ok(writes) = std::env::var(ROLE) else {
        return Ok(());
    };
    let writes = if writes == "each" {
        Writes::Each
    } else {
        Writes::Gathered
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    match hushd_ceiling::serve(&listener, writes)? {}
}
