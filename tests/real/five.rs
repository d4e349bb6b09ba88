//! Five nights at once, each held by the test at its own place: one before, one during, one after its data is rewritten, one after a
//! change, one that only closed.
//!
//! In: the city. Out: nights, doors, data and the audit log, while the world is being broken. Invariants: a night goes on only when it is
//! let go, so that whatever is placed in it is placed by what its ledger and its Jobs say, never by waiting; all have the same moment by
//! which they have to serve. Not here: what is broken ([`super::faults`]), what is expected then ([`super::verdict`]).

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use jiff::{SignedDuration, Timestamp, Unit};
use notturno::cli::read::read_texts;
use serde_json::{Value, json};

use super::audit::Audit;
use super::city::{self, CITY, Placement, TENANTS, Tenant, Work};
use super::cluster::{Cluster, say, wait};
use super::database::{Database, Rows};
use super::doors::Doors;
use super::dump::Dump;
use super::judged::{self, Excuse, Objects, Over, Watched};
use super::ledger::Ledger;
use super::operator::{self, By};
use super::stage;
use super::tenant::fill;

/// From the start to the moment at which all has to be open, what is reserved aside; all budgets leave 22 s of it.
const DEADLINE_AFTER: SignedDuration = SignedDuration::from_secs(130);
/// Until then all five are armed, with everything that this needs.
const STARTS_IN: SignedDuration = SignedDuration::from_secs(60);
/// How late a night may begin that is not armed yet.
const TOLERANCE: &str = "15s";
/// What the runbooks reserve; a quarter of it is the grace of the sentinels.
pub const RESERVE: SignedDuration = SignedDuration::from_secs(40);

/// One of the five.
pub struct Night {
    pub tenant: &'static Tenant,
    pub uid: String,
    pub database: Database,
    pub fingerprint: [String; 2],
}

/// All of it.
pub struct Five {
    pub cluster: Cluster,
    pub nights: Vec<Night>,
    pub doors: Doors,
    pub audit: Audit,
    by_day: Objects,
    documents: Vec<Value>,
    pub start_at: Timestamp,
    pub must_serve_by: Timestamp,
    reserve: SignedDuration,
    before: Dump,
    _turn: MutexGuard<'static, ()>,
}

impl Five {
    /// Sets all of it up, and declares the nights; `prepare` changes what stands there by day.
    pub fn declare(reserve: SignedDuration, prepare: impl FnOnce(&Cluster)) -> Self {
        let turn = stage::turn();
        let cluster = Cluster::connect();
        operator::uninstall(&cluster);
        city::clear(&cluster);
        operator::install(&cluster, By::Manifests);
        city::gone(&cluster);
        let databases = city::settle(&cluster);
        prepare(&cluster);
        for (tenant, database) in TENANTS.iter().zip(&databases) {
            if let Some(step) = held_step(tenant) {
                database.hold(step);
            }
        }
        operator::until_ready(&cluster);
        let doors = Doors::watch(city::doors());
        wait(60, "doors that are all open before the nights", || doors.all_open().then_some(()));
        let (before, audit) = (dump(&cluster), Audit::from_now(&cluster));
        let start_at = (Timestamp::now() + STARTS_IN).round(Unit::Second).unwrap();
        let must_serve_by = start_at + DEADLINE_AFTER + reserve;
        let (by_day, text) = (judged::objects(&cluster), documents(start_at, must_serve_by, reserve));
        cluster.apply(&text);
        let documents = read_texts([("the nights", text.as_bytes())]).unwrap().into_iter().map(|one| one.value).collect();
        let nights = databases.into_iter().zip(&TENANTS).map(|(database, tenant)| {
            let uid = cluster.get(&intervention(tenant)).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
            Night { tenant, uid, fingerprint: database.fingerprint(), database }
        });
        let nights = nights.collect();
        let doors = Doors::watch(city::doors());
        Self { cluster, nights, doors, audit, by_day, documents, start_at, must_serve_by, reserve, before, _turn: turn }
    }

    /// That tenant's.
    pub fn night(&self, tenant: &str) -> &Night {
        self.nights.iter().find(|night| night.tenant.name == tenant).unwrap()
    }

    /// A night's ledger, once there is one.
    pub fn ledger(&self, night: &Night) -> Option<Ledger> {
        Ledger::read(&self.cluster, night.tenant.name, "notte", &night.uid)
    }

    /// Waits until every night is where the test holds it.
    pub fn until_placed(&self) {
        self.until_placed_where(|_| true);
    }

    /// The same of some.
    pub fn until_placed_where(&self, which: impl Fn(&Tenant) -> bool) {
        let nights: Vec<&Night> = self.nights.iter().filter(|night| which(night.tenant)).collect();
        wait(150, "nights that are where the test holds them", || nights.iter().all(|night| self.is_placed(night)).then_some(()));
        let after = Timestamp::now().duration_since(self.start_at);
        say(format!("all are in their places {:.1} s after the start", after.as_secs_f64()));
    }

    fn is_placed(&self, night: &Night) -> bool {
        let Some(ledger) = self.ledger(night) else { return false };
        if let Some(outcome) = ledger.outcome() {
            panic!("{} ended as {outcome} before it came there:\n{}", night.tenant.name, ledger.story());
        }
        let intended = |step: &str| ledger.has("stepIntended", &format!("\"{step}\""));
        let noted = |step: &str| night.database.noted().iter().any(|line| line.starts_with(&format!("lavora {step} ")));
        match night.tenant.held {
            Placement::BeforeData => intended("istantanea") && noted("istantanea") && !intended("riscrive"),
            Placement::DuringData => intended("riscrive") && noted("riscrive") && night.database.rows() == Rows::Torn,
            Placement::AfterData => ledger.has("stepDone", "\"riscrive\"") && noted("collaudo"),
            Placement::AfterChange => ledger.has("stepDone", "\"cambia\"") && intended("attesa"),
            Placement::Closed => intended("attesa"),
        }
    }

    /// The last moment at which going back still opens a night in time, by the sum of its runbook as it is held.
    pub fn turn_back_at(&self, night: &Night) -> Timestamp {
        let (undo, smoke) = match (night.tenant.work, night.tenant.held) {
            (Work::Rewrites, Placement::BeforeData) => (0, 12),
            (Work::Rewrites, _) => (20, 12),
            (Work::Changes, _) => (10, 0),
            (Work::Waits, _) => (0, 0),
        };
        self.must_serve_by - self.reserve - SignedDuration::from_secs(undo + smoke + 25)
    }

    /// The first of those moments.
    pub fn first_turn_back_at(&self) -> Timestamp {
        self.nights.iter().map(|night| self.turn_back_at(night)).min().unwrap()
    }

    /// Lets all nights go on.
    pub fn let_go(&self) {
        for night in &self.nights {
            night.database.let_go();
            self.cluster
                .merge(&format!("/api/v1/namespaces/{}/configmaps/via", night.tenant.name), &json!({"data": {"via": "si"}}));
        }
    }

    /// Waits until every night is over and lets its objects go.
    pub fn until_settled(&self) {
        let left = self.must_serve_by.duration_since(Timestamp::now()).as_secs().max(0).unsigned_abs();
        let left_over = |night: &Night| self.left_over(night);
        wait(left + 90, "settled nights", || self.nights.iter().all(|night| left_over(night).is_empty()).then_some(()));
        for night in &self.nights {
            say(format!("{}: {}", night.tenant.name, self.ledger(night).unwrap().course(self.start_at)));
        }
    }

    /// What a night still holds.
    pub fn left_over(&self, night: &Night) -> Vec<String> {
        let tenant = night.tenant.name;
        let config_map = |what: &str| format!("/api/v1/namespaces/{tenant}/configmaps/notturno-notte-{}-{what}", &night.uid[..8]);
        let held = |path: &String| {
            let object = self.cluster.get(path).unwrap_or_default();
            object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty())
        };
        let mut left: Vec<String> = [intervention(night.tenant), config_map("plan"), config_map("ledger")].into();
        left.retain(held);
        let sentinels = format!("/apis/apps/v1/namespaces/{tenant}/deployments?labelSelector=notturno.dev%2Frole%3Dsentinel");
        left.extend(self.cluster.list(&sentinels).iter().map(|object| object["metadata"]["name"].to_string()));
        if self.ledger(night).is_none_or(|ledger| ledger.outcome().is_none()) {
            left.push("no outcome".to_owned());
        }
        left
    }

    /// Every object in the city that is not as before the nights, in words; a night that completed has changed an hour.
    pub fn differences(&self) -> Vec<String> {
        self.before.differences(&dump(&self.cluster))
    }

    /// Every promise of every night was kept, but for what the test itself made impossible in a tenant's.
    pub fn keep_every_promise(&self, excuses: &BTreeMap<&str, Vec<Excuse>>) {
        let Self { cluster, audit, by_day, doors, .. } = self;
        let of = |tenant: &str| {
            let is_its = |one: &&Value| [tenant, CITY].iter().any(|namespace| one["metadata"]["namespace"] == *namespace);
            self.documents.iter().filter(is_its).cloned().collect::<Vec<Value>>()
        };
        let all: Vec<(Vec<Value>, &[Excuse])> = TENANTS
            .iter()
            .map(|tenant| (of(tenant.name), excuses.get(tenant.name).map(Vec::as_slice).unwrap_or_default()))
            .collect();
        let over = |(documents, excuses)| Over { documents, must_serve_by: self.must_serve_by, excuses };
        let nights: Vec<Over> = all.iter().map(|(documents, excuses)| over((documents, *excuses))).collect();
        Watched { cluster, audit, by_day, doors, services_in: CITY }.are_judged(&nights);
    }

    /// The Jobs of a night.
    pub fn jobs(&self, night: &Night) -> Vec<Value> {
        let tenant = night.tenant.name;
        self.cluster.list(&format!("/apis/batch/v1/namespaces/{tenant}/jobs?labelSelector=notturno.dev%2Fnight%3D{}", night.uid))
    }

    /// The Pods of the sentinels of a night.
    pub fn sentinels(&self, night: &Night) -> Vec<String> {
        let tenant = night.tenant.name;
        let pods = self.cluster.list(&format!("/api/v1/namespaces/{tenant}/pods?labelSelector=notturno.dev%2Frole%3Dsentinel"));
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// The step whose Job the test holds.
fn held_step(tenant: &Tenant) -> Option<&'static str> {
    match tenant.held {
        Placement::BeforeData => Some("istantanea"),
        Placement::DuringData => Some("riscrive"),
        Placement::AfterData => Some("collaudo"),
        Placement::AfterChange | Placement::Closed => None,
    }
}

fn intervention(tenant: &Tenant) -> String {
    format!("/apis/notturno.dev/v1alpha1/namespaces/{}/interventions/notte", tenant.name)
}

fn dump(cluster: &Cluster) -> Dump {
    let collections = [
        format!("/apis/apps/v1/namespaces/{CITY}/deployments"),
        format!("/api/v1/namespaces/{CITY}/services"),
        "/api/v1/namespaces/biblioteca/configmaps?fieldSelector=metadata.name%3Dorari".to_owned(),
    ];
    Dump::of_all(cluster, collections.iter().map(String::as_str))
}

/// Calendar, services, runbooks and nights.
fn documents(start_at: Timestamp, must_serve_by: Timestamp, reserve: SignedDuration) -> String {
    let opens_at = Timestamp::from_second((must_serve_by.as_second() / 60 + 1) * 60).unwrap();
    let clock = |moment: Timestamp| moment.strftime("%H:%M").to_string();
    let hours = format!("Mo-Su {}-{}", clock(opens_at), clock(opens_at + SignedDuration::from_hours(2)));
    let margin = format!("{}s", opens_at.duration_since(must_serve_by).as_secs());
    let (start, reserve) = (start_at.to_string(), format!("{}s", reserve.as_secs()));
    let fields =
        [("START", start.as_str()), ("MARGIN", &margin), ("TOLERANCE", TOLERANCE), ("HOURS", &hours), ("RESERVE", &reserve)];
    let night = |tenant: &Tenant| {
        let night = tenant.fill(include_str!("oggetti/cinque/notte.yaml"));
        fill(&format!("{}\n---\n{night}", tenant.declared()), &fields)
    };
    let mut documents = vec![fill(include_str!("oggetti/cinque/citta.yaml"), &fields)];
    documents.extend(TENANTS.iter().map(night));
    documents.join("\n---\n")
}

impl Drop for Five {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(operator::logs(&self.cluster));
            say(self.cluster.try_run("kubectl", &["get", "interventions,jobs,pods", "--all-namespaces"], "").unwrap_or_default());
            for night in &self.nights {
                say(self.ledger(night).map_or_else(
                    || format!("{}: no ledger", night.tenant.name),
                    |ledger| format!("{}: {}\n{}", night.tenant.name, ledger.course(self.start_at), ledger.story()),
                ));
            }
        }
        city::clear(&self.cluster);
    }
}
