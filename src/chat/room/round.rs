//! The round that goes around a room and offers each member what is new.
//!
//! Something new sets `remaining` to the number of members, and the round goes on from where it stands,
//! so that under load each visit carries all that has gathered. A *lap* is one whole round while
//! anything remains. Two facts follow from counting alone: once nothing remains, everybody has been
//! offered everything; and at the end of a lap everybody has been offered all that was there when the
//! lap began.

/// Where a room's round stands, and how far it still has to go.
#[derive(Debug, Default)]
pub(in crate::chat) struct Round {
    /// The place it visits next, unless that is past the last: then it is the first.
    at: usize,
    /// Places to visit until everybody has been offered the latest.
    remaining: usize,
    /// Places to visit until the present lap is over. At least `remaining` unless the lap is older
    /// than the latest.
    left_in_round: usize,
}

/// One step of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) struct Visit {
    /// The place to visit.
    pub(in crate::chat) place: usize,
    /// What this visit completes.
    pub(in crate::chat) ends: Ends,
}

/// What a visit completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Neither: the round is on its way.
    Nothing,
    /// A lap, and another begins: there is something that some have not been offered.
    Round,
    /// Everything: all have been offered all.
    Everything,
}

impl Round {
    /// Whether somebody has not been offered the latest yet.
    pub(in crate::chat) fn is_busy(&self) -> bool {
        self.remaining > 0
    }

    /// There is something new for all `members`. Returns whether a lap begins with this.
    pub(in crate::chat) fn something_new(&mut self, members: usize) -> bool {
        let idle = self.remaining == 0;
        if idle {
            self.left_in_round = members;
        }
        self.remaining = members;
        idle
    }

    /// The next visit in a room of `members`, or `None` while nothing remains.
    pub(in crate::chat) fn advance(&mut self, members: usize) -> Option<Visit> {
        if self.remaining == 0 || members == 0 {
            return None;
        }
        let place = if self.at < members { self.at } else { 0 };
        self.at = place + 1;
        self.remaining -= 1;
        self.left_in_round = self.left_in_round.saturating_sub(1);
        let ends = if self.remaining == 0 {
            self.left_in_round = 0;
            Ends::Everything
        } else if self.left_in_round == 0 {
            self.left_in_round = members;
            Ends::Round
        } else {
            Ends::Nothing
        };
        Some(Visit { place, ends })
    }

    /// A member took the place behind the last: the way is one longer.
    pub(in crate::chat) fn joined(&mut self) {
        if self.is_busy() {
            self.remaining += 1;
            self.left_in_round += 1;
        }
    }

    /// A member left, and the last took its place, so that `members` are still there. The one that
    /// moved must be offered what there is at once: it may have moved behind the round.
    pub(in crate::chat) fn left(&mut self, members: usize) {
        self.remaining = self.remaining.min(members);
        self.left_in_round = self.left_in_round.min(members);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hand_at_rest_visits_nobody() {
        let mut round = Round::default();
        assert_eq!(round.advance(5), None);
        assert!(round.something_new(2));
        assert_eq!(
            round.advance(2),
            Some(Visit {
                place: 0,
                ends: Ends::Nothing
            })
        );
        assert_eq!(
            round.advance(2),
            Some(Visit {
                place: 1,
                ends: Ends::Everything
            })
        );
        assert_eq!(round.advance(2), None);
    }

    #[test]
    fn something_new_on_the_way_makes_the_way_longer_but_not_the_lap() {
        let mut round = Round::default();
        round.something_new(3);
        round.advance(3);
        assert!(!round.something_new(3));
        let rest: Vec<_> = std::iter::from_fn(|| round.advance(3))
            .map(|v| (v.place, v.ends))
            .collect();
        assert_eq!(
            rest,
            [(1, Ends::Nothing), (2, Ends::Round), (0, Ends::Everything)]
        );
    }

    #[derive(Clone, Debug)]
    enum Step {
        Say,
        Visit,
        Join,
        Leave(prop::sample::Index),
    }

    proptest! {
        /// The model: what each member has been offered, as the number of the latest message.
        #[test]
        fn everybody_is_offered_everything_and_each_lap_what_its_beginning_had(
            members in 1usize..8,
            steps in prop::collection::vec(prop_oneof![
                2 => Just(Step::Say),
                6 => Just(Step::Visit),
                1 => Just(Step::Join),
                1 => any::<prop::sample::Index>().prop_map(Step::Leave),
            ], 1..200),
        ) {
            let mut round = Round::default();
            let mut offered = vec![0u32; members];
            let (mut latest, mut round_began) = (0, 0);
            for step in steps {
                match step {
                    Step::Say => {
                        let before = latest;
                        latest += 1;
                        if round.something_new(offered.len()) && !offered.is_empty() {
                            round_began = before;
                        }
                    }
                    Step::Visit => {
                        let Some(visit) = round.advance(offered.len()) else { continue };
                        offered[visit.place] = latest;
                        let least = offered.iter().copied().min().unwrap_or(latest);
                        match visit.ends {
                            Ends::Nothing => {}
                            Ends::Round => {
                                prop_assert!(least >= round_began);
                                round_began = latest;
                            }
                            Ends::Everything => prop_assert_eq!(least, latest),
                        }
                    }
                    Step::Join => {
                        offered.push(latest);
                        round.joined();
                    }
                    Step::Leave(which) => {
                        if offered.is_empty() {
                            continue;
                        }
                        let place = which.index(offered.len());
                        offered.swap_remove(place);
                        if let Some(moved) = offered.get_mut(place) {
                            *moved = latest;
                        }
                        round.left(offered.len());
                    }
                }
            }
        }
    }
}
