//! A night as a file, and a stage on which it is played by the programs that ship.
//!
//! In: a file of `nights`, who is killed at which writes. Out: [`Played`]. Invariants: the same night and the same deaths give the same evidence; whoever is killed is back twenty seconds later, unless the file says that it is dead for good.
//! Not here: what is promised (the oracle).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use notturno::cli::read::read_texts;
use notturno::clock::Clock;
use notturno::embedded::{AUDITED_MAX, Embedded, Fault, KEPT_MAX, RequestInfo, Stage};
use notturno::sentinel::Readiness;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::oracle::{Change, Declared, Evidence, Key, Request, Sighting};
use crate::processes::{self, Running, Whose};

pub const WHOSE: Whose = Whose { namespace: "centro-dati", name: "notte" };
/// Whoever is not us.
const PERSON: &str = "anna";
const BACK_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// After the end of a night everything that is still to do is done within this.
const SETTLES_FOR: SignedDuration = SignedDuration::from_mins(15);
/// So long after its end a night is watched.
const WATCHED_FOR: SignedDuration = SignedDuration::from_mins(60);
/// How often it is seen whether the dead man's switch stands.
const LOOKS_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// A night and what surrounds it.
#[derive(Clone)]
pub struct Scene {
    pub name: String,
    prova: Value,
    objects: Vec<Value>,
    documents: Vec<Value>,
}

/// Somebody dies at this write: before it is done, or after it and before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    pub number: u64,
    pub stage: Stage,
}

/// A night that was played to its end.
pub struct Played {
    pub evidence: Evidence,
    pub declared: Declared,
    /// What the ledger says came of it.
    pub outcome: String,
    /// What a person finds: every object that is not ours.
    pub end: BTreeMap<Key, Value>,
    /// The numbers of the writes that were accepted, with the user.
    pub writes: Vec<(u64, String)>,
    /// Kills that happened.
    pub killed: usize,
}

fn values(name: &str, text: &str) -> Vec<Value> {
    let read = read_texts([(name, text.as_bytes())]).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
    read.into_iter().map(|document| document.value).collect()
}

fn named(object: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

fn key(object: &Value) -> Key {
    let (kind, namespace, name) = named(object);
    Key::new(&format!("{}s", kind.to_lowercase()), &namespace, &name)
}

impl Scene {
    /// All of the folder, by name.
    pub fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises/nights");
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.iter().map(|name| Self::read(name)).collect()
    }

    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/promises/nights/{name}.yaml"));
        let own = values(name, &fs::read_to_string(path).unwrap());
        let (prova, own): (Vec<Value>, Vec<Value>) = own.into_iter().partition(|one| one["kind"] == "Prova");
        let mut all = values("citta.yaml", include_str!("citta.yaml"));
        all.retain(|object| own.iter().all(|other| named(other) != named(object)));
        all.extend(own);
        let (documents, objects) = all.into_iter().partition(|one| one["apiVersion"] == "notturno.dev/v1alpha1");
        Self { name: name.to_owned(), prova: prova[0].clone(), objects, documents }
    }

    fn moment(&self, field: &str) -> Option<Timestamp> {
        self.prova[field].as_str().map(|text| text.parse().unwrap())
    }

    pub fn ends(&self) -> &str {
        self.prova["ends"].as_str().unwrap()
    }

    fn must_serve_by(&self) -> Timestamp {
        self.moment("mustServeBy").unwrap()
    }

    fn from(&self) -> Timestamp {
        self.moment("from").unwrap_or_else(|| "2023-02-09T23:50:00+01:00".parse().unwrap())
    }

    fn stage(&self) -> Embedded {
        let embedded = Embedded::new(Clock::starting_at(self.from()));
        for definition in notturno::api::manifests::crds() {
            embedded.register_definition(&serde_json::to_value(definition).unwrap()).unwrap();
        }
        for object in &self.objects {
            embedded.create(object.clone()).unwrap_or_else(|failure| panic!("{}: {object} {failure:?}", self.name));
        }
        embedded
    }

    /// Plays the night to its end, under paused time.
    pub fn play(&self, kills: &[Kill]) -> Played {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(self.played(kills))
    }

    async fn played(&self, kills: &[Kill]) -> Played {
        let embedded = self.stage();
        let by_day = objects(&embedded);
        embedded.keep_audit();
        for document in &self.documents {
            embedded.create(document.clone()).unwrap_or_else(|failure| panic!("{}: {document} {failure:?}", self.name));
        }
        let (deaths, mut dead) = mpsc::unbounded_channel();
        embedded.set_fault(Some(self.fault(&embedded, kills, deaths)));
        let mut cast = Cast::new(&embedded);
        let (sightings, until) = (self.prober(&embedded), self.must_serve_by() + SignedDuration::from_hours(2));
        let (clock, mut script, mut killed) = (embedded.clock(), self.script(), 0);
        loop {
            let next = script.first().map_or(until, |(at, _)| *at);
            tokio::select! {
                biased;
                Some(victim) = dead.recv() => {
                    cast.kill(victim.who);
                    killed += usize::from(!victim.for_good);
                    let back = (clock.now() + BACK_AFTER, Turn::Return(victim.who));
                    script.push(if victim.for_good { (clock.now(), Turn::Bury) } else { back });
                    script.sort_by_key(|(at, _)| *at);
                }
                () = clock.sleep_until(next.min(clock.now() + LOOKS_EVERY)), if clock.now() + LOOKS_EVERY < next => cast.look(),
                () = clock.sleep_until(next) => {
                    if script.is_empty() {
                        break;
                    }
                    cast.take(script.remove(0).1).await;
                }
            }
        }
        embedded.set_fault(None);
        // What waits for a person is watched to the last.
        let over_at = cast.over_at.unwrap_or(until - WATCHED_FOR);
        let mut played = self.evidence(&embedded, by_day, &sightings, killed);
        played.evidence.quiet_from = over_at + SETTLES_FOR;
        played.evidence.until = over_at + WATCHED_FOR;
        played
    }

    /// What happens at which moment, whatever goes wrong.
    fn script(&self) -> Vec<(Timestamp, Turn)> {
        let dies = self.moment("operatorDiesAt").map(|at| (at, Turn::Bury));
        let deleted = self.moment("deletedAt").map(|at| (at, Turn::Delete));
        let mut script: Vec<(Timestamp, Turn)> = dies.into_iter().chain(deleted).collect();
        script.sort_by_key(|(at, _)| *at);
        script
    }

    /// Rings once somebody is to die, and lets the request hang that it died of.
    fn fault(&self, embedded: &Embedded, kills: &[Kill], deaths: mpsc::UnboundedSender<Victim>) -> notturno::embedded::FaultFn {
        let kills = kills.to_vec();
        let once = self.prova["operatorDiesOnce"].as_str().map(|kind| format!("\"{kind}\""));
        let (embedded, buried) = (embedded.clone(), Mutex::new(false));
        Arc::new(move |request: &RequestInfo, stage: Stage| {
            let who = Who::of(&request.user);
            let Some(who) = who else { return Fault::None };
            if kills.iter().any(|kill| request.write_number == Some(kill.number) && kill.stage == stage) {
                let _ = deaths.send(Victim { who, for_good: false });
                return Fault::Hang;
            }
            let append = request.resource == "configmaps" && request.name.ends_with("-ledger") && request.write_number.is_some();
            if let Some(kind) = once.as_ref().filter(|_| append && stage == Stage::After && who == Who::Operator) {
                let ledger = embedded.object("", "configmaps", &request.namespace, &request.name).unwrap_or_default();
                let mut buried = buried.lock().unwrap();
                if !*buried && ledger["data"].to_string().contains(&kind.replace('"', "\\\"")) {
                    *buried = true;
                    let _ = deaths.send(Victim { who, for_good: true });
                    return Fault::Hang;
                }
            }
            Fault::None
        })
    }

    /// Somebody knocks at every door every ten minutes, and when doors open.
    fn prober(&self, embedded: &Embedded) -> Arc<Mutex<Vec<Sighting>>> {
        let seen = Arc::new(Mutex::new(vec![]));
        let (kept, embedded) = (Arc::clone(&seen), embedded.clone());
        let declared = self.declared();
        let mut at = self.must_serve_by() - SignedDuration::from_hours(7);
        tokio::spawn(async move {
            loop {
                embedded.clock().sleep_until(at).await;
                for service in declared.services.values().filter(|service| !service.probes.is_empty()) {
                    let is_open = service.probes.iter().all(|url| embedded.http_get(url) == Ok(200));
                    kept.lock().unwrap().push(Sighting { at, service: service.id.clone(), is_open });
                }
                at += SignedDuration::from_mins(10);
            }
        });
        seen
    }

    fn declared(&self) -> Declared {
        Declared::read(&self.documents, self.must_serve_by())
    }

    fn evidence(
        &self,
        embedded: &Embedded,
        by_day: BTreeMap<Key, Arc<Value>>,
        sightings: &Mutex<Vec<Sighting>>,
        killed: usize,
    ) -> Played {
        let (log, audit) = (embedded.log(), embedded.audit());
        assert!(log.len() < KEPT_MAX && audit.len() < AUDITED_MAX, "what was cut off is no evidence");
        let writes = log.iter().filter(|one| one.changed && Who::of(&one.request.user).is_some());
        let writes = writes.filter_map(|one| Some((one.request.write_number?, one.request.user.clone()))).collect();
        let now = embedded.clock().now();
        let evidence = Evidence {
            by_day,
            changes: audit.into_iter().map(change).collect(),
            requests: log.into_iter().map(request).collect(),
            sightings: sightings.lock().unwrap().clone(),
            at_last: objects(embedded),
            quiet_from: now,
            until: now,
            others: vec![PERSON.to_owned(), "test".to_owned()],
        };
        let ledger: Vec<&Change> = evidence.changes.iter().filter(|one| one.key.name.ends_with("-ledger")).collect();
        let text = ledger.iter().rev().find_map(|one| one.after.as_ref()).map(|one| one["data"].to_string()).unwrap_or_default();
        let outcome = text.split(r#"finished\":{\"outcome\":\""#).nth(1).and_then(|rest| rest.split('\\').next());
        let end = evidence.at_last.iter().filter(|(key, _)| evidence.by_day.contains_key(key));
        let end = end.map(|(key, object)| (key.clone(), crate::oracle::essence(object))).collect();
        Played { declared: self.declared(), outcome: outcome.unwrap_or_default().to_owned(), end, writes, killed, evidence }
    }
}

fn objects(embedded: &Embedded) -> BTreeMap<Key, Arc<Value>> {
    embedded.objects().into_iter().map(|object| (key(&object), Arc::new(object))).collect()
}

fn change(audited: notturno::embedded::Audited) -> Change {
    let key = Key { resource: audited.resource, namespace: audited.namespace, name: audited.name };
    Change { at: audited.at, user: audited.user, key, before: audited.before, after: audited.after }
}

fn request(logged: notturno::embedded::LoggedRequest) -> Request {
    Request { at: logged.at, user: logged.request.user, writes: logged.request.write_number.is_some() }
}

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Operator,
    Sentinel(usize),
}

impl Who {
    const SENTINELS: [&str; 2] = ["sentinel-a", "sentinel-b"];

    fn of(user: &str) -> Option<Self> {
        if [PERSON, "test"].contains(&user) {
            return None;
        }
        Some(Self::SENTINELS.iter().position(|name| *name == user).map_or(Self::Operator, Self::Sentinel))
    }
}

struct Victim {
    who: Who,
    for_good: bool,
}

enum Turn {
    /// Whoever was killed is back.
    Return(Who),
    /// The operator is dead for good.
    Bury,
    /// A person deletes the night.
    Delete,
}

/// Who plays.
struct Cast {
    embedded: Embedded,
    operator: Option<Running>,
    sentinels: [Option<JoinSet<()>>; 2],
    is_buried: bool,
    /// The dead man's switch is there.
    stands: bool,
    /// How the names of what is ours begin.
    stem: String,
    /// When it was seen that the night is over.
    over_at: Option<Timestamp>,
}

impl Cast {
    fn new(embedded: &Embedded) -> Self {
        let night = embedded.object("notturno.dev", "interventions", WHOSE.namespace, WHOSE.name);
        let uid = night.and_then(|night| Some(night["metadata"]["uid"].as_str()?.get(..8)?.to_owned()));
        let stem = format!("notturno-{}-{}-", WHOSE.name, uid.unwrap_or_default());
        let embedded = embedded.clone();
        let mut cast =
            Self { embedded, operator: None, sentinels: [None, None], is_buried: false, stands: false, stem, over_at: None };
        cast.start(Who::Operator);
        cast
    }

    /// Sentinels are there while their Deployment is.
    fn look(&mut self) {
        let found =
            |group, resource, what: &str| self.embedded.object(group, resource, WHOSE.namespace, &format!("{}{what}", self.stem));
        let ledger = found("", "configmaps", "ledger").unwrap_or_default();
        if self.over_at.is_none() && ledger["data"].to_string().contains(r#"\"finished\""#) {
            self.over_at = Some(self.embedded.clock().now());
        }
        if self.over_at.is_some_and(|at| self.embedded.clock().now() >= at + WATCHED_FOR) {
            (self.operator, self.sentinels, self.is_buried) = (None, [None, None], true);
            return;
        }
        let stands = found("apps", "deployments", "sentinel").is_some();
        if stands != self.stands {
            self.stands = stands;
            for index in 0..self.sentinels.len() {
                if stands { self.start(Who::Sentinel(index)) } else { self.kill(Who::Sentinel(index)) }
            }
        }
    }

    fn start(&mut self, who: Who) {
        match who {
            Who::Operator if self.is_buried => {}
            Who::Operator => {
                let guarded = |context: &mut notturno::operator::Context| context.switch = processes::image();
                self.operator = Some(processes::operator(&self.embedded, processes::directly(&self.embedded), guarded));
            }
            Who::Sentinel(_) if !self.stands => {}
            Who::Sentinel(index) => {
                let name = Who::SENTINELS[index];
                self.sentinels[index] =
                    Some(processes::sentinel(&self.embedded, &WHOSE, name, self.embedded.client(name), Readiness::default()));
            }
        }
    }

    fn kill(&mut self, who: Who) {
        match who {
            Who::Operator => self.operator = None,
            Who::Sentinel(index) => self.sentinels[index] = None,
        }
    }

    async fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Return(who) => self.start(who),
            Turn::Bury => {
                self.is_buried = true;
                self.operator = None;
            }
            Turn::Delete => {
                let kind = kube::api::ApiResource::erase::<notturno::api::Intervention>(&());
                let client = self.embedded.client(PERSON);
                let api: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(client, WHOSE.namespace, &kind);
                api.delete(WHOSE.name, &kube::api::DeleteParams::default()).await.unwrap();
            }
        }
    }
}
