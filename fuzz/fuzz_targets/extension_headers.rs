//! The lists of a handshake, one header a line: extensions, subprotocols, tokens, the key.

#![no_main]

use hushd::ws::extension::{Window, negotiate};
use hushd::ws::handshake::{WebSocketKey, choose_subprotocol, tokens};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let headers = || data.split(|&byte| byte == b'\n');

    if let Ok(Some(deflate)) = negotiate(headers()) {
        let response = deflate.response();
        assert!(response.contains("; server_no_context_takeover; client_no_context_takeover"));
        let small = response.ends_with("; server_max_window_bits=9");
        assert_eq!(small, deflate.window == Window::Bits9);
        // What we answer is itself an offer that we accept.
        let again = negotiate([response.as_bytes()].into_iter());
        assert_eq!(
            again.map(|again| again.map(|again| again.window)),
            Ok(Some(deflate.window))
        );
    }

    let known = ["chat", "chat.v1"];
    if let Ok(Some(chosen)) = choose_subprotocol(headers(), &known) {
        let offered = headers()
            .flat_map(tokens)
            .flatten()
            .find(|token| known.contains(token));
        assert_eq!(offered, Some(chosen));
    }
    for header in headers() {
        let _ = WebSocketKey::parse(header).map(|key| key.accept());
    }
});
