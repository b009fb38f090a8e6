//! What a client of chat.v1 says and how it introduces itself: every text is read or answered, what is read
//! obeys its limits, and a name stays the name that it is.

#![no_main]

use hushd::chat::members::name::{Name, Wanted};
use hushd::chat::v1::{ClientRequest, Hello, ServerMessage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match ClientRequest::parse(text) {
        Ok(ClientRequest::Message { text: _, id }) => {
            assert!(id.is_none_or(|id| (1..=ClientRequest::MAX_ID).contains(&id.len())));
        }
        Ok(ClientRequest::History { before: _, limit }) => {
            assert!((1..=ClientRequest::MAX_LIMIT as usize).contains(&limit));
        }
        Ok(ClientRequest::Name(_) | ClientRequest::Who | ClientRequest::Ping) => {}
        Err(refused) => assert!(
            ServerMessage::from(&refused)
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
