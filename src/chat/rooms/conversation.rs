//! Membership and messages: a client joins a room, the room judges what its members say and publishes it, and members
//! depart.

use super::Rooms;
use crate::chat::format::said::{Said, What};
use crate::chat::format::v1::{self, ClientRequest, Hello, Refused, ServerMessage, Since};
use crate::chat::history::log::Stamp;
use crate::chat::members::name::{BadName, Called, Name, Wanted};
use crate::chat::members::named;
use crate::chat::members::presence::Presence;
use crate::chat::members::session::{Claim, Whereabouts};
use crate::chat::room::chat_state::NameChange;
use crate::chat::{Encoding, Format, Member, Place, Roster};
use crate::feed::Piece;
use crate::ids::{ConnectionKey, RoomKey};
use crate::time::Tick;
use crate::ws::Message;

/// Maximum size of the answer to a history request in bytes, but for its last message.
const HISTORY_ANSWER: usize = 64 * 1024;

/// A client that is to become a member.
#[derive(Clone, Copy)]
pub struct Newcomer<'a> {
    /// The key of its connection.
    pub key: ConnectionKey,
    /// The encoding that it negotiated.
    pub encoding: Encoding,
    /// How it introduces itself, if it speaks `chat.v1`.
    pub hello: &'a Hello<'a>,
    /// Its number, unless its session is known: then the number is that of the session.
    pub number: u32,
}

/// A new member, and what it is sent first.
#[derive(Debug)]
pub struct Arrival {
    /// The [`Roster`] must find it from now until it [departs](Rooms::depart).
    pub member: Member,
    /// For a member that speaks `chat.v1`.
    pub greeting: Option<Greeting>,
}

/// What a new member is sent, in this order.
#[derive(Debug)]
pub struct Greeting {
    /// The `welcome`.
    pub welcome: String,
    /// Earlier messages.
    pub replay: Piece,
    /// The error, if the name that it asked for is invalid.
    pub refused: Option<String>,
}

/// A request whose answer may be a thousand times as long as the request. A client has at most one unsent answer for
/// each, because the server would have to hold all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which members are in the room?
    Who,
    /// Which messages came earlier?
    History,
}

/// What the room decides about a message of a member.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// The message is to be published: by [`Rooms::append`].
    Say(Said<'a>),
    /// This is the answer, for the member alone.
    Answer(String),
    /// The same, to a question that may have a long answer. Until the member's socket has taken it, another such
    /// question is refused.
    LongAnswer(Question, String),
    /// The member is to be called this, as far as it can be; `None` is `guest-N`: see [`Rooms::rename`].
    Rename(Option<Name>),
    /// The message has no effect.
    Nothing,
}

impl Rooms {
    /// The older connection of the same member, if the client comes back with a session that is still connected. That
    /// connection must depart and be closed first.
    pub fn replaced(
        &self,
        room: RoomKey,
        hello: &Hello<'_>,
        roster: &dyn Roster,
    ) -> Option<ConnectionKey> {
        let claim = self
            .sessions
            .check(hello.session.as_ref()?, self.get(room)?.log.epoch())?;
        let is_there = |key: &ConnectionKey| {
            roster.member(*key).is_some_and(|member| {
                (member.place.room, member.number) == (room, claim.session.number)
                    && member.place.encoding.format() == Format::ChatV1
            })
        };
        let moved = match self.sessions.whereabouts(claim.session) {
            Some(&Whereabouts::Moved(key)) => Some(key),
            Some(Whereabouts::Gone { .. }) | None => None,
        };
        [Some(claim.key), moved]
            .into_iter()
            .flatten()
            .find(is_there)
    }

    /// The number of the member that comes back with this `hello`, if the session is known.
    pub fn returning(&self, room: RoomKey, hello: &Hello<'_>, roster: &dyn Roster) -> Option<u32> {
        let token = hello.session.as_ref()?;
        let claim = self.sessions.check(token, self.get(room)?.log.epoch())?;
        let is_known = match self.sessions.whereabouts(claim.session) {
            Some(Whereabouts::Gone { .. }) => true,
            Some(Whereabouts::Moved(_)) | None => self.replaced(room, hello, roster).is_some(),
        };
        is_known.then_some(claim.session.number)
    }

    /// A client becomes a member. All others are in the roster.
    pub fn join(
        &mut self,
        room_key: RoomKey,
        newcomer: Newcomer<'_>,
        roster: &dyn Roster,
        now: Tick,
    ) -> Option<Arrival> {
        let Newcomer {
            key,
            encoding,
            hello,
            number,
        } = newcomer;
        let speaks_chat = match encoding.format() {
            Format::Plain => false,
            Format::ChatV1 => true,
        };
        let room = self.rooms.get_mut(room_key.0 as usize)?;
        if speaks_chat {
            room.remember(&mut self.random, self.limits.bounds(), now);
        }
        let claim = hello
            .session
            .as_ref()
            .and_then(|token| self.sessions.check(token, room.log.epoch()));
        let back = claim
            .and_then(|claim| Some((claim.session.number, self.sessions.recall(claim.session)?)));
        let (number, wanted, left) = match back {
            Some((number, Whereabouts::Gone { name, at })) => (number, Ok(name), Some(at)),
            Some((_, Whereabouts::Moved(_))) | None => (number, wanted(hello.name), None),
        };
        room.log.arrived(number);
        let (wanted, bad_name) = match wanted {
            Ok(wanted) => (wanted, None),
            Err(bad) => (None, Some(bad)),
        };

        let name = room
            .chat
            .as_mut()
            .and_then(|chat| chat.arrive(key, number, wanted, left, roster, now));
        let seat = room.join(key, encoding);
        let has_chat = room.chat.is_some();
        let member = Member {
            place: Place {
                room: room_key,
                seat,
                encoding,
            },
            number,
            name,
        };
        if left.is_some() {
            self.sessions
                .remember(room.session(number), Whereabouts::Moved(key));
        }
        let greeting = speaks_chat
            .then(|| self.greeting(key, &member, hello.since, bad_name))
            .flatten();
        // A new lane reserves nothing, so in a room without chat members there is nothing to settle.
        if has_chat {
            self.vacant.cancel(room_key);
            self.settle(room_key);
        }
        Some(Arrival { member, greeting })
    }

    fn greeting(
        &self,
        key: ConnectionKey,
        member: &Member,
        since: Option<Since>,
        bad_name: Option<BadName>,
    ) -> Option<Greeting> {
        let room = self.get(member.place.room)?;
        let chat = room.chat.as_ref()?;
        let replay = room.log.replay(since, self.limits.history)?;
        let session = room.session(member.number);
        let welcome = ServerMessage::Welcome {
            room: room.path(),
            name: member.called(),
            member: member.number,
            session: self.sessions.token(Claim { session, key }),
            epoch: room.log.epoch(),
            seq: room.log.seq(),
            resumed: replay.resumed,
            online: chat.presence.as_ref().map_or(0, Presence::online),
            ping: u64::try_from(self.ping_interval.as_millis()).unwrap_or(u64::MAX),
            max_message: self.limits.max_message,
        };
        let framing = member.place.encoding.framing();
        let refused = bad_name.map(|bad| ServerMessage::from(&Refused::from(bad)).to_json());
        Some(Greeting {
            welcome: welcome.to_json(),
            replay: room.log.framed(replay.span, framing)?,
            refused,
        })
    }

    /// Decides what becomes of a message of a member. `waits`: whether an earlier [`Verdict::LongAnswer`] to this
    /// question is still unsent. `time` is in milliseconds since 1970.
    pub fn judge<'a>(
        &mut self,
        member: &'a Member,
        message: Message<'a>,
        waits: impl Fn(Question) -> bool,
        roster: &dyn Roster,
        (now, time): (Tick, u64),
    ) -> Verdict<'a> {
        let format = member.place.encoding.format();
        let say = |what, id| {
            Verdict::Say(Said {
                member: member.number,
                from: member.called(),
                format,
                what,
                id,
            })
        };
        let request = match (format, message) {
            (Format::Plain, Message::Text(text)) => return say(What::Text(text.into()), None),
            (Format::Plain, Message::Binary(bytes)) => return say(What::Binary(bytes), None),
            (Format::ChatV1, Message::Binary(_)) => Err(Refused::BINARY),
            (Format::ChatV1, Message::Text(text)) => ClientRequest::parse(text),
        };
        let answer = |sent: ServerMessage<'_>| Verdict::Answer(sent.to_json());
        let Some(room) = self.rooms.get_mut(member.place.room.0 as usize) else {
            return Verdict::Nothing;
        };
        let session = room.session(member.number);
        let Some(chat) = &mut room.chat else {
            return Verdict::Nothing;
        };
        match request {
            Ok(ClientRequest::Message { text, id }) => {
                let heard = id
                    .as_deref()
                    .and_then(|id| Some((id, self.dedup.seq(session, id, now)?)));
                match heard {
                    Some((id, seq)) => answer(ServerMessage::Accepted { id, seq }),
                    None => say(What::Text(text), id),
                }
            }
            Ok(ClientRequest::Name(wish)) => match Name::parse(&wish) {
                Ok(Wanted::Guest(number)) if number != member.number => {
                    answer(ServerMessage::from(&Refused::from(BadName::Reserved)))
                }
                Ok(Wanted::Guest(_)) => Verdict::Rename(None),
                Ok(Wanted::Name(name)) => Verdict::Rename(Some(name)),
                Err(bad) => answer(ServerMessage::from(&Refused::from(bad))),
            },
            Ok(ClientRequest::Who) if waits(Question::Who) => {
                answer(ServerMessage::from(&Refused::BUSY))
            }
            Ok(ClientRequest::Who) => {
                let members = room.members.iter().filter_map(|&key| roster.member(key));
                let names = chat
                    .presence
                    .as_ref()
                    .and_then(|presence| presence.who(named(members)));
                let online = chat.presence.as_ref().map_or(0, Presence::online);
                let who = ServerMessage::Who {
                    online,
                    names: names.as_deref(),
                };
                Verdict::LongAnswer(Question::Who, who.to_json())
            }
            Ok(ClientRequest::History { .. }) if waits(Question::History) => {
                answer(ServerMessage::from(&Refused::BUSY))
            }
            Ok(ClientRequest::History { before, limit }) => {
                let before = before.unwrap_or(u64::MAX);
                let log = &room.log;
                let json = v1::history(|out| log.write_before(before, limit, HISTORY_ANSWER, out));
                Verdict::LongAnswer(Question::History, json)
            }
            Ok(ClientRequest::Ping) => answer(ServerMessage::Pong { time }),
            Err(refused) => answer(ServerMessage::from(&refused)),
        }
    }

    /// Gives a member this name, or one like it if it is taken. Returns the new name, which the caller stores in the
    /// member's entry, and an answer for the member alone if presence does not announce the change. `None`: nothing
    /// has changed.
    pub fn rename(
        &mut self,
        key: ConnectionKey,
        member: &Member,
        wanted: Option<Name>,
        roster: &dyn Roster,
        now: Tick,
    ) -> Option<(Option<Name>, Option<String>)> {
        let room = self.rooms.get_mut(member.place.room.0 as usize)?;
        let chat = room.chat.as_mut()?;
        let name = match chat.rename(key, member, wanted, roster, now) {
            NameChange::To(name) => name,
            NameChange::No => return None,
        };
        let presence = chat.presence.as_ref();
        let untold = presence.filter(|presence| !presence.tells_renaming(member.number));
        let answer = untold.map(|presence| renamed(presence, member, name.as_ref()));
        self.settle(member.place.room);
        Some((name, answer))
    }

    /// Publishes a message with this place in the room's log. From now on, a retry of it is recognised. Nothing is
    /// written to a socket here. Returns whether a round begins, which means that the room is to be queued.
    pub fn append(&mut self, room_key: RoomKey, said: &Said<'_>, stamp: Stamp, now: Tick) -> bool {
        let limit = self.limits.max_json();
        let Some(room) = self.rooms.get_mut(room_key.0 as usize) else {
            return false;
        };
        let begins = room.append(said, stamp, now, limit, &mut self.compressor);
        if let Some(id) = &said.id {
            let session = room.session(said.member);
            self.dedup.note(session, id, stamp.seq, now);
        }
        self.settle(room_key);
        begins
    }

    /// A member says nothing more. It keeps its seat until it [leaves](Rooms::leave), because it may still receive
    /// bytes.
    pub fn depart(&mut self, key: ConnectionKey, member: &Member, roster: &dyn Roster, now: Tick) {
        let Some(room) = self.rooms.get_mut(member.place.room.0 as usize) else {
            return;
        };
        let session = room.session(member.number);
        room.departed();
        let Some(chat) = &mut room.chat else {
            return;
        };
        chat.depart(key, member, roster, now);
        match member.place.encoding.format() {
            Format::Plain => {}
            Format::ChatV1 => {
                let gone = Whereabouts::Gone {
                    name: member.name.clone(),
                    at: now,
                };
                self.sessions.remember(session, gone);
            }
        }
        self.settle(member.place.room);
    }
}

/// The name that a new client asks for. `guest-N` counts as no name, because the server gives such names itself.
fn wanted(name: Option<&str>) -> Result<Option<Name>, BadName> {
    match name.map(Name::parse) {
        Some(Ok(Wanted::Name(name))) => Ok(Some(name)),
        Some(Ok(Wanted::Guest(_))) | None => Ok(None),
        Some(Err(bad)) => Err(bad),
    }
}

/// The presence message that tells one member alone that its own name has changed. It has no other lists, because the
/// announced presence has not changed: there, the old name may be the name of another member that has just left.
fn renamed(presence: &Presence, member: &Member, name: Option<&Name>) -> String {
    let guest = Called::Guest(member.number);
    let is = name.map_or(guest, |name| Called::Name(name.as_str()));
    let sent = ServerMessage::Presence {
        online: presence.online(),
        left: None,
        renamed: Some(&[(member.called().to_string(), is.to_string())]),
        joined: None,
    };
    sent.to_json()
}
