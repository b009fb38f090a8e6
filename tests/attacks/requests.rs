//! HTTP as it must be answered (RFC 9110, RFC 9112), in the manner of h1spec and Http11Probe.

use crate::attacked;
use crate::common::Server;
use std::io::{Read, Write};

/// One response, read to the end of the connection unless it is an upgrade.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 0 if the connection ended without a response.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header field that is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice: {}", self.head);
        value
    }
}

/// Sends these bytes and reads what comes back. A response that is not an upgrade has to be complete
/// and the last thing on its connection.
pub(crate) fn ask(server: &Server, request: &[u8]) -> Answer {
    let mut stream = server.connect();
    let _ = stream.write_all(request); // may be refused before it is all there
    read_answer(&mut stream, request.starts_with(b"HEAD"))
}

fn read_answer(stream: &mut impl Read, headless: bool) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) if bytes.is_empty() => {
                return Answer {
                    status: 0,
                    head: String::new(),
                    body: bytes,
                };
            }
            Ok(0) | Err(_) => panic!("half a response: {:?}", String::from_utf8_lossy(&bytes)),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).unwrap();
    let status = head.strip_prefix("HTTP/1.1 ").expect(&head)[..3]
        .parse()
        .unwrap();
    let mut answer = Answer {
        status,
        head,
        body: Vec::new(),
    };
    if status != 101 {
        stream
            .read_to_end(&mut body)
            .unwrap_or_else(|error| panic!("{error} after {}", answer.head));
        let length: usize = answer
            .header("Content-Length")
            .expect(&answer.head)
            .parse()
            .unwrap();
        assert_eq!(
            body.len(),
            if headless { 0 } else { length },
            "{}",
            answer.head
        );
        let connection = answer.header("Connection").unwrap_or_default();
        assert!(
            connection.split(", ").any(|option| option == "close"),
            "{}",
            answer.head
        );
        assert!(
            answer
                .header("Date")
                .is_some_and(|date| date.ends_with(" GMT")),
            "{}",
            answer.head
        );
        answer.body = body;
    }
    answer
}

/// A request by its lines, with `Host: {host}` put where it says `HOST`.
fn lines(server: &Server, request: &str) -> Vec<u8> {
    let mut bytes = request
        .replace("HOST", &format!("Host: {}", server.address))
        .into_bytes();
    bytes.extend(b"\r\n\r\n");
    bytes
}

/// Each request as what it shows, its lines, and the answers that the RFCs leave open.
const REQUESTS: &[(&str, &str, &[u16])] = &[
    ("a page", "GET / HTTP/1.1\r\nHOST", &[200]),
    (
        "the page without its body",
        "HEAD / HTTP/1.1\r\nHOST",
        &[200],
    ),
    (
        "an empty line in front",
        "\r\nGET / HTTP/1.1\r\nHOST",
        &[200],
    ),
    (
        "white space around a value",
        "GET / HTTP/1.1\r\nHOST\r\nAccept:  \t */* \t ",
        &[200],
    ),
    (
        "an empty value",
        "GET / HTTP/1.1\r\nHOST\r\nAccept:",
        &[200],
    ),
    (
        "obs-text in a value",
        "GET / HTTP/1.1\r\nHOST\r\nUser-Agent: Gr\u{fc}n",
        &[200],
    ),
    ("a query", "GET /?a=b HTTP/1.1\r\nHOST", &[200]),
    ("HTTP/1.0 without Host", "GET / HTTP/1.0", &[200, 400, 403]),
    ("HTTP/1.0 with Host", "GET / HTTP/1.0\r\nHOST", &[200]),
    (
        "a higher minor version",
        "GET / HTTP/1.2\r\nHOST",
        &[200, 505],
    ),
    ("HTTP/2.0", "GET / HTTP/2.0\r\nHOST", &[505]),
    ("HTTP/0.9", "GET /", &[400, 505]),
    (
        "the preface of HTTP/2",
        "PRI * HTTP/2.0\r\n\r\nSM",
        &[400, 501, 505],
    ),
    (
        "a version in lower case",
        "GET / http/1.1\r\nHOST",
        &[400, 505],
    ),
    (
        "a version with too much",
        "GET / HTTP/1.10\r\nHOST",
        &[400, 505],
    ),
    (
        "a version with too little",
        "GET / HTTP/1\r\nHOST",
        &[400, 505],
    ),
    ("no Host", "GET / HTTP/1.1", &[400]),
    ("two Hosts", "GET / HTTP/1.1\r\nHOST\r\nHOST", &[400]),
    (
        "two different Hosts",
        "GET / HTTP/1.1\r\nHOST\r\nHost: localhost",
        &[400],
    ),
    (
        "a list for a Host",
        "GET / HTTP/1.1\r\nHost: localhost, localhost",
        &[400],
    ),
    (
        "user information in Host",
        "GET / HTTP/1.1\r\nHost: a@localhost",
        &[400],
    ),
    (
        "a path in Host",
        "GET / HTTP/1.1\r\nHost: localhost/a",
        &[400],
    ),
    (
        "a port that is none",
        "GET / HTTP/1.1\r\nHost: localhost:http",
        &[400],
    ),
    (
        "a port that is too high",
        "GET / HTTP/1.1\r\nHost: localhost:65536",
        &[400],
    ),
    ("an empty Host", "GET / HTTP/1.1\r\nHost:", &[400, 403]),
    (
        "a space before the colon",
        "GET / HTTP/1.1\r\nHOST\r\nAccept : */*",
        &[400],
    ),
    (
        "a space before Host's colon",
        "GET / HTTP/1.1\r\nHost : localhost",
        &[400],
    ),
    (
        "a folded line",
        "GET / HTTP/1.1\r\nHOST\r\nAccept: a\r\n b",
        &[400],
    ),
    (
        "a folded line with a tab",
        "GET / HTTP/1.1\r\nHOST\r\nAccept: a\r\n\tb",
        &[400],
    ),
    (
        "a space before the first header",
        "GET / HTTP/1.1\r\n HOST",
        &[400],
    ),
    (
        "a header without a name",
        "GET / HTTP/1.1\r\nHOST\r\n: a",
        &[400],
    ),
    (
        "a header without a colon",
        "GET / HTTP/1.1\r\nHOST\r\nAccept",
        &[400],
    ),
    (
        "a name that is no token",
        "GET / HTTP/1.1\r\nHOST\r\nA[b]: c",
        &[400],
    ),
    (
        "a bare CR in a value",
        "GET / HTTP/1.1\r\nHOST\r\nAccept: a\rb",
        &[400],
    ),
    (
        "a bare CR in a name",
        "GET / HTTP/1.1\r\nHOST\r\nAcc\rept: a",
        &[400],
    ),
    (
        "a bare CR in the request line",
        "GET /\r HTTP/1.1\r\nHOST",
        &[400],
    ),
    (
        "a bare CR for a line's end",
        "GET / HTTP/1.1\r\nHOST\rAccept: a",
        &[400],
    ),
    (
        "a NUL in a value",
        "GET / HTTP/1.1\r\nHOST\r\nAccept: a\0b",
        &[400],
    ),
    ("a NUL in the target", "GET /\0 HTTP/1.1\r\nHOST", &[400]),
    ("no target", "GET HTTP/1.1\r\nHOST", &[400]),
    ("an empty target", "GET  HTTP/1.1\r\nHOST", &[400]),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHOST", &[400]),
    ("a tab for a space", "GET\t/ HTTP/1.1\r\nHOST", &[400]),
    ("two spaces", "GET  / HTTP/1.1\r\nHOST", &[400]),
    (
        "a space at the end of the request line",
        "GET / HTTP/1.1 \r\nHOST",
        &[400, 505],
    ),
    ("a target without a slash", "GET a HTTP/1.1\r\nHOST", &[400]),
    ("an asterisk for GET", "GET * HTTP/1.1\r\nHOST", &[400]),
    (
        "a fragment in the target",
        "GET /#a HTTP/1.1\r\nHOST",
        &[400],
    ),
    ("a broken escape", "GET /%zz HTTP/1.1\r\nHOST", &[400, 404]),
    (
        "an escape that is not UTF-8",
        "GET /%ff HTTP/1.1\r\nHOST",
        &[400, 404],
    ),
    (
        "an escaped control character",
        "GET /%00 HTTP/1.1\r\nHOST",
        &[400, 404],
    ),
    (
        "another scheme",
        "GET ftp://localhost/ HTTP/1.1\r\nHOST",
        &[400],
    ),
    (
        "another site",
        "GET http://evil.example/ HTTP/1.1\r\nHOST",
        &[403],
    ),
    (
        "the target before Host",
        "GET http://localhost/ HTTP/1.1\r\nHost: evil.example",
        &[200, 400],
    ),
    (
        "POST",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0",
        &[405],
    ),
    ("PUT", "PUT / HTTP/1.1\r\nHOST", &[405]),
    ("DELETE", "DELETE / HTTP/1.1\r\nHOST", &[405]),
    ("OPTIONS", "OPTIONS / HTTP/1.1\r\nHOST", &[405]),
    (
        "OPTIONS of the server",
        "OPTIONS * HTTP/1.1\r\nHOST",
        &[400, 405],
    ),
    ("TRACE", "TRACE / HTTP/1.1\r\nHOST", &[405, 501]),
    (
        "CONNECT",
        "CONNECT localhost:80 HTTP/1.1\r\nHOST",
        &[400, 405, 501],
    ),
    ("an unknown method", "BREW / HTTP/1.1\r\nHOST", &[501]),
    ("methods have a case", "get / HTTP/1.1\r\nHOST", &[501]),
    (
        "a method that is no token",
        "GE(T / HTTP/1.1\r\nHOST",
        &[400, 501],
    ),
    (
        "two lengths",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 1\r\nContent-Length: 2",
        &[400],
    ),
    (
        "a list of two lengths",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 1, 2",
        &[400],
    ),
    (
        "a negative length",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: -1",
        &[400],
    ),
    (
        "a signed length",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: +1",
        &[400],
    ),
    (
        "a length in hexadecimal",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 0x1",
        &[400],
    ),
    (
        "an empty length",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length:",
        &[400],
    ),
    (
        "an endless length",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 99999999999999999999",
        &[400, 413],
    ),
    (
        "a length and an encoding",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        &[400],
    ),
    (
        "an encoding in HTTP/1.0",
        "POST / HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked",
        &[400],
    ),
    (
        "an unknown encoding",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: rot13",
        &[400],
    ),
    (
        "an encoding that is none",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: identity",
        &[400],
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked, chunked",
        &[400],
    ),
    (
        "chunked, but not at last",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked, gzip",
        &[400],
    ),
    (
        "an encoding that is almost chunked",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: xchunked",
        &[400],
    ),
    (
        "an empty encoding",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding:",
        &[400],
    ),
    (
        "a folded encoding",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding:\r\n chunked",
        &[400],
    ),
    (
        "one length, listed twice",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 5, 5",
        &[200, 400],
    ),
    (
        "one length, twice",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 0\r\nContent-Length: 0",
        &[200, 400],
    ),
    (
        "a length that begins with a zero",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 05",
        &[200, 400],
    ),
    (
        "a tab before the colon",
        "GET / HTTP/1.1\r\nHOST\r\nAccept\t: a",
        &[400],
    ),
    (
        "a control character in a value",
        "GET / HTTP/1.1\r\nHOST\r\nAccept: a\x01b",
        &[400],
    ),
    (
        "a DEL in a value",
        "GET / HTTP/1.1\r\nHOST\r\nAccept: a\x7fb",
        &[400],
    ),
    (
        "a letter beyond ASCII in a name",
        "GET / HTTP/1.1\r\nHOST\r\nAccépt: a",
        &[400],
    ),
    (
        "a letter beyond ASCII in the target",
        "GET /é HTTP/1.1\r\nHOST",
        &[400],
    ),
    (
        "a version of the far future",
        "GET / HTTP/9.9\r\nHOST",
        &[505],
    ),
    (
        "a version of two digits",
        "GET / HTTP/1.10\r\nHOST",
        &[400, 505],
    ),
    (
        "an absolute target, and no Host",
        "GET http://localhost/ HTTP/1.1",
        &[400],
    ),
    (
        "an absolute target with a user",
        "GET http://ann@localhost/ HTTP/1.1\r\nHOST",
        &[400],
    ),
    (
        "a connection that is to close",
        "GET / HTTP/1.1\r\nHOST\r\nConnection: close",
        &[200],
    ),
    (
        "a connection that is to stay",
        "GET / HTTP/1.1\r\nHOST\r\nConnection: keep-alive",
        &[200],
    ),
    (
        "an expectation",
        "GET / HTTP/1.1\r\nHOST\r\nExpect: 100-continue",
        &[200, 417],
    ),
    (
        "an unknown expectation",
        "GET / HTTP/1.1\r\nHOST\r\nExpect: miracles",
        &[417],
    ),
];

/// The same for what asks for an upgrade; `UPGRADE` stands for a `Host`, `Upgrade` and `Connection`,
/// `KEY` for a key and a version.
const UPGRADES: &[(&str, &str, &[u16])] = &[
    ("an upgrade", "GET / HTTP/1.1\r\nUPGRADE\r\nKEY", &[101]),
    (
        "tokens in any case, in lists, over several lines",
        "GET / HTTP/1.1\r\nHOST\r\nupgrade: foo,WebSocket\r\nConnection: keep-alive\r\nCONNECTION: , UpGrade\r\nKEY",
        &[101],
    ),
    (
        "an absolute target",
        "GET http://localhost/ HTTP/1.1\r\nUPGRADE\r\nKEY",
        &[101],
    ),
    (
        "an escaped room",
        "GET /%C3%BC HTTP/1.1\r\nUPGRADE\r\nKEY",
        &[101],
    ),
    (
        "HTTP/1.0 is never upgraded",
        "GET / HTTP/1.0\r\nUPGRADE\r\nKEY",
        &[200, 400, 426, 505],
    ),
    (
        "POST is never upgraded",
        "POST / HTTP/1.1\r\nUPGRADE\r\nKEY",
        &[400, 405],
    ),
    (
        "HEAD is never upgraded",
        "HEAD / HTTP/1.1\r\nUPGRADE\r\nKEY",
        &[200, 400, 405],
    ),
    (
        "Upgrade without Connection",
        "GET / HTTP/1.1\r\nHOST\r\nUpgrade: websocket\r\nKEY",
        &[400],
    ),
    (
        "Connection without Upgrade",
        "GET / HTTP/1.1\r\nHOST\r\nConnection: Upgrade\r\nKEY",
        &[400],
    ),
    (
        "part of a token",
        "GET / HTTP/1.1\r\nHOST\r\nUpgrade: websocket\r\nConnection: upgrades\r\nKEY",
        &[400],
    ),
    (
        "no key",
        "GET / HTTP/1.1\r\nUPGRADE\r\nSec-WebSocket-Version: 13",
        &[400],
    ),
    (
        "no version",
        "GET / HTTP/1.1\r\nUPGRADE\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        &[400, 426],
    ),
    (
        "an old version",
        "GET / HTTP/1.1\r\nUPGRADE\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        &[426],
    ),
    (
        "two keys",
        "GET / HTTP/1.1\r\nUPGRADE\r\nKEY\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        &[400],
    ),
    (
        "a short key",
        "GET / HTTP/1.1\r\nUPGRADE\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhl",
        &[400],
    ),
    (
        "a key that is not base64",
        "GET / HTTP/1.1\r\nUPGRADE\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ==",
        &[400],
    ),
    (
        "a body",
        "GET / HTTP/1.1\r\nUPGRADE\r\nKEY\r\nContent-Length: 5",
        &[400],
    ),
    (
        "a chunked body",
        "GET / HTTP/1.1\r\nUPGRADE\r\nKEY\r\nTransfer-Encoding: chunked",
        &[400],
    ),
    (
        "HTTP/2 in the clear",
        "GET / HTTP/1.1\r\nHOST\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        &[200, 400, 426],
    ),
    (
        "another protocol with a key",
        "GET / HTTP/1.1\r\nHOST\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nKEY",
        &[400, 426],
    ),
    (
        "an extension that is no token",
        "GET / HTTP/1.1\r\nUPGRADE\r\nKEY\r\nSec-WebSocket-Extensions: permessage-deflate; =",
        &[400],
    ),
    (
        "an unknown extension",
        "GET / HTTP/1.1\r\nUPGRADE\r\nKEY\r\nSec-WebSocket-Extensions: x-foo; bar=1",
        &[101],
    ),
];

/// A request that would be answered if the connection were still listened to.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHOST";

#[test]
fn requests_are_answered_as_the_rfcs_say_in_one_piece_and_byte_by_byte() {
    attacked("HTTP", &[], 1 << 20, |server| {
        for &(name, request, allowed) in REQUESTS {
            check(server, name, request, allowed);
        }
    });
}

#[test]
fn upgrades_are_answered_as_the_rfcs_say_in_one_piece_and_byte_by_byte() {
    attacked("upgrades", &[], 1 << 20, |server| {
        for &(name, request, allowed) in UPGRADES {
            let request = request
                .replace(
                    "UPGRADE",
                    "HOST\r\nUpgrade: websocket\r\nConnection: Upgrade",
                )
                .replace(
                    "KEY",
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                );
            check(server, name, &request, allowed);
        }
    });
}

fn check(server: &Server, name: &str, request: &str, allowed: &[u16]) {
    let mut whole = lines(server, request);
    let pieces = whole.clone();
    if !allowed.contains(&101) {
        whole.extend(lines(server, SMUGGLED));
    }
    let answer = ask(server, &whole);
    assert!(allowed.contains(&answer.status), "{name}: {}", answer.head);
    match answer.status {
        405 => assert!(
            answer
                .header("Allow")
                .is_some_and(|allow| allow.contains("GET")),
            "{name}"
        ),
        426 => {
            assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"), "{name}");
            assert_eq!(answer.header("Upgrade"), Some("websocket"), "{name}");
        }
        101 => {
            assert_eq!(
                answer.header("Sec-WebSocket-Accept"),
                Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            );
            assert_eq!(answer.header("Sec-WebSocket-Extensions"), None, "{name}");
        }
        _ => {}
    }

    let mut stream = server.connect();
    for byte in pieces {
        if stream.write_all(&[byte]).is_err() {
            break;
        }
    }
    let again = read_answer(&mut stream, request.starts_with("HEAD"));
    assert!(
        [answer.status, 0].contains(&again.status),
        "{name}, byte by byte: {}",
        again.head
    );
}

#[test]
fn head_says_what_get_would() {
    attacked("HEAD", &[], 0, |server| {
        let get = ask(server, &lines(server, "GET / HTTP/1.1\r\nHOST"));
        let head = ask(server, &lines(server, "HEAD / HTTP/1.1\r\nHOST"));
        for name in [
            "Content-Length",
            "Content-Type",
            "Content-Security-Policy",
            "Referrer-Policy",
        ] {
            assert!(get.header(name).is_some(), "no {name}");
            assert_eq!(get.header(name), head.header(name));
        }
        assert_eq!(get.header("X-Content-Type-Options"), Some("nosniff"));
    });
}

#[test]
fn the_first_known_subprotocol_is_answered_and_only_where_it_was_offered() {
    attacked("subprotocols", &[], 0, |server| {
        for (offer, answered) in [
            ("", None),
            ("Sec-WebSocket-Protocol: chat\r\n", Some("chat")),
            ("Sec-WebSocket-Protocol: foo, chat, bar\r\n", Some("chat")),
            (
                "Sec-WebSocket-Protocol: foo\r\nSec-WebSocket-Protocol: chat\r\n",
                Some("chat"),
            ),
            ("Sec-WebSocket-Protocol: chatter\r\n", None),
        ] {
            let request = crate::common::peer::upgrade(server, "/", offer);
            let answer = ask(server, request.as_bytes());
            assert_eq!(
                (answer.status, answer.header("Sec-WebSocket-Protocol")),
                (101, answered),
                "{offer}"
            );
        }
    });
}
