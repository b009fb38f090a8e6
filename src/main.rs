//! The command `hushd`: reads the command line, starts logging, and serves.

mod cli;
mod logger;

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use hushd::http::{Origins, Page, Routes, Site};
use hushd::server::{Kernel, Server, listen_at};
use log::{info, warn};

use cli::{Cli, CommandLine, Config};

/// The exit code for a command line that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let line = match CommandLine::new(env::args_os(), env::vars_os(), &Cli::variables()) {
        Ok(line) => line,
        Err(error) => return fail(USAGE, &error),
    };
    let cli = match Cli::try_parse_from(&line.arguments) {
        Ok(cli) => cli,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            return if error.print().is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Err(error) => return fail(USAGE, &line.explain(&sentence(&error))),
    };
    let log_level = cli.log_level();
    let open_files = rlimit::increase_nofile_limit(rlimit::INFINITY).unwrap_or(1024);
    let config = match cli.config(open_files) {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &line.explain(&error)),
    };
    if let Err(error) = logger::start(log_level) {
        return fail(1, &error.to_string());
    }
    for warning in line.warnings() {
        warn!("{warning}");
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let mut listeners = Vec::new();
    for addresses in &config.listen {
        let opened = listen_at(addresses, config.send_buffer)
            .map_err(|(address, error)| format!("cannot listen on {address}: {error}"))?;
        listeners.extend(opened);
    }
    let addresses = listeners
        .iter()
        .map(|listener| listener.local_addr())
        .collect::<Result<Vec<_>, _>>()?;
    let on_loopback = addresses.iter().all(|address| address.ip().is_loopback());
    if !on_loopback && config.allow_origin.is_empty() {
        warn!(
            "without --allow-origin, pages of any host name that leads here may connect, \
             and so may every client that is not a browser"
        );
    }
    let site = Site {
        origins: Origins::new(config.allow_origin, on_loopback),
        subprotocols: &["chat.v1", "chat"],
        deflate: config.compression,
        page: Page::embedded(),
        routes: Routes::default(),
    };
    let mut seed = [0; 16];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
    let limit = config.limits.max_connections;
    let mut server = Server::new(
        Kernel::new(listeners)?,
        site,
        config.limits,
        u128::from_ne_bytes(seed),
    )?;
    info!(
        "hushd is running on {}, for at most {limit} connections ({} open files)",
        addresses.iter().map(url).collect::<Vec<_>>().join(" and "),
        config.open_files
    );
    server.run()?;
    let counts = server.counts().to_string();
    let gap = if counts.is_empty() { "" } else { "; " };
    info!("hushd has ended{gap}{counts}");
    Ok(())
}

fn url(address: &SocketAddr) -> String {
    format!("ws://{address}/ (page: http://{address}/)")
}

/// Says in one line what is wrong.
fn fail(code: u8, what: &str) -> ExitCode {
    // If even this cannot be written, the exit code still tells.
    let _ = writeln!(io::stderr(), "hushd: {what}");
    ExitCode::from(code)
}

/// The parser's message without the usage and the tips behind it.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or(&text);
    let words: Vec<&str> = first.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_string()
}
