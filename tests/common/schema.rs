//! Holds JSON to docs/chat.v1.schema.json: as much of JSON Schema as that uses, and a panic at anything else.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::LazyLock;

use serde_json::{Map, Value};

const SCHEMA: &str = include_str!("../../docs/chat.v1.schema.json");

/// Panics unless this is what a server may send.
pub fn assert_server_sends(frame: &Value) {
    check("#/$defs/server", frame);
}

/// Panics unless this is what a client may ask.
pub fn assert_client_asks(frame: &Value) {
    check("#/$defs/client", frame);
}

fn check(definition: &str, value: &Value) {
    static PARSED: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(SCHEMA).unwrap());
    if let Err(why) = fits(resolve(&PARSED, definition), value, &PARSED) {
        panic!("{value} does not fit {definition}: {why}");
    }
}

fn resolve<'s>(root: &'s Value, reference: &str) -> &'s Value {
    root.pointer(reference.trim_start_matches('#'))
        .unwrap_or_else(|| panic!("no {reference}"))
}

fn fits(schema: &Value, value: &Value, root: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        obeys(keyword, rule, schema, value, root).map_err(|why| format!("{keyword}: {why}"))?;
    }
    Ok(())
}

fn obeys(
    keyword: &str,
    rule: &Value,
    schema: &Value,
    value: &Value,
    root: &Value,
) -> Result<(), String> {
    let empty = Map::new();
    let object = value.as_object().unwrap_or(&empty);
    let array = value.as_array().map_or(&[][..], Vec::as_slice);
    let verify = |so: bool| {
        if so { Ok(()) } else { Err(rule.to_string()) }
    };
    let names = |rule: &Value| -> Vec<String> { serde_json::from_value(rule.clone()).unwrap() };
    match keyword {
        "description" | "contentEncoding" => Ok(()),
        "$ref" => fits(resolve(root, rule.as_str().unwrap()), value, root),
        "oneOf" => {
            let tried = rule
                .as_array()
                .unwrap()
                .iter()
                .map(|schema| fits(schema, value, root));
            let (fit, misfit): (Vec<_>, Vec<_>) = tried.partition(Result::is_ok);
            if fit.len() == 1 {
                Ok(())
            } else {
                Err(format!("{} fit, {misfit:?}", fit.len()))
            }
        }
        "type" => verify(match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            other => panic!("type {other}"),
        }),
        "const" => verify(value == rule),
        "enum" => verify(rule.as_array().unwrap().contains(value)),
        "properties" => {
            let rules = rule.as_object().unwrap().iter();
            let mut there = rules.filter_map(|(name, rule)| Some((name, rule, object.get(name)?)));
            there.try_for_each(|(name, rule, value)| {
                fits(rule, value, root).map_err(|why| format!("{name}: {why}"))
            })
        }
        "required" => verify(names(rule).iter().all(|name| object.contains_key(name))),
        "additionalProperties" => {
            assert_eq!(*rule, Value::Bool(false));
            let known = schema["properties"].as_object().unwrap();
            verify(object.keys().all(|name| known.contains_key(name)))
        }
        "dependentRequired" => {
            let mut asked = rule
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, _)| object.contains_key(*name));
            verify(
                asked.all(|(_, needs)| names(needs).iter().all(|name| object.contains_key(name))),
            )
        }
        "items" => array.iter().try_for_each(|item| fits(rule, item, root)),
        "prefixItems" => array
            .iter()
            .zip(rule.as_array().unwrap())
            .try_for_each(|(item, rule)| fits(rule, item, root)),
        "minItems" => verify(array.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => verify(array.len() as u64 <= rule.as_u64().unwrap()),
        "minimum" => verify(value.as_i64() >= rule.as_i64()),
        "maximum" => verify(value.as_i64() <= rule.as_i64()),
        "minLength" => {
            verify(value.as_str().unwrap().chars().count() as u64 >= rule.as_u64().unwrap())
        }
        "maxLength" => {
            verify(value.as_str().unwrap().chars().count() as u64 <= rule.as_u64().unwrap())
        }
        "pattern" => {
            let text = value.as_str().unwrap();
            let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            verify(match rule.as_str().unwrap() {
                "^/" => text.starts_with('/'),
                "^[0-9a-f]{16}$" => text.len() == 16 && text.chars().all(is_hex),
                other => panic!("pattern {other}"),
            })
        }
        other => panic!("the keyword {other}"),
    }
}
