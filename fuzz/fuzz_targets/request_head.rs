//! Request heads: whatever comes, in whatever pieces, the answer is the same and is whole.
//!
//! The first two bytes choose the size of the pieces and the limits, the rest is what a connection sends.

#![no_main]

use std::sync::LazyLock;

use hushd::http::{Answer, Head, HeadLimits, Origins, Page, Response, Site, answer};
use libfuzzer_sys::fuzz_target;

static SITE: LazyLock<Site> = LazyLock::new(|| Site {
    origins: Origins::new(Vec::new(), true),
    subprotocols: &["chat", "chat.v1"],
    deflate: true,
    page: Page::embedded(),
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
    let (mut head, mut taken) = (Head::default(), 0);
    for piece in bytes.chunks(step.max(1)) {
        taken += piece.len();
        match head.take(&mut piece.to_vec(), limits) {
            Ok(None) => assert!(head.holds() <= 2 * limits.max_head + 200),
            Ok(Some((whole, rest))) => {
                let rest = [&*rest, &bytes[taken..]].concat();
                return Some(judge(whole, rest));
            }
            Err(response) => return Some((written(&response), Vec::new())),
        }
    }
    None
}

fn judge(head: &[u8], rest: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    match answer(head, &SITE) {
        Answer::Respond(response) => (written(&response), Vec::new()),
        Answer::Upgrade(upgrade) => {
            assert!(upgrade.room.starts_with('/') && !upgrade.room.contains(char::is_control));
            let mut out = Vec::new();
            upgrade.write_response(&mut out);
            assert!(out.starts_with(b"HTTP/1.1 101 ") && out.ends_with(b"\r\n\r\n"));
            (out, rest)
        }
    }
}

/// A response, which says how long it is, and whose reason cannot forge a line of the log.
fn written(response: &Response) -> Vec<u8> {
    if let Some(refusal) = response.refusal() {
        assert!(
            !refusal
                .to_string()
                .contains(|c: char| c.is_control() || c == '\u{2028}')
        );
    }
    let mut out = Vec::new();
    let page = response.write(0, &mut out);
    let text = std::str::from_utf8(&out).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let (_, length) = head.split_once("\r\nContent-Length: ").unwrap();
    let length: usize = length.lines().next().unwrap().parse().unwrap();
    let has_body = !(page.is_empty() && body.is_empty());
    assert!(page.len() + body.len() == length || !has_body);
    out
}
