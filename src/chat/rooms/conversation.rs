//! Who comes to a room, what they say there, and how they go.

use super::Rooms;
use crate::chat::format::said::{Said, What};
use crate::chat::format::v1::{self, ClientRequest, Hello, Refused, ServerMessage, Since};
use crate::chat::history::log::Stamp;
use crate::chat::members::name::{BadName, Called, Name, Wanted};
use crate::chat::members::named;
use crate::chat::members::presence::Presence;
use crate::chat::members::session::{Claim, Whereabouts};
use crate::chat::room::chat_state::Renamed;
use crate::chat::{Encoding, Format, Member, Place, Roster};
use crate::feed::Piece;
use crate::ids::{ConnectionKey, RoomKey};
use crate::time::Tick;
use crate::ws::Message;

/// Bytes at which a history answer ends.
const HISTORY_ANSWER: usize = 64 * 1024;

/// A client that is to become a member.
#[derive(Clone, Copy)]
pub struct Newcomer<'a> {
    /// Of its connection.
    pub key: ConnectionKey,
    /// In what form it hears the room.
    pub encoding: Encoding,
    /// How it introduces itself, if it speaks `chat.v1`.
    pub hello: &'a Hello<'a>,
    /// Its number, unless its session is known: then the number is that of the session.
    pub number: u32,
}

/// A newcomer, and what it is to be told first.
#[derive(Debug)]
pub struct Arrival {
    /// To be kept where the [`Roster`] finds it, from now until it [departs](Rooms::depart).
    pub member: Member,
    /// For those who speak `chat.v1`.
    pub greeting: Option<Greeting>,
}

/// What a newcomer is told, in this order.
#[derive(Debug)]
pub struct Greeting {
    /// Where and who it is.
    pub welcome: String,
    /// What was said before.
    pub replay: Piece,
    /// What was wrong with the name that it wanted.
    pub refused: Option<String>,
}

/// A question whose answer may be a thousand times as long as itself. Who could ask many of them in one
/// breath would make us hold all their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who is here?
    Who,
    /// What was said earlier?
    History,
}

/// What comes of something that a member says.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// The room is to hear it: by [`Rooms::append`].
    Say(Said<'a>),
    /// The member alone is to be told this.
    Answer(String),
    /// Likewise; and until it has taken this, it is to have no other answer to such a question.
    LongAnswer(Question, String),
    /// The member is to be called this, as far as it can be; `None` is `guest-N`: see [`Rooms::rename`].
    Rename(Option<Name>),
    /// Nothing.
    Nothing,
}

impl Rooms {
    /// The connection whose place somebody takes who comes back: it must depart and be closed first.
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

    /// The number of the member that comes back with this `hello`, if its session is known.
    pub fn returning(&self, room: RoomKey, hello: &Hello<'_>, roster: &dyn Roster) -> Option<u32> {
        let epoch = self.get(room)?.log.epoch();
        let claim = self.sessions.check(hello.session.as_ref()?, epoch)?;
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
        let random = self.random.bits128();
        let bounds = self.limits.bounds();
        let room = self.rooms.get_mut(room_key.0 as usize)?;
        if speaks_chat {
            room.remember(random, bounds, now);
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
        self.vacant.cancel(room_key);
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
        self.settle(room_key);
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

    /// Judges what a member says. `waits`: whether it has not yet taken an earlier [`Verdict::LongAnswer`] of this
    /// kind. `time` is in milliseconds since 1970.
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

    /// A member is to be called this, as far as it can be. Returns its new name, which is to be kept in its entry, and
    /// what it alone is to be told of that, if the room will not be. `None`: nothing has changed.
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
            Renamed::To(name) => name,
            Renamed::No => return None,
        };
        let presence = chat.presence.as_ref();
        let untold = presence.filter(|presence| !presence.tells_renaming(member.number));
        let answer = untold.map(|presence| renamed(presence, member, name.as_ref()));
        self.settle(member.place.room);
        Some((name, answer))
    }

    /// Publishes a message, whose place in the room's log is given; a retry of it will be known. Nobody is written to
    /// here. Returns whether this sets the room's hand in motion.
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

    /// A member will not be heard any more. Its seat it keeps until it has been told its last.
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

/// What somebody asks to be called when it comes. `guest-N` is nothing to ask for: one becomes that anyway.
fn wanted(name: Option<&str>) -> Result<Option<Name>, BadName> {
    match name.map(Name::parse) {
        Some(Ok(Wanted::Name(name))) => Ok(Some(name)),
        Some(Ok(Wanted::Guest(_))) | None => Ok(None),
        Some(Err(bad)) => Err(bad),
    }
}

/// Presence for one member alone: its own name has changed. It is without the other lists, since what was announced
/// has not: there its old name may be that of somebody who has just left.
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
