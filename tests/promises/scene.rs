//! A night as a file, and a stage on which it is played by the programs that ship.
//!
//! In: a file of `nights`, who is killed at which writes. Out: [`Played`]. Invariants: the same night and the same deaths give the same evidence; whoever is killed is back twenty seconds later, unless the file says that it is dead for good.
//! Not here: what is promised (the oracle).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use notturno::cli::read::read_texts;
use notturno::clock::Clock;
use notturno::embedded::{AUDITED_MAX, Embedded, Fault, KEPT_MAX, RequestInfo, Stage};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::cast::{Cast, Turn, Victim, Who};
use crate::oracle::{Change, Declared, Evidence, Key, Request, Sighting};
use crate::processes::Whose;
use crate::trouble::Trouble;

pub const WHOSE: Whose = Whose { namespace: "centro-dati", name: "notte" };
/// Whoever is not us.
pub const PERSON: &str = "anna";
const BACK_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// After the end of a night everything that is still to do is done within this.
const SETTLES_FOR: SignedDuration = SignedDuration::from_mins(15);
/// So long after its end a night is watched.
pub const WATCHED_FOR: SignedDuration = SignedDuration::from_mins(60);
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
    /// How many events watches were told.
    pub events: u64,
    /// How many writes the operator made in tenants' names.
    pub orders: u64,
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
    pub fn play(&self, trouble: &Trouble) -> Played {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(self.played(trouble))
    }

    async fn played(&self, trouble: &Trouble) -> Played {
        let embedded = self.stage();
        let by_day = objects(&embedded);
        embedded.keep_audit();
        for document in &self.documents {
            embedded.create(document.clone()).unwrap_or_else(|failure| panic!("{}: {document} {failure:?}", self.name));
        }
        let (deaths, mut dead) = mpsc::unbounded_channel();
        embedded.set_fault(Some(self.fault(&embedded, trouble, deaths)));
        embedded.set_watch_fault(trouble.watch_fault());
        let (line, mut was_cut) = (trouble.line(), trouble.cut.is_none());
        let mut cast = Cast::new(&embedded, Some(line.clone()));
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
                () = line.until_cut(), if !was_cut => {
                    was_cut = true;
                    script.extend(trouble.after_the_cut(clock.now()));
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
        embedded.set_watch_fault(None);
        // What waits for a person is watched to the last.
        let over_at = cast.over_at.unwrap_or(until - WATCHED_FOR);
        let mut played = self.evidence(&embedded, by_day, &sightings, killed);
        played.orders = line.write_count();
        played.evidence.quiet_from = over_at.max(cast.mended_at.unwrap_or(over_at)) + SETTLES_FOR;
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
    fn fault(
        &self,
        embedded: &Embedded,
        trouble: &Trouble,
        deaths: mpsc::UnboundedSender<Victim>,
    ) -> notturno::embedded::FaultFn {
        let (trouble, has_died) = (trouble.clone(), AtomicBool::new(false));
        let once = self.prova["operatorDiesOnce"].as_str().map(|kind| format!("\"{kind}\""));
        let (embedded, buried) = (embedded.clone(), Mutex::new(false));
        Arc::new(move |request: &RequestInfo, stage: Stage| {
            let who = Who::of(&request.user);
            let Some(who) = who else { return Fault::None };
            if let Some(fault) = trouble.fatal(request, stage) {
                has_died.store(true, Ordering::Relaxed);
                let _ = deaths.send(Victim { who, for_good: false });
                return fault;
            }
            if has_died.load(Ordering::Relaxed)
                && let Some(fault) = trouble.old_list(request, stage)
            {
                return fault;
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
        let (outcome, events) = (outcome.unwrap_or_default().to_owned(), embedded.events_told());
        Played { declared: self.declared(), outcome, end, writes, killed, events, orders: 0, evidence }
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
