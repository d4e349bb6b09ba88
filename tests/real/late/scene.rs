//! A counter with many doors, a night for each, and an operator that reaches the API server by a way on which requests are held back.
//!
//! In: nights. Out: doors, data, ledgers and the audit log of them. Invariants: the operator is a process of the test's own and dies with
//! it; sentinels are Pods, and reach the API server straight. Not here: what is held back, what is expected.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::MutexGuard;

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::{Value, json};

use super::proxy::Proxy;
use crate::audit::Audit;
use crate::cluster::{Cluster, say, wait};
use crate::database::Database;
use crate::doors::{Door, Doors, answers};
use crate::ledger::Ledger;
use crate::operator::{self, By};
use crate::stage;
use crate::tenant::fill;

pub const NAMESPACE: &str = "/api/v1/namespaces/tardi";
const INTERVENTIONS: &str = "/apis/notturno.dev/v1alpha1/namespaces/tardi/interventions";
/// Until then every night is armed, and its sentinels are ready.
const STARTS_IN: SignedDuration = SignedDuration::from_secs(60);
/// All doors open to people so long after the first nights were declared; what a night promises earlier is its margin.
const OPENS_IN: SignedDuration = SignedDuration::from_secs(400);

/// One night of one door.
#[derive(Clone, Copy, Debug)]
pub struct Night {
    pub name: &'static str,
    pub door: &'static str,
    /// Budget and hard cap of its closing, and of its work.
    pub close: (&'static str, &'static str),
    pub work: (&'static str, &'static str),
    /// How many fifths of a second its work takes.
    pub rounds: u32,
    pub undo: &'static str,
    /// From its start to the moment at which its door has to be open, in seconds.
    pub serves_after: i64,
}

/// All of it.
pub struct Scene {
    pub cluster: Cluster,
    pub proxy: Proxy,
    pub database: Database,
    pub doors: Doors,
    pub audit: Audit,
    operator: Option<Child>,
    log: PathBuf,
    opens_at: Timestamp,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// Sets it up; nothing is declared yet, and no operator runs.
    pub fn set(doors: &[&'static str]) -> Self {
        let turn = stage::turn();
        let cluster = Cluster::connect();
        operator::uninstall(&cluster);
        clear(&cluster);
        wait(60, "an operator that is gone", || cluster.get(operator::NAMESPACE).is_none().then_some(()));
        let documents = operator::documents(&cluster, By::Manifests);
        // All but its Pods.
        let rights = documents.split("\n---\n").filter(|document| !document.contains("kind: Deployment"));
        cluster.apply(&rights.collect::<Vec<_>>().join("\n---\n"));
        let opens_at = Timestamp::from_second(((Timestamp::now() + OPENS_IN).as_second() / 60 + 1) * 60).unwrap();
        let clock = |moment: Timestamp| moment.strftime("%H:%M").to_string();
        let hours = format!("Mo-Su {}-{}", clock(opens_at), clock(opens_at + SignedDuration::from_hours(2)));
        let database = Database::make(&cluster, "tardi");
        let mut documents = vec![fill(include_str!("../oggetti/tardi.yaml"), &[("HOURS", &hours)])];
        let address = |index: usize| IpAddr::from([198, 18, 2, 40 + u8::try_from(index).unwrap()]);
        documents.extend(doors.iter().enumerate().map(|(index, door)| {
            fill(include_str!("../oggetti/porta.yaml"), &[("DOOR", door), ("IP", &address(index).to_string())])
        }));
        cluster.apply(&database.fill(&documents.join("\n---\n")));
        let door =
            |(index, name): (usize, &&'static str)| Door::new(name, SocketAddr::new(address(index), 8080), "/motore.db", answers);
        let doors: Vec<Door> = doors.iter().enumerate().map(door).collect();
        let watched = Doors::watch(doors.clone());
        wait(60, "doors that are all open before the nights", || watched.all_open().then_some(()));
        let proxy = Proxy::before(&cluster.state().join("users/admin.kubeconfig"));
        let audit = Audit::from_now(&cluster);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("late-operator.log");
        let doors = Doors::watch(doors);
        Self { cluster, proxy, database, doors, audit, operator: None, log, opens_at, _turn: turn }
    }

    /// Starts the operator, as the account that it has in the cluster.
    pub fn start_operator(&mut self) {
        let token = ["-n", "notturno-system", "create", "token", "notturno", "--duration=1h"];
        let token = self.cluster.run("kubectl", &token, "");
        let server = format!("http://{}", self.proxy.address);
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "late",
            "clusters": [{"name": "late", "cluster": {"server": server}}],
            "users": [{"name": "late", "user": {"token": token.trim()}}],
            "contexts": [{"name": "late", "context": {"cluster": "late", "user": "late"}}]});
        let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join("late.kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_notturno"));
        command.args(["operator", "--listen", "127.0.0.1:0", "--sentinel-image", "notturno.test/notturno:dev"]);
        command.env("KUBECONFIG", kubeconfig).stderr(File::create(&self.log).unwrap());
        self.operator = Some(command.spawn().unwrap());
    }

    /// `kill -9`, and nobody starts it again.
    pub fn kill_operator(&mut self) {
        let mut operator = self.operator.take().expect("an operator that runs");
        assert!(operator.try_wait().unwrap().is_none(), "the operator ended by itself");
        operator.kill().unwrap();
        operator.wait().unwrap();
    }

    /// Declares nights that all start at the same moment, which is given back.
    pub fn declare(&self, nights: &[Night], starts_in: SignedDuration) -> Timestamp {
        let start_at = (Timestamp::now() + starts_in).round(Unit::Second).unwrap();
        let text = |night: &Night| {
            let must_serve_by = start_at + SignedDuration::from_secs(night.serves_after);
            let fields = [
                ("UNDO", night.undo.to_owned()),
                ("NAME", night.name.to_owned()),
                ("DOOR", night.door.to_owned()),
                ("CLOSE_FOR", night.close.0.to_owned()),
                ("CLOSE_CAP", night.close.1.to_owned()),
                ("WORK_FOR", night.work.0.to_owned()),
                ("WORK_CAP", night.work.1.to_owned()),
                ("ROUNDS", night.rounds.to_string()),
                ("START", start_at.to_string()),
                ("MARGIN", format!("{}s", self.opens_at.duration_since(must_serve_by).as_secs())),
            ];
            fill(include_str!("../oggetti/tarda.yaml"), &fields.each_ref().map(|(name, value)| (*name, value.as_str())))
        };
        self.cluster.apply(&nights.iter().map(text).collect::<Vec<_>>().join("\n---\n"));
        start_at
    }

    /// The same, soon enough for many.
    pub fn declare_first(&self, nights: &[Night]) -> Timestamp {
        self.declare(nights, STARTS_IN)
    }

    fn uid(&self, night: &str) -> String {
        let intervention = self.cluster.get(&format!("{INTERVENTIONS}/{night}")).unwrap();
        intervention["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// A night's ledger, once there is one.
    pub fn ledger(&self, night: &str) -> Option<Ledger> {
        Ledger::read(&self.cluster, "tardi", night, &self.uid(night))
    }

    /// Waits for an event.
    pub fn until(&self, night: &str, kind: &str, of: &str, seconds: u64) -> Ledger {
        wait(seconds, format!("{kind} {of} in the ledger of {night}"), || {
            let ledger = self.ledger(night)?;
            let over = ledger.outcome().is_some() && !ledger.has(kind, of);
            assert!(!over, "{night} ended without {kind} {of}:\n{}", ledger.story());
            ledger.has(kind, of).then_some(ledger)
        })
    }

    /// The name of a night's Job.
    pub fn job(&self, night: &str, what: &str) -> String {
        format!("{night}-{}-{what}", &self.uid(night)[..8])
    }

    /// Waits until the object at that path bears another token than `1.forward`.
    pub fn until_burned(&self, path: &str) -> Value {
        wait(20, format!("a burned token on {path}"), || {
            let object = self.cluster.get(path)?;
            let token = object["metadata"]["annotations"]["notturno.dev/token"].as_str().unwrap_or_default().to_owned();
            (!token.ends_with(".1.forward")).then_some(object)
        })
    }

    /// Asks that door some times more; whether it was open the last time.
    pub fn is_open(&self, door: &str) -> bool {
        let since = Timestamp::now();
        wait(20, "doors that are asked", || (self.doors.asked_since(since) >= 5).then_some(()));
        !self.doors.closed_at(Timestamp::now()).contains(&door)
    }

    /// Waits until that door is closed.
    pub fn until_closed(&self, door: &str, seconds: u64) {
        wait(seconds, format!("{door}, closed"), || self.doors.closed_at(Timestamp::now()).contains(&door).then_some(()));
    }
}

/// Takes the namespace away, whatever holds it.
fn clear(cluster: &Cluster) {
    cluster.delete(NAMESPACE);
    wait(90, "a namespace that is gone", || {
        free(cluster);
        cluster.get(NAMESPACE).is_none().then_some(())
    });
}

/// Nothing in it holds it any more.
fn free(cluster: &Cluster) {
    for collection in
        ["configmaps", "pods"].map(|kind| format!("{NAMESPACE}/{kind}")).iter().map(String::as_str).chain([INTERVENTIONS])
    {
        for object in cluster.list(collection).iter().filter(|object| object["metadata"]["finalizers"].is_array()) {
            cluster.free(&format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap_or_default()));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            // It may have ended by itself, which its log tells.
            let _ = operator.kill();
            let _ = operator.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            lines.iter().skip(lines.len().saturating_sub(60)).for_each(say);
            say(self.cluster.try_run("kubectl", &["-n", "tardi", "get", "interventions,jobs,pods"], "").unwrap_or_default());
            for night in self.cluster.list(INTERVENTIONS) {
                let name = night["metadata"]["name"].as_str().unwrap_or_default();
                say(self
                    .ledger(name)
                    .map_or_else(|| format!("{name}: no ledger"), |ledger| format!("{name}:\n{}", ledger.story())));
            }
        }
        free(&self.cluster);
        self.cluster.delete(NAMESPACE);
    }
}
