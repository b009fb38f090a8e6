//! Compressed messages against the naive model of the inflater's own tests.

#![no_main]

use hushd::ws::deflate::{Deflater, Inflater};
use hushd::ws::extension::Window;
use hushd::ws::{Message, Violation};
use libfuzzer_sys::fuzz_target;

#[path = "../../src/ws/deflate/model.rs"]
mod model;

/// More than any input of libFuzzer's default length can inflate to.
const MOST: usize = 1032 * 4096;

fuzz_target!(|payload: &[u8]| {
    let mut inflater = Inflater::new();
    let inflated = match inflater.inflate(false, payload, MOST) {
        Ok(Message::Binary(bytes)) => Ok(bytes.to_vec()),
        Ok(other) => panic!("{other:?}"),
        Err(violation) => Err(violation),
    };
    let model = model::inflate(payload).map(|inflated| inflated.bytes);
    assert_eq!(inflated, model.ok_or(Violation::CorruptDeflate));

    let text = inflater
        .inflate(true, payload, MOST)
        .map(|event| format!("{event:?}"));
    if let Ok(bytes) = &inflated {
        let want = str::from_utf8(bytes).map(|text| format!("{:?}", Message::Text(text)));
        assert_eq!(text, want.map_err(|_| Violation::InvalidUtf8));
    } else {
        assert!(text.is_err());
    }

    for window in [Window::Bits9, Window::Bits15] {
        let mut out = Vec::new();
        if Deflater::new(window, 6).compress(payload, &mut out) {
            let inflated = model::inflate(&out).expect("what we compress is whole");
            assert_eq!(inflated.bytes, payload);
            assert!(inflated.furthest <= 1 << window.bits());
        }
    }
});
