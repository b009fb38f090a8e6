//! Round robin: in which order the members of a room are visited, to be offered what is new.
//!
//! A *round* is one visit of each member while there is something new. A new message sets `remaining` to the number
//! of members, and the visits go on from where they are, so that under load each visit offers all messages that have
//! come meanwhile. Two facts follow from counting alone. When nothing remains, all members have been offered
//! everything. At the end of a round, all members have been offered everything that was there when the round began.

/// The next member to visit, and how many visits are left.
#[derive(Debug, Default)]
pub(in crate::chat) struct Round {
    /// The seat to visit next. If there is no such seat, it is the first one.
    at: usize,
    /// Visits until all members have been offered the latest message.
    remaining: usize,
    /// Visits until the round is over. Less than `remaining` if a message came during the round.
    left_in_round: usize,
}

/// One visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) struct Visit {
    /// The seat to visit.
    pub(in crate::chat) place: usize,
    /// What this visit completes.
    pub(in crate::chat) ends: Ends,
}

/// What a visit completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Neither a round nor everything.
    Nothing,
    /// A round. Another begins, because a message came during this one.
    Round,
    /// Everything: all members have been offered all messages.
    Everything,
}

impl Round {
    /// Whether some members have not been offered the latest message.
    pub(in crate::chat) fn is_busy(&self) -> bool {
        self.remaining > 0
    }

    /// A message came for all `members`. Returns whether a round begins with it.
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

    /// A member took the seat after the last one.
    pub(in crate::chat) fn joined(&mut self) {
        if self.is_busy() {
            self.remaining += 1;
            self.left_in_round += 1;
        }
    }

    /// A member left, and the member of the last seat took its seat, so that `members` are still there. The member that
    /// moved must be offered what is new at once, because the round may have passed its new seat already.
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
    fn without_anything_new_no_member_is_visited() {
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
    fn a_message_during_a_round_adds_visits_but_does_not_lengthen_the_round() {
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
        fn all_members_are_offered_everything_and_in_each_round_what_was_there_at_its_beginning(
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
