//! A night, played by the programs that ship on the embedded API, under paused time.
//!
//! In: a scene, what goes wrong beside what its file says. Out: [`Played`]. Invariants: the same night and the same deaths give the same evidence;
//! whoever is killed is back twenty seconds later, unless the file says that it is dead for good. Not here: what is promised (the oracle).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use notturno::embedded::{AUDITED_MAX, Embedded, Fault, FaultFn, KEPT_MAX, RequestInfo, Stage, WatchFault, WatchFaultFn};
use serde_json::Value;
use tokio::sync::mpsc;

use super::cast::{Cast, WATCHED_FOR, Who};
use super::deeds::{Deed, Hand, deeds};
use super::fault::{Kind, Way};
use super::scene::{BACK_AFTER, MADE_FROM, OTHERS, PERSON, Scene, WHOSE, key};
use super::strikes::Strikes;
use super::trouble::{Kill, Trouble};
use crate::oracle::{Change, Declared, Evidence, Key, Request, Sighting};

/// After the end of a night everything that is still to do is done within this.
const SETTLES_FOR: SignedDuration = SignedDuration::from_mins(15);
/// How often it is seen whether the dead man's switch stands.
const LOOKS_EVERY: SignedDuration = SignedDuration::from_secs(60);

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
    /// How often each fault struck, by its place in the file.
    pub struck: Vec<usize>,
    /// Everything that was asked, with its answers.
    pub log: Vec<notturno::embedded::LoggedRequest>,
}

struct Victim {
    who: Who,
    for_good: bool,
}

pub enum Turn {
    /// Whoever was killed is back.
    Return(Who),
    /// The operator is dead for good.
    Bury,
    /// A person deletes the night.
    Delete,
    /// Another hand.
    Deed(Deed),
    /// Another operator starts.
    Second,
    /// What the line held goes through.
    Mend,
    /// Whoever was cut off sees that another leads.
    Depose,
}

impl Victim {
    /// What comes after its death.
    fn then(&self, now: Timestamp) -> (Timestamp, Turn) {
        if self.for_good { (now, Turn::Bury) } else { (now + BACK_AFTER, Turn::Return(self.who)) }
    }
}

fn enters(script: &mut Vec<(Timestamp, Turn)>, turns: impl IntoIterator<Item = (Timestamp, Turn)>) {
    script.extend(turns);
    script.sort_by_key(|(at, _)| *at);
}

/// What happens at which moment, whatever goes wrong.
fn script(scene: &Scene) -> Vec<(Timestamp, Turn)> {
    let dies = scene.moment("operatorDiesAt").map(|at| (at, Turn::Bury));
    let deleted = scene.moment("deletedAt").map(|at| (at, Turn::Delete));
    let deeds = deeds(&scene.faults).into_iter().map(|(at, deed)| (at, Turn::Deed(deed)));
    let mut script: Vec<(Timestamp, Turn)> = dies.into_iter().chain(deleted).chain(deeds).collect();
    script.sort_by_key(|(at, _)| *at);
    script
}

impl Scene {
    /// Plays the night to its end, under paused time.
    pub fn play(&self, kills: &[Kill]) -> Played {
        self.play_in(&Trouble::of(kills))
    }

    /// The same, with more that goes wrong.
    pub fn play_in(&self, trouble: &Trouble) -> Played {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(self.played(trouble))
    }

    async fn played(&self, trouble: &Trouble) -> Played {
        let embedded = self.stage();
        let by_day = objects(&embedded);
        embedded.keep_audit();
        for document in self.documents() {
            embedded.create(document.clone()).unwrap_or_else(|failure| panic!("{}: {document} {failure:?}", self.name));
        }
        let (deaths, mut dead) = mpsc::unbounded_channel();
        let strikes = Arc::new(Strikes::new(&self.faults));
        embedded.set_fault(Some(self.fault(&embedded, trouble, deaths, &strikes)));
        embedded.set_watch_fault(Some(watch_fault(&embedded, trouble, &strikes)));
        let (line, mut was_cut) = (trouble.line(), trouble.cut.is_none());
        let mut cast = Cast::new(&embedded, &self.faults, Some(line.clone())).await;
        let (sightings, until) = (self.prober(&embedded), self.must_serve_by() + SignedDuration::from_hours(2));
        let (clock, mut script, mut killed) = (embedded.clock(), script(self), 0);
        let (mut struck, altered) = (vec![0; self.faults.len()], Arc::new(AtomicUsize::new(0)));
        let hand = Hand { embedded: &embedded, by_day: &by_day, altered: &altered };
        loop {
            let next = script.first().map_or(until, |(at, _)| *at);
            tokio::select! {
                biased;
                Some(victim) = dead.recv() => {
                    cast.kill(victim.who);
                    killed += usize::from(!victim.for_good);
                    enters(&mut script, [victim.then(clock.now())]);
                }
                () = line.until_cut(), if !was_cut => {
                    was_cut = true;
                    enters(&mut script, trouble.after_the_cut(clock.now()));
                }
                () = clock.sleep_until(next.min(clock.now() + LOOKS_EVERY)), if clock.now() + LOOKS_EVERY < next => cast.look().await,
                () = clock.sleep_until(next) => {
                    if script.is_empty() {
                        break;
                    }
                    match script.remove(0).1 {
                        Turn::Return(who) => cast.start(who).await,
                        Turn::Bury => cast.bury(),
                        Turn::Delete => delete(&embedded).await,
                        Turn::Second => cast.start_second(),
                        Turn::Mend => cast.mend(),
                        Turn::Depose => cast.depose(),
                        Turn::Deed(deed) => struck[deed.place] += usize::from(hand.does(&mut cast, &deed).await),
                    }
                }
            }
        }
        embedded.set_fault(None);
        embedded.set_watch_fault(None);
        let mut played = self.evidence(&embedded, by_day, &sightings, killed);
        played.orders = line.write_count();
        // What waits for a person is watched to the last.
        let over_at = cast.over_at.unwrap_or(until - WATCHED_FOR);
        played.evidence.quiet_from = self.calm_at().max(cast.mended_at).unwrap_or(over_at).max(over_at) + SETTLES_FOR;
        played.evidence.until = over_at + WATCHED_FOR;
        played.struck = self.struck(&played, &struck, &strikes.struck(), altered.load(Ordering::Relaxed));
        played
    }

    /// When the last of its faults is over.
    fn calm_at(&self) -> Option<Timestamp> {
        self.faults.iter().filter_map(|fault| Some(fault.at? + fault.lasts.unwrap_or_default())).max()
    }

    /// Whatever struck, from wherever it came.
    fn struck(&self, played: &Played, deeds: &[usize], requests: &[usize], altered: usize) -> Vec<usize> {
        let of = |(place, fault): (usize, &super::fault::Fault)| match (fault.kind, fault.kind.way()) {
            (Kind::WebhookAlters, _) => altered,
            (Kind::WallClockAhead | Kind::WallClockBehind | Kind::SentinelsAhead | Kind::SentinelsBehind, _) => 1,
            (_, Way::Work) => worked(played, fault),
            (_, Way::Request | Way::Event) => requests[place],
            (_, Way::Hand | Way::Program) => deeds[place],
        };
        self.faults.iter().enumerate().map(of).collect()
    }

    /// Rings once somebody is to die, and lets the request hang that it died of.
    fn fault(
        &self,
        embedded: &Embedded,
        trouble: &Trouble,
        deaths: mpsc::UnboundedSender<Victim>,
        strikes: &Arc<Strikes>,
    ) -> FaultFn {
        let (trouble, has_died, strikes) = (trouble.clone(), AtomicBool::new(false), Arc::clone(strikes));
        let once = self.word("operatorDiesOnce").map(|kind| format!("\"{kind}\""));
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
            strikes.decide(who, request, stage, embedded.clock().now())
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

    fn evidence(
        &self,
        embedded: &Embedded,
        by_day: BTreeMap<Key, Arc<Value>>,
        sightings: &Mutex<Vec<Sighting>>,
        killed: usize,
    ) -> Played {
        let (log, audit) = (embedded.log(), embedded.audit());
        let is_whole = log.len() < KEPT_MAX && audit.len() < AUDITED_MAX;
        assert!(is_whole, "what was cut off is no evidence: {:?}", embedded.counts());
        let writes = log.iter().filter(|one| one.changed && Who::of(&one.request.user).is_some());
        let writes = writes.filter_map(|one| Some((one.request.write_number?, one.request.user.clone()))).collect();
        let now = embedded.clock().now();
        let evidence = Evidence {
            by_day,
            changes: audit.into_iter().map(change).collect(),
            // What an election costs is held against its own bounds elsewhere.
            requests: log.iter().filter(|one| one.request.resource != "leases").map(request).collect(),
            sightings: sightings.lock().unwrap().clone(),
            at_last: objects(embedded),
            quiet_from: now,
            until: now,
            others: OTHERS.map(str::to_owned).to_vec(),
        };
        let ledger: Vec<&Change> = evidence.changes.iter().filter(|one| one.key.name.ends_with("-ledger")).collect();
        let text = ledger.iter().rev().find_map(|one| one.after.as_ref()).map(|one| one["data"].to_string()).unwrap_or_default();
        let outcome = text.split(r#"finished\":{\"outcome\":\""#).nth(1).and_then(|rest| rest.split('\\').next());
        let end = evidence.at_last.iter().filter(|(key, _)| evidence.by_day.contains_key(key));
        let end = end.map(|(key, object)| (key.clone(), crate::oracle::essence(object))).collect();
        let (outcome, declared) = (outcome.unwrap_or_default().to_owned(), self.declared());
        let events = embedded.events_told();
        Played { declared, outcome, end, writes, killed, events, orders: 0, evidence, struck: vec![], log }
    }
}

/// What watches are told, by trouble and by file.
fn watch_fault(embedded: &Embedded, trouble: &Trouble, strikes: &Arc<Strikes>) -> WatchFaultFn {
    let (trouble, strikes, clock) = (trouble.clone(), Arc::clone(strikes), embedded.clock());
    Arc::new(move |event| match (trouble.event, Who::of(&event.user)) {
        (Some((number, fault)), _) if event.number == number => fault,
        (_, Some(who)) => strikes.tell(who, event, clock.now()),
        (_, None) => WatchFault::None,
    })
}

/// How many Pods of the Job did what the fault says: those that are stopped do it only when they are.
fn worked(played: &Played, fault: &super::fault::Fault) -> usize {
    let when_stopped = [Kind::NodeLost, Kind::StopsWithSuccess, Kind::CompletesWhenStopped].contains(&fault.kind);
    let is_it = |change: &&Change| {
        let Some(pod) = change.after.as_ref().filter(|_| change.key.resource == "pods") else { return false };
        let is_going = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
        let began = if when_stopped {
            is_going(pod) && change.before.as_ref().is_some_and(|before| !is_going(before))
        } else {
            change.before.is_none()
        };
        began && pod["metadata"]["labels"][MADE_FROM] == fault.object().name.as_str()
    };
    played.evidence.changes.iter().filter(is_it).count()
}

async fn delete(embedded: &Embedded) {
    let kind = kube::api::ApiResource::erase::<notturno::api::Intervention>(&());
    let api: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(embedded.client(PERSON), WHOSE.namespace, &kind);
    api.delete(WHOSE.name, &kube::api::DeleteParams::default()).await.unwrap();
}

fn objects(embedded: &Embedded) -> BTreeMap<Key, Arc<Value>> {
    embedded.objects().into_iter().map(|object| (key(&object), Arc::new(object))).collect()
}

fn change(audited: notturno::embedded::Audited) -> Change {
    let key = Key { resource: audited.resource, namespace: audited.namespace, name: audited.name };
    Change { at: audited.at, user: audited.user, key, before: audited.before, after: audited.after }
}

fn request(logged: &notturno::embedded::LoggedRequest) -> Request {
    Request { at: logged.at, user: logged.request.user.clone(), writes: logged.request.write_number.is_some() }
}
