//! Everything that a test of a night begins with, and the questions that all of them end with.
//!
//! In: how the operator is installed. Out: tenants, operator, doors under watch, a dump of before. Invariants: one test at a time, whatever
//! the test harness is told; a test that fails tells what it saw. Not here: the course of a night.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::audit::Audit;
use super::cluster::{Cluster, say, wait};
use super::database::Database;
use super::doors::{Doors, get};
use super::dump::Dump;
use super::judged::{self, Excuse, Over, Watched};
use super::ledger::Ledger;
use super::night::Night;
use super::operator::{self, By};
use super::tenant::{self, SERVICES};

static TURN: Mutex<()> = Mutex::new(());

/// One test at a time; another test's failure is its own.
pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One test's world.
pub struct Stage {
    pub cluster: Cluster,
    pub database: Database,
    pub doors: Doors,
    pub before: Dump,
    pub fingerprint: [String; 2],
    pub audit: Audit,
    /// Every object that the audit log has, by day.
    pub by_day: judged::Objects,
    since: Instant,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// Sets all of it up and waits until every door is open.
    pub fn set(by: By) -> Self {
        let turn = turn();
        let since = Instant::now();
        let cluster = Cluster::connect();
        operator::uninstall(&cluster);
        tenant::clear(&cluster);
        operator::install(&cluster, by);
        let database = tenant::settle(&cluster);
        operator::until_ready(&cluster);
        let doors = Doors::watch(tenant::doors());
        wait(30, "doors that are all open before the night", || doors.all_open().then_some(()));
        let (before, fingerprint, audit) = (Dump::of(&cluster), database.fingerprint(), Audit::from_now(&cluster));
        let (by_day, doors) = (judged::objects(&cluster), Doors::watch(tenant::doors()));
        say(format!("set up within {:.0} s", since.elapsed().as_secs_f64()));
        Self { cluster, database, doors, before, fingerprint, audit, by_day, since, _turn: turn }
    }

    /// What holds after every night, however it went: everything is as it was, nothing of ours is left, and doors are open.
    pub fn is_as_before(&self, night: &Night) {
        let differences = self.before.differences(&Dump::of(&self.cluster));
        assert!(differences.is_empty(), "not as before:\n{}", differences.join("\n"));
        wait(10, "Pods that nobody holds any more", || {
            night.pods().iter().all(|pod| pod["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)).then_some(())
        });
        // The probes that Notturno waited for are not ours: ours have to agree a moment later.
        wait(10, "doors that are all open after the night", || self.doors.all_open().then_some(()));
        self.keeps_every_promise(night, &[]);
    }

    /// Every promise of the night was kept, but for what the test itself made impossible.
    pub fn keeps_every_promise(&self, night: &Night, excuses: &[Excuse]) {
        let Self { cluster, audit, by_day, doors, .. } = self;
        let over = Over { documents: &night.documents, must_serve_by: night.must_serve_by, excuses };
        Watched { cluster, audit, by_day, doors, services_in: "sanita" }.are_judged(&[over]);
    }

    /// Prints since when each door was closed and since when it is open again, and holds it against the deadline.
    pub fn opened_in_time(&self, night: &Night) {
        let seconds = |moment: Timestamp| moment.duration_since(night.start_at).as_secs_f64();
        for service in &SERVICES {
            let Some((closed_at, opened_at)) = self.doors.closed(service.name) else {
                panic!("{} was never seen closed: nothing was tested", service.name);
            };
            let opened_at = opened_at.unwrap_or_else(|| panic!("{} is still closed", service.name));
            say(format!("{:<20} closed {:>6.1} s, open again {:>6.1} s", service.name, seconds(closed_at), seconds(opened_at)));
            assert!(opened_at <= night.must_serve_by, "{} opened at {opened_at}, after {}", service.name, night.must_serve_by);
        }
        say(format!("{:<20} {:>29.1} s", "must serve by", seconds(night.must_serve_by)));
    }

    /// No Job ran twice: not by its releases, not by its Pods, not by what the Jobs themselves noted.
    pub fn nothing_ran_twice(&self, night: &Night, ran: &[&str]) {
        let expected = ran.iter().map(|job| (night.job(job), (1, 1))).collect();
        assert_eq!(self.audit.starts("centro-dati"), expected, "each Job is let run once and has one Pod, and no other does");
        let noted: Vec<String> = self.database.noted().into_iter().filter(|line| line.starts_with("inizia ")).collect();
        assert_eq!(noted.len(), ran.len(), "each Job noted its start once: {noted:?}");
    }

    /// The rolled-back night: the database is what it was, byte for byte, and the upgrade was dead before its undo began.
    pub fn is_rolled_back(&self, night: &Night, ledger: &Ledger) {
        assert_eq!(ledger.outcome(), Some("RolledBack"), "{}", ledger.story());
        assert_eq!(self.database.fingerprint(), self.fingerprint, "the database is restored byte for byte");
        assert_eq!((self.database.rows_of("v15"), self.database.rows_of("v16")), (400, 0));
        let noted = self.database.noted();
        let last_sign_of_life = noted.iter().rposition(|line| line.starts_with("lavora aggiorna")).expect("the upgrade hung");
        let undo = noted.iter().position(|line| line.starts_with("inizia ripristina")).expect("the undo ran");
        assert!(last_sign_of_life < undo, "the upgrade still worked beside its undo");
        self.nothing_ran_twice(night, &["preflight", "istantanea", "aggiorna", "aggiorna-undo-1", "smoke"]);
        self.opened_in_time(night);
        self.is_as_before(night);
    }
}

/// What the engine's reader says of its rows, through the service.
pub fn served_state() -> String {
    let service = SERVICES.iter().find(|service| service.name == "ricetta-elettronica").unwrap();
    get(service.address(), "/cgi-bin/stato").unwrap()
}

impl Drop for Stage {
    fn drop(&mut self) {
        say(format!("over after {:.0} s", self.since.elapsed().as_secs_f64()));
        if !std::thread::panicking() {
            return;
        }
        say(operator::logs(&self.cluster));
        say(self.cluster.try_run("kubectl", &["get", "interventions,jobs,pods", "--all-namespaces"], "").unwrap_or_default());
        for object in self.cluster.list("/api/v1/namespaces/centro-dati/configmaps?labelSelector=notturno.dev%2Fnight") {
            let records = object["data"].as_object().into_iter().flatten().filter(|(key, _)| *key != "plan.json");
            records.for_each(|(key, record)| say(format!("{key}: {record}")));
        }
    }
}
