//! The layers of the house: imports point down only.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer, what it may know of ours, and what of the world it must not touch.
const LAYERS: [(&str, &[&str], &[&str]); 12] = [
    ("ids.rs", &[], BELOW_SERVER),
    ("time.rs", &[], BELOW_SERVER),
    ("random.rs", &[], BELOW_SERVER),
    ("ranked.rs", &[], BELOW_SERVER),
    ("schedule.rs", &["time"], BELOW_SERVER),
    ("feed", &["feed"], BELOW_SERVER),
    ("sse.rs", &["feed"], BELOW_SERVER),
    ("ws", &["ws", "feed"], BELOW_SERVER),
    (
        "http",
        &["http", "feed", "ws::handshake", "ws::extension"],
        BELOW_SERVER,
    ),
    (
        "chat",
        &[
            "chat", "feed", "ws", "sse", "ids", "time", "random", "ranked", "schedule",
        ],
        BELOW_SERVER,
    ),
    ("engine", &["engine", "chat", "ids", "time"], BELOW_SERVER),
    (
        "server",
        &[
            "server", "engine", "chat", "http", "feed", "ws", "ids", "time", "random", "ranked",
            "schedule",
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

/// Layers in which the files import each other in one direction only.
const ONE_WAY: [&str; 2] = ["feed", "ws"];

/// The code of a file without its comments and without its tests at the end.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The path of a file's module in the crate. The module of a `mod.rs` is its folder.
fn module_of(file: &Path, src: &Path) -> Vec<String> {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let names = path.iter().map(|name| name.to_str().unwrap().to_owned());
    names.filter(|name| name != "mod").collect()
}

/// The paths of all imports of a module, from the root of the crate.
fn imports(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for import in code.split("use ").skip(1) {
        let import = import.split(';').next().unwrap().replace(['\n', ' '], "");
        let (prefix, names) = import.split_once('{').unwrap_or((&import, ""));
        for name in names.trim_end_matches('}').split(',') {
            let mut path = module.to_vec();
            for part in format!("{prefix}{name}").split("::") {
                match part {
                    "crate" => path.clear(),
                    "super" => drop(path.pop()),
                    "self" => {}
                    part => path.push(part.to_owned()),
                }
            }
            found.push(path);
        }
    }
    found
}

#[test]
fn files_of_a_layer_import_each_other_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for layer in ONE_WAY {
        let files = sources(&src.join(layer));
        let files = files.iter().filter(|file| {
            let name = file.file_name().unwrap();
            name != "tests.rs" && name != "model.rs"
        });
        let mut left: Vec<_> = files
            .map(|file| {
                let module = module_of(file, &src);
                let imports = imports(&code_of(file), &module);
                (module, imports)
            })
            .collect();
        let modules: Vec<_> = left.iter().map(|(module, _)| module.clone()).collect();
        for (module, imports) in &mut left {
            // An import names an item of the innermost module that its path leads to.
            let owner = |import: &Vec<String>| {
                let owners = modules.iter().filter(|owner| import.starts_with(owner));
                owners.max_by_key(|owner| owner.len()).cloned()
            };
            *imports = imports.iter().filter_map(owner).collect();
            imports.retain(|owner| owner != module);
        }
        // Files without imports among the rest are taken away until none is left, or only circles.
        while let Some(leaf) = left.iter().position(|(_, imports)| {
            let remains = |import: &Vec<String>| left.iter().any(|(module, _)| module == import);
            !imports.iter().any(remains)
        }) {
            left.swap_remove(leaf);
        }
        assert!(left.is_empty(), "{layer} has a circle of imports: {left:?}");
    }
}

/// What each file of the event loop's own state may import of `server`. A queue imports no other queue, and none of them
/// knows `Server`.
const STATE: [(&str, &[&str]); 14] = [
    ("queues/acceptor", &["Moment"]),
    ("queues/buffers", &["Ready"]),
    ("queues/deadlines", &["Moment", "clock::ticks"]),
    ("queues/paused", &["Moment", "queues::SPARE_ENTRIES"]),
    ("queues/requests", &[]),
    ("queues/read_queue", &["queues::SPARE_ENTRIES"]),
    ("queues/run_queue", &["Moment", "queues::SPARE_ENTRIES"]),
    ("queues/sweep", &["Moment", "Limits", "clock::ticks"]),
    (
        "queues/timers",
        &[
            "Moment",
            "Limits",
            "limits::DRAINING",
            "queues::Deadlines",
            "queues::KeepaliveSweep",
        ],
    ),
    ("queues/write_queue", &["queues::SPARE_ENTRIES"]),
    (
        "connections/connection",
        &["connections::heap", "peer", "rate_limit", "transport"],
    ),
    ("connections/heap", &[]),
    (
        "connections/entry",
        &["connections", "drop_reason", "transport"],
    ),
    ("connections/mod", &["peer"]),
];

#[test]
fn no_queue_of_the_event_loop_imports_another() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let known = |file: &&PathBuf| !file.ends_with("queues/mod.rs");
    let folders = ["server/queues", "server/connections"].map(|folder| sources(&src.join(folder)));
    assert_eq!(folders.iter().flatten().filter(known).count(), STATE.len());
    for (file, allowed) in STATE {
        let file = src.join(format!("server/{file}.rs"));
        let module = module_of(&file, &src);
        let mut imports = imports(&code_of(&file), &module);
        // Other crates, and modules of its own.
        imports.retain(|import| !import.starts_with(&module));
        for import in imports {
            let Some(("server", item)) = import.split_first().map(|(layer, item)| (&**layer, item))
            else {
                continue;
            };
            let item = item.join("::");
            assert!(
                allowed.iter().any(|allowed| item.starts_with(allowed)),
                "{} imports {item}",
                file.display()
            );
        }
    }
}

#[test]
fn the_server_has_at_most_20_fields() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let code = code_of(&src.join("server/mod.rs"));
    let (_, body) = code.split_once("pub struct Server<").unwrap();
    let (_, body) = body.split_once("> {").unwrap();
    let fields = body.split("\n}").next().unwrap().matches(": ").count();
    assert!((10..=20).contains(&fields), "{fields} fields");
}
