//! What the engine says all through some nights, word for word: what it records and why, what it does, what it looks at, when it asks
//! again, when a sentinel would come, and what would be done without a ledger.
//!
//! Each night has its text in `tests/golden/decided/NAME.txt`; `UPDATE=1` rewrites them, and a reviewer reads the difference. What is as
//! it was at the question before is not said again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "reference/chance.rs"]
#[allow(dead_code, reason = "what counts its nights is not used here")]
mod chance;
mod golden;
mod nights;

use std::collections::BTreeMap;
use std::fmt::Debug;

use chance::Chance;
use golden::compare;
use jiff::{SignedDuration, Timestamp};
use nights::{Night, Switch, World, job, opens, opens_in_part, orders, sogei, step, t};
use notturno::engine::facts::{Ask, Pods};
use notturno::engine::{Decision, Entry, Facts, State, Wake, decide, due, interest};
use notturno::model::action::{Action, Check, Hold, OnSilence, Undo};
use notturno::model::epoch::Epoch;
use notturno::model::need::grace;
use notturno::model::plan::Plan;
use notturno::model::reference::Target;
use notturno::model::runbook::OnOverrun;
use notturno::model::service::{Change, WhenRed};
use notturno::model::span::{Span, after};
use notturno::sim::{Death, play_before};

/// Drawn nights that are told beside those written here.
const DRAWN: usize = 24;

/// Sooner than this a moment is told as from now: it may be asked for again and again.
const SOON: SignedDuration = SignedDuration::from_mins(5);

/// What was said last under each head, and the moment of which nothing is said yet.
#[derive(Default)]
struct Told {
    text: String,
    last: BTreeMap<&'static str, String>,
    moment: Option<String>,
}

impl Told {
    fn add(&mut self, line: &str) {
        self.text += &self.moment.take().unwrap_or_default();
        self.text += &format!("{line}\n");
    }

    fn say(&mut self, head: &'static str, words: String) {
        if self.last.get(head) != Some(&words) {
            self.add(&format!("    {head}: {words}"));
            self.last.insert(head, words);
        }
    }

    fn hear(&mut self, plan: &Plan, journal: &[Entry], facts: &Facts, now: Timestamp, decision: &Decision) {
        self.moment = Some(format!("{}\n", clock(now)));
        for entry in &decision.events {
            self.add(&format!("  {:?}\n    {}", entry.event, entry.why));
        }
        let state = State::fold(plan, &[journal, &decision.events].concat());
        self.say("phase", decision.phase.to_string());
        self.say("does", listed(&decision.commands));
        self.say("asks again", again(decision.wake.as_ref(), now));
        self.say("says", decision.why.clone());
        self.say("held by", listed(&decision.start_held));
        self.say("looks at", format!("{:?}", interest(plan, &state)));
        self.say("due", due(plan, &state).map_or("nothing".to_owned(), |due| format!("{}: {}", clock(due.at), due.what)));
        let sentinel = decide(plan, journal, &Facts { epoch: Epoch::SENTINELS, ..facts.clone() }, now);
        self.say("a sentinel", listed(&sentinel.events));
        self.say("a sentinel does", listed(&sentinel.commands));
        self.say("a sentinel asks again", again(sentinel.wake.as_ref(), now));
        let blind = decide(plan, journal, &Facts { unrecorded: true, ..facts.clone() }, now);
        self.say("without a ledger", listed(&blind.commands));
        self.say("without a ledger asks again", again(blind.wake.as_ref(), now));
    }
}

fn clock(at: Timestamp) -> String {
    at.in_tz("Europe/Rome").unwrap().strftime("%H:%M:%S%.f").to_string()
}

fn again(wake: Option<&Wake>, now: Timestamp) -> String {
    let Some(Wake { at, why }) = wake else { return "never".to_owned() };
    let until = now.duration_until(*at);
    if until < SOON { format!("in {until:#}: {why}") } else { format!("{}: {why}", clock(*at)) }
}

fn listed<T: Debug>(all: &[T]) -> String {
    if all.is_empty() { "nothing".to_owned() } else { all.iter().map(|one| format!("\n      {one:?}")).collect() }
}

fn told(plan: &Plan, world: &notturno::sim::World) -> String {
    let mut told = Told::default();
    let mut hear = |journal: &[Entry], facts: &Facts, now, decision: &Decision| told.hear(plan, journal, facts, now, decision);
    let journal = play_before(plan, world, t("09:00"), &mut hear).journal;
    // What is left over is taken away by whoever is there, a grace later.
    let facts = Facts { epoch: Epoch::SENTINELS, ..Facts::default() };
    let later = after(journal.last().unwrap().at, grace(plan));
    hear(&journal, &facts, later, &decide(plan, &journal, &facts, later));
    told.text
}

/// After the upgrade's indices: a question, an object that is changed, a wait, a notice, and the deletion of what was.
fn many_kinds() -> Night {
    let mut night = sogei();
    let object = |name: &str| Target {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: "centro-dati".to_owned(),
        name: name.to_owned(),
    };
    let hold = Hold { message: "il motore risponde?".to_owned(), confirmations: 2, on_silence: OnSilence::TurnBack };
    let change = Change::Merge { merge: serde_json::json!({"data": {"versione": "16"}}) };
    let wait = Check::Wait { target: object("stato"), until: "self.data.pronto == 'si'".to_owned() };
    let undo = Undo::Restore { budget: Span::minutes(5) };
    let more = [
        step("imposta", &["chiudi-nucleo"], 10, Action::Change { target: object("impostazioni"), change }, undo),
        step("conferma", &["indici"], 10, Action::Hold(hold), Undo::Nothing),
        step("attendi", &["imposta"], 10, Action::Check(wait), Undo::Nothing),
        step("avvisa", &["conferma"], 10, Action::Notify { message: "gli indici sono pronti".to_owned() }, Undo::Nothing),
    ];
    night.runbook.steps.splice(6..6, more);
    night.step("prova").needs.extend(["avvisa", "attendi"].map(str::to_owned));
    night
}

fn irreversible() -> Night {
    let mut night = sogei();
    let mut elimina = step("elimina", &["indici"], 10, Action::Job(job("elimina")), Undo::Irreversible);
    elimina.touches = Some(vec!["archivio-730".parse().unwrap()]);
    elimina.on_overrun = OnOverrun::Continue;
    night.runbook.steps.insert(6, elimina);
    night.step("prova").needs.push("elimina".to_owned());
    night
}

fn half_done(world: &mut World) -> Night {
    let mut night = sogei();
    night.when_dirty("anagrafe-assistiti", opens());
    night.when_dirty("accesso-ts", opens_in_part("accesso-ts"));
    hangs(world, &["aggiorna", "undo-aggiorna"]);
    night
}

fn hangs(world: &mut World, names: &[&str]) {
    world.takes.extend(names.iter().map(|name| ((*name).to_owned(), None)));
}

fn fails(world: &mut World, name: &str, attempt: u32, minutes: u32) {
    world.fails.insert((name.to_owned(), attempt), Span::minutes(minutes));
}

#[test]
fn nights_that_go_well_are_told_as_ever() {
    let reopening = [("cup", 4), ("zerocode", 9)].map(|(name, minutes)| (name.to_owned(), Span::minutes(minutes))).into();
    let world = World { reopening, ..World::default() };
    let plan = sogei().plan();
    compare("decided/goes-well", &told(&plan, &world.of(&plan)));
    let plan = irreversible().plan();
    compare("decided/behind-a-point-of-no-return", &told(&plan, &World::default().of(&plan)));
    let yes = Ask::Confirm { step: "conferma".to_owned() };
    let later = Ask::Extend { step: "aggiorna".to_owned(), until: t("04:20") };
    let asked = [
        ("00:45", "anna", Ask::Hold),
        ("00:55", "anna", Ask::Resume),
        ("03:00", "anna", yes.clone()),
        ("03:10", "bruno", later),
        ("03:20", "bruno", Ask::Extend { step: "aggiorna".to_owned(), until: t("09:00") }),
        ("04:16", "anna", yes.clone()),
        ("04:17", "anna", yes.clone()),
        ("04:18", "bruno", yes),
        ("06:00", "bruno", Ask::TurnBack),
    ];
    let plan = many_kinds().plan();
    compare("decided/people-are-asked", &told(&plan, &World { orders: orders(&asked), ..World::default() }.of(&plan)));
}

#[test]
fn nights_that_turn_back_are_told_as_ever() {
    let (plan, many) = (sogei().plan(), many_kinds().plan());
    let mut world = World { left: [("aggiorna".to_owned(), (Span::minutes(3), Pods::Alive))].into(), ..World::default() };
    hangs(&mut world, &["aggiorna"]);
    compare("decided/work-hangs", &told(&plan, &world.of(&plan)));
    let mut world = World::default();
    fails(&mut world, "aggiorna", 0, 20);
    fails(&mut world, "undo-aggiorna", 1, 10);
    compare("decided/work-and-an-undo-fail", &told(&plan, &world.of(&plan)));
    compare("decided/nobody-confirms", &told(&many, &World::default().of(&many)));
    let mut world = World { orders: orders(&[("02:30", "anna", Ask::TurnBack)]), ..World::default() };
    hangs(&mut world, &["attendi"]);
    compare("decided/a-person-turns-it-back", &told(&many, &world.of(&many)));
    let mut night = sogei();
    night.step("indici").undo = Undo::Job { budget: Span::minutes(20), attempts: 1, job: job("toglie-indici") };
    let plan = night.plan();
    let mut world = World::default();
    fails(&mut world, "prova", 0, 5);
    compare("decided/two-undos-in-a-row", &told(&plan, &world.of(&plan)));
    let mut world = World::default();
    let night = half_done(&mut world).plan();
    compare("decided/an-undo-hangs", &told(&night, &world.of(&night)));
    let mut world = World::default();
    hangs(&mut world, &["elimina"]);
    let night = irreversible().plan();
    compare("decided/a-point-of-no-return-hangs", &told(&night, &world.of(&night)));
}

#[test]
fn doors_that_stay_red_are_told_as_ever() {
    for (name, policy) in
        [("calls", WhenRed::CallPerson), ("opens-in-part", WhenRed::OpenDegraded), ("closes-again", WhenRed::CloseAgain)]
    {
        let mut night = sogei();
        night.services.iter_mut().find(|service| service.id.name == "portale-ts").unwrap().when_red = policy;
        let plan = night.plan();
        let world = World { red: ["portale-ts".to_owned()].into(), ..World::default() };
        compare(&format!("decided/a-door-stays-red-and-{name}"), &told(&plan, &world.of(&plan)));
    }
}

#[test]
fn nights_whose_start_is_held_are_told_as_ever() {
    let plan = sogei().plan();
    let unbounded = |from, until| World { clock_unbounded: Some(t(from)..t(until)), ..World::default() };
    compare("decided/the-clock-is-bounded-late", &told(&plan, &unbounded("23:00", "00:40").of(&plan)));
    compare("decided/the-clock-is-never-bounded", &told(&plan, &unbounded("23:00", "03:00").of(&plan)));
    let not_to = World { orders: orders(&[("00:10", "anna", Ask::TurnBack)]), ..World::default() };
    compare("decided/a-person-says-not-to-begin", &told(&plan, &not_to.of(&plan)));
}

#[test]
fn nights_that_lose_their_switch_or_operator_are_told_as_ever() {
    let plan = sogei().plan();
    let switch = Switch {
        half: vec![t("00:20")..t("00:35"), t("01:30")..t("01:40")],
        unseen: vec![t("02:00")..t("02:10")],
        empty: vec![t("02:20")..t("02:21")],
        lost: vec![t("02:50")..t("03:30")],
        ..Switch::default()
    };
    compare("decided/the-switch-is-lost", &told(&plan, &World { switch: Some(switch), ..World::default() }.of(&plan)));
    let mut world = World::default();
    hangs(&mut world, &["aggiorna"]);
    compare("decided/the-operator-dies", &told(&plan, &World { dies_after: Some(12), ..world }.of(&plan)));
    let death = Death::At { dies_at: t("02:00"), returns_at: Some(t("06:40")), has_sentinel: true };
    let returns = notturno::sim::World { death: Some(death), ..World::default().of(&plan) };
    compare("decided/the-operator-returns-deposed", &told(&plan, &returns));
}

#[test]
fn drawn_nights_are_told_as_ever() {
    let mut found = String::new();
    let mut count = 0;
    for seed in 0.. {
        let mut chance = Chance(seed);
        let Some(plan) = chance::night(&mut chance).verdict().accepted() else { continue };
        let world = chance::world(&mut chance, &plan);
        found += &format!("# {seed}\n{}", told(&plan, &world.of(&plan)));
        count += 1;
        if count == DRAWN {
            break;
        }
    }
    compare("decided/drawn", &found);
}
