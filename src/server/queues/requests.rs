//! Requests that the engine has not answered yet, and the connections that are not read until it has.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::ConnectionRef;

/// Messages of one connection that the engine may hold. The connection is not read beyond them.
const SAYS_OF_ONE: usize = 16;

/// A request without an answer.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum Request {
    /// To become a member.
    Enter,
    /// To say something, with the message's id.
    Say(Option<Box<str>>),
    /// To have another name.
    Rename,
}

/// The requests of all connections.
#[derive(Debug, Default)]
pub(in crate::server) struct Requests {
    /// By connection, the oldest first. A connection that has gone stays until its last request is answered.
    unanswered: BTreeMap<ConnectionRef, VecDeque<Request>>,
    /// Connections that are paused until the engine has space.
    wait_for_space: Vec<ConnectionRef>,
}

impl Requests {
    pub(in crate::server) fn push(&mut self, from: ConnectionRef, request: Request) {
        self.unanswered.entry(from).or_default().push_back(request);
    }

    /// The oldest request of a connection is answered.
    pub(in crate::server) fn pop(&mut self, from: ConnectionRef) -> Option<Request> {
        let requests = self.unanswered.get_mut(&from)?;
        let request = requests.pop_front();
        if requests.is_empty() {
            self.unanswered.remove(&from);
        }
        request
    }

    /// Whether requests of a connection have no answer.
    pub(in crate::server) fn has(&self, from: ConnectionRef) -> bool {
        self.unanswered.contains_key(&from)
    }

    /// Whether a connection may say one thing more now. Nothing overtakes a change of its name, and a retry of a
    /// message waits for what becomes of that.
    pub(in crate::server) fn may_say(&self, from: ConnectionRef, id: Option<&str>) -> bool {
        let Some(requests) = self.unanswered.get(&from) else {
            return true;
        };
        let is_behind = |request: &Request| match request {
            Request::Say(known) => known.is_some() && known.as_deref() == id,
            Request::Enter | Request::Rename => true,
        };
        requests.len() < SAYS_OF_ONE && !requests.iter().any(is_behind)
    }

    /// A connection without requests is paused until the engine has space.
    pub(in crate::server) fn wait_for_space(&mut self, connection: ConnectionRef) {
        self.wait_for_space.push(connection);
    }

    /// Takes out the connections that are paused until the engine has space.
    pub(in crate::server) fn take_waiting(&mut self) -> Vec<ConnectionRef> {
        std::mem::take(&mut self.wait_for_space)
    }

    /// Whether a connection is resumed by an answer, or when the engine has space.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn resumes(&self, connection: ConnectionRef) -> bool {
        self.has(connection) || self.wait_for_space.contains(&connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConnectionId, ConnectionKey};

    fn connection(number: u32) -> ConnectionRef {
        ConnectionRef {
            key: ConnectionKey(number),
            id: ConnectionId(number),
        }
    }

    #[test]
    fn a_connection_says_only_so_much_before_it_is_answered() {
        let (ann, mut requests) = (connection(1), Requests::default());
        for _ in 0..SAYS_OF_ONE {
            assert!(requests.may_say(ann, None));
            requests.push(ann, Request::Say(None));
        }
        assert!(!requests.may_say(ann, None));
        assert!(requests.may_say(connection(2), None));
        assert_eq!(requests.pop(ann), Some(Request::Say(None)));
        assert!(requests.may_say(ann, None));
    }

    #[test]
    fn nothing_overtakes_a_change_of_name_and_a_retry_waits() {
        let (ann, mut requests) = (connection(1), Requests::default());
        requests.push(ann, Request::Say(Some("c-1".into())));
        let ids = [None, Some("c-1"), Some("c-2")];
        let may_say = |requests: &Requests| ids.map(|id| requests.may_say(ann, id));
        assert_eq!(may_say(&requests), [true, false, true]);
        requests.push(ann, Request::Rename);
        assert_eq!(may_say(&requests), [false, false, false]);
        requests.pop(ann);
        requests.pop(ann);
        assert_eq!(may_say(&requests), [true, true, true]);
        assert!(!requests.has(ann) && requests.pop(ann).is_none());
    }
}
