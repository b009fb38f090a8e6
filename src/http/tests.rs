//! The layer as a whole: request bytes in, status out, however the bytes are cut.

use proptest::prelude::*;

use super::*;

const HOST: &str = "Host: localhost:8001\r\n";
const SOCKET: &str = "Host: localhost:8001\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn site() -> Site {
    Site {
        origins: Origins::new(Vec::new(), true),
        subprotocols: &["chat", "chat.v1"],
        deflate: true,
        page: Page::embedded(),
        routes: Routes::default(),
    }
}

/// What came of a request: the bytes that are answered, the reason if it was refused, and what is
/// left of the input.
#[derive(Debug, PartialEq)]
struct Outcome {
    answer: String,
    refusal: Option<Refusal>,
    rest: Vec<u8>,
}

impl Outcome {
    fn status(&self) -> &str {
        self.answer.split(' ').nth(1).unwrap()
    }
}

/// Gives the request in pieces of `step` bytes. `None`: more is awaited.
fn serve(request: &[u8], step: usize, limits: &HeadLimits) -> Option<Outcome> {
    serve_on(&site(), request, step, limits)
}

fn serve_on(site: &Site, request: &[u8], step: usize, limits: &HeadLimits) -> Option<Outcome> {
    let (mut incoming, mut taken) = (Incoming::new(ListenerId(0)), 0);
    let outcome = |response: Response| {
        let refusal = response.refusal().cloned();
        let mut answer = Vec::new();
        let body = response.write(784_111_777, &mut answer);
        answer.extend_from_slice(&body);
        Outcome {
            answer: String::from_utf8_lossy(&answer).into_owned(),
            refusal,
            rest: Vec::new(),
        }
    };
    for piece in request.chunks(step) {
        taken += piece.len();
        match incoming.take(&mut piece.to_vec(), limits, site) {
            Progress::More | Progress::Continue => {}
            // Nothing becomes of what comes behind it.
            Progress::Whole(Answer::Respond(response), _) => return Some(outcome(response)),
            Progress::Whole(Answer::Call(mut call), _) => {
                assert_eq!(call.resource, Resource::Echo);
                let (query, body) = (call.query.clone(), std::mem::take(&mut call.body));
                let response = call.respond(Status::Ok, "text/plain", body);
                return Some(outcome(response.with_header("X-Query", &query)));
            }
            Progress::Whole(Answer::Upgrade(upgrade), rest) => {
                let mut answer = Vec::new();
                upgrade.write_response(&mut answer);
                return Some(Outcome {
                    answer: String::from_utf8(answer).unwrap(),
                    refusal: None,
                    rest: [&*rest, &request[taken..]].concat(),
                });
            }
        }
    }
    None
}

/// The outcome, which must be the same in all pieces.
fn served(request: &str) -> Outcome {
    served_on(&site(), request)
}

fn served_on(site: &Site, request: &str) -> Outcome {
    let limits = HeadLimits::default();
    let whole = serve_on(site, request.as_bytes(), request.len(), &limits);
    for step in 1..request.len().min(400) {
        assert_eq!(
            serve_on(site, request.as_bytes(), step, &limits),
            whole,
            "{request:?} by {step}"
        );
    }
    whole.unwrap_or_else(|| panic!("more is awaited: {request:?}"))
}

fn check(table: &[(&str, String)]) {
    for (status, request) in table {
        let outcome = served(request);
        assert_eq!(
            outcome.status(),
            *status,
            "{request:?} {:?}",
            outcome.refusal
        );
        match *status {
            "101" => assert_eq!(outcome.refusal, None),
            "200" => assert!(outcome.answer.contains("\r\nConnection: close\r\n")),
            _ => {
                let refusal = outcome.refusal.unwrap();
                assert!(
                    outcome.answer.contains("\r\nConnection: close"),
                    "{request:?}"
                );
                assert!(
                    !refusal.to_string().contains(char::is_control),
                    "{request:?}"
                );
            }
        }
    }
}

#[test]
fn the_request_line_is_read_strictly() {
    let line = |line: &str| format!("{line}\r\n{HOST}\r\n");
    check(&[
        ("200", line("GET / HTTP/1.1")),
        ("200", line("HEAD /tea?x=%zz HTTP/1.1")),
        ("200", line("GET / HTTP/1.0")),
        ("200", line("GET / HTTP/1.2")),
        ("200", line("GET /a|b^c[d] HTTP/1.1")),
        // One empty line may come first (RFC 9112, section 2.2).
        ("200", line("\r\nGET / HTTP/1.1")),
        ("400", line("\r\n\r\nGET / HTTP/1.1")),
        ("400", line("\r\n\r\nHEAD / HTTP/1.1")),
        ("400", line("\nGET / HTTP/1.1")),
        ("400", line(" GET / HTTP/1.1")),
        ("400", line("GET  / HTTP/1.1")),
        ("400", line("GET /  HTTP/1.1")),
        ("400", line("GET\t/\tHTTP/1.1")),
        ("400", line("GET / HTTP/1.1 ")),
        ("400", line("GET / ")),
        ("400", line("GET /")),
        ("400", line("GET")),
        ("400", line("GET / a HTTP/1.1")),
        ("400", line("G@T / HTTP/1.1")),
        ("400", line("GET / HTTP")),
        ("400", line("GET / HTTP/1")),
        ("400", line("GET / HTTP/1.")),
        ("400", line("GET / HTTP/1.1.1")),
        ("400", line("GET / HTTP/11")),
        ("400", line("GET / HTTP/01.1")),
        ("400", line("GET / HTTP/1.10")),
        ("400", line("GET / http/1.1")),
        ("400", line("GET / HTTPS/1.1")),
        ("400", line("GET / XTTP/1.1")),
        ("505", line("GET / HTTP/2.0")),
        ("505", line("GET / HTTP/0.9")),
        ("505", line("GET / HTTP/9.9")),
        ("505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("400", line("GET /é HTTP/1.1")),
        ("400", line("GET /\x00 HTTP/1.1")),
        ("400", line("GET /#tea HTTP/1.1")),
        ("414", line(&format!("GET /{} HTTP/1.1", "a".repeat(129)))),
        ("414", line(&format!("GET /{} HTTP/1.1", "a".repeat(9_000)))),
        ("414", format!("GET /{}", "a".repeat(9_000))),
        ("501", "A".repeat(9_000)),
        ("501", line(&format!("{} / HTTP/1.1", "A".repeat(9_000)))),
    ]);
}

#[test]
fn what_is_not_http_is_answered_at_once() {
    for first in [
        "\x16", "\x00", "\n", "\nHEAD /", " ", "{", "\u{80}", "\x7f", "\r\n\x16",
    ] {
        assert_eq!(served(first).status(), "400", "{first:?}");
    }
    for early in [
        "GET /\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "HELO there\r\n",
        "GET / HTTP/3.0\r\n",
    ] {
        assert!(
            ["400", "505"].contains(&served(early).status()),
            "{early:?}"
        );
    }
    for early in [
        "GET / HTTP/1.1\r\nHost: a\n",
        "GET / HTTP/1.1\r\nA: \0",
        "G\x01",
        "GET\r/",
    ] {
        assert_eq!(served(early).status(), "400", "{early:?}");
    }
}

#[test]
fn get_and_head_are_the_methods() {
    let method = |method: &str| format!("{method} / HTTP/1.1\r\n{HOST}\r\n");
    for known in [
        "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT",
    ] {
        let outcome = served(&method(known));
        assert_eq!(outcome.status(), "405", "{known}");
        assert!(
            outcome.answer.contains("\r\nAllow: GET, HEAD\r\n"),
            "{}",
            outcome.answer
        );
    }
    check(&[
        ("501", method("get")),
        ("501", method("GETT")),
        ("501", method("BREW")),
        ("501", method(&"A".repeat(500))),
        ("405", format!("OPTIONS * HTTP/1.1\r\n{HOST}\r\n")),
        (
            "405",
            format!("CONNECT a.example:443 HTTP/1.1\r\n{HOST}\r\n"),
        ),
        ("400", "POST / HTTP/1.1\r\n\r\n".to_owned()),
    ]);
}

#[test]
fn targets_are_paths_or_whole_urls() {
    let target = |target: &str| format!("GET {target} HTTP/1.1\r\n{HOST}\r\n");
    check(&[
        ("200", target("http://localhost:8001/tea")),
        ("200", target("HTTP://127.0.0.1")),
        ("200", target("http://[::1]:8001?name=ann")),
        ("200", target("wss://localhost/")),
        // Its host stands for the Host's.
        ("403", target("http://evil.example/")),
        (
            "200",
            "GET http://localhost/ HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
        ),
        ("400", "GET http://localhost/ HTTP/1.1\r\n\r\n".to_owned()),
        (
            "400",
            "GET http://localhost/ HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(),
        ),
        ("400", target("*")),
        ("400", target("localhost:8001")),
        ("400", target("tea")),
        ("400", target("?tea")),
        ("400", target("http:/localhost/")),
        ("400", target("http://")),
        ("400", target("http:///tea")),
        ("400", target("http://ann@localhost/")),
        ("400", target("ftp://localhost/")),
        ("400", target("/%zz")),
        ("400", target("/%ff")),
        ("400", target("/%0d%0a")),
        ("404", target("/favicon.ico")),
        ("400", target("/a\\b")),
        ("400", target("http://localhost/..\\b")),
        ("400", target("http://localhost\\@evil.example/")),
        ("200", target("/a%5Cb?c=\\")),
    ]);
}

#[test]
fn header_lines_are_read_strictly() {
    let with = |lines: &str| format!("GET / HTTP/1.1\r\n{HOST}{lines}\r\n");
    check(&[
        ("200", with("")),
        (
            "200",
            with("A:b\r\nEmpty:\r\nX-1!#$%&'*+-.^_`|~: \t a\tb \t\r\n"),
        ),
        ("200", with("X: \u{e9}\r\n")),
        ("400", with("A : b\r\n")),
        ("400", with("A\t: b\r\n")),
        ("400", with(" A: b\r\n")),
        ("400", with("A: b\r\n c\r\n")),
        ("400", with("A: b\r\n\tc\r\n")),
        ("400", with("A\r\n")),
        ("400", with(": b\r\n")),
        ("400", with("A B: c\r\n")),
        ("400", with("A(: b\r\n")),
        ("400", with("\u{e9}: b\r\n")),
        ("400", with("A: b\rc\r\n")),
        ("400", with("A: b\r\r\n")),
        ("400", with("A: b\n")),
        ("400", with("A: b\nC: d\r\n")),
        ("400", with("A: \0\r\n")),
        ("400", with("A: \x0b\r\n")),
        ("400", with("A: \x7f\r\n")),
        ("400", with("A: \x1b[31m\r\n")),
        (
            "400",
            format!("GET / HTTP/1.1\r\n Host: localhost\r\n{HOST}\r\n"),
        ),
        ("400", "GET / HTTP/1.1\nHost: localhost\n\n".to_owned()),
        ("200", with(&"A: b\r\n".repeat(63))),
        ("431", with(&"A: b\r\n".repeat(64))),
        ("431", with(&"A: b\r\n".repeat(10_000))),
        ("431", with(&format!("A: {}\r\n", "b".repeat(8_190)))),
        (
            "431",
            with(&format!("A: {}\r\n", "b".repeat(4_000)).repeat(5)),
        ),
    ]);
}

#[test]
fn there_is_one_valid_host() {
    let with = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    check(&[
        ("200", with("hOST: LOCALHOST\r\n")),
        ("200", with("Host: [::1]:8001\r\n")),
        ("200", with("Host: 127.0.0.1:\r\n")),
        ("403", with("Host: evil.example\r\n")),
        ("403", with("Host: 0.0.0.0:8001\r\n")),
        ("403", with("Host: localhost.evil.example\r\n")),
        ("400", with("")),
        ("400", with("Host:\r\n")),
        ("400", with("Host: localhost\r\nHost: localhost\r\n")),
        (
            "400",
            with("Host: localhost\r\nA: b\r\nhost: evil.example\r\n"),
        ),
        ("400", with("Host: a, b\r\n")),
        ("400", with("Host: localhost/tea\r\n")),
        ("400", with("Host: ann@localhost\r\n")),
        ("400", with("Host: localhost:port\r\n")),
        ("400", with("Host: localhost:65536\r\n")),
        ("400", with("Host: ::1\r\n")),
        ("400", with("Host: http://localhost\r\n")),
        ("400", with("Host: \u{e9}\r\n")),
        ("200", "GET / HTTP/1.0\r\n\r\n".to_owned()),
        (
            "403",
            "GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n".to_owned(),
        ),
        (
            "400",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        ),
    ]);
}

#[test]
fn no_two_readers_can_disagree_about_a_body() {
    let with = |lines: &str| format!("GET / HTTP/1.1\r\n{HOST}{lines}\r\n");
    check(&[
        ("200", with("Content-Length: 0\r\n")),
        ("200", with("Content-Length: 5\r\n")),
        (
            "200",
            with("Content-Length: 5, 5\r\ncontent-length: 05\r\n"),
        ),
        ("200", with("Transfer-Encoding: Chunked\r\n")),
        ("400", with("Content-Length: 5\r\nContent-Length: 6\r\n")),
        ("400", with("Content-Length: 5, 6\r\n")),
        ("400", with("Content-Length:\r\n")),
        ("400", with("Content-Length: 5,\r\n")),
        ("400", with("Content-Length: +5\r\n")),
        ("400", with("Content-Length: -1\r\n")),
        ("400", with("Content-Length: 0x5\r\n")),
        ("400", with("Content-Length: 5 5\r\n")),
        ("400", with("Content-Length: 5.0\r\n")),
        ("400", with("Content-Length: 18446744073709551616\r\n")),
        ("400", with("Content-Length : 5\r\n")),
        (
            "400",
            with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ),
        (
            "400",
            with("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        ),
        ("400", with("Transfer-Encoding: xchunked\r\n")),
        ("400", with("Transfer-Encoding: identity\r\n")),
        ("400", with("Transfer-Encoding: chunked, gzip\r\n")),
        ("400", with("Transfer-Encoding: chunked, chunked\r\n")),
        (
            "400",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        ),
        ("400", with("Transfer-Encoding: \"chunked\"\r\n")),
        ("400", with("Transfer-Encoding:\r\n")),
        ("400", with("Transfer-Encoding: \x0bchunked\r\n")),
        ("400", with("Transfer-Encoding : chunked\r\n")),
        ("501", with("Transfer-Encoding: gzip, chunked\r\n")),
        (
            "400",
            format!("GET / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"),
        ),
    ]);
}

#[test]
fn nothing_is_expected() {
    check(&[
        (
            "417",
            format!("GET / HTTP/1.1\r\n{HOST}Expect: 100-continue\r\n\r\n"),
        ),
        (
            "417",
            format!("GET / HTTP/1.1\r\n{HOST}Expect: 200-ok\r\n\r\n"),
        ),
        (
            "417",
            format!("GET / HTTP/1.1\r\n{SOCKET}Expect: 100-continue\r\n\r\n"),
        ),
        (
            "200",
            format!("GET / HTTP/1.0\r\n{HOST}Expect: 100-continue\r\n\r\n"),
        ),
    ]);
}

#[test]
fn a_whole_handshake_and_nothing_less_becomes_a_websocket() {
    let socket = format!("GET / HTTP/1.1\r\n{SOCKET}\r\n");
    let with = |lines: &str| format!("GET / HTTP/1.1\r\n{SOCKET}{lines}\r\n");
    let but = |from: &str, to: &str| {
        assert!(socket.contains(from));
        socket.replace(from, to)
    };
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Upgrade: websocket\r\n";
    let connection = "Connection: Upgrade\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    check(&[
        ("101", socket.clone()),
        (
            "101",
            socket
                .to_lowercase()
                .replace("get / http", "GET / HTTP")
                .replace("dghlihnhbxbszsbub25jzq", "dGhlIHNhbXBsZSBub25jZQ"),
        ),
        ("101", but("GET /", "GET http://localhost/tea")),
        ("101", but("HTTP/1.1", "HTTP/1.2")),
        ("101", but(upgrade, "UPGRADE: h2c, WebSocket\r\n")),
        (
            "101",
            but(upgrade, "Upgrade: h2c\r\nUpgrade: ,websocket,\r\n"),
        ),
        (
            "101",
            but(connection, "Connection: keep-alive, UPGRADE\r\n"),
        ),
        (
            "101",
            but(
                connection,
                "Connection: keep-alive\r\nconnection: ,upgrade\r\n",
            ),
        ),
        ("101", with("Content-Length: 0\r\n")),
        // Half of it.
        ("400", but(upgrade, "")),
        ("400", but(upgrade, "Upgrade: h2c\r\n")),
        ("400", but(upgrade, "Upgrade: websocket/13\r\n")),
        ("400", but(upgrade, "Upgrade: web socket\r\n")),
        ("400", but(connection, "")),
        ("400", but(connection, "Connection: keep-alive\r\n")),
        ("400", but(connection, "Connection: upgraded\r\n")),
        ("400", but(key, "")),
        ("400", but(key, "").replace(connection, "")),
        (
            "400",
            but(key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n"),
        ),
        ("400", but(key, "Sec-WebSocket-Key:\r\n")),
        ("400", but(key, &key.repeat(2))),
        ("400", but(version, &version.repeat(2))),
        ("426", but(version, "")),
        ("426", but(version, "Sec-WebSocket-Version: 8\r\n")),
        ("426", but(version, "Sec-WebSocket-Version: 013\r\n")),
        ("426", but(version, "Sec-WebSocket-Version: 13, 8\r\n")),
        ("400", but("GET", "HEAD")),
        ("405", but("GET", "POST")),
        ("400", with("Content-Length: 1\r\n")),
        ("400", with("Transfer-Encoding: chunked\r\n")),
        ("404", but("GET /", "GET /favicon.ico")),
        ("400", but("GET /", "GET /%ff")),
        ("414", but("GET /", &format!("GET /{}", "a".repeat(128)))),
        // Not asked for.
        ("200", but("HTTP/1.1", "HTTP/1.0")),
        (
            "200",
            but(upgrade, "").replace(key, "").replace(connection, ""),
        ),
        ("200", but(upgrade, "").replace(key, "")),
        (
            "200",
            but(upgrade, "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n").replace(key, ""),
        ),
    ]);
}

#[test]
fn an_upgrade_without_a_key_is_called_no_websocket() {
    let request =
        format!("GET / HTTP/1.1\r\n{HOST}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    let refusal = served(&request).refusal.unwrap();
    assert_eq!(refusal.to_string(), "not a WebSocket: no Sec-WebSocket-Key");
}

#[test]
fn strange_pages_are_kept_out_and_named() {
    let from = |origin: &str| format!("GET / HTTP/1.1\r\n{SOCKET}Origin: {origin}\r\n\r\n");
    check(&[
        ("101", from("http://localhost:8001")),
        ("101", from("http://127.0.0.1:3000")),
        ("101", from("null")),
        ("403", from("https://evil.example")),
        ("403", from("http://localhost.evil.example:8001")),
        ("403", from("")),
        ("400", from("null\r\nOrigin: null")),
        // The page itself holds no secrets.
        (
            "200",
            format!("GET / HTTP/1.1\r\n{HOST}Origin: https://evil.example\r\n\r\n"),
        ),
    ]);
    let outcome = served(&from("https://evil.example/\u{202e}"));
    let refusal = outcome.refusal.unwrap();
    let named = r#"this origin is not allowed here: "https://evil.example/\u{202e}""#;
    assert_eq!(refusal.to_string(), named);
    assert!(!outcome.answer.contains("evil"));
}

#[test]
fn the_handshake_is_answered_with_what_was_offered_and_no_more() {
    let plain = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let with = |line: &str| format!("GET / HTTP/1.1\r\n{SOCKET}{line}\r\n\r\n");
    let chat = format!("{plain}Sec-WebSocket-Protocol: chat\r\n\r\n");
    let plain = format!("{plain}\r\n");
    for (offers, answer) in [
        ("", &plain),
        ("Sec-WebSocket-Protocol: chat\r\n", &chat),
        ("Sec-WebSocket-Protocol: mqtt, chat, chat.v1\r\n", &chat),
        (
            "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: chat\r\n",
            &chat,
        ),
        ("Sec-WebSocket-Protocol: mqtt\r\n", &plain),
    ] {
        let outcome = served(&format!("GET / HTTP/1.1\r\n{SOCKET}{offers}\r\né rest"));
        assert_eq!(outcome.answer, *answer, "{offers:?}");
        assert_eq!(outcome.rest, "é rest".as_bytes());
    }
    let deflate = served(&with("Sec-WebSocket-Extensions: permessage-deflate")).answer;
    let accepted = "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
        client_no_context_takeover\r\n\r\n";
    assert!(deflate.ends_with(accepted), "{deflate}");
    check(&[
        ("101", with("Sec-WebSocket-Extensions: x-other; y=\"z\"")),
        (
            "400",
            with("Sec-WebSocket-Extensions: permessage-deflate; ="),
        ),
        ("400", with("Sec-WebSocket-Extensions:")),
        ("400", with("Sec-WebSocket-Protocol: a b")),
        ("400", with("Sec-WebSocket-Protocol: chat, chat")),
        ("400", with("Sec-WebSocket-Protocol:")),
    ]);
}

#[test]
fn the_path_is_the_room_and_the_query_is_beside_it() {
    let join = |target: &str, check: &dyn Fn(Upgrade<'_>)| {
        let head = format!("GET {target} HTTP/1.1\r\n{SOCKET}\r\n");
        let mut incoming = Incoming::default();
        let (mut head, limits) = (head.into_bytes(), HeadLimits::default());
        let Progress::Whole(Answer::Upgrade(upgrade), _) =
            incoming.take(&mut head, &limits, &site())
        else {
            panic!("{target}")
        };
        check(upgrade);
    };
    join("/t%C3%A9a", &|upgrade| {
        assert_eq!(
            (&*upgrade.room, upgrade.query()),
            ("/téa", Query::default())
        );
    });
    join("http://localhost?name=ann", &|upgrade| {
        assert_eq!(
            (&*upgrade.room, upgrade.query().name.as_deref()),
            ("/", Some("ann"))
        );
    });
    join(
        "/tea?x&name=ann+b%2b&since=5f3c.41&name=eve&session=",
        &|upgrade| {
            let Query {
                name,
                since,
                session,
            } = upgrade.query();
            assert_eq!(name.as_deref(), Some("ann b+"));
            assert_eq!(since.as_deref(), Some("5f3c.41"));
            assert_eq!(session, None);
        },
    );
    join("/?name=%zz&session=%ff&since=%&since=1.2", &|upgrade| {
        let Query {
            name,
            since,
            session,
        } = upgrade.query();
        assert_eq!((name, since.as_deref(), session), (None, Some("1.2"), None));
    });
}

#[test]
fn the_page_is_described_and_has_no_body_for_head() {
    let get = served(&format!("GET /tea HTTP/1.1\r\n{HOST}\r\n")).answer;
    let head = served(&format!("HEAD /tea HTTP/1.1\r\n{HOST}\r\n")).answer;
    let (lines, body) = get.split_once("\r\n\r\n").unwrap();
    assert_eq!(head, format!("{lines}\r\n\r\n"));
    assert!(body.starts_with("<!doctype html>"));
    for line in [
        "HTTP/1.1 200 OK",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT",
        "Connection: close",
        "Content-Type: text/html; charset=utf-8",
        &format!("Content-Length: {}", body.len()),
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Cache-Control: no-cache",
    ] {
        assert!(
            lines.split("\r\n").any(|each| each == line),
            "{line} is missing: {lines}"
        );
    }
    assert!(lines.contains("\r\nContent-Security-Policy: default-src 'none'; script-src '"));
}

#[test]
fn a_refusal_is_a_complete_response_and_has_no_body_for_head() {
    let answer = served(&format!("GET /favicon.ico HTTP/1.1\r\n{HOST}\r\n")).answer;
    assert_eq!(
        answer,
        "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 37\r\n\r\n\
         404 Not Found: there is nothing here\n"
    );
    let upgrade = served(&format!("GET / HTTP/1.1\r\n{SOCKET}\r\n").replace("13", "7")).answer;
    for line in [
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Connection: close, upgrade",
    ] {
        assert!(upgrade.contains(&format!("\r\n{line}\r\n")), "{upgrade}");
    }
    for request in [
        format!("HEAD /favicon.ico HTTP/1.1\r\n{HOST}\r\n"),
        "HEAD / HTTP/1.1\r\nHost: \0".to_owned(),
        "\r\nHEAD / HTTP/1.1\r\nHost: \0".to_owned(),
        format!("HEAD / HTTP/1.1\r\nA: {}", "a".repeat(9_000)),
    ] {
        assert!(served(&request).answer.ends_with("\r\n\r\n"), "{request:?}");
    }
}

#[test]
fn the_server_refuses_in_the_middle_of_a_request_too() {
    let (limits, site) = (HeadLimits::default(), with_echo());
    let written = |response: Response| {
        let mut out = Vec::new();
        let body = response.write(0, &mut out);
        out.extend_from_slice(&body);
        String::from_utf8(out).unwrap()
    };
    let mut incoming = Incoming::default();
    assert_eq!(incoming.holds(), 0);
    let timeout = written(incoming.refuse(Refusal::RequestTimeout));
    assert!(timeout.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(timeout.ends_with("408 Request Timeout: the request did not come in time\n"));
    let mut begun = *b"HEAD / ";
    let progress = incoming.take(&mut begun, &limits, &site);
    assert!(matches!(progress, Progress::More));
    assert!(incoming.holds() > 0);
    let shutdown = written(incoming.refuse(Refusal::ShuttingDown));
    assert!(shutdown.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(shutdown.contains("\r\nRetry-After: 5\r\n") && shutdown.ends_with("\r\n\r\n"));

    let mut incoming = Incoming::default();
    let head = format!("POST /-/echo HTTP/1.1\r\n{HOST}Content-Length: 5000\r\n\r\n");
    incoming.take(&mut head.into_bytes(), &limits, &site);
    let held = incoming.holds();
    assert!(held < 500, "{held}");
    incoming.take(&mut [b'a'; 1_000], &limits, &site);
    assert!((held + 1_000..held + 2_001).contains(&incoming.holds()));
    assert!(written(incoming.refuse(Refusal::RequestTimeout)).ends_with("in time\n"));
}

#[test]
fn limits_hold_to_the_byte() {
    let limits = HeadLimits {
        max_head: 100,
        max_line: 50,
        max_headers: 3,
    };
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(length - 14));
    let field = |length: usize| format!("A:{}\r\n", "b".repeat(length - 2));
    for (request, refusal) in [
        (format!("{}\r\n", line(50)), Some(Refusal::NoHost)),
        (line(51), Some(Refusal::RequestLineTooLong)),
        (line(51)[..51].to_owned(), Some(Refusal::RequestLineTooLong)),
        (line(51)[..50].to_owned(), None),
        ("b".repeat(51), Some(Refusal::UnknownMethod)),
        ("b".repeat(50), None),
        (
            format!("{} /", "b".repeat(49)),
            Some(Refusal::RequestLineTooLong),
        ),
        (
            format!("{} /", "b".repeat(50)),
            Some(Refusal::UnknownMethod),
        ),
        (
            format!("{}{}", line(20), field(51)),
            Some(Refusal::HeaderLineTooLong),
        ),
        (
            format!("{}{}\r\n", line(20), field(50)),
            Some(Refusal::NoHost),
        ),
        (
            format!("{}{}\r\n", line(50), field(44)),
            Some(Refusal::NoHost),
        ),
        (
            format!("{}{}\r\n", line(50), field(45)),
            Some(Refusal::HeadTooLong),
        ),
        (format!("{}{}", line(50), field(45)), None),
        (
            format!("{}\r\n", line(20) + &field(3).repeat(3)),
            Some(Refusal::NoHost),
        ),
        (
            line(20) + &field(3).repeat(4),
            Some(Refusal::TooManyHeaders),
        ),
        (
            format!("{}{}", line(50), "b".repeat(51)),
            Some(Refusal::HeadTooLong),
        ),
    ] {
        for step in 1..=request.len() {
            let outcome = serve(request.as_bytes(), step, &limits);
            let found = outcome.and_then(|outcome| outcome.refusal);
            assert_eq!(found, refusal, "{request:?} by {step}");
        }
    }
}

/// A valid handshake, or what becomes of it when some bytes of it are changed, left out or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base =
        format!("GET /tea?name=ann HTTP/1.1\r\n{SOCKET}Origin: null\r\nContent-Length: 0\r\n\r\n");
    let telling = prop::sample::select(&b"\r\n :,\0\t/%#?@[]\x7f\xff0Aa="[..]);
    prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, telling), 0..6).prop_map(
        move |changes| {
            let mut bytes = base.clone().into_bytes();
            for (place, kind, byte) in changes {
                let at = place.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, byte),
                    _ => drop(bytes.splice(at..at, bytes[at / 2..at].to_vec())),
                }
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn the_verdict_depends_on_the_bytes_and_not_on_the_pieces(
        bytes in mutated(),
        step in 1..60usize,
        max_head in 50..400usize,
        max_line in 20..100usize,
    ) {
        let limits = HeadLimits { max_head, max_line, max_headers: 9 };
        prop_assert_eq!(serve(&bytes, step, &limits), serve(&bytes, bytes.len(), &limits));
        let limits = HeadLimits::default();
        prop_assert_eq!(serve(&bytes, step, &limits), serve(&bytes, bytes.len(), &limits));
    }

    #[test]
    fn any_bytes_get_an_answer_or_wait_for_more(head: Vec<u8>) {
        let _ = serve(&head, 7, &HeadLimits::default());
        let _ = serve(&head, head.len().max(1), &HeadLimits::default());
    }
}

/// The most bytes that the echo takes.
const ECHO: usize = 5_000;

/// A site whose listener has a route that takes a body, and one that takes none.
fn with_echo() -> Site {
    const fn echo(method: Method, path: &'static str, max_body: usize) -> Route {
        Route {
            methods: Methods::of(&[method]),
            path: Pattern::Exactly(path),
            target: Target::Resource(Resource::Echo),
            max_body,
        }
    }
    const TABLE: &[Route] = &[
        echo(Method::Post, "/-/echo", ECHO),
        echo(Method::Head, "/-/echo", ECHO),
        echo(Method::Get, "/-/echo", 0),
        Route {
            methods: Methods::READ,
            path: Pattern::Under("/"),
            target: Target::Room,
            max_body: 0,
        },
    ];
    Site {
        routes: Routes::new(vec![TABLE]),
        ..site()
    }
}

#[test]
fn paths_of_the_server_are_no_rooms() {
    let methods = "GET HEAD POST PUT DELETE PATCH OPTIONS TRACE CONNECT";
    for path in [
        "/-/",
        "/-/x",
        "/%2D/x",
        "/%2d/",
        "/-%2Fx",
        "/-%2f",
        "/-/../tea",
        "/-//",
        "/-/%00",
        "http://localhost/-/x",
        "http://localhost/%2d%2f",
    ] {
        for method in methods.split(' ') {
            let request = format!("{method} {path}?q HTTP/1.1\r\n{HOST}\r\n");
            assert_eq!(served(&request).status(), "404", "{method} {path}");
        }
        let upgrade = format!("GET {path} HTTP/1.1\r\n{SOCKET}\r\n");
        assert_eq!(served(&upgrade).status(), "404", "{path}");
        let body = format!("POST {path} HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\ntea");
        assert_eq!(served(&body).status(), "404", "{path}");
    }
    let long = "a".repeat(200);
    check(&[
        ("404", format!("GET /-/{long} HTTP/1.1\r\n{HOST}\r\n")),
        ("400", format!("GET /-/%zz HTTP/1.1\r\n{HOST}\r\n")),
    ]);
    for path in [
        "/-",
        "/-x",
        "/--/",
        "//-/",
        "/./-/",
        "/%252D/x",
        "/-%252Fx",
        "/a/-/",
        "/\u{2010}/",
        "/_/",
    ] {
        let path = path.replace('\u{2010}', "%E2%80%90");
        check(&[
            ("200", format!("GET {path} HTTP/1.1\r\n{HOST}\r\n")),
            ("101", format!("GET {path} HTTP/1.1\r\n{SOCKET}\r\n")),
            ("405", format!("POST {path} HTTP/1.1\r\n{HOST}\r\n")),
        ]);
    }
}

#[test]
fn a_known_path_says_which_methods_it_has() {
    for (site, method, path, status, allow) in [
        (site(), "POST", "/tea", "405", "GET, HEAD"),
        (site(), "OPTIONS", "/tea", "405", "GET, HEAD"),
        (site(), "OPTIONS", "*", "405", "GET, HEAD"),
        (with_echo(), "PUT", "/-/echo", "405", "GET, HEAD, POST"),
        (with_echo(), "POST", "/tea", "405", "GET, HEAD"),
    ] {
        let outcome = served_on(&site, &format!("{method} {path} HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!(outcome.status(), status, "{method} {path}");
        let line = format!("\r\nAllow: {allow}\r\n");
        assert!(outcome.answer.contains(&line), "{}", outcome.answer);
    }
}

#[test]
fn a_body_is_read_where_a_route_takes_one() {
    let with =
        |lines: &str, body: &str| format!("POST /-/echo?a=b HTTP/1.1\r\n{HOST}{lines}\r\n{body}");
    let largest = "a".repeat(ECHO);
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (request, body) in [
        (with("", ""), ""),
        (with("Content-Length: 0\r\n", "more"), ""),
        (with("Content-Length: 3\r\n", "tea"), "tea"),
        (with("Content-Length: 3\r\n", "tea and more"), "tea"),
        (with("Content-Length: 3, 3\r\n", "tea"), "tea"),
        (
            with(chunked, "2\r\nte\r\n1;x\r\na\r\n0\r\nA: b\r\n\r\nmore"),
            "tea",
        ),
        (with("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"), ""),
        (
            with("Content-Length: 3\r\nExpect: 100-continue\r\n", "tea"),
            "tea",
        ),
        (with("Expect: 100-continue\r\n", ""), ""),
        (with(&length(ECHO), &largest), &largest),
        (
            with(chunked, &format!("1388\r\n{largest}\r\n0\r\n\r\n")),
            &largest,
        ),
    ] {
        let outcome = served_on(&with_echo(), &request);
        let end = format!(
            "\r\nConnection: close\r\nContent-Type: text/plain\r\nX-Query: a=b\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert!(
            outcome.answer.ends_with(&end),
            "{request:?} {}",
            outcome.answer
        );
    }
    for (request, refusal) in [
        (with(&length(ECHO + 1), ""), Refusal::BodyTooLarge),
        (
            with("Content-Length: 18446744073709551615\r\n", ""),
            Refusal::BodyTooLarge,
        ),
        (
            with(&format!("{}Expect: 100-continue\r\n", length(ECHO + 1)), ""),
            Refusal::BodyTooLarge,
        ),
        (with(chunked, "1389\r\n"), Refusal::BodyTooLarge),
        (
            with(chunked, &format!("1388\r\n{largest}\r\n1\r\n")),
            Refusal::BodyTooLarge,
        ),
        (with(chunked, "x"), Refusal::MalformedChunk),
        (with(chunked, "0\r\n\n"), Refusal::MalformedChunk),
        (
            with(chunked, &format!("0;{}", "a".repeat(5_000))),
            Refusal::ChunkOverhead,
        ),
        (
            with("Content-Length: 3\r\nContent-Length: 4\r\n", "tea"),
            Refusal::MalformedLength,
        ),
        (
            with(&format!("Content-Length: 3\r\n{chunked}"), "tea"),
            Refusal::AmbiguousBody,
        ),
        (
            with("Transfer-Encoding: gzip, chunked\r\n", ""),
            Refusal::UnknownTransferCoding,
        ),
        (
            with("Transfer-Encoding: gzip\r\n", ""),
            Refusal::AmbiguousBody,
        ),
        (
            with("Content-Length: 3\r\nExpect: 200-ok\r\n", "tea"),
            Refusal::Expectation,
        ),
        (
            with("Content-Length: 3\r\nExpect: 100-continue, x\r\n", ""),
            Refusal::Expectation,
        ),
    ] {
        let outcome = served_on(&with_echo(), &request);
        assert_eq!(outcome.refusal, Some(refusal), "{request:?}");
    }
    // A route that takes no body refuses one, and the response to HEAD has none.
    let echo = |method: &str, lines: &str| {
        let request = format!("{method} /-/echo HTTP/1.1\r\n{HOST}{lines}\r\ntea");
        served_on(&with_echo(), &request)
    };
    assert_eq!(echo("GET", "").status(), "200");
    assert_eq!(echo("GET", "Content-Length: 3\r\n").status(), "413");
    assert_eq!(echo("GET", chunked).status(), "413");
    let head = echo("HEAD", "Content-Length: 3\r\n").answer;
    assert!(head.ends_with("\r\nContent-Length: 3\r\n\r\n"), "{head}");
    let head = echo("HEAD", &length(ECHO + 1));
    assert_eq!(head.status(), "413");
    assert!(head.answer.ends_with("\r\n\r\n"));
}

#[test]
fn a_client_is_asked_for_its_body_only_if_it_waits_and_the_body_is_taken() {
    let expecting = "Expect: 100-Continue\r\nContent-Length: 3\r\n";
    for (site, version, lines, body, asked) in [
        (with_echo(), "1.1", expecting, "", true),
        (with_echo(), "1.1", expecting, "t", false),
        (with_echo(), "1.1", "Content-Length: 3\r\n", "", false),
        (with_echo(), "1.0", expecting, "", false),
        (with_echo(), "1.1", "Expect: 100-continue\r\n", "", false),
        (
            with_echo(),
            "1.1",
            "Expect: 100-continue\r\nContent-Length: 9999\r\n",
            "",
            false,
        ),
        (site(), "1.1", expecting, "", false),
    ] {
        let head = format!("POST /-/echo HTTP/{version}\r\n{HOST}{lines}\r\n{body}");
        let mut incoming = Incoming::default();
        let (mut head, limits) = (head.into_bytes(), HeadLimits::default());
        let is_asked = matches!(incoming.take(&mut head, &limits, &site), Progress::Continue);
        assert_eq!(is_asked, asked, "{version} {lines:?} {body:?}");
        if asked {
            let mut body = *b"tea!";
            let Progress::Whole(Answer::Call(call), rest) =
                incoming.take(&mut body, &limits, &site)
            else {
                panic!()
            };
            assert_eq!((call.body.as_slice(), &*rest), (&b"tea"[..], &b"!"[..]));
        }
    }
}

#[test]
fn a_call_says_what_is_asked_and_by_which_listener() {
    let site = Site {
        routes: Routes::new(vec![PUBLIC, with_echo().routes.table(ListenerId(0))]),
        ..site()
    };
    for (listener, served) in [(ListenerId(0), false), (ListenerId(1), true)] {
        for step in [1, 1_000] {
            let mut request =
                format!("POST /%2D/%65cho?a=%20 HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\ntea")
                    .into_bytes();
            let mut incoming = Incoming::new(listener);
            let limits = HeadLimits::default();
            let (last, others) = request.split_last_mut().unwrap();
            for piece in others.chunks_mut(step) {
                if let Progress::Whole(Answer::Respond(response), _) =
                    incoming.take(piece, &limits, &site)
                {
                    assert_eq!((served, response.status()), (false, Status::NotFound));
                    return;
                }
            }
            let Progress::Whole(Answer::Call(call), _) =
                incoming.take(std::slice::from_mut(last), &limits, &site)
            else {
                panic!()
            };
            assert!(served);
            assert_eq!((&*call.path, &*call.query), ("/-/echo", "a=%20"));
            assert_eq!((call.method, call.listener), (Method::Post, listener));
            assert_eq!(call.body, b"tea");
        }
    }
}

#[test]
fn the_page_is_sent_in_the_coding_that_the_client_prefers() {
    let get = |lines: &str| served(&format!("GET /tea HTTP/1.1\r\n{HOST}{lines}\r\n"));
    let value = |outcome: &Outcome, name: &str| {
        let (_, rest) = outcome.answer.split_once(&format!("\r\n{name}: "))?;
        Some(rest.lines().next().unwrap().to_owned())
    };
    let [plain, gzip] = ["", "Accept-Encoding: br, gzip\r\n"].map(get);
    for (outcome, coding) in [(&plain, None), (&gzip, Some("gzip".to_owned()))] {
        assert_eq!(value(outcome, "Content-Encoding"), coding);
        assert_eq!(value(outcome, "Vary").as_deref(), Some("Accept-Encoding"));
        assert!(value(outcome, "Content-Security-Policy").is_some());
    }
    let number =
        |outcome: &Outcome| -> usize { value(outcome, "Content-Length").unwrap().parse().unwrap() };
    assert!(number(&gzip) < number(&plain) / 2);
    let [plain_tag, gzip_tag] = [&plain, &gzip].map(|outcome| value(outcome, "ETag").unwrap());
    assert_ne!(plain_tag, gzip_tag);

    let two_lines = "Accept-Encoding: br\r\naccept-encoding: *;q=0.5\r\n";
    assert_eq!(value(&get(two_lines), "ETag"), Some(gzip_tag.clone()));
    let head = format!("HEAD /tea HTTP/1.1\r\n{HOST}Accept-Encoding: gzip\r\n\r\n");
    let (lines, _) = gzip.answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(served(&head).answer, format!("{lines}\r\n\r\n"));
    let neither = get("Accept-Encoding: gzip;q=0, identity;q=0\r\n");
    assert_eq!(neither.refusal, Some(Refusal::NotAcceptable));
    assert_eq!(value(&neither, "Vary").as_deref(), Some("Accept-Encoding"));

    let accept = "Accept-Encoding: gzip\r\n";
    for (lines, status) in [
        (format!("If-None-Match: {plain_tag}\r\n"), "304"),
        (format!("If-None-Match: W/{plain_tag}\r\n"), "304"),
        (format!("If-None-Match: \"x\", {plain_tag}\r\n"), "304"),
        (
            format!("If-None-Match: \"x\"\r\nIf-None-Match: {plain_tag}\r\n"),
            "304",
        ),
        ("If-None-Match: *\r\n".to_owned(), "304"),
        (format!("{accept}If-None-Match: {gzip_tag}\r\n"), "304"),
        (
            format!("{accept}If-None-Match: {plain_tag}, {gzip_tag}\r\n"),
            "304",
        ),
        // The tag is that of another coding.
        (format!("{accept}If-None-Match: {plain_tag}\r\n"), "200"),
        (format!("If-None-Match: {gzip_tag}\r\n"), "200"),
        ("If-None-Match: \"x\"\r\n".to_owned(), "200"),
        ("If-None-Match:\r\n".to_owned(), "200"),
    ] {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} /tea HTTP/1.1\r\n{HOST}{lines}\r\n");
            let outcome = served(&request);
            assert_eq!(outcome.status(), status, "{request:?}");
            if status == "304" {
                assert!(outcome.answer.ends_with("\r\n\r\n"));
                assert_eq!(value(&outcome, "Content-Length"), None);
                assert_eq!(value(&outcome, "Content-Encoding"), None);
                assert_eq!(value(&outcome, "Vary").as_deref(), Some("Accept-Encoding"));
                let tag = value(&outcome, "ETag").unwrap();
                assert!(tag == plain_tag || tag == gzip_tag);
            }
        }
    }
}
