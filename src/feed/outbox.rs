//! The outbox: one subscriber's cursor into its lane, with private bytes spliced in, and the next
//! vectored write.
//!
//! Bytes are unsent until the socket has accepted them. Two rules make a flag for "in the middle of a
//! frame" unnecessary. Each private piece is spliced in at `lane.end()` as it is at that moment, which
//! is a record boundary. And the positions of the pieces never decrease, so a subscriber receives an
//! answer after everything that caused it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;

use super::lane::{FellBehind, Lane, Offset};

/// One subscriber's position in its lane. It uses no heap while no private bytes are unsent.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The position of the first unsent byte of the lane.
    cursor: Offset,
    private: Option<Box<Private>>,
}

#[derive(Debug, Default)]
struct Private {
    /// Invariant: the positions never decrease, none is before the cursor, and no piece is empty.
    splices: VecDeque<Splice>,
    /// Sent bytes of the front splice. 0 unless that splice is at the cursor.
    written: usize,
    /// The subscriber receives no bytes of the lane from this position on.
    stop: Option<Offset>,
    /// Bytes of heap that the splices use.
    holds: usize,
}

#[derive(Debug)]
struct Splice {
    /// The position in the lane before which the piece is sent.
    at: Offset,
    piece: Piece,
    /// Whether a later piece replaces this one, unless a part of it is sent already.
    replaceable: bool,
}

/// Private bytes for one subscriber: bytes of their own, or a span of the archive, which is not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Complete records.
    Bytes(Cow<'static, [u8]>),
    /// The records of the archive between two positions in it.
    Archive {
        /// The position of the first byte.
        from: Offset,
        /// The position after the last byte.
        to: Offset,
    },
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Archive { from, to } => *to - *from,
        }
    }

    /// Bytes of heap that the piece uses as part of a splice.
    fn holds(&self) -> usize {
        let heap = match self {
            Piece::Bytes(Cow::Owned(bytes)) => bytes.capacity(),
            Piece::Bytes(Cow::Borrowed(_)) | Piece::Archive { .. } => 0,
        };
        size_of::<Splice>() + heap
    }
}

impl Outbox {
    /// The outbox of a subscriber that joins the lane now. The subscriber receives the bytes that are
    /// appended from now on.
    pub fn join(lane: &Lane) -> Outbox {
        Outbox {
            cursor: lane.end(),
            private: None,
        }
    }

    /// The position of the first unsent byte of the lane.
    pub fn cursor(&self) -> Offset {
        self.cursor
    }

    /// Bytes of heap in use. All of it is for private pieces.
    pub fn holds(&self) -> usize {
        self.private.as_ref().map_or(0, |private| private.holds)
    }

    /// Splices in a private piece at the current end of the lane. After [`Outbox::finish`] this has no
    /// effect.
    pub fn splice(&mut self, lane: &Lane, piece: Piece) {
        self.insert(lane, piece, false);
    }

    /// Splices in an answer of which only the latest matters, such as a pong. If private pieces use more
    /// than `spare` bytes of heap, this drops the earlier pieces from this method of which no byte is sent.
    pub fn splice_latest(&mut self, lane: &Lane, bytes: Vec<u8>, spare: usize) {
        if let Some(private) = &mut self.private
            && private.holds > spare
        {
            private.drop_replaceable();
        }
        self.insert(lane, Piece::Bytes(Cow::Owned(bytes)), true);
    }

    /// Drops all private pieces, because nothing more is sent to the subscriber.
    pub fn drop_private(&mut self) {
        self.private = None;
    }

    /// Ends the subscription at the current end of the lane. The subscriber receives the unsent bytes
    /// before that, and nothing after it.
    pub fn finish(&mut self, lane: &Lane) {
        let private = self.private.get_or_insert_default();
        private.stop.get_or_insert(lane.end());
    }

    /// Whether bytes of the lane are unsent. Private pieces do not count.
    pub fn has_unsent_lane(&self, lane: &Lane) -> bool {
        let stop = self.private.as_ref().and_then(|private| private.stop);
        self.cursor < stop.unwrap_or(lane.end())
    }

    /// Whether any bytes are unsent, of the lane or of private pieces.
    pub fn has_unsent(&self, lane: &Lane) -> bool {
        let mut private = self.private.iter();
        private.any(|private| !private.splices.is_empty()) || self.has_unsent_lane(lane)
    }

    /// Whether [`Outbox::finish`] was called and no bytes are unsent.
    pub fn is_drained(&self) -> bool {
        let Some(private) = &self.private else {
            return false;
        };
        private.splices.is_empty() && private.stop.is_some_and(|stop| self.cursor >= stop)
    }

    /// All unsent bytes, if they are one slice of the lane. `None` if there are private pieces, if the
    /// unsent bytes wrap around in the lane's ring buffer, if there are none, and if the subscriber fell
    /// behind. This is the fast path of [`Outbox::next_write`], and the usual case under load.
    pub fn unsent_slice<'a>(&self, lane: &'a Lane) -> Option<&'a [u8]> {
        match lane.between(self.cursor, lane.end()) {
            Ok([slice, []]) if self.private.is_none() && !slice.is_empty() => Some(slice),
            Ok(_) | Err(FellBehind) => None,
        }
    }

    /// The next unsent bytes, of the lane and of private pieces, at most `cap` of them.
    ///
    /// # Errors
    /// [`FellBehind`] if the lane or the archive has forgotten unsent bytes.
    pub fn next_write<'a>(
        &'a self,
        lane: &'a Lane,
        archive: Option<&'a Lane>,
        cap: usize,
    ) -> Result<NextWrite<'a>, FellBehind> {
        let mut write = NextWrite::new(cap);
        let mut at = self.cursor;
        let mut stop = lane.end();
        if let Some(private) = &self.private {
            let mut written = private.written;
            for splice in &private.splices {
                write.add_span(lane, at, splice.at)?;
                at = splice.at;
                match &splice.piece {
                    Piece::Bytes(bytes) => write.add(&bytes[written..]),
                    Piece::Archive { from, to } => {
                        write.add_span(archive.ok_or(FellBehind)?, *from + written, *to)?;
                    }
                }
                written = 0;
                if write.is_full() {
                    return Ok(write);
                }
            }
            stop = private.stop.unwrap_or(stop);
        }
        write.add_span(lane, at, stop)?;
        Ok(write)
    }

    /// Marks the next `bytes` unsent bytes as sent, because the socket has accepted them. They are the
    /// front of what [`Outbox::next_write`] returns.
    pub fn wrote(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let Some(private) = &mut self.private else {
                self.cursor = self.cursor + bytes;
                return;
            };
            let Some(splice) = private.splices.front() else {
                self.cursor = self.cursor + bytes;
                break;
            };
            let ahead = splice.at - self.cursor;
            if ahead > 0 {
                let step = ahead.min(bytes);
                self.cursor = self.cursor + step;
                bytes -= step;
                continue;
            }
            let step = (splice.piece.len() - private.written).min(bytes);
            private.written += step;
            bytes -= step;
            if private.written == splice.piece.len() {
                private.holds -= splice.piece.holds();
                private.splices.pop_front();
                private.written = 0;
            }
        }
        if let Some(private) = &self.private
            && private.splices.is_empty()
            && private.stop.is_none()
        {
            self.private = None;
        }
    }

    fn insert(&mut self, lane: &Lane, piece: Piece, replaceable: bool) {
        if piece.len() == 0 {
            return;
        }
        let private = self.private.get_or_insert_default();
        if private.stop.is_none() {
            private.holds += piece.holds();
            private.splices.push_back(Splice {
                at: lane.end(),
                piece,
                replaceable,
            });
        }
    }
}

impl Private {
    fn drop_replaceable(&mut self) {
        let mut partly_sent = self.written > 0;
        let holds = &mut self.holds;
        self.splices.retain(|splice| {
            let keep = !splice.replaceable || partly_sent;
            partly_sent = false;
            if !keep {
                *holds -= splice.piece.holds();
            }
            keep
        });
    }
}

/// The bytes for one vectored write to a socket.
#[derive(Debug)]
pub struct NextWrite<'a> {
    slices: [IoSlice<'a>; NextWrite::MAX_SLICES],
    count: usize,
    bytes: usize,
    cap: usize,
}

impl<'a> NextWrite<'a> {
    /// Maximum number of slices in one write. The next write has the rest.
    pub const MAX_SLICES: usize = 8;

    fn new(cap: usize) -> NextWrite<'a> {
        NextWrite {
            slices: [IoSlice::new(&[]); NextWrite::MAX_SLICES],
            count: 0,
            bytes: 0,
            cap,
        }
    }

    /// Total size of all slices in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are no bytes to write.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The bytes to write, in order.
    pub fn slices(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.count]
    }

    fn is_full(&self) -> bool {
        self.count == NextWrite::MAX_SLICES || self.bytes == self.cap
    }

    fn add(&mut self, bytes: &'a [u8]) {
        let bytes = &bytes[..bytes.len().min(self.cap - self.bytes)];
        if bytes.is_empty() || self.is_full() {
            return;
        }
        self.slices[self.count] = IoSlice::new(bytes);
        self.count += 1;
        self.bytes += bytes.len();
    }

    fn add_span(&mut self, log: &'a Lane, from: Offset, to: Offset) -> Result<(), FellBehind> {
        if from < to {
            for part in log.between(from, to)? {
                self.add(part);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feed::Record;

    impl Record for &[u8] {
        fn parts(&self) -> [&[u8]; 2] {
            [self, &[]]
        }
    }

    /// Simulates a socket that accepts up to `most` bytes, and returns those.
    fn write(
        outbox: &mut Outbox,
        lane: &Lane,
        archive: &Lane,
        most: usize,
    ) -> Result<Vec<u8>, FellBehind> {
        let next = outbox.next_write(lane, Some(archive), most)?;
        assert!(most == 0 || next.is_empty() != outbox.has_unsent(lane));
        let bytes: Vec<u8> = next
            .slices()
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect();
        assert_eq!(bytes.len(), next.len());
        outbox.wrote(bytes.len());
        Ok(bytes)
    }

    fn write_all(outbox: &mut Outbox, lane: &Lane, archive: &Lane) -> String {
        let mut all = Vec::new();
        loop {
            match write(outbox, lane, archive, 3) {
                Ok(bytes) if bytes.is_empty() => return String::from_utf8(all).unwrap(),
                Ok(bytes) => all.extend(bytes),
                Err(FellBehind) => panic!("fell behind after {all:?}"),
            }
        }
    }

    fn bytes(text: &'static str) -> Piece {
        Piece::Bytes(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn a_new_subscriber_gets_greeting_replay_and_live_stream_in_this_order() {
        let (mut lane, mut archive) = (Lane::new(100), Lane::new(100));
        for said in ["one.", "two.", "three."] {
            lane.push(&said.as_bytes());
            archive.push(&said.as_bytes());
        }
        let mut outbox = Outbox::join(&lane);
        outbox.splice(&lane, bytes("welcome."));
        outbox.splice(
            &lane,
            Piece::Archive {
                from: Offset::START + 4,
                to: archive.end(),
            },
        );
        lane.push(&b"four.".as_slice());
        archive.push(&b"four.".as_slice());
        outbox.splice(&lane, bytes("pong."));
        lane.push(&b"five.".as_slice());
        assert_eq!(
            write_all(&mut outbox, &lane, &archive),
            "welcome.two.three.four.pong.five."
        );
        assert!(
            outbox.private.is_none(),
            "an outbox without private pieces uses no heap"
        );
    }

    #[test]
    fn nothing_is_sent_after_the_end_of_the_subscription() {
        let (mut lane, archive) = (Lane::new(100), Lane::new(0));
        let mut outbox = Outbox::join(&lane);
        lane.push(&b"before.".as_slice());
        outbox.splice(&lane, bytes("close."));
        outbox.finish(&lane);
        lane.push(&b"after.".as_slice());
        outbox.splice(&lane, bytes("pong."));
        outbox.finish(&lane);
        assert!(!outbox.is_drained());
        assert_eq!(write_all(&mut outbox, &lane, &archive), "before.close.");
        assert!(outbox.is_drained());
    }

    #[test]
    fn of_the_unsent_replaceable_answers_only_the_latest_is_kept() {
        let (lane, archive) = (Lane::new(100), Lane::new(0));
        let mut outbox = Outbox::join(&lane);
        outbox.splice_latest(&lane, b"1.".to_vec(), 0);
        assert_eq!(
            write(&mut outbox, &lane, &archive, 1).as_deref(),
            Ok(&b"1"[..])
        );
        outbox.splice(&lane, bytes("answer."));
        for pong in ["2.", "3.", "4."] {
            outbox.splice_latest(&lane, pong.into(), 0);
        }
        assert_eq!(write_all(&mut outbox, &lane, &archive), ".answer.4.");
        assert_eq!(outbox.holds(), 0);
    }

    #[test]
    fn a_finished_subscriber_does_not_need_what_the_lane_forgets() {
        let (mut lane, archive) = (Lane::new(4), Lane::new(0));
        let mut outbox = Outbox::join(&lane);
        outbox.splice(&lane, bytes("close."));
        outbox.finish(&lane);
        lane.push(&b"abcd".as_slice());
        lane.push(&b"efgh".as_slice());
        assert_eq!(write_all(&mut outbox, &lane, &archive), "close.");
    }

    #[test]
    fn an_outbox_is_two_words() {
        assert_eq!(size_of::<Outbox>(), 16);
    }

    #[derive(Clone, Debug)]
    enum OutboxStep {
        Push(u8),
        Splice(u8),
        Write(u8),
        Forget(u8),
        Finish,
    }

    fn step() -> impl Strategy<Value = OutboxStep> {
        prop_oneof![
            4 => any::<u8>().prop_map(|n| OutboxStep::Push(n % 40)),
            3 => any::<u8>().prop_map(|n| OutboxStep::Splice(n % 20)),
            4 => any::<u8>().prop_map(OutboxStep::Write),
            1 => any::<u8>().prop_map(OutboxStep::Forget),
            1 => Just(OutboxStep::Finish),
        ]
    }

    proptest! {
        /// The model is the whole stream as one string, with the position of every byte of the lane in it.
        #[test]
        fn a_subscriber_receives_its_stream_whole_and_in_order_or_falls_behind(
            limit in 40usize..200,
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let (mut lane, archive) = (Lane::new(limit), Lane::new(0));
            let mut outbox = Outbox::join(&lane);
            let (mut stream, mut lane_bytes) = (Vec::new(), Vec::new());
            let (mut received, mut finished, mut next) = (Vec::new(), false, 0u8);
            let mut fresh = |size: u8| -> Vec<u8> {
                (0..size).map(|_| { next = next.wrapping_add(1); next }).collect()
            };
            for step in steps {
                match step {
                    OutboxStep::Push(size) => {
                        let record = fresh(size);
                        lane.push(&record.as_slice());
                        if !finished {
                            lane_bytes.extend(stream.len()..stream.len() + record.len());
                            stream.extend(record);
                        }
                    }
                    OutboxStep::Splice(size) => {
                        let piece = fresh(size);
                        outbox.splice(&lane, Piece::Bytes(Cow::Owned(piece.clone())));
                        if !finished {
                            stream.extend(piece);
                        }
                    }
                    OutboxStep::Finish => {
                        outbox.finish(&lane);
                        finished = true;
                    }
                    OutboxStep::Forget(back) => lane.forget(Offset::START + (lane.end() - Offset::START).saturating_sub(back.into())),
                    OutboxStep::Write(most) => {
                        let forgotten = lane.start() - Offset::START;
                        let lost = lane_bytes.iter().take(forgotten).any(|&place| place >= received.len());
                        match write(&mut outbox, &lane, &archive, most.into()) {
                            Ok(bytes) => {
                                received.extend(bytes);
                                prop_assert_eq!(&stream[..received.len()], &received[..]);
                            }
                            Err(FellBehind) => {
                                prop_assert!(lost, "fell behind although the lane had all bytes");
                                return Ok(());
                            }
                        }
                    }
                }
            }
            if let Ok(true) = outbox.next_write(&lane, Some(&archive), usize::MAX).map(|next| next.is_empty()) {
                prop_assert_eq!(&received, &stream);
                prop_assert_eq!(outbox.is_drained(), finished);
                prop_assert_eq!(outbox.holds(), 0);
            }
        }
    }
}
