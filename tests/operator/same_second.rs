//! Sentinels and operator act in the same second, after every kind of beginning: a seed says at which of its writes the operator is cut off,
//! how far from the takeover it is back, and how long each request takes on its way there and back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use notturno::embedded::{Fault, LoggedRequest, RequestInfo, Stage};
use notturno::engine::{Entry, Event, State, due};
use notturno::model::need::grace;
use notturno::model::span::after;
use serde_json::Value;
use tokio::time::sleep;

use crate::processes::line::{Chance, Line};
use crate::sentinel::{found, paused};
use crate::world::{NIGHT, World};

/// Nights played; more with `--features bench`.
const SEEDS: u64 = if cfg!(feature = "bench") { 1000 } else { 8 };
/// So many of the nights, at least, in a hundred: else nothing was tested.
const RACED_PERCENT_MIN: u64 = 40;
const SAME_SECOND: SignedDuration = SignedDuration::from_secs(1);

/// What every write left behind, in the order of the store.
#[derive(Default)]
struct Account {
    /// The last version, its spec and the epoch in its token.
    objects: BTreeMap<String, (String, Value, Option<u32>)>,
    /// How often each spec changed.
    changes: BTreeMap<String, usize>,
    /// Writes to what the sentinels hold: each was judged.
    judged: usize,
    problems: Vec<String>,
}

impl Account {
    /// `object` as it stands after a write of `user`.
    fn note(&mut self, user: &str, object: &Value) {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let version = object["metadata"]["resourceVersion"].to_string();
        let token = object["metadata"]["annotations"]["notturno.dev/token"].as_str();
        let epoch = token.and_then(|token| token.split('.').nth(1)?.parse().ok());
        let spec = object["spec"].clone();
        let Some((known, spec_before, epoch_before)) = self.objects.insert(name.clone(), (version.clone(), spec.clone(), epoch))
        else {
            return;
        };
        if known == version {
            return;
        }
        if spec != spec_before {
            *self.changes.entry(name.clone()).or_default() += 1;
        }
        self.judged += usize::from(epoch_before == Some(2));
        // Whoever finds the night over may take its token away.
        if epoch_before == Some(2) && user != "sentinel" && (spec != spec_before || epoch.is_some()) {
            self.problems.push(format!("{name} was changed by the deposed operator"));
        }
    }
}

/// Watches every write to what a closing touches.
fn keep_account(world: &World) -> Arc<Mutex<Account>> {
    let (account, embedded) = (Arc::new(Mutex::new(Account::default())), world.embedded.clone());
    let kept = Arc::clone(&account);
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let target = request.namespace == "sanita" && request.write_number.is_some() && request.subresource.is_empty();
        if let Some(object) = (target && stage == Stage::After)
            .then(|| embedded.object(&request.group, &request.resource, "sanita", &request.name))
            .flatten()
        {
            kept.lock().unwrap().note(&request.user, &object);
        }
        Fault::None
    })));
    account
}

/// What came of one night.
struct Course {
    taken_over: bool,
    /// Objects that were closed.
    closed_count: usize,
    closest: Option<SignedDuration>,
}

/// Plays a night whose operator is cut off at its `cut_at`th write; none when it has no such write, or nothing was due then.
async fn played(seed: u64, hangs: bool, cut_at: u64) -> Option<Course> {
    let told = format!("seed {seed}, hangs: {hangs}, cut off at write {cut_at}");
    let mut chance = Chance::new(seed);
    let world = World::new(hangs);
    let by_day = world.restored();
    world.declare(|_| {});
    let account = keep_account(&world);
    let line = Line::new(cut_at, chance.below(2) == 0, seed);
    let (tokens, through) = (world.embedded.clone(), line.clone());
    let operator = world.operator_guarded_with(Arc::new(move |token| Ok(through.client(tokens.client_for_token(token)))));
    let delays = Line::new(u64::MAX, false, seed.wrapping_add(1));
    let sentinels = ["a", "b"].map(|by| world.stands_watch_through(by, delays.client(world.embedded.client("sentinel"))));
    tokio::select! {
        biased;
        () = line.until_cut() => {}
        _ = world.outcome(NIGHT) => return None,
    }
    delays.delays();
    let read = world.ledger().await;
    let due = due(&read.plan, &State::fold(&read.plan, &read.entries))?;
    let offset = SignedDuration::from_millis(i64::try_from(chance.below(2001)).unwrap() - 1000);
    let race_at = after(due.at, grace(&read.plan)) + offset;
    world.clock.sleep_until(race_at).await;
    let before = world.embedded.log().len();
    line.mend();
    world.outcome_in_ledger().await;
    let ended_at = world.ledger().await.entries.last().unwrap().at;
    world.outcome(NIGHT).await;
    sleep(Duration::from_secs(120)).await;
    let log = world.embedded.log().split_off(before);
    let left = found(&world, &told).await;
    assert!(!left.is_empty() && left == by_day, "{told}: {left:#?}");
    let entries = world.ledger().await.entries;
    let happened = |is: &dyn Fn(&Event) -> bool| entries.iter().filter(|entry: &&Entry| is(&entry.event)).count();
    let taken_count = happened(&|event| matches!(event, Event::TakenOver { .. }));
    let turned = happened(&|event| matches!(event, Event::GoingBack { .. } | Event::Committed {}));
    let finished = happened(&|event| matches!(event, Event::Finished { .. }));
    assert!(taken_count <= 1 && (turned, finished) == (1, 1), "{told}: {entries:?}");
    let account = account.lock().unwrap();
    let (seen_count, judged_count) = (account.objects.len(), account.judged);
    assert!(seen_count > 0 && (judged_count > 0) == (taken_count == 1), "{told}: {seen_count} objects, {judged_count} writes");
    assert!(account.problems.is_empty(), "{told}: {:?}", account.problems);
    assert!(account.changes.values().all(|count| *count <= 2), "{told}: closed once and opened once: {:?}", account.changes);
    drop((operator, sentinels));
    let closest = closest(log.iter().filter(|one| one.at <= ended_at));
    Some(Course { taken_over: taken_count == 1, closed_count: account.changes.len(), closest })
}

/// How close a write of one side and one of the other came to each other.
fn closest<'a>(log: impl Iterator<Item = &'a LoggedRequest>) -> Option<SignedDuration> {
    let ours = |one: &&LoggedRequest| {
        one.request.write_number.is_some() && ["configmaps", "jobs", "deployments"].contains(&one.request.resource.as_str())
    };
    let writes: Vec<&LoggedRequest> = log.filter(ours).collect();
    let other = writes.windows(2).filter(|pair| (pair[0].request.user == "sentinel") != (pair[1].request.user == "sentinel"));
    other.map(|pair| pair[1].at.duration_since(pair[0].at).abs()).min()
}

/// How many writes an operator that nobody disturbs sends before its work begins, and until the end.
fn writes_of(hangs: bool) -> (u64, u64) {
    paused(async {
        let world = World::new(hangs);
        world.declare(|_| {});
        let line = Line::new(u64::MAX, false, 0);
        let (tokens, through) = (world.embedded.clone(), line.clone());
        let _operator = world.operator_guarded_with(Arc::new(move |token| Ok(through.client(tokens.client_for_token(token)))));
        world.until("2023-02-10T00:29:00+01:00").await;
        let armed = line.write_count();
        world.outcome(NIGHT).await;
        (armed, line.write_count())
    })
}

#[test]
fn whatever_the_operator_was_about_to_write_the_night_has_one_end_when_both_sides_take_it_back_in_the_same_second() {
    let (mut played_count, mut taken, mut raced, mut closed) = (0, 0, 0, 0);
    let writes = [writes_of(true), writes_of(false)];
    for seed in 0..SEEDS {
        let hangs = seed % 2 == 0;
        let (first, last) = writes[usize::from(!hangs)];
        let cut_at = first + 1 + Chance::new(seed.wrapping_mul(31)).below(last - first);
        let Some(course) = paused(played(seed, hangs, cut_at)) else { continue };
        played_count += 1;
        taken += u64::from(course.taken_over);
        closed += u64::from(course.closed_count > 0);
        raced += u64::from(course.closest.is_some_and(|closest| closest <= SAME_SECOND));
    }
    println!(
        "{played_count} nights, {taken} taken over, in {closed} something was closed, in {raced} both sides wrote within a second"
    );
    assert!(played_count > SEEDS / 2 && taken > 0 && closed > 0, "{played_count} nights, {taken} taken over, {closed} closed");
    assert!(raced * 100 >= played_count * RACED_PERCENT_MIN, "only {raced} of {played_count} nights were raced for");
}

/// The line itself holds what it is told to hold, and delivers it.
#[tokio::test(start_paused = true)]
async fn what_was_sent_while_the_line_was_cut_arrives_when_it_is_mended() {
    let world = World::new(true);
    let line = Line::new(1, true, 0);
    let client = line.client(world.embedded.client("notturno"));
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(client, "centro-dati");
    let object = serde_json::from_value(serde_json::json!({"metadata": {"name": "prova"}})).unwrap();
    let sent = tokio::spawn(async move { maps.create(&kube::api::PostParams::default(), &object).await });
    sleep(Duration::from_secs(60)).await;
    assert!(world.embedded.object("", "configmaps", "centro-dati", "prova").is_none());
    // Whoever sent it gives up.
    sent.abort();
    line.mend();
    sleep(Duration::from_secs(5)).await;
    assert!(world.embedded.object("", "configmaps", "centro-dati", "prova").is_some());
}
