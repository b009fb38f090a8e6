//! The layers of the house: imports point down only.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer, what it may know of ours, and what of the world it must not touch.
const LAYERS: [(&str, &[&str], &[&str]); 8] = [
    ("ids.rs", &[], BELOW_SERVER),
    ("time.rs", &[], BELOW_SERVER),
    ("random.rs", &[], BELOW_SERVER),
    ("feed", &["feed"], BELOW_SERVER),
    ("ws", &["ws", "feed"], BELOW_SERVER),
    (
        "http",
        &["http", "feed", "ws::handshake", "ws::extension"],
        BELOW_SERVER,
    ),
    (
        "chat",
        &["chat", "feed", "ws", "ids", "time", "random"],
        BELOW_SERVER,
    ),
    (
        "server",
        &[
            "server", "chat", "http", "feed", "ws", "ids", "time", "random",
        ],
        &["simple_logger", "clap"],
    ),
];

/// No event loop, no sockets, no clock, no randomness.
const BELOW_SERVER: &[&str] = &[
    "mio::",
    "socket2",
    "rustix",
    "signal_hook",
    "simple_logger",
    "clap::",
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant",
    "SystemTime",
    "RandomState",
    "getrandom",
];

/// All source files of a folder; a file is its own only source.
fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// What a line of code reaches for in this crate: the paths behind each `crate::`.
fn reaches(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split("crate::").skip(1).collect()
}

#[test]
fn imports_point_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (layer, known, untouchable) in LAYERS {
        let files = sources(&src.join(layer));
        assert!(!files.is_empty(), "{layer} is empty");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let place = format!("{}:{}: {line}", file.display(), number + 1);
                let code = line.split("//").next().unwrap_or_default();
                for path in reaches(line) {
                    assert!(
                        known.iter().any(|known| path.starts_with(known)),
                        "{layer} may not know {place}"
                    );
                }
                for name in untouchable {
                    assert!(
                        !code.contains(name),
                        "{layer} may not touch {name}: {place}"
                    );
                }
            }
        }
    }
}

#[test]
fn only_one_file_knows_mio_beside_the_size_of_its_socket() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let know: Vec<_> = sources(&src)
        .into_iter()
        .filter(|file| {
            fs::read_to_string(file)
                .unwrap()
                .lines()
                .any(|line| line.starts_with("use mio"))
        })
        .collect();
    assert_eq!(know, [src.join("server/net.rs")]);
}
