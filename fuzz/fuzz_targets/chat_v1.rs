//! What a client of chat.v1 says and how it introduces itself: every text is read or answered, what is read
//! obeys its limits, and a name stays the name that it is.

#![no_main]

use hushd::chat::name::{Name, Wanted};
use hushd::chat::v1::{Hello, Request, Sent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Request::parse(text) {
        Ok(Request::Message { text: _, id }) => {
            assert!(id.is_none_or(|id| (1..=Request::MAX_ID).contains(&id.len())));
        }
        Ok(Request::History { before: _, limit }) => {
            assert!((1..=Request::MAX_LIMIT as usize).contains(&limit));
        }
        Ok(Request::Name(_) | Request::Who | Request::Ping) => {}
        Err(refused) => assert!(
            Sent::from(&refused)
                .to_json()
                .starts_with(r#"{"type":"error","code":"#)
        ),
    }
    if let Ok(Wanted::Name(name)) = Name::parse(text) {
        assert!((1..=Name::MAX_CHARS).contains(&name.as_str().chars().count()));
        assert_eq!(Name::parse(name.as_str()), Ok(Wanted::Name(name)));
    }
    let _ = Hello::parse(Some(text), Some(text), Some(text));
});
