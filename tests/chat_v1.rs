//! The subprotocol chat.v1 from end to end: a real process, real sockets, every frame held to the schema.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::peer::{CLOSE, PING, PONG, Peer, TEXT};
use common::schema::assert_server_sends;
use common::{Server, eventually};
use serde_json::{Value, json};

/// A client that speaks chat.v1.
struct Client {
    peer: Peer,
    welcome: Value,
}

impl Client {
    /// Joins a room; the query is that of the path.
    fn join(server: &Server, path: &str) -> Client {
        let peer = Peer::join_with(server, path, "Sec-WebSocket-Protocol: chat.v1\r\n");
        let mut client = Client {
            peer,
            welcome: Value::Null,
        };
        client.welcome = client.hear();
        assert_eq!(client.welcome["type"], "welcome");
        client
    }

    /// Goes on where another one stood.
    fn resume(server: &Server, path: &str, welcome: &Value, seq: u64) -> Client {
        let (epoch, session) = (
            &welcome["epoch"].as_str().unwrap(),
            &welcome["session"].as_str().unwrap(),
        );
        Client::join(
            server,
            &format!("{path}?since={epoch}.{seq}&session={session}"),
        )
    }

    fn ask(&mut self, request: Value) {
        common::schema::assert_client_asks(&request);
        self.peer.say(&request.to_string());
    }

    fn say(&mut self, text: &str, id: &str) {
        self.ask(json!({ "type": "message", "text": text, "id": id }));
    }

    fn hear(&mut self) -> Value {
        let frame = serde_json::from_str(&self.peer.hear()).unwrap();
        assert_server_sends(&frame);
        frame
    }

    /// The next frame of this type; the others are passed over.
    fn hear_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.hear();
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Everything up to the answer to a ping, which stands behind all that was said before.
    fn hear_all(&mut self) -> Vec<Value> {
        self.ask(json!({ "type": "ping" }));
        let mut heard = Vec::new();
        loop {
            match self.hear() {
                pong if pong["type"] == "pong" => return heard,
                frame => heard.push(frame),
            }
        }
    }
}

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames
        .iter()
        .filter(|frame| frame["type"] == "message")
        .map(|frame| frame["seq"].as_u64().unwrap())
        .collect()
}

#[test]
fn people_with_names_talk_to_each_other_and_to_plain_clients() {
    let server = Server::start(&[]);
    let mut plain = Peer::join(&server, "/tea");
    let mut ann = Client::join(&server, "/tea?name=ann");
    let mut other = Client::join(&server, "/tea?name=a%6en");
    assert_eq!(
        (&ann.welcome["name"], &other.welcome["name"]),
        (&json!("ann"), &json!("ann-2"))
    );
    assert_eq!(
        (&ann.welcome["room"], &ann.welcome["online"]),
        (&json!("/tea"), &json!(1))
    );

    ann.say("milk?", "c-1");
    for client in [&mut ann, &mut other] {
        let said = client.hear_of("message");
        assert_eq!(
            (&said["seq"], &said["from"], &said["id"]),
            (&json!(1), &json!("ann"), &json!("c-1"))
        );
    }
    assert_eq!(plain.hear(), "ann: milk?");
    plain.say("no, thank you");
    assert_eq!(ann.hear_of("message")["from"], "guest-1");
    assert_eq!(plain.hear(), "no, thank you");

    let presence = other.hear_of("presence");
    assert_eq!(
        (&presence["online"], &presence["joined"]),
        (&json!(3), &json!(["ann", "ann-2"]))
    );
    ann.ask(json!({ "type": "name", "name": "anna" }));
    assert_eq!(
        other.hear_of("presence")["renamed"],
        json!([["ann", "anna"]])
    );
    other.ask(json!({ "type": "who" }));
    assert_eq!(
        other.hear_of("who")["names"],
        json!(["guest-1", "anna", "ann-2"])
    );
    drop(ann);
    assert_eq!(other.hear_of("presence")["left"], json!(["anna"]));
}

#[test]
fn what_is_no_request_is_answered_and_the_connection_stays() {
    let server = Server::start(&[]);
    let mut ann = Client::join(&server, "/?name=%E2%80%AEnna");
    assert_eq!(ann.hear()["code"], "bad_name");
    assert_eq!(ann.welcome["name"], "guest-1");
    for (message, code) in [
        ("hi", "bad_request"),
        ("{\"type\":\"message\"}", "bad_request"),
        ("{\"type\":\"dance\"}", "unknown_type"),
        ("{\"type\":\"name\",\"name\":\"guest-7\"}", "bad_name"),
    ] {
        ann.peer.say(message);
        assert_eq!(ann.hear_of("error")["code"], code, "{message}");
    }
    ann.peer.send(0x82, b"bytes");
    assert_eq!(ann.hear_of("error")["code"], "unsupported");
    ann.say("still here", "c");
    assert_eq!(ann.hear_of("message")["text"], "still here");
}

#[test]
fn who_scrolls_up_gets_history_in_pages() {
    let server = Server::start(&["--history", "3"]);
    let mut ann = Client::join(&server, "/");
    for n in 1..=10 {
        ann.say(&format!("{n}"), &format!("c-{n}"));
    }
    ann.hear_all();
    let mut bob = Client::join(&server, "/");
    let replay = bob.hear_all();
    assert_eq!(
        (&bob.welcome["resumed"], seqs(&replay)),
        (&json!(false), vec![8, 9, 10])
    );
    bob.ask(json!({ "type": "history", "before": 8, "limit": 5 }));
    let page = bob.hear_of("history");
    assert_eq!(
        (seqs(page["messages"].as_array().unwrap()), &page["more"]),
        (vec![3, 4, 5, 6, 7], &json!(true))
    );
    bob.ask(json!({ "type": "history", "before": 3 }));
    assert_eq!(bob.hear_of("history")["more"], false);
}

/// Says so many messages, of some 200 bytes of JSON each.
fn say_much(client: &mut Client, times: usize) {
    let text = "x".repeat(100);
    (1..=times).for_each(|n| client.say(&text, &format!("c-{n}")));
    client.hear_all();
}

/// The bytes of what a newcomer is sent of a room's history.
fn replayed(server: &Server, path: &str) -> usize {
    let replay = Client::join(server, path).hear_all();
    let messages = replay.iter().filter(|frame| frame["type"] == "message");
    messages.map(|frame| frame.to_string().len()).sum()
}

#[test]
fn the_history_of_a_room_is_bounded_in_bytes() {
    let server = Server::start(&["--history-size", "3K"]);
    say_much(&mut Client::join(&server, "/"), 40);
    let bytes = replayed(&server, "/");
    assert!((2_000..=3_072).contains(&bytes), "{bytes}");
}

#[test]
fn all_histories_together_are_bounded_in_bytes() {
    let server = Server::start(&["--history-size", "6K", "--history-size-total", "8K"]);
    let mut talkers = ["/a", "/b", "/c"].map(|path| Client::join(&server, path));
    talkers.iter_mut().for_each(|talker| say_much(talker, 20));
    let bytes = ["/a", "/b", "/c"].map(|path| replayed(&server, path));
    let sum: usize = bytes.iter().sum();
    assert!((2_000..=8_192).contains(&sum), "{bytes:?}");
    assert!(server.count("histories_over_total") > 0);
}

#[test]
fn what_is_older_than_the_time_to_live_is_forgotten() {
    let server = Server::start(&["--history-ttl", "1s"]);
    say_much(&mut Client::join(&server, "/"), 1);
    let _stays = Client::join(&server, "/");
    assert!(eventually(|| replayed(&server, "/") == 0));
}

#[test]
fn a_history_answer_ends_at_64_kib() {
    let server = Server::start(&["--byte-rate", "0"]);
    let mut ann = Client::join(&server, "/");
    for n in 1..=10 {
        ann.say(&"x".repeat(20_000), &n.to_string());
        ann.hear_of("message");
    }
    ann.ask(json!({ "type": "history" }));
    let page = ann.hear_of("history");
    assert_eq!(
        (seqs(page["messages"].as_array().unwrap()), &page["more"]),
        (vec![8, 9, 10], &json!(true))
    );
}

#[test]
fn a_second_connection_of_a_session_takes_the_place_of_the_first() {
    let mut server = Server::start(&["--log-level", "trace", "--close-timeout", "300ms"]);
    let mut ann = Client::join(&server, "/tea?name=ann");
    ann.say("one", "c-1");
    ann.hear_of("presence");
    let mut bob = Client::join(&server, "/tea?name=bob");
    bob.say("two", "c-1");

    let session = ann.welcome["session"].as_str().unwrap();
    let plain = Peer::join(&server, &format!("/tea?session={session}"));
    ann.hear_all();
    drop(plain);

    let mut again = Client::resume(&server, "/tea", &ann.welcome, 1);
    let who = (
        &again.welcome["name"],
        &again.welcome["member"],
        &again.welcome["resumed"],
    );
    assert_eq!(who, (&json!("ann"), &json!(1), &json!(true)));
    assert_eq!(seqs(&again.hear_all()), [2]);
    assert_eq!(ann.peer.close_code(), Some(4001));

    again.say("one", "c-1");
    assert_eq!(
        again.hear_of("accepted"),
        json!({ "type": "accepted", "id": "c-1", "seq": 1 })
    );
    let heard = bob.hear_all();
    assert!(
        heard.iter().all(|frame| frame["left"] != json!(["ann"])),
        "nobody saw her go"
    );

    server.signal("TERM");
    server.wait();
    let log = server.log().join("\n");
    for client in [&ann, &again, &bob] {
        assert!(
            !log.contains(client.welcome["session"].as_str().unwrap()),
            "a session is a secret"
        );
    }
}

#[test]
fn a_name_outlives_a_connection_but_not_the_room() {
    let server = Server::start(&["--history-ttl", "1s"]);
    let ann = Client::join(&server, "/tea?name=ann");
    let welcome = ann.welcome.clone();
    drop(ann);
    assert_eq!(
        Client::resume(&server, "/tea", &welcome, 0).welcome["name"],
        "ann"
    );
    assert!(eventually(|| {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let later = Client::resume(&server, "/tea", &welcome, 0);
        later.welcome["epoch"] != welcome["epoch"] && later.welcome["resumed"] == false
    }));
}

#[test]
fn a_crowd_that_reconnects_gets_everything_once() {
    const CROWD: usize = 100;
    let server = Server::start(&["--message-rate", "0"]);
    let mut speaker = Client::join(&server, "/");
    let mut crowd: Vec<_> = (0..CROWD).map(|_| Client::join(&server, "/")).collect();
    for n in 0..50 {
        speaker.say("before", &n.to_string());
    }
    let mut heard: Vec<Vec<u64>> = crowd
        .iter_mut()
        .enumerate()
        .map(|(i, client)| {
            // Each breaks off somewhere else.
            (0..i % 50)
                .map(|_| client.hear_of("message")["seq"].as_u64().unwrap())
                .collect()
        })
        .collect();
    for n in 50..100 {
        speaker.say("meanwhile", &n.to_string());
    }
    for (client, heard) in crowd.iter_mut().zip(&mut heard) {
        *client = Client::resume(
            &server,
            "/",
            &client.welcome,
            heard.last().copied().unwrap_or(0),
        );
        assert_eq!(client.welcome["resumed"], true);
    }
    for n in 100..150 {
        speaker.say("after", &n.to_string());
    }
    for (client, heard) in crowd.iter_mut().zip(&mut heard) {
        while heard.len() < 150 {
            heard.push(client.hear_of("message")["seq"].as_u64().unwrap());
        }
        assert_eq!(*heard, (1..=150).collect::<Vec<_>>());
    }
    let members: BTreeSet<_> = crowd
        .iter()
        .map(|client| client.welcome["member"].as_u64())
        .collect();
    assert_eq!(members.len(), CROWD);
}

#[test]
fn at_the_end_of_the_server_everybody_is_told_when_to_come_back() {
    let mut server = Server::start(&[]);
    let mut ann = Client::join(&server, "/?name=ann");
    ann.say("the last word", "c-1");
    ann.hear_of("message");
    server.signal("TERM");
    let bye = ann.hear_of("bye");
    assert_eq!(
        (&bye["code"], &bye["reconnect_ms"][0]),
        (&json!(1001), &json!(0))
    );
    assert_eq!(ann.peer.read().unwrap().first, CLOSE);
    ann.peer.send(CLOSE, &1001u16.to_be_bytes());
    assert!(server.wait().success());
}

#[test]
fn pings_and_long_silences_are_borne() {
    let server = Server::start(&["--ping-interval", "100ms"]);
    let mut ann = Client::join(&server, "/");
    assert_eq!(ann.welcome["ping"], 100);
    let mut pings = 0;
    while pings < 3 {
        let frame = ann.peer.read().unwrap();
        match frame.first {
            PING => {
                ann.peer.send(PONG, &frame.payload);
                pings += 1;
            }
            TEXT => {}
            other => panic!("{other:#x}"),
        }
    }
}
