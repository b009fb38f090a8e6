//! Request bodies: whatever comes, in whatever pieces, it is read alike, and costs no more than it brings.
//!
//! The first two bytes choose the size of the pieces and a declared length, of which 0 means chunks. The rest is
//! what a connection sends behind the head.

#![no_main]

use std::sync::LazyLock;

use hushd::http::{
    Answer, HeadLimits, Incoming, Method, Methods, Origins, Page, Pattern, Progress, Refusal,
    Resource, Route, Routes, Site, Target,
};
use libfuzzer_sys::fuzz_target;

/// The most bytes of a body.
const MOST: usize = 200;

const TABLE: &[Route] = &[Route {
    methods: Methods::of(&[Method::Post]),
    path: Pattern::Under("/"),
    target: Target::Resource(Resource::Echo),
    max_body: MOST,
}];

static SITE: LazyLock<Site> = LazyLock::new(|| Site {
    origins: Origins::new(Vec::new(), true),
    subprotocols: &["chat", "chat.v1"],
    deflate: true,
    page: Page::embedded(),
    routes: Routes::new(vec![TABLE]),
});

fuzz_target!(|input: &[u8]| {
    let [step, length, bytes @ ..] = input else {
        return;
    };
    let declared = match length {
        0 => "Transfer-Encoding: chunked".to_owned(),
        length => format!("Content-Length: {length}"),
    };
    let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{declared}\r\n\r\n");
    let whole = read(&head, bytes, bytes.len());
    assert_eq!(read(&head, bytes, usize::from(*step)), whole);
    if let (Some(Ok((body, rest))), 1..) = (&whole, length) {
        assert_eq!(
            (body.len(), body.len() + rest.len()),
            ((*length).into(), bytes.len())
        );
        assert!(bytes.starts_with(body) && bytes.ends_with(rest));
    }
});

/// What is read of bytes that come in pieces, and what is left of them. `None`: more is awaited.
#[allow(clippy::type_complexity)]
fn read(head: &str, bytes: &[u8], step: usize) -> Option<Result<(Vec<u8>, Vec<u8>), Refusal>> {
    let (mut incoming, mut taken) = (Incoming::default(), 0);
    let pieces = bytes.chunks(step.max(1));
    for piece in std::iter::once(head.as_bytes()).chain(pieces) {
        taken += piece.len();
        match incoming.take(&mut piece.to_vec(), &HeadLimits::default(), &SITE) {
            Progress::More => {}
            Progress::Continue | Progress::Whole(Answer::Upgrade(_), _) => panic!("not asked for"),
            Progress::Whole(Answer::Call(call), rest) => {
                assert!(call.body.len() <= MOST);
                let behind = &bytes[taken - head.len()..];
                return Some(Ok((call.body, [&*rest, behind].concat())));
            }
            Progress::Whole(Answer::Respond(response), _) => {
                return response.refusal().cloned().map(Err);
            }
        }
        assert!(incoming.holds() <= 500 + MOST.min(2 * taken));
    }
    None
}
