//! One connection, changed together with what is counted about it.

use std::io::IoSlice;
use std::mem;
use std::ops::{Deref, DerefMut};

use super::super::drop_reason::DropReason;
use super::super::transport::{Transport, Written};
use super::{Awaits, Closing, Connection, Flags, HeapUse, Joining, PendingInput, Stage};
use crate::feed::{Lane, Outbox, Piece};
use crate::http::Incoming;
use crate::ids::{ConnectionKey, ConnectionRef};
use crate::ws::Decoder;

/// A connection, borrowed together with the counts and lists that depend on it.
pub(in crate::server) struct Entry<'a, S> {
    pub(super) key: ConnectionKey,
    pub(super) connection: &'a mut Connection<S>,
    pub(super) blocked: &'a mut usize,
    pub(super) handshaking: &'a mut usize,
    pub(super) touched: &'a mut Vec<ConnectionKey>,
    pub(super) ended: &'a mut Vec<ConnectionKey>,
}

impl<S> Deref for Entry<'_, S> {
    type Target = Connection<S>;

    #[inline]
    fn deref(&self) -> &Connection<S> {
        self.connection
    }
}

impl<S> DerefMut for Entry<'_, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Connection<S> {
        self.connection
    }
}

impl<S> Entry<'_, S> {
    /// What lists that outlive a turn keep of it.
    pub(in crate::server) fn reference(&self) -> ConnectionRef {
        ConnectionRef {
            key: self.key,
            id: self.connection.id,
        }
    }

    /// Its heap use may have grown: the ledger is settled before it is read.
    fn grew(&mut self) {
        if !self.connection.flags.has(Flags::TOUCHED)
            && self.connection.heap_use() != HeapUse::default()
        {
            self.connection.flags.set(Flags::TOUCHED);
            self.touched.push(self.key);
        }
    }

    /// Its heap use may have become less, if it had any.
    #[inline]
    fn shrank(&mut self) {
        let flags = &mut self.connection.flags;
        if flags.has(Flags::IN_LEDGER) && !flags.has(Flags::TOUCHED) {
            flags.set(Flags::TOUCHED);
            self.touched.push(self.key);
        }
    }

    /// It has come this far.
    pub(in crate::server) fn set_stage(&mut self, stage: Stage) {
        *self.handshaking -= usize::from(self.connection.is_handshaking());
        let holds = match &stage {
            Stage::Handshaking(_) | Stage::Open(_) => false,
            Stage::Joining(_) => true,
            Stage::Closing(closing) => closing.awaits.may_hold(),
        };
        self.connection.stage = stage;
        *self.handshaking += usize::from(self.connection.is_handshaking());
        self.shrank();
        if holds {
            self.grew();
        }
    }

    /// It is closing, and waits for this. It keeps its seat.
    pub(in crate::server) fn set_closing(&mut self, awaits: Awaits) {
        if let Stage::Closing(_) = self.connection.stage {
            return self.set_awaits(awaits);
        }
        let place = self.connection.place();
        self.set_stage(Stage::Closing(Closing { place, awaits }));
    }

    /// A closing connection waits for something else now.
    #[inline]
    pub(in crate::server) fn set_awaits(&mut self, awaits: Awaits) {
        if let Stage::Closing(closing) = &mut self.connection.stage {
            let holds = awaits.may_hold();
            closing.awaits = awaits;
            self.shrank();
            if holds {
                self.grew();
            }
        }
    }

    /// It is removed at the end of the turn. Nothing more is written to it, and what it held is free now.
    pub(in crate::server) fn end(&mut self) {
        self.connection.flags.set(Flags::ENDED);
        self.connection.outbox.drop_private();
        self.set_closing(Awaits::Outbox);
        self.ended.push(self.key);
    }

    /// Takes out the request, which is [put back](Entry::put_incoming) unless it has come to its end.
    pub(in crate::server) fn take_incoming(&mut self) -> Option<Incoming> {
        match &mut self.connection.stage {
            Stage::Handshaking(incoming) => Some(mem::take(incoming)),
            Stage::Joining(_) | Stage::Open(_) | Stage::Closing(_) => None,
        }
    }

    pub(in crate::server) fn put_incoming(&mut self, incoming: Incoming) {
        if let Stage::Handshaking(place) = &mut self.connection.stage {
            *place = incoming;
            self.shrank();
            self.grew();
        }
    }

    /// Takes out what a connection that waits for its room is to be told then. `None` if it does not wait.
    pub(in crate::server) fn take_joining(&mut self) -> Option<Box<Joining>> {
        match mem::replace(
            &mut self.connection.stage,
            Stage::Handshaking(Incoming::default()),
        ) {
            Stage::Joining(joining) => {
                self.shrank();
                Some(joining)
            }
            stage @ (Stage::Handshaking(_) | Stage::Open(_) | Stage::Closing(_)) => {
                self.connection.stage = stage;
                None
            }
        }
    }

    /// Takes out the input of a member that is not used yet.
    pub(in crate::server) fn take_pending(&mut self) -> Option<Box<PendingInput>> {
        let pending = self.connection.open_mut()?.pending.take()?;
        self.shrank();
        Some(pending)
    }

    /// Takes out the bytes of a member that were read and are not decoded.
    pub(in crate::server) fn take_undecoded(&mut self) -> Option<Vec<u8>> {
        let pending = self.connection.open_mut()?.pending.as_mut()?;
        let undecoded = mem::take(&mut pending.undecoded);
        let is_held = pending.held.is_some();
        self.shrank();
        Some(undecoded).filter(|undecoded| is_held || !undecoded.is_empty())
    }

    pub(in crate::server) fn set_pending(&mut self, pending: PendingInput) {
        if let Some(open) = self.connection.open_mut() {
            open.pending = Some(Box::new(pending));
            self.grew();
        }
    }

    /// Takes out the decoder of a connection that waits for the peer's Close.
    pub(in crate::server) fn take_close_decoder(&mut self) -> Option<Decoder> {
        match &mut self.connection.stage {
            Stage::Closing(closing) => match &mut closing.awaits {
                Awaits::Close(decoder) => Some(mem::take(decoder)),
                Awaits::Outbox | Awaits::Fin => None,
            },
            Stage::Handshaking(_) | Stage::Joining(_) | Stage::Open(_) => None,
        }
    }

    /// It follows this lane from now on, in place of the one before.
    pub(in crate::server) fn join(&mut self, lane: &Lane) {
        self.connection.outbox = Outbox::join(lane);
        self.shrank();
    }

    /// Splices in a private piece at the end of the lane.
    pub(in crate::server) fn splice(&mut self, lane: &Lane, piece: Piece) {
        if !self.is_ended() {
            self.connection.outbox.splice(lane, piece);
            self.grew();
        }
    }

    /// Splices in an answer of which only the latest matters, once there are `spare` bytes.
    pub(in crate::server) fn splice_latest(&mut self, lane: &Lane, bytes: Vec<u8>, spare: usize) {
        if !self.is_ended() {
            self.connection.outbox.splice_latest(lane, bytes, spare);
            self.grew();
        }
    }

    /// Nothing that comes on the lane from now on is owed to it.
    pub(in crate::server) fn finish(&mut self, lane: &Lane) {
        self.connection.outbox.finish(lane);
    }

    /// These bytes of what it is owed were sent already.
    pub(in crate::server) fn wrote(&mut self, bytes: usize) {
        self.connection.outbox.wrote(bytes);
        self.shrank();
    }

    /// An event says that its socket is not full any more. Returns whether it was.
    pub(in crate::server) fn unblock(&mut self) -> bool {
        let was_blocked = self.connection.flags.clear(Flags::BLOCKED);
        *self.blocked -= usize::from(was_blocked);
        was_blocked
    }

    /// Its socket has accepted this much of what it was offered. Each write ends here.
    #[inline]
    fn sent(&mut self, sent: Written) {
        if sent.bytes > 0 {
            self.connection.stuck = 0;
        }
        if sent.full {
            self.connection.flags.set(Flags::BLOCKED);
            *self.blocked += 1;
        }
    }
}

impl<S: Transport> Entry<'_, S> {
    /// Writes private bytes from where they are, if nothing is owed before them: most answers need no
    /// queue then. Returns how many the socket accepted; [`Entry::wrote`] has to be told once the rest is spliced in.
    pub(in crate::server) fn write_through(&mut self, lane: &Lane, bytes: &[u8]) -> usize {
        let waits = self.connection.flags.has(Flags::BLOCKED) || self.connection.is_ended();
        if waits || self.connection.outbox.has_unsent(lane) {
            return 0;
        }
        // An error shows again when the rest is written.
        let sent = self.connection.socket.send(&[IoSlice::new(bytes)]);
        let sent = sent.unwrap_or_default();
        self.sent(sent);
        sent.bytes
    }

    /// What nearly every visit is: a member that has taken all so far is written the latest of its lane, accepts
    /// all of it, and nothing changes but its cursor. Returns whether it was so. If not,
    /// [`Entry::write_owed`] is to be called: what was accepted is noted, and an error shows again.
    #[inline]
    pub(in crate::server) fn write_latest(&mut self, lane: &Lane, cap: usize) -> bool {
        let Some(latest) = self.connection.outbox.unsent_slice(lane) else {
            return false;
        };
        if self.connection.flags.has(Flags::OUT_OF_STEP) || latest.len() > cap {
            return false;
        }
        let Ok(sent) = self.connection.socket.send(&[IoSlice::new(latest)]) else {
            return false;
        };
        self.connection.outbox.wrote(sent.bytes);
        self.sent(sent);
        !sent.full
    }

    /// Writes what is owed, at most `cap` bytes in one call. Returns whether all of that was accepted; `false` if
    /// nothing is owed or the socket is full.
    ///
    /// # Errors
    /// Why the connection has to be dropped.
    pub(in crate::server) fn write_owed(
        &mut self,
        lane: &Lane,
        archive: Option<&Lane>,
        cap: usize,
    ) -> Result<bool, DropReason> {
        let Connection {
            socket,
            outbox,
            flags,
            ..
        } = &mut *self.connection;
        if flags.has(Flags::BLOCKED) {
            let fell_behind = outbox.cursor() < lane.start() && outbox.has_unsent_lane(lane);
            return if fell_behind {
                Err(DropReason::FellBehind)
            } else {
                Ok(false)
            };
        }
        let Ok(owed) = outbox.next_write(lane, archive, cap) else {
            return Err(DropReason::FellBehind);
        };
        if owed.is_empty() {
            return Ok(false);
        }
        let sent = match socket.send(owed.slices()) {
            Ok(sent) => sent,
            Err(error) => return Err(DropReason::Broken(error.kind())),
        };
        outbox.wrote(sent.bytes);
        self.sent(sent);
        self.shrank();
        Ok(!sent.full)
    }
}
