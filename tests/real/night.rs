//! One night on the real cluster, with seconds for minutes.
//!
//! In: when it starts, how long the upgrade may hang. Out: its ledger as it grows. Invariants: doors open at a whole minute and the margin
//! makes up for it, so that the deadline is exactly [`DEADLINE_AFTER`] (and what it is longer) after the start; every wait has an end. Not here: what is expected.

use jiff::{SignedDuration, Timestamp, Unit};
use notturno::cli::read::read_texts;
use serde_json::Value;

use super::cluster::{Cluster, say, wait};
use super::ledger::Ledger;
use super::tenant::fill;

/// From the start to the moment at which all has to be open; the sum of all budgets leaves 33 s of it.
const DEADLINE_AFTER: SignedDuration = SignedDuration::from_secs(315);
const INTERVENTION: &str = "/apis/notturno.dev/v1alpha1/namespaces/centro-dati/interventions/notte";

/// A night that was declared.
pub struct Night<'a> {
    cluster: &'a Cluster,
    pub uid: String,
    pub start_at: Timestamp,
    pub must_serve_by: Timestamp,
    /// What was declared.
    pub documents: Vec<Value>,
}

impl<'a> Night<'a> {
    /// Declares it, with its calendars, services and runbook.
    pub fn declare(cluster: &'a Cluster, starts_in: SignedDuration, hard_cap: &str) -> Self {
        Self::declare_long(cluster, starts_in, hard_cap, SignedDuration::ZERO)
    }

    /// The same, with so much more time until the doors open.
    pub fn declare_long(cluster: &'a Cluster, starts_in: SignedDuration, hard_cap: &str, longer: SignedDuration) -> Self {
        Self::declare_other(cluster, starts_in, hard_cap, longer, |text| text)
    }

    /// The same, of another text.
    pub fn declare_other(
        cluster: &'a Cluster,
        starts_in: SignedDuration,
        hard_cap: &str,
        longer: SignedDuration,
        change: impl Fn(String) -> String,
    ) -> Self {
        let start_at = (Timestamp::now() + starts_in).round(Unit::Second).unwrap();
        let must_serve_by = start_at + DEADLINE_AFTER + longer;
        let opens_at = Timestamp::from_second((must_serve_by.as_second() / 60 + 1) * 60).unwrap();
        let hours = |opens_at: Timestamp| {
            let clock = |moment: Timestamp| moment.strftime("%H:%M").to_string();
            format!("Mo-Su {}-{}", clock(opens_at), clock(opens_at + SignedDuration::from_hours(2)))
        };
        let fields = [
            ("FIRST_HOURS", hours(opens_at)),
            ("LATER_HOURS", hours(opens_at + SignedDuration::from_mins(30))),
            ("START", start_at.to_string()),
            ("MARGIN", format!("{}s", opens_at.duration_since(must_serve_by).as_secs())),
            ("HARD_CAP", hard_cap.to_owned()),
        ];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let text = change(fill(include_str!("oggetti/notte.yaml"), &fields));
        cluster.apply(&text);
        let documents =
            read_texts([("the night", text.as_bytes())]).unwrap().into_iter().map(|document| document.value).collect();
        let intervention = cluster.get(INTERVENTION).unwrap();
        let uid = intervention["metadata"]["uid"].as_str().unwrap().to_owned();
        Self { cluster, uid, start_at, must_serve_by, documents }
    }

    /// Its ledger, once there is one.
    pub fn ledger(&self) -> Option<Ledger> {
        Ledger::read(self.cluster, "centro-dati", "notte", &self.uid)
    }

    /// Waits for an event.
    pub fn until(&self, kind: &str, of: &str, seconds: u64) -> Ledger {
        wait(seconds, format!("{kind} {of} in the ledger"), || {
            let ledger = self.ledger()?;
            let over = ledger.outcome().is_some() && !ledger.has(kind, of);
            assert!(!over, "the night ended without {kind} {of}");
            ledger.has(kind, of).then_some(ledger)
        })
    }

    /// Waits until the night is over and lets its objects go.
    pub fn until_settled(&self) -> Ledger {
        let left = self.must_serve_by.duration_since(Timestamp::now()).as_secs().max(0).unsigned_abs();
        wait(left + 60, "a settled night", || {
            let ledger = self.ledger()?;
            let free = |object: &Value| object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
            let settled = ledger.outcome().is_some() && self.objects().iter().all(free);
            settled.then(|| {
                say(ledger.course(self.start_at));
                ledger
            })
        })
    }

    /// The Intervention, plan and ledger.
    fn objects(&self) -> Vec<Value> {
        let config_map =
            |what: &str| format!("/api/v1/namespaces/centro-dati/configmaps/notturno-notte-{}-{what}", &self.uid[..8]);
        [INTERVENTION.to_owned(), config_map("plan"), config_map("ledger")]
            .map(|path| self.cluster.get(&path).unwrap_or_else(|| panic!("{path} is gone")))
            .to_vec()
    }

    /// The name of one of its Jobs.
    pub fn job(&self, what: &str) -> String {
        format!("notte-{}-{what}", &self.uid[..8])
    }

    /// The Pods that are left of it.
    pub fn pods(&self) -> Vec<Value> {
        self.cluster.list(&format!("/api/v1/namespaces/centro-dati/pods?labelSelector=notturno.dev%2Fnight%3D{}", self.uid))
    }
}
