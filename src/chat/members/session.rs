//! Sessions: with its session token, a client that lost its connection comes back as the same member.
//!
//! A token is the member's number and its connection's key, signed with a secret of this process. So the session of a
//! connected member takes no memory. Two kinds of members are remembered: those that left, for a while, and those
//! that came back with another connection, until they leave, because such a client may show its older token again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip128::SipHasher24;

use crate::chat::members::name::Name;
use crate::ids::ConnectionKey;
use crate::time::Tick;

/// The identity of a member across its connections. It is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// The epoch of the room's log.
    pub epoch: u64,
    /// The member's number in the room.
    pub number: u32,
}

/// What a client shows to come back: 24 bytes, written as base64url.
///
/// It is a secret, because any client that shows it takes the member's place. So it has no `Debug`, and is never
/// logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; Token::BYTES]);

impl Token {
    const BYTES: usize = 4 + 4 + 16;

    /// Parses what a client sent; `None` if it has not the form of a token.
    pub fn parse(text: &str) -> Option<Token> {
        let mut bytes = [0; Token::BYTES];
        match URL_SAFE_NO_PAD
            .decode_slice_unchecked(text.get(..32).filter(|all| *all == text)?, &mut bytes)
        {
            Ok(Token::BYTES) => Some(Token(bytes)),
            Ok(_) | Err(_) => None,
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The member that a token stands for, and the key of the connection that it was given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The member.
    pub session: Session,
    /// The key of its connection when it got the token.
    pub key: ConnectionKey,
}

/// Maximum number of sessions that one call forgets. The others wait for the next call.
const AT_ONCE: usize = 1_000;

/// What is known of a member whose connection is not the one in its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It left.
    Gone {
        /// Its name; `None` is `guest-N`.
        name: Option<Name>,
        /// When it left.
        at: Tick,
    },
    /// It came back, and may not yet know the token of its new connection, which has this key.
    Moved(ConnectionKey),
}

/// The secret with which tokens are signed, and the members that left or moved.
pub struct Sessions {
    /// SipHash-2-4 with 128 bits of output: a message authentication code for short input.
    secret: SipHasher24,
    away: BTreeMap<Session, Whereabouts>,
    /// Invariant: exactly the members of `away` that are gone, at most `limit`. There is no `Schedule` here, because
    /// `away` has the times already.
    by_age: BTreeSet<(Tick, Session)>,
    limit: usize,
    ttl: u32,
}

impl Sessions {
    /// The random bits are the secret. At most `limit` members that left are remembered, for `ttl` ticks each.
    pub fn new(random: u128, limit: usize, ttl: u32) -> Sessions {
        let secret = SipHasher24::new_with_key(&random.to_le_bytes());
        Sessions {
            secret,
            away: BTreeMap::new(),
            by_age: BTreeSet::new(),
            limit,
            ttl,
        }
    }

    /// The token for this claim.
    pub fn token(&self, Claim { session, key }: Claim) -> Token {
        let mut signed = [0; 16];
        signed[..8].copy_from_slice(&session.epoch.to_le_bytes());
        signed[8..12].copy_from_slice(&session.number.to_le_bytes());
        signed[12..].copy_from_slice(&key.0.to_le_bytes());
        let mut token = [0; Token::BYTES];
        token[..8].copy_from_slice(&signed[8..]);
        token[8..].copy_from_slice(&self.secret.hash(&signed).as_bytes());
        Token(token)
    }

    /// The claim in a token of the room with this epoch; `None` if its signature is wrong.
    pub fn check(&self, token: &Token, epoch: u64) -> Option<Claim> {
        let [n0, n1, n2, n3, k0, k1, k2, k3, ..] = token.0;
        let session = Session {
            epoch,
            number: u32::from_le_bytes([n0, n1, n2, n3]),
        };
        let claim = Claim {
            session,
            key: ConnectionKey(u32::from_le_bytes([k0, k1, k2, k3])),
        };
        // All bytes are compared, so that the time does not tell how many are right.
        let difference = self
            .token(claim)
            .0
            .iter()
            .zip(token.0)
            .fold(0, |all, (a, b)| all | (a ^ b));
        (difference == 0).then_some(claim)
    }

    /// Remembers where a member is. If too many members are gone, it forgets the one that left first.
    pub fn remember(&mut self, session: Session, whereabouts: Whereabouts) {
        self.recall(session);
        match whereabouts {
            Whereabouts::Gone { at, .. } => _ = self.by_age.insert((at, session)),
            Whereabouts::Moved(_) => {}
        }
        self.away.insert(session, whereabouts);
        if self.by_age.len() > self.limit {
            self.forget_oldest();
        }
    }

    /// Where a member is, if its connection is not the one in its token.
    pub fn whereabouts(&self, session: Session) -> Option<&Whereabouts> {
        self.away.get(&session)
    }

    /// The same as [`Sessions::whereabouts`], and forgets it.
    pub fn recall(&mut self, session: Session) -> Option<Whereabouts> {
        let whereabouts = self.away.remove(&session)?;
        match whereabouts {
            Whereabouts::Gone { at, .. } => _ = self.by_age.remove(&(at, session)),
            Whereabouts::Moved(_) => {}
        }
        Some(whereabouts)
    }

    /// When there is a session to [forget](Sessions::forget).
    pub fn due(&self) -> Option<Tick> {
        self.by_age.first().map(|(since, _)| since.after(self.ttl))
    }

    /// Forgets members that left too long ago.
    pub fn forget(&mut self, now: Tick) {
        for _ in 0..AT_ONCE {
            if self.due().is_none_or(|due| due > now) {
                return;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, session)) = self.by_age.pop_first() {
            self.away.remove(&session);
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret is left out.
        f.debug_struct("Sessions")
            .field("away", &self.away)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Claim = Claim {
        session: Session {
            epoch: 0x5f3c_0a9b_e1d2_7744,
            number: 7,
        },
        key: ConnectionKey(300),
    };

    fn sessions() -> Sessions {
        Sessions::new(1, 3, 600)
    }

    #[test]
    fn a_token_comes_back_as_what_it_was_given_for() {
        let text = sessions().token(ANN).to_string();
        assert_eq!(text.len(), 32);
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
            "needs no escaping in a URL"
        );
        let token = Token::parse(&text).unwrap();
        assert_eq!(sessions().check(&token, ANN.session.epoch), Some(ANN));
    }

    #[test]
    fn a_token_of_another_room_or_process_or_changed_in_any_bit_is_nothing() {
        let token = sessions().token(ANN);
        assert_eq!(sessions().check(&token, 1), None, "another room");
        assert_eq!(
            Sessions::new(2, 3, 600).check(&token, ANN.session.epoch),
            None,
            "another process"
        );
        for bit in 0..Token::BYTES * 8 {
            let mut forged = token.clone();
            forged.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                sessions().check(&forged, ANN.session.epoch),
                None,
                "bit {bit}"
            );
        }
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        let text = sessions().token(ANN).to_string();
        for wrong in [
            "",
            "x",
            &text[1..],
            &format!("{text}="),
            &format!("{text}A"),
            &"=".repeat(32),
            &"\u{e9}".repeat(16),
        ] {
            assert!(Token::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    fn gone(at: u32) -> Whereabouts {
        Whereabouts::Gone {
            name: None,
            at: Tick(at),
        }
    }

    #[test]
    fn a_member_that_left_is_remembered_until_it_returns() {
        let mut sessions = sessions();
        sessions.remember(ANN.session, gone(5));
        assert_eq!(sessions.recall(ANN.session), Some(gone(5)));
        assert_eq!(sessions.recall(ANN.session), None);
        sessions.remember(ANN.session, Whereabouts::Moved(ConnectionKey(8)));
        sessions.remember(ANN.session, gone(9));
        assert_eq!(
            sessions.recall(ANN.session),
            Some(gone(9)),
            "the latest news"
        );
        assert_eq!((sessions.due(), sessions.by_age.len()), (None, 0));
    }

    #[test]
    fn only_so_many_are_remembered_for_only_so_long() {
        let mut sessions = sessions();
        let session = |number| Session { epoch: 1, number };
        for number in 0..5 {
            sessions.remember(session(number), gone(number));
        }
        assert_eq!(sessions.recall(session(1)), None, "only three");
        assert_eq!(sessions.due(), Some(Tick(602)));
        sessions.forget(Tick(603));
        let away: Vec<_> = sessions.away.keys().copied().collect();
        assert_eq!((away, sessions.by_age.len()), (vec![session(4)], 1));
    }

    #[test]
    fn a_crowd_that_left_together_is_forgotten_by_and_by() {
        let crowd = 2 * AT_ONCE as u32;
        let mut sessions = Sessions::new(1, 2 * crowd as usize, 600);
        for number in 0..crowd {
            sessions.remember(Session { epoch: 1, number }, gone(7));
        }
        sessions.forget(Tick(606));
        assert_eq!(sessions.away.len(), 2 * AT_ONCE);
        sessions.forget(Tick(607));
        assert_eq!(
            (sessions.away.len(), sessions.due()),
            (AT_ONCE, Some(Tick(607)))
        );
        sessions.forget(Tick(607));
        assert_eq!((sessions.away.len(), sessions.due()), (0, None));
    }

    #[test]
    fn a_member_that_came_back_is_found_until_it_leaves_however_many_left_meanwhile() {
        let mut sessions = sessions();
        sessions.remember(ANN.session, Whereabouts::Moved(ConnectionKey(8)));
        for number in 10..20 {
            sessions.remember(Session { epoch: 1, number }, gone(number));
        }
        assert_eq!((sessions.by_age.len(), sessions.away.len()), (3, 4));
        sessions.forget(Tick(10_000));
        let moved = Whereabouts::Moved(ConnectionKey(8));
        assert_eq!(sessions.whereabouts(ANN.session), Some(&moved));
        sessions.remember(ANN.session, gone(10_000));
        sessions.forget(Tick(10_600));
        assert_eq!(sessions.away.len(), 0);
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", sessions()), "Sessions { away: {}, .. }");
    }
}
