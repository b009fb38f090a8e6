//! What is said in JSON, taken apart.

use serde_json::Value;

use crate::model::{Content, Log, Told};

/// Whether these are messages below `before`, the latest of so many.
pub(super) fn history(
    json: &Value,
    epoch: u64,
    latest: u64,
    before: Option<u64>,
    limit: usize,
    log: &Log,
) -> Result<(), String> {
    let messages = json["messages"]
        .as_array()
        .ok_or("history without messages")?;
    ensure!(
        messages.len() <= limit,
        "more than {limit} messages: {json}"
    );
    let mut due = (latest + 1).min(before.unwrap_or(u64::MAX));
    for message in messages.iter().rev() {
        let told = told(message, epoch)?;
        due = due.saturating_sub(1);
        ensure!(
            told.seq == due && log.has(&told),
            "{told:?} instead of {due}"
        );
    }
    Ok(())
}

pub(super) fn told(json: &Value, epoch: u64) -> Result<Told, String> {
    let content = match (&json["text"], &json["base64"], &json["size"]) {
        (Value::String(text), Value::Null, Value::Null) => Content::Text(text.clone()),
        (Value::Null, Value::String(bytes), Value::Null) => Content::Base64(bytes.clone()),
        (Value::Null, Value::Null, size) if size.is_u64() => {
            Content::Size(size.as_u64().unwrap_or(0))
        }
        _ => return Err(format!("not a message: {json}")),
    };
    Ok(Told {
        epoch,
        seq: json["seq"].as_u64().ok_or("a message without a seq")?,
        from: json["from"]
            .as_str()
            .ok_or("a message from nobody")?
            .to_owned(),
        member: json["member"].as_u64().ok_or("a message of nobody")? as u32,
        id: json["id"].as_str().map(str::to_owned),
        content,
    })
}

pub(super) fn strings(json: &Value) -> Result<Vec<String>, String> {
    let strings = json.as_array().ok_or("a list is missing")?.iter();
    let strings = strings.map(|text| text.as_str().map(str::to_owned));
    strings
        .collect::<Option<_>>()
        .ok_or_else(|| "not names".into())
}
