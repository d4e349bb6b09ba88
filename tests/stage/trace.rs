//! What happened in a night, line by line: the same night has the same trace, byte for byte, in whatever process it is played.
//!
//! In: a played night. Out: text. Invariant: no line depends on anything but the night. Not here: what it means.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::play::Played;

fn short(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

impl Played {
    /// Every request, every change and every sighting.
    pub fn trace(&self) -> String {
        let mut text = String::new();
        for one in &self.log {
            let asked = &one.request;
            let code = one.code.map_or("-".to_owned(), |code| code.to_string());
            writeln!(
                text,
                "{} {} {} {}/{}/{}/{} {code} {}",
                one.at, asked.user, asked.verb, asked.resource, asked.namespace, asked.name, asked.subresource, one.changed
            )
            .unwrap();
        }
        for change in &self.evidence.changes {
            let user = change.user.as_deref().unwrap_or("-");
            let after = change.after.as_ref().map_or("gone".to_owned(), |object| short(&object.to_string()));
            writeln!(text, "{} {user} {} {after}", change.at, change.key).unwrap();
        }
        for seen in &self.evidence.sightings {
            writeln!(text, "{} {} {}", seen.at, seen.service, seen.is_open).unwrap();
        }
        writeln!(text, "{:?} {:?}", self.outcome, self.struck).unwrap();
        text
    }

    /// What the ledger says, one entry a line.
    pub fn journal(&self) -> String {
        let mut seen = 0;
        let mut text = String::new();
        for change in self.evidence.changes.iter().filter(|change| change.key.name.ends_with("-ledger")) {
            let data = change.after.as_ref().map_or(0, |after| after["data"].as_object().map_or(0, serde_json::Map::len));
            for number in seen.max(1)..data.max(1) {
                let record =
                    change.after.as_ref().and_then(|after| after["data"][format!("{number:06}")].as_str().map(str::to_owned));
                let record: serde_json::Value = serde_json::from_str(&record.unwrap_or_default()).unwrap_or_default();
                for entry in record["entries"].as_array().into_iter().flatten() {
                    writeln!(text, "{} {}", change.at, entry["event"]).unwrap();
                }
            }
            seen = data.max(seen);
        }
        text
    }

    /// What the night's own object says in the end.
    pub fn says(&self) -> String {
        let night = self.evidence.at_last.iter().find(|(key, _)| key.resource == "interventions");
        night.map_or_else(|| "it is not there any more".to_owned(), |(_, night)| night["status"].to_string())
    }

    /// The same as the trace in one line.
    pub fn fingerprint(&self) -> String {
        Sha256::digest(self.trace()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
