//! What one peer is still owed: a cursor into its lane, plus private bytes spliced in.
//!
//! Two rules make a "middle of a frame" flag unnecessary. Private pieces stand at `lane.end()` of the
//! moment they were told, which is a record boundary; and positions never decrease, so that a peer
//! hears an answer after everything that caused it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;

use super::{FellBehind, Lane, Offset};

/// One peer's place in its lane. Owns no heap while nothing private is owed.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The first byte of the lane that has not been written.
    cursor: Offset,
    private: Option<Box<Private>>,
}

#[derive(Debug, Default)]
struct Private {
    /// Invariant: positions never decrease, none is before the cursor, no piece is empty.
    splices: VecDeque<Splice>,
    /// How much of the front splice has been written. 0 unless that splice stands at the cursor.
    written: usize,
    /// Nothing of the lane is owed from here on.
    stop: Option<Offset>,
    /// Bytes of heap that the splices take.
    holds: usize,
}

#[derive(Debug)]
struct Splice {
    at: Offset,
    piece: Piece,
    /// May be dropped, as long as it has not begun, in favour of a later one like it.
    superseded: bool,
}

/// Private bytes: their own, or a span of the archive that is read where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Whole records.
    Bytes(Cow<'static, [u8]>),
    /// The archive's records between two of its offsets.
    Archive {
        /// Where the span begins.
        from: Offset,
        /// Where the span ends.
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

    fn holds(&self) -> usize {
        let heap = match self {
            Piece::Bytes(Cow::Owned(bytes)) => bytes.capacity(),
            Piece::Bytes(Cow::Borrowed(_)) | Piece::Archive { .. } => 0,
        };
        size_of::<Splice>() + heap
    }
}

impl Outbox {
    /// A peer that joins here and now: it is owed what the lane says from now on.
    pub fn join(live: &Lane) -> Outbox {
        Outbox {
            cursor: live.end(),
            private: None,
        }
    }

    /// The first byte of the lane that has not been written.
    pub fn cursor(&self) -> Offset {
        self.cursor
    }

    /// Bytes of heap that private pieces hold.
    pub fn holds(&self) -> usize {
        self.private.as_ref().map_or(0, |private| private.holds)
    }

    /// Adds private bytes behind everything that the lane holds at this moment. After
    /// [`Outbox::finish`] nothing is added any more.
    pub fn splice(&mut self, lane: &Lane, piece: Piece) {
        self.insert(lane, piece, false);
    }

    /// Like [`Outbox::splice`], for answers of which only the latest matters: once more than `spare`
    /// bytes of private pieces wait, earlier ones of this kind that have not begun are dropped.
    pub fn splice_latest(&mut self, lane: &Lane, bytes: Vec<u8>, spare: usize) {
        if let Some(private) = &mut self.private
            && private.holds > spare
        {
            private.drop_superseded();
        }
        self.insert(lane, Piece::Bytes(Cow::Owned(bytes)), true);
    }

    /// Nothing that the lane says from this moment on is owed to this peer.
    pub fn finish(&mut self, lane: &Lane) {
        let private = self.private.get_or_insert_default();
        private.stop.get_or_insert(lane.end());
    }

    /// Whether some of the lane is still owed.
    pub fn has_unsent_lane(&self, lane: &Lane) -> bool {
        let stop = self.private.as_ref().and_then(|private| private.stop);
        self.cursor < stop.unwrap_or(lane.end())
    }

    /// Whether anything is still owed, private pieces included.
    pub fn has_unsent(&self, lane: &Lane) -> bool {
        let mut private = self.private.iter();
        private.any(|private| !private.splices.is_empty()) || self.has_unsent_lane(lane)
    }

    /// Whether the peer was finished and has been written everything that it was owed.
    pub fn is_drained(&self) -> bool {
        let Some(private) = &self.private else {
            return false;
        };
        private.splices.is_empty() && private.stop.is_some_and(|stop| self.cursor >= stop)
    }

    /// All that is owed, where that is some of the lane in one piece: the usual case under load, in
    /// which neither private pieces nor the lane's seam have to be looked at.
    pub fn unsent_slice<'a>(&self, lane: &'a Lane) -> Option<&'a [u8]> {
        match lane.between(self.cursor, lane.end()) {
            Ok([latest, []]) if self.private.is_none() && !latest.is_empty() => Some(latest),
            Ok(_) | Err(FellBehind) => None,
        }
    }

    /// The next bytes to write, at most `cap` of them.
    ///
    /// # Errors
    /// [`FellBehind`] where the lane or the archive has forgotten bytes that are still owed.
    pub fn next_write<'a>(
        &'a self,
        lane: &'a Lane,
        archive: Option<&'a Lane>,
        cap: usize,
    ) -> Result<NextWrite<'a>, FellBehind> {
        let mut owed = NextWrite::new(cap);
        let mut at = self.cursor;
        let mut stop = lane.end();
        if let Some(private) = &self.private {
            let mut written = private.written;
            for splice in &private.splices {
                owed.add_span(lane, at, splice.at)?;
                at = splice.at;
                match &splice.piece {
                    Piece::Bytes(bytes) => owed.add(&bytes[written..]),
                    Piece::Archive { from, to } => {
                        owed.add_span(archive.ok_or(FellBehind)?, *from + written, *to)?;
                    }
                }
                written = 0;
                if owed.is_full() {
                    return Ok(owed);
                }
            }
            stop = private.stop.unwrap_or(stop);
        }
        owed.add_span(lane, at, stop)?;
        Ok(owed)
    }

    /// The socket took `bytes` of what [`Outbox::next_write`] offered.
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

    fn insert(&mut self, lane: &Lane, piece: Piece, superseded: bool) {
        if piece.len() == 0 {
            return;
        }
        let private = self.private.get_or_insert_default();
        if private.stop.is_none() {
            private.holds += piece.holds();
            private.splices.push_back(Splice {
                at: lane.end(),
                piece,
                superseded,
            });
        }
    }
}

impl Private {
    fn drop_superseded(&mut self) {
        let mut begun = self.written > 0;
        let holds = &mut self.holds;
        self.splices.retain(|splice| {
            let keep = !splice.superseded || begun;
            begun = false;
            if !keep {
                *holds -= splice.piece.holds();
            }
            keep
        });
    }
}

/// What can be offered to a socket in one vectored write.
#[derive(Debug)]
pub struct NextWrite<'a> {
    slices: [IoSlice<'a>; NextWrite::MAX_SLICES],
    count: usize,
    bytes: usize,
    cap: usize,
}

impl<'a> NextWrite<'a> {
    /// The most slices in one offer: what does not fit waits for the next.
    pub const MAX_SLICES: usize = 8;

    fn new(cap: usize) -> NextWrite<'a> {
        NextWrite {
            slices: [IoSlice::new(&[]); NextWrite::MAX_SLICES],
            count: 0,
            bytes: 0,
            cap,
        }
    }

    /// How many bytes are offered.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The bytes, in order.
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

    /// Writes at most `most` bytes of what is owed and gives them back.
    fn write(
        outbox: &mut Outbox,
        lane: &Lane,
        archive: &Lane,
        most: usize,
    ) -> Result<Vec<u8>, FellBehind> {
        let owed = outbox.next_write(lane, Some(archive), most)?;
        assert!(most == 0 || owed.is_empty() != outbox.has_unsent(lane));
        let bytes: Vec<u8> = owed
            .slices()
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect();
        assert_eq!(bytes.len(), owed.len());
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
    fn a_joiner_gets_greeting_replay_and_live_stream_in_this_order() {
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
        assert!(outbox.private.is_none(), "what is through owns no heap");
    }

    #[test]
    fn nothing_follows_after_the_last_word() {
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
    fn of_the_answers_that_nobody_takes_only_the_latest_is_kept() {
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
    fn a_finished_peer_whose_lane_was_forgotten_is_not_behind() {
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
    enum Step {
        Say(u8),
        Tell(u8),
        Write(u8),
        Forget(u8),
        Finish,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => any::<u8>().prop_map(|n| Step::Say(n % 40)),
            3 => any::<u8>().prop_map(|n| Step::Tell(n % 20)),
            4 => any::<u8>().prop_map(Step::Write),
            1 => any::<u8>().prop_map(Step::Forget),
            1 => Just(Step::Finish),
        ]
    }

    proptest! {
        /// The model is the whole stream as one string, and the place of every lane byte in it.
        #[test]
        fn a_peer_receives_its_stream_whole_and_in_order_or_fell_behind(
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
                    Step::Say(size) => {
                        let said = fresh(size);
                        lane.push(&said.as_slice());
                        if !finished {
                            lane_bytes.extend(stream.len()..stream.len() + said.len());
                            stream.extend(said);
                        }
                    }
                    Step::Tell(size) => {
                        let told = fresh(size);
                        outbox.splice(&lane, Piece::Bytes(Cow::Owned(told.clone())));
                        if !finished {
                            stream.extend(told);
                        }
                    }
                    Step::Finish => {
                        outbox.finish(&lane);
                        finished = true;
                    }
                    Step::Forget(back) => lane.forget(Offset::START + (lane.end() - Offset::START).saturating_sub(back.into())),
                    Step::Write(most) => {
                        let forgotten = lane.start() - Offset::START;
                        let lost = lane_bytes.iter().take(forgotten).any(|&place| place >= received.len());
                        match write(&mut outbox, &lane, &archive, most.into()) {
                            Ok(bytes) => {
                                received.extend(bytes);
                                prop_assert_eq!(&stream[..received.len()], &received[..]);
                            }
                            Err(FellBehind) => {
                                prop_assert!(lost, "dropped although the lane had all");
                                return Ok(());
                            }
                        }
                    }
                }
            }
            if let Ok(true) = outbox.next_write(&lane, Some(&archive), usize::MAX).map(|owed| owed.is_empty()) {
                prop_assert_eq!(&received, &stream);
                prop_assert_eq!(outbox.is_drained(), finished);
                prop_assert_eq!(outbox.holds(), 0);
            }
        }
    }
}
