//! A system that has no descriptors left.

use crate::common::crowd::Crowd;
use crate::common::peer::{Peer, upgrade};
use crate::common::{Server, eventually};
use crate::requests::ask;
use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Leaves the server no descriptor: its limit is lowered behind its back, to the lowest one that is free.
fn exhaust(server: &Server) {
    let open: HashSet<String> = fs::read_dir(format!("/proc/{}/fd", server.pid()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let free = (0..)
        .find(|n: &usize| !open.contains(&n.to_string()))
        .unwrap();
    let set = Command::new("prlimit")
        .args([
            "--pid",
            &server.pid().to_string(),
            &format!("--nofile={free}"),
        ])
        .status();
    assert!(set.unwrap().success());
}

#[test]
fn without_descriptors_those_who_are_in_go_on_and_others_are_told() {
    let mut server = Server::start(&[]);
    let crowd = Crowd::join(&server, "/honest", 50);
    let mut guests: Vec<_> = (0..20).map(|_| Peer::join(&server, "/")).collect();
    exhaust(&server);

    let head = upgrade(&server, "/", "");
    let mut told = 0;
    for _ in 0..50 {
        let answer = ask(&server, head.as_bytes());
        // Whoever wrote after the answer may have had it destroyed by a reset.
        assert!(matches!(answer.status, 503 | 0), "{answer:?}");
        told += usize::from(answer.status == 503);
    }
    assert!(told > 0, "nobody was told");
    assert_eq!(server.count("rejected_without_descriptor"), 50);
    let mut waiting = server.connect();
    let cpu = server.cpu();
    thread::sleep(Duration::from_secs(2));
    let spent = server.cpu() - cpu;
    assert!(
        spent < Duration::from_secs(1),
        "{spent:?} of 2 s spent on accepting nobody"
    );

    guests.clear();
    assert!(
        eventually(|| ask(&server, head.as_bytes()).status == 101),
        "nobody gets in any more"
    );
    let _ = waiting.write_all(head.as_bytes());
    let _ = waiting.read(&mut [0; 100]);
    drop(waiting);
    crowd.verify();
    assert!(server.is_alive());
    let complaints = server
        .log()
        .iter()
        .filter(|line| line.contains("cannot accept"))
        .count();
    assert!((1..20).contains(&complaints), "{complaints} complaints");
}

#[test]
fn a_low_limit_of_open_files_is_known_from_the_start() {
    let server = Server::start_with_open_files(100, &[]);
    let mut peer = Peer::join(&server, "/probe");
    let mut streams = Vec::new();
    let head = upgrade(&server, "/", "");
    loop {
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        if &answer == b"HTTP/1.1 503" {
            break;
        }
        assert_eq!(&answer, b"HTTP/1.1 101");
        streams.push(stream);
        assert!(streams.len() < 100);
    }
    assert!(streams.len() > 10, "{}", streams.len());
    peer.say("still here");
    assert_eq!(peer.hear(), "still here");
}
