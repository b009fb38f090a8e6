//! HTTP from end to end: a real process, raw sockets.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};

use common::Server;

/// Sends a request, and reads the response: its head, and its body.
fn ask(server: &Server, request: &str) -> (String, Vec<u8>) {
    let mut socket = server.connect();
    socket.write_all(request.as_bytes()).unwrap();
    let mut response = Vec::new();
    socket.read_to_end(&mut response).unwrap();
    let blank = response.windows(4).position(|four| four == b"\r\n\r\n");
    let body = response.split_off(blank.unwrap() + 4);
    (String::from_utf8(response).unwrap(), body)
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let (_, rest) = head.split_once(&format!("\r\n{name}: "))?;
    rest.lines().next()
}

#[test]
fn the_page_is_sent_gzipped_and_only_if_it_has_changed() {
    let server = Server::start(&[]);
    let page = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/client.html")).unwrap();
    let get = |method: &str, more: &str| {
        let host = "Host: localhost";
        ask(
            &server,
            &format!("{method} /tea HTTP/1.1\r\n{host}\r\n{more}\r\n"),
        )
    };
    let gzip = "Accept-Encoding: gzip, deflate, br, zstd\r\n";
    let mut tags = Vec::new();
    for (more, coding) in [("", None), (gzip, Some("gzip"))] {
        let (head, body) = get("GET", more);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(header(&head, "Content-Encoding"), coding);
        let length = body.len().to_string();
        assert_eq!(header(&head, "Content-Length"), Some(&*length));
        let mut text = Vec::new();
        match coding {
            None => text.clone_from(&body),
            Some(_) => {
                let mut decoder = flate2::read::GzDecoder::new(&*body);
                decoder.read_to_end(&mut text).unwrap();
            }
        }
        assert_eq!(text, page);

        let (same, nothing) = get("HEAD", more);
        let dateless = |head: &str| head.replace(header(head, "Date").unwrap(), "");
        assert_eq!(
            (dateless(&same), nothing),
            (dateless(&head), Vec::new()),
            "{more}"
        );

        let tag = header(&head, "ETag").unwrap().to_owned();
        let (unchanged, nothing) = get("GET", &format!("{more}If-None-Match: {tag}\r\n"));
        assert!(unchanged.starts_with("HTTP/1.1 304 Not Modified\r\n"));
        assert_eq!(header(&unchanged, "ETag"), Some(&*tag));
        assert!(nothing.is_empty());
        tags.push(tag);
    }
    assert_ne!(tags[0], tags[1]);
    let (head, _) = get("GET", "Accept-Encoding: identity;q=0\r\n");
    assert!(head.starts_with("HTTP/1.1 406 Not Acceptable\r\n"));
}

#[test]
fn paths_of_the_server_are_no_rooms_and_nothing_takes_a_body() {
    let server = Server::start(&[]);
    for path in ["/-/", "/-/tea", "/%2D/tea"] {
        let refused = tungstenite::client(server.url(path), server.connect());
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("404"), "{error}");
        let (head, _) = ask(
            &server,
            &format!("DELETE {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        );
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    }
    for path in ["/-", "/-tea"] {
        tungstenite::client(server.url(path), server.connect()).unwrap();
    }
    let (head, body) = ask(
        &server,
        "POST /tea HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ntea",
    );
    assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
    assert_eq!(header(&head, "Allow"), Some("GET, HEAD"));
    assert_eq!(
        body,
        b"405 Method Not Allowed: only GET and HEAD are of use here\n"
    );
}
