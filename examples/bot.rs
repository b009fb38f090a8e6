//! A bot that answers those who speak to it: `cargo run --example bot -- ws://127.0.0.1:8001/tea`
//!
//! It knows three words: `!time`, `!dice` and `!who`. Its connection is taken up where it broke, so it answers each
//! question once, however often it has to come back (docs/protocol.md).

#![allow(clippy::print_stderr)] // that is what it is for

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::BuildHasher;
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, thread};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// The longest time between two tries.
const LONGEST: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args()
        .nth(1)
        .unwrap_or_else(|| "ws://127.0.0.1:8001/".to_owned());
    let mut bot = Bot::default();
    let mut tries = 0;
    loop {
        let ended = bot.stay(&url, &mut tries);
        eprintln!(
            "{}",
            ended
                .err()
                .map_or_else(|| "the server closed".to_owned(), |error| error.to_string())
        );
        // Full jitter: a crowd of bots does not come back as one.
        let longest = LONGEST.min(Duration::from_millis(500) * 2_u32.saturating_pow(tries));
        tries += 1;
        thread::sleep(longest.mul_f64(random() as f64 / u64::MAX as f64));
    }
}

/// Where the conversation stands, across connections.
#[derive(Default)]
struct Bot {
    session: Option<String>,
    member: u64,
    epoch: String,
    seq: u64,
}

impl Bot {
    /// Talks until the connection ends.
    fn stay(&mut self, url: &str, tries: &mut u32) -> Result<(), Box<dyn Error>> {
        let mut query = "?name=bot".to_owned();
        if let Some(session) = &self.session {
            query += &format!("&session={session}&since={}.{}", self.epoch, self.seq);
        }
        let mut request = format!("{url}{query}").into_client_request()?;
        request.headers_mut().insert(
            "Sec-WebSocket-Protocol",
            HeaderValue::from_static("chat.v1"),
        );
        let (mut socket, _) = tungstenite::connect(request).map_err(|_| "nobody answers")?;
        loop {
            // Pings are answered on the way.
            match socket.read()? {
                Message::Text(text) => {
                    self.hear(&serde_json::from_str(&text)?, &mut socket, tries)?
                }
                Message::Close(_) => return Ok(()),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    fn hear(
        &mut self,
        frame: &Value,
        socket: &mut Socket,
        tries: &mut u32,
    ) -> Result<(), Box<dyn Error>> {
        match frame["type"].as_str() {
            Some("welcome") => {
                let epoch = text(frame, "epoch");
                let is_new = self.epoch != epoch;
                self.epoch = epoch.to_owned();
                self.session = Some(text(frame, "session").to_owned());
                self.member = frame["member"].as_u64().unwrap_or_default();
                // What was said in this room before we first came is not our business, ...
                if is_new {
                    self.seq = frame["seq"].as_u64().unwrap_or_default();
                }
            }
            Some("message") => {
                *tries = 0;
                let seq = frame["seq"].as_u64().unwrap_or_default();
                // ... but what was said while we were away is.
                if seq <= self.seq {
                    return Ok(());
                }
                self.seq = seq;
                let is_ours = frame["member"].as_u64() == Some(self.member);
                if let Some(answer) =
                    answer(text(frame, "text"), text(frame, "from")).filter(|_| !is_ours)
                {
                    // The question's own number makes the answer's id: a second answer to it is not published.
                    say(
                        socket,
                        &json!({ "type": "message", "text": answer, "id": format!("to-{seq}") }),
                    )?;
                } else if !is_ours && text(frame, "text") == "!who" {
                    say(socket, &json!({ "type": "who" }))?;
                }
            }
            Some("who") => {
                let count = frame["online"].as_u64().unwrap_or_default();
                say(
                    socket,
                    &json!({ "type": "message", "text": format!("{count} are here") }),
                )?;
            }
            // Presence, errors, and what a later server may have to say.
            Some(_) | None => {}
        }
        Ok(())
    }
}

fn answer(question: &str, from: &str) -> Option<String> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    match question {
        "!time" => Some(format!(
            "{from}: it is {:02}:{:02} UTC",
            now / 3600 % 24,
            now / 60 % 60
        )),
        "!dice" => Some(format!("{from}: {}", random() % 6 + 1)),
        _ => None,
    }
}

fn say(socket: &mut Socket, frame: &Value) -> Result<(), tungstenite::Error> {
    socket.send(Message::text(frame.to_string()))
}

fn text<'a>(frame: &'a Value, key: &str) -> &'a str {
    frame[key].as_str().unwrap_or_default()
}

/// The standard library's hashers are seeded at random, which is as much randomness as a bot needs.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
