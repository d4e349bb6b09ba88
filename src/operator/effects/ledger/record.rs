//! Records of the journal, chained by hashes.
//!
//! In: entries, or the data of the ledger's ConfigMap. Out: [`Record`], [`Head`], [`Chain`]. Invariants: pure; a record's hash is that of
//! its bytes as stored; a chain is believed only as far as it holds. Not here: reading and writing it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::{Entry, Event};
use crate::operator::effects::names::sha256;

/// One append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its place, from 1.
    pub seq: u32,
    /// The hash of the record before; empty in the first.
    pub prev: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Who wrote it.
    pub by: String,
    /// What it says.
    pub entries: Vec<Entry>,
}

/// The end of a journal: `<seq>:<hash>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last record's place.
    pub seq: u32,
    /// Its hash.
    pub hash: String,
}

impl Head {
    /// The head in a ledger's `head`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, hash) = text.split_once(':')?;
        Some(Self { seq: seq.parse().ok()?, hash: hash.to_owned() })
    }

    /// The key of the last record.
    #[must_use]
    pub fn key(&self) -> String {
        key(self.seq)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

fn key(seq: u32) -> String {
    format!("{seq:06}")
}

impl Record {
    /// The record behind `head`, or the first.
    #[must_use]
    pub fn after(head: Option<&Head>, by: &str, entries: Vec<Entry>) -> Self {
        let (seq, prev) = head.map_or((1, String::new()), |head| (head.seq.saturating_add(1), head.hash.clone()));
        Self { seq, prev, at: super::decided_at(&entries), by: by.to_owned(), entries }
    }

    /// Its bytes in the ledger.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The head once it is appended.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: sha256(self.text()) }
    }
}

/// A journal as far as it can be believed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// Its end, when there is a journal.
    pub head: Option<Head>,
    /// Who wrote the last record.
    pub by: String,
    /// How many entries each record has, in order.
    pub records: Vec<usize>,
    /// Why what follows is not believed.
    pub broken: Option<String>,
    /// Part of what was recorded is not there, or is not what was recorded.
    pub is_torn: bool,
}

impl Chain {
    /// One of which nothing can be believed.
    #[must_use]
    pub fn broken(reason: String) -> Self {
        Self::default().torn(reason)
    }

    fn torn(self, reason: String) -> Self {
        Self { broken: self.broken.or(Some(reason)), is_torn: true, ..self }
    }

    /// A night whose last record is whole and says that it is over is over, whatever was lost before.
    fn ended(mut self, last: &str, plan_hash: &str) -> Self {
        let is_last = self.head.as_ref().is_some_and(|head| head.hash == sha256(last));
        let Some(record) = serde_json::from_str::<Record>(last).ok().filter(|_| is_last) else { return self };
        if let Some(end) = record.entries.into_iter().find(|entry| matches!(entry.event, Event::Finished { .. })) {
            if self.entries.is_empty() {
                let event = Event::Accepted { plan_hash: plan_hash.to_owned() };
                self.entries.push(Entry { at: end.at, event, why: end.why.clone() });
            }
            self.entries.push(end);
        }
        self
    }
}

/// Follows the chain in a ledger's data up to its head.
pub(super) fn verify(data: Option<&Map<String, Value>>, plan_hash: &str) -> Chain {
    let empty = Map::new();
    let data = data.unwrap_or(&empty);
    let stored = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let Some(head) = Head::parse(stored("head")) else { return Chain::broken("the ledger has no head".to_owned()) };
    let mut chain = Chain { head: Some(head.clone()), ..Chain::default() };
    let mut prev = String::new();
    let count = u32::try_from(data.len().saturating_sub(1)).unwrap_or(u32::MAX);
    if count != head.seq {
        chain.broken = Some(format!("the ledger has {count} records and its head says {}", head.seq));
    }
    for seq in 1..=head.seq {
        match link(stored(&key(seq)), seq, &prev) {
            Ok(record) => {
                chain.records.push(record.entries.len());
                chain.entries.extend(record.entries);
                chain.by = record.by;
            }
            Err(reason) => return chain.torn(format!("record {seq} {reason}")).ended(stored(&head.key()), plan_hash),
        }
        prev = sha256(stored(&key(seq)));
    }
    if prev != head.hash {
        let unsure = chain.records.pop().unwrap_or_default();
        chain.entries.truncate(chain.entries.len().saturating_sub(unsure));
        return chain.torn("the head is not the hash of the last record".to_owned());
    }
    let accepted = chain.entries.first().map(|entry| &entry.event);
    if !matches!(accepted, Some(Event::Accepted { plan_hash: accepted }) if accepted == plan_hash) {
        return chain.torn("the journal does not begin with the acceptance of this plan".to_owned());
    }
    chain
}

fn link(text: &str, seq: u32, prev: &str) -> Result<Record, String> {
    let record: Record = serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"))?;
    if record.seq != seq || record.prev != prev {
        return Err("does not follow the one before".to_owned());
    }
    Ok(record)
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::phase::Outcome;

    fn entry(event: Event) -> Entry {
        Entry { at: Timestamp::UNIX_EPOCH, event, why: "because".to_owned() }
    }

    fn ledger() -> Map<String, Value> {
        let first = Record::after(None, "us", vec![entry(Event::Accepted { plan_hash: "h".into() })]);
        let second = Record::after(Some(&first.head()), "us", vec![entry(Event::Armed {}), entry(Event::WorkBegun {})]);
        let data = json!({"head": second.head().to_string(), "000001": first.text(), "000002": second.text()});
        data.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_whole_chain_is_believed() {
        let chain = verify(Some(&ledger()), "h");
        assert_eq!((chain.entries.len(), chain.broken), (3, None));
        assert_eq!(chain.head.map(|head| head.key()), Some("000002".to_owned()));
    }

    #[test]
    fn a_chain_is_believed_only_as_far_as_it_holds() {
        let mut changed = ledger();
        changed["000001"] = json!(changed["000001"].as_str().map(|text| text.replace("because", "for another reason")));
        let chain = verify(Some(&changed), "h");
        assert_eq!((chain.entries.len(), chain.broken.as_deref()), (1, Some("record 2 does not follow the one before")));

        let mut shorter = ledger();
        shorter.remove("000002");
        assert!(verify(Some(&shorter), "h").broken.is_some_and(|reason| reason.contains("1 records and its head says 2")));

        let mut last = ledger();
        last["000002"] = json!(last["000002"].as_str().map(|text| text.replace("because", "why not")));
        let chain = verify(Some(&last), "h");
        assert!(chain.broken.is_some_and(|reason| reason.contains("not the hash of the last record")));
        assert_eq!((chain.entries.len(), chain.is_torn), (1, true), "the last record is not the one that was written");

        let mut over = ledger();
        let head = verify(Some(&over), "h").head;
        let end = Record::after(head.as_ref(), "us", vec![entry(Event::Finished { outcome: Outcome::RolledBack })]);
        over.insert("000003".to_owned(), json!(end.text()));
        over["head"] = json!(end.head().to_string());
        for lost in ["000001", "000002"] {
            let mut over = over.clone();
            over[lost] = json!("{}");
            let events = verify(Some(&over), "h").entries.into_iter().map(|entry| entry.event).collect::<Vec<_>>();
            let ended = [Event::Accepted { plan_hash: "h".into() }, Event::Finished { outcome: Outcome::RolledBack }];
            assert_eq!(events, ended, "{lost}: the end is whole");
        }
        over["000003"] = json!("{}");
        assert_eq!(verify(Some(&over), "h").entries.len(), 3, "the end is what was lost");

        let mut more = ledger();
        more.insert("000003".to_owned(), json!("{}"));
        let chain = verify(Some(&more), "h");
        assert_eq!((chain.entries.len(), chain.is_torn, chain.broken.is_some()), (3, false, true), "nothing is lost");

        assert!(verify(Some(&ledger()), "another").broken.is_some_and(|reason| reason.contains("acceptance of this plan")));
        assert!(verify(None, "h").broken.is_some());
    }
}
