//! The ledger as last read, and for how long it has been out of reach.
//!
//! In: chains as read, appends and what became of them. Out: the journal to decide on. Invariants: a journal only grows, so that one that
//! does not go on from what is known, or of which part is lost, is a ledger out of reach and replaces nothing; what another hand put beside
//! the records changes none of them; what was never read is a journal that makes no sense. Not here: when it is read.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::engine::{Entry, torn};
use crate::model::plan::Plan;
use crate::operator::effects::Head;
use crate::operator::effects::ledger::Chain;

/// How long the other sentinel's last record keeps this one from acting.
const OTHER_ACTS_FOR: SignedDuration = SignedDuration::from_secs(3);

/// What is known of the ledger.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) entries: Vec<Entry>,
    pub(super) head: Option<Head>,
    /// Who wrote the last record.
    pub(super) by: String,
    /// Since when it cannot be read, and why.
    unread: Option<(Instant, String)>,
    /// Since when it takes no record, and why.
    refused: Option<(Instant, String)>,
}

impl Known {
    /// It was read.
    pub(super) fn take(&mut self, chain: Chain) {
        let Chain { entries, head, by, records: _, broken, is_torn } = chain;
        match head.filter(|_| !is_torn && entries.starts_with(&self.entries)) {
            Some(head) => {
                if let Some(why) = broken {
                    tracing::warn!(why, "the ledger holds more than its records");
                }
                // Somebody could write.
                let refused = self.refused.take().filter(|_| self.head.as_ref() == Some(&head));
                *self = Self { entries, head: Some(head), by, unread: None, refused };
            }
            None if is_torn => self.lost(broken.unwrap_or_else(|| "part of it is lost".to_owned())),
            None => self.lost("it does not go on from what was read before".to_owned()),
        }
    }

    /// It cannot be read.
    pub(super) fn lost(&mut self, why: String) {
        since(&mut self.unread, why);
    }

    /// It takes no record.
    pub(super) fn refused(&mut self, why: String) {
        since(&mut self.refused, why);
    }

    /// Since when it is out of reach, either way.
    pub(super) fn out(&self) -> Option<&(Instant, String)> {
        self.unread.iter().chain(&self.refused).min_by_key(|(since, _)| *since)
    }

    /// A record of ours was seen in it.
    pub(super) fn appended(&mut self, head: Head, by: &str, entries: &[Entry]) {
        self.entries.extend_from_slice(entries);
        (self.head, self.by) = (Some(head), by.to_owned());
        (self.unread, self.refused) = (None, None);
    }

    /// The journal to decide on. Of one that was never read nothing is known, but that the night may have begun.
    pub(super) fn journal(&self, plan: &Plan, plan_hash: &str) -> Vec<Entry> {
        if self.head.is_some() {
            return self.entries.clone();
        }
        torn(plan, plan_hash, Vec::new(), "the ledger was never read")
    }

    /// Until when the other one, which wrote last, is let go on. One whose clock is far ahead may be dead long before that moment.
    pub(super) fn other_acts_until(&self, own: &str, now: Timestamp) -> Option<Timestamp> {
        let at = self.entries.last().map(|entry| entry.at).filter(|_| self.by != own && self.out().is_none())?;
        let until = at.checked_add(OTHER_ACTS_FOR).ok()?;
        (until > now && at.duration_since(now) <= OTHER_ACTS_FOR).then_some(until)
    }
}

fn since(place: &mut Option<(Instant, String)>, why: String) {
    let since = place.take().map_or_else(Instant::now, |(since, _)| since);
    *place = Some((since, why));
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may")]
mod tests {
    use super::*;
    use crate::engine::Event;

    fn chain(seq: u32) -> Chain {
        let entry = Entry { at: Timestamp::UNIX_EPOCH, event: Event::Armed {}, why: String::new() };
        let entries = vec![entry; seq as usize];
        Chain { entries, head: Some(Head { seq, hash: String::new() }), by: "operator".to_owned(), ..Chain::default() }
    }

    #[test]
    fn the_other_one_is_let_go_on_for_seconds_and_one_whose_clock_is_a_day_ahead_is_not_waited_for() {
        let until = |by: &str, seconds: i64| {
            let now = Timestamp::UNIX_EPOCH - SignedDuration::from_secs(seconds);
            let mut known = Known::default();
            known.take(chain(2));
            by.clone_into(&mut known.by);
            known.other_acts_until("sentinel a", now).map(|at| at.duration_since(now).as_secs())
        };
        assert_eq!([until("sentinel b", -4), until("sentinel b", -1), until("sentinel b", 2)], [None, Some(2), Some(5)]);
        assert_eq!([until("sentinel a", 0), until("sentinel b", 24 * 3600)], [None, None]);
    }

    #[tokio::test]
    async fn what_is_broken_or_shorter_replaces_nothing_and_counts_as_out_of_reach() {
        let mut known = Known::default();
        known.take(chain(3));
        assert!(known.out().is_none());
        known.take(chain(2));
        assert_eq!((known.entries.len(), known.out().is_some()), (3, true));
        known.take(chain(4));
        assert_eq!((known.entries.len(), known.out().is_some()), (4, false));
        known.refused("it is full".to_owned());
        known.take(chain(4));
        assert!(known.out().is_some(), "to be read is not to be written");
        let mut another = chain(5);
        another.entries.iter_mut().for_each(|entry| entry.why = "told otherwise".to_owned());
        known.take(another);
        assert_eq!((known.entries.len(), known.unread.is_some()), (4, true), "nothing in a journal is ever changed");
    }

    #[tokio::test]
    async fn of_a_ledger_of_which_part_is_lost_nothing_is_taken_and_people_are_told_what_is_wrong() {
        let mut known = Known::default();
        known.take(Chain { broken: Some("record 2 cannot be read".to_owned()), is_torn: true, ..chain(5) });
        assert_eq!((known.entries.len(), known.unread.map(|(_, why)| why)), (0, Some("record 2 cannot be read".to_owned())));
    }

    #[tokio::test]
    async fn a_key_of_another_hand_beside_the_records_hides_none_of_them() {
        let mut known = Known::default();
        known.take(chain(3));
        known.take(Chain { broken: Some("the ledger has 5 records and its head says 4".to_owned()), ..chain(4) });
        assert_eq!((known.entries.len(), known.out().is_some()), (4, false));
    }
}
