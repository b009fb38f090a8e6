//! Request heads: whatever comes, in whatever pieces, the answer is the same and is whole.
//!
//! The first two bytes choose the size of the pieces and the limits, the rest is what a connection sends.

#![no_main]

use std::sync::LazyLock;

use hushd::http::{
    Answer, HeadLimits, Incoming, Origins, Page, Progress, Response, Routes, Site, Status,
};
use libfuzzer_sys::fuzz_target;

static SITE: LazyLock<Site> = LazyLock::new(|| Site {
    origins: Origins::new(Vec::new(), true),
    subprotocols: &["chat", "chat.v1"],
    deflate: true,
    page: Page::embedded(),
    routes: Routes::default(),
});

const SMALL: HeadLimits = HeadLimits {
    max_head: 400,
    max_line: 120,
    max_headers: 12,
};

fuzz_target!(|input: &[u8]| {
    let [step, small, bytes @ ..] = input else {
        return;
    };
    let limits = if small % 2 == 1 {
        SMALL
    } else {
        HeadLimits::default()
    };
    let whole = serve(bytes, bytes.len(), &limits);
    assert_eq!(serve(bytes, usize::from(*step), &limits), whole);
});

/// What is answered to bytes that come in pieces, and what is left of them for a WebSocket. `None`: more is
/// awaited.
fn serve(bytes: &[u8], step: usize, limits: &HeadLimits) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut incoming, mut taken) = (Incoming::default(), 0);
    for piece in bytes.chunks(step.max(1)) {
        taken += piece.len();
        match incoming.take(&mut piece.to_vec(), limits, &SITE) {
            Progress::More => {}
            Progress::Continue | Progress::Whole(Answer::Call(_), _) => {
                panic!("no public route takes a body, or leads to a resource")
            }
            Progress::Whole(Answer::Respond(response), _) => {
                return Some((written(response), Vec::new()));
            }
            Progress::Whole(Answer::Upgrade(upgrade), rest) => {
                assert!(upgrade.room.starts_with('/') && !upgrade.room.contains(char::is_control));
                assert!(!upgrade.room.starts_with("/-/"));
                let mut out = Vec::new();
                upgrade.write_response(&mut out);
                assert!(out.starts_with(b"HTTP/1.1 101 ") && out.ends_with(b"\r\n\r\n"));
                return Some((out, [&*rest, &bytes[taken..]].concat()));
            }
        }
        assert!(incoming.holds() <= 2 * limits.max_head + 200);
    }
    None
}

/// The head of a response, which declares how long its body is, and whose reason cannot forge a line of the
/// log.
fn written(response: Response) -> Vec<u8> {
    if let Some(refusal) = response.refusal() {
        assert!(
            !refusal
                .to_string()
                .contains(|c: char| c.is_control() || c == '\u{2028}')
        );
    }
    let is_unchanged = response.status() == Status::NotModified;
    let mut out = Vec::new();
    let page = response.write(0, &mut out);
    let text = std::str::from_utf8(&out).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length = head.split_once("\r\nContent-Length: ");
    let has_body = !(page.is_empty() && body.is_empty());
    assert_eq!(length.is_none(), is_unchanged);
    if let Some((_, length)) = length {
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        assert!(page.len() + body.len() == length || !has_body);
    }
    out
}
