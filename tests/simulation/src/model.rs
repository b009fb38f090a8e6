//! What is to be heard in each room, known from what the server has read; and whether it is.

use crate::client::Client;

/// A message, in the order of the room.
#[derive(Debug)]
struct Entry {
    client: usize,
    text: bool,
    payload: Vec<u8>,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Everybody is to hear it.
    Certain,
    /// It is not known yet whether its speaker was a member at all.
    Open,
    /// Nobody is to hear it.
    Void,
}

/// All that was ever said under one path.
#[derive(Debug, Default)]
pub struct Log(Vec<Entry>);

impl Log {
    /// How much was said so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The server has read a message.
    pub fn say(&mut self, client: &Client, text: bool, payload: Vec<u8>) {
        self.0.push(Entry {
            client: client.number,
            text,
            payload,
            standing: if client.granted == Some(true) {
                Standing::Certain
            } else {
                Standing::Open
            },
        });
    }

    /// It turns out whether somebody was a member.
    pub fn settle(&mut self, client: usize, granted: bool) -> Result<(), String> {
        for entry in self.0.iter_mut().filter(|entry| entry.client == client) {
            match (entry.standing, granted) {
                (Standing::Certain, false) => {
                    return Err(format!("{client} was heard and then refused"));
                }
                (Standing::Open, true) => entry.standing = Standing::Certain,
                (Standing::Open, false) => entry.standing = Standing::Void,
                _ => {}
            }
        }
        Ok(())
    }

    /// Somebody hears this message, and its next is at `position`.
    pub fn hear(&mut self, position: &mut usize, text: bool, payload: &[u8]) -> Result<(), String> {
        while let Some(entry) = self.0.get_mut(*position) {
            *position += 1;
            let is_it = entry.text == text && entry.payload == payload;
            match entry.standing {
                Standing::Certain | Standing::Open if is_it => {
                    entry.standing = Standing::Certain;
                    return Ok(());
                }
                Standing::Certain => {
                    let heard = String::from_utf8_lossy(payload);
                    let due = String::from_utf8_lossy(&entry.payload);
                    return Err(format!("hears {heard:?} instead of {due:?}"));
                }
                Standing::Open => entry.standing = Standing::Void,
                Standing::Void => {}
            }
        }
        let heard = String::from_utf8_lossy(payload);
        Err(format!("hears {heard:?}, which nobody has said now"))
    }

    /// What somebody at this position has still to hear of what was said so far, if anything.
    pub fn missing(&self, position: usize, upto: usize) -> Option<String> {
        let upto = upto.min(self.0.len());
        self.0[position.min(upto)..upto]
            .iter()
            .find(|entry| entry.standing == Standing::Certain)
            .map(|entry| String::from_utf8_lossy(&entry.payload).into_owned())
    }
}
