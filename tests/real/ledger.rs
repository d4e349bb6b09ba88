//! The ledger of a night, read with other eyes than Notturno's: straight from the `ConfigMap`, the chain of hashes followed by hand.
//!
//! In: a cluster, a night. Out: events in order. Invariant: a chain that does not hold is a failed test. Not here: what events mean.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::cluster::Cluster;

/// SHA-256, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A ledger whose chain holds.
pub struct Ledger {
    /// How many records it has.
    pub record_count: usize,
    /// Every event: its kind, its fields, its reason.
    pub events: Vec<(String, Value, String)>,
    /// When each was decided.
    decided_at: Vec<Timestamp>,
}

impl Ledger {
    /// The ledger of the night; none before it is accepted.
    pub fn read(cluster: &Cluster, namespace: &str, night: &str, uid: &str) -> Option<Self> {
        let name = format!("notturno-{night}-{}-ledger", &uid[..8]);
        let object = cluster.get(&format!("/api/v1/namespaces/{namespace}/configmaps/{name}"))?;
        Some(Self::follow(&object["data"]))
    }

    /// Follows the chain from the first record to the head.
    pub fn follow(data: &Value) -> Self {
        let text = |key: &str| data[key].as_str().unwrap_or_else(|| panic!("the ledger has no {key}")).to_owned();
        let head = text("head");
        let (seq, hash) = head.split_once(':').unwrap();
        let record_count: usize = seq.parse().unwrap();
        assert_eq!(data.as_object().unwrap().len(), record_count + 1, "as many records as the head says");
        let (mut prev, mut events, mut decided_at) = (String::new(), vec![], vec![]);
        for number in 1..=record_count {
            let stored = text(&format!("{number:06}"));
            let record: Value = serde_json::from_str(&stored).unwrap();
            assert_eq!(record["seq"], number, "record {number} is in its place");
            assert_eq!(record["prev"], prev, "record {number} follows the one before");
            let entries = record["entries"].as_array().unwrap();
            events.extend(entries.iter().map(event));
            decided_at.extend(entries.iter().map(|entry| entry["at"].as_str().unwrap().parse::<Timestamp>().unwrap()));
            prev = sha256(stored.as_bytes());
        }
        assert_eq!(prev, hash, "the head is the hash of the last record");
        Self { record_count, events, decided_at }
    }

    /// Whether there is such an event; `of` has to occur in its fields.
    pub fn has(&self, kind: &str, of: &str) -> bool {
        self.place(kind, of).is_some()
    }

    /// When the first such event was decided.
    pub fn at(&self, kind: &str, of: &str) -> Option<Timestamp> {
        self.place(kind, of).map(|place| self.decided_at[place])
    }

    /// The place of the first such event.
    pub fn place(&self, kind: &str, of: &str) -> Option<usize> {
        self.events.iter().position(|(found, fields, _)| found == kind && fields.to_string().contains(of))
    }

    /// How the night ended.
    pub fn outcome(&self) -> Option<&str> {
        self.events.iter().find(|(kind, ..)| kind == "finished").and_then(|(_, fields, _)| fields["outcome"].as_str())
    }

    /// In one line: what happened how many seconds after the start.
    pub fn course(&self, start_at: Timestamp) -> String {
        let moment = |((kind, fields, _), at): (&(String, Value, String), &Timestamp)| {
            let of = ["step", "service", "outcome"].map(|field| fields[field].as_str().unwrap_or_default()).concat();
            format!("{:.1} {kind} {of}", at.duration_since(start_at).as_secs_f64()).trim_end().to_owned()
        };
        self.events.iter().zip(&self.decided_at).map(moment).collect::<Vec<_>>().join(", ")
    }

    /// The whole story, for people.
    pub fn story(&self) -> String {
        self.events.iter().map(|(kind, _, why)| format!("    {kind}: {why}")).collect::<Vec<_>>().join("\n")
    }
}

fn event(entry: &Value) -> (String, Value, String) {
    let (kind, fields) = entry["event"].as_object().unwrap().iter().next().unwrap();
    (kind.clone(), fields.clone(), entry["why"].as_str().unwrap().to_owned())
}

#[test]
fn a_chain_with_a_changed_record_is_noticed() {
    let record = |seq: u32, prev: &str, outcome: &str| {
        serde_json::json!({"seq": seq, "prev": prev, "entries": [{"at": "2023-02-10T00:00:00Z", "event": {"finished": {"outcome": outcome}}, "why": "w"}]})
            .to_string()
    };
    let first = record(1, "", "a");
    let second = record(2, &sha256(first.as_bytes()), "b");
    let mut data = serde_json::json!({"head": format!("2:{}", sha256(second.as_bytes())), "000001": first, "000002": second});
    assert_eq!(Ledger::follow(&data).outcome(), Some("a"));
    data["000001"] = Value::String(record(1, "", "c"));
    assert!(std::panic::catch_unwind(|| Ledger::follow(&data)).is_err());
}
