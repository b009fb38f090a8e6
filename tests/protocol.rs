//! docs/protocol.md against the schema: what it shows can be sent, and what can be sent is in it.

#![allow(clippy::expect_used)]

#[path = "common/schema.rs"]
mod schema;

use std::collections::BTreeSet;

use serde_json::Value;

const DOCUMENT: &str = include_str!("../docs/protocol.md");
const SCHEMA: &str = include_str!("../docs/chat.v1.schema.json");

/// All frames of the document: whether a server sends it, and the frame.
fn frames() -> impl Iterator<Item = (bool, Value)> {
    DOCUMENT.lines().filter_map(|line| {
        let (before, frame) = line.split_at(line.find("{\"type\":")?);
        let is_sent = match before.trim_end().chars().last() {
            Some('<') | None => true,
            Some('>') => false,
            Some(_) => return None,
        };
        Some((is_sent, serde_json::from_str(frame).expect(line)))
    })
}

#[test]
fn every_frame_of_the_document_fits_the_schema() {
    for (is_sent, frame) in frames() {
        if is_sent {
            schema::assert_server_sends(&frame);
        } else {
            schema::assert_client_asks(&frame);
        }
    }
}

#[test]
fn every_type_and_every_error_code_is_documented() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let shown: BTreeSet<(bool, String)> = frames()
        .map(|(is_sent, frame)| (is_sent, frame["type"].as_str().unwrap().to_owned()))
        .collect();
    for (side, is_sent) in [("server", true), ("client", false)] {
        for one in schema["$defs"][side]["oneOf"].as_array().unwrap() {
            let name = one["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let kind = &schema["$defs"][name]["properties"]["type"]["const"];
            assert!(
                shown.contains(&(is_sent, kind.as_str().unwrap().to_owned())),
                "{side} {kind}"
            );
        }
    }
    for code in schema["$defs"]["error"]["properties"]["code"]["enum"]
        .as_array()
        .unwrap()
    {
        let row = format!("| `{}` |", code.as_str().unwrap());
        assert!(DOCUMENT.contains(&row), "{code}");
    }
}
