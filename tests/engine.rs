//! The engine under parallel steps, and under anything at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use nights::{World, at, play, sogei, t};
use notturno::engine::facts::{Burned, ClosingFact, JobEnd, JobFact, Pods, Probes, ServiceFact, SwitchFact, TokenFact, jobs};
use notturno::engine::journal::{Cause, Proof};
use notturno::engine::phases::TABLE;
use notturno::engine::state::Direction;
use notturno::engine::switch::lost_for_max;
use notturno::engine::{Command, Decision, Entry, Event, Facts, JobKey, State, decide};
use notturno::model::action::{JobSource, Template};
use notturno::model::need;
use notturno::model::phase::{Outcome, Phase};
use notturno::model::plan::{Plan, PlannedAction, PlannedUndo};
use notturno::model::runbook::OnFutile;
use notturno::model::span::{self, Span, after};
use proptest::prelude::*;

/// SETTLED.md, Numbers: M = 250 minutes after the start, fixed part 65, disjoint services.
fn parallel() -> Plan {
    let mut plan = sogei().plan();
    let job = PlannedAction::Job(JobSource { template: Template::CronJob("x".to_owned()), env: vec![] });
    let mut template = plan.steps[4].clone();
    template.needs = vec![];
    template.action = job;
    template.on_futile = OnFutile::Continue;
    let step = |name: &str, budget: u32, undo: u32, service: usize| {
        let mut step = template.clone();
        name.clone_into(&mut step.name);
        (step.budget, step.hard_cap) = (Span::minutes(budget), Span::minutes(budget));
        step.touches = [service].into();
        if let PlannedUndo::Job { budget, .. } = &mut step.undo {
            *budget = Span::minutes(undo);
        }
        step
    };
    let mut first = step("first", 10, 0, 0);
    let mut second = step("second", 20, 0, 1);
    (first.touches, second.touches) = ([].into(), [].into());
    let (mut a, mut b) = (step("a", 120, 10, 0), step("b", 10, 60, 1));
    a.needs = vec![0];
    b.needs = vec![1];
    plan.steps = vec![first, second, a, b];
    plan.deadline.must_serve_by = after(plan.start_at, Span::minutes(250));
    plan
}

fn started(played: &nights::Played, name: &str) -> Option<String> {
    played.at(|event| matches!(event, Event::StepIntended { step, .. } if step == name))
}

#[test]
fn a_parallel_step_waits_while_the_end_of_the_other_would_leave_too_little_to_go_back() {
    let plan = parallel();
    assert_eq!(need::need(&plan, &need::Begun::default()).total(), Span::minutes(65));
    let mut world = World::default();
    world.takes.insert("a".to_owned(), Some(Span::minutes(105)));
    let played = play(&plan, &world, t("12:00"));
    assert_eq!(started(&played, "a").as_deref(), Some("00:40"));
    let wait = played.decisions.iter().rfind(|(now, _)| *now == t("00:50")).map(|(_, decision)| decision.why.clone());
    let sum = "b waits: 02:40 + undo 1h + smoke 15m + reopen 30m + reserve 20m = 04:45, mustServeBy 04:40";
    assert!(wait.as_ref().is_some_and(|why| why.contains(sum)), "{wait:?}\n{}", played.text());
    assert_eq!(started(&played, "b").as_deref(), Some("02:25"), "a ended at 115 minutes\n{}", played.text());

    world.takes.insert("a".to_owned(), Some(Span::minutes(106)));
    let played = play(&plan, &world, t("12:00"));
    assert_eq!(started(&played, "b"), None, "{}", played.text());
    assert!(played.at(|event| matches!(event, Event::GoingBack { cause: Cause::Futile })).is_some());
}

#[test]
fn every_played_night_moves_only_as_the_phase_table_says() {
    for hang in [None, Some(Span::minutes(60)), Some(Span::minutes(95)), Some(Span::minutes(118))] {
        let mut world = World::default();
        world.takes.insert("aggiorna".to_owned(), hang);
        let played = play(&sogei().plan(), &world, t("12:00"));
        let phases: Vec<Phase> = played.decisions.iter().map(|(_, decision)| decision.phase).collect();
        for pair in phases.windows(2).filter(|pair| pair[0] != pair[1]) {
            let row = TABLE.iter().find(|row| row.phase == pair[0]).unwrap();
            assert!(row.then.contains(&pair[1]), "{} -> {}\n{}", pair[0], pair[1], played.text());
        }
        assert_eq!(phases.last(), Some(&Phase::Finished));
    }
}

#[test]
fn nothing_is_commanded_before_its_intention_is_in_the_journal() {
    let plan = sogei().plan();
    let played = play(&plan, &World::default(), t("12:00"));
    let mut journal = vec![played.journal[0].clone()];
    for (_, decision) in &played.decisions {
        journal.extend(decision.events.iter().cloned());
        let state = State::fold(&plan, &journal);
        for command in &decision.commands {
            if let Command::Release { job: JobKey::Step(step), .. } = command {
                assert!(state.begun(&plan).steps.contains(step));
            }
            if let Command::Close { service, .. } = command {
                assert!(state.begun(&plan).closed.contains(service));
            }
        }
    }
}

#[test]
fn a_completion_seen_after_the_stop_is_no_completion() {
    let plan = sogei().plan();
    let mut journal = until_running(&plan, "aggiorna");
    let last = journal.last().unwrap().at;
    journal.push(Entry { at: last, event: Event::GoingBack { cause: Cause::Deleted }, why: String::new() });
    let (index, _) = plan.step_named("aggiorna").unwrap();
    let mut facts = Facts::default();
    let job = fact(TokenFact::Expired, Some(JobEnd::Complete), Pods::Terminal);
    facts.jobs.insert(JobKey::Step(index), JobFact { burned: Some(notturno::engine::facts::Burned::Started), ..job });
    let decision = decide(&plan, &journal, &facts, last);
    assert!(decision.events.iter().any(|e| matches!(e.event, Event::StepStopped { proof: Proof::Dead, .. })));
    assert!(!decision.events.iter().any(|e| matches!(e.event, Event::StepDone { .. } | Event::Committed {})));
}

/// The journal of the planned night up to the intention of a step.
fn until_running(plan: &Plan, name: &str) -> Vec<Entry> {
    let played = play(plan, &World::default(), t("12:00"));
    let end = played.journal.iter().position(|e| matches!(&e.event, Event::StepIntended { step, .. } if step == name)).unwrap();
    played.journal[..=end].to_vec()
}

fn reasons(decision: &Decision) -> Vec<&str> {
    decision.start_held.iter().map(|hold| hold.why.as_str()).collect()
}

/// The night of 2023 by a clock that is not bounded from `from` until `until`.
fn unbounded(from: &str, until: &str) -> World {
    World { clock_unbounded: Some(t(from)..t(until)), ..World::default() }
}

#[test]
fn a_night_whose_clock_is_not_bounded_waits_armed_says_why_asks_again_soon_and_begins_once_it_is() {
    let plan = sogei().plan();
    let played = play(&plan, &unbounded("00:10", "00:41"), t("12:00"));
    assert_eq!(played.at(|event| matches!(event, Event::WorkBegun {})).as_deref(), Some("00:41:01"), "{}", played.text());
    let held = |(now, _): &&(jiff::Timestamp, Decision)| (t("00:30")..=t("00:41")).contains(now);
    let pauses = [1, 1, 2, 4, 8, 15, 15].map(jiff::SignedDuration::from_secs);
    for ((now, decision), pause) in played.decisions.iter().filter(held).zip(pauses) {
        assert_eq!((decision.phase, reasons(decision)), (Phase::Armed, vec!["nobody says the time"]));
        assert_eq!(decision.why, "armed; it does not start: nobody says the time");
        assert_eq!(decision.wake.as_ref().map(|wake| wake.at), Some(*now + pause));
    }
    assert!(played.decisions.iter().filter(held).count() > 40);
    let before = played.decisions.iter().find(|(_, decision)| decision.phase == Phase::Armed).unwrap();
    assert_eq!((before.1.why.as_str(), reasons(&before.1)), ("armed; work begins 00:30", vec![]));
}

#[test]
fn a_start_that_is_held_until_its_latest_moment_is_cancelled_and_says_why() {
    let sum = "04:55:01 + undo 1h + smoke 15m + reopen 30m + reserve 20m = 07:00:01, mustServeBy 07:00";
    let too_late = format!("too late to begin: step prova cannot fit any more: {sum}; nobody says the time");
    let passed = "its latest start, 00:40, has passed and nothing had begun; nobody says the time".to_owned();
    for (tolerance, why) in [(30, too_late), (10, passed)] {
        let mut night = sogei();
        night.intervention.start_tolerance = Span::minutes(tolerance);
        let played = play(&night.plan(), &unbounded("00:10", "02:00"), t("12:00"));
        assert_eq!((&played.journal.last().unwrap().why, played.state().outcome), (&why, Some(Outcome::Cancelled)));
    }
}

#[test]
fn by_a_clock_that_is_not_bounded_a_night_under_way_goes_on_and_back_as_by_any_other() {
    let plan = sogei().plan();
    let mut world = unbounded("00:31", "12:00");
    world.takes.insert("aggiorna".to_owned(), None);
    let blind = play(&plan, &world, t("12:00"));
    world.clock_unbounded = None;
    assert_eq!(blind.journal, play(&plan, &world, t("12:00")).journal);
    assert!(blind.at(|event| matches!(event, Event::GoingBack { .. })).is_some());
}

fn fact(token: TokenFact, end: Option<JobEnd>, pods: Pods) -> JobFact {
    JobFact { token, burned: None, burned_at: None, suspended: false, end, pods, held: false }
}

fn any_job() -> impl Strategy<Value = JobFact> {
    let token = prop_oneof![
        Just(TokenFact::Missing),
        Just(TokenFact::Forward),
        Just(TokenFact::Back),
        Just(TokenFact::Reopen),
        Just(TokenFact::Expired),
        Just(TokenFact::Deposed)
    ];
    let end = prop_oneof![
        3 => Just(None),
        1 => Just(Some(JobEnd::Complete)),
        1 => Just(Some(JobEnd::Vanished)),
        1 => Just(Some(JobEnd::Failed { reason: "x".to_owned() }))
    ];
    let pods =
        prop_oneof![Just(Pods::NoneSeen), Just(Pods::Alive), Just(Pods::Terminal), Just(Pods::Unknown { reason: String::new() })];
    let burned =
        prop_oneof![Just(None), Just(Some(Burned::NeverStarted)), Just(Some(Burned::Started)), Just(Some(Burned::Completed))];
    (token, end, pods, burned, any::<bool>(), any::<bool>()).prop_map(|(token, end, pods, burned, suspended, held)| JobFact {
        token,
        burned,
        burned_at: burned.map(|_| t("03:00")),
        suspended,
        end,
        pods,
        held,
    })
}

fn any_service() -> impl Strategy<Value = ServiceFact> {
    let closing = prop_oneof![
        Just(ClosingFact::Open),
        Just(ClosingFact::Draining),
        Just(ClosingFact::Closed),
        Just(ClosingFact::Refused { reason: "x".to_owned() })
    ];
    let red = (0_u32..30).prop_map(|asked| Probes::Red { reason: "x".to_owned(), asked_for: Span::minutes(asked) });
    let probes = prop_oneof![Just(Probes::NotAsked), red, Just(Probes::Green)];
    let degraded = closing.clone();
    (closing, degraded, probes, any::<bool>(), any::<bool>()).prop_map(|(closing, degraded, probes, burned, restored)| {
        ServiceFact { closing, burned, restored, degraded, preimages: std::collections::BTreeMap::default(), probes }
    })
}

/// A journal cut, shuffled and doubled from real ones: most make no sense.
fn any_journal() -> impl Strategy<Value = Vec<Entry>> {
    let mut hang = World::default();
    hang.takes.insert("aggiorna".to_owned(), None);
    hang.fails.insert(("undo-aggiorna".to_owned(), 1), Span::minutes(40));
    let plan = &*PLAN;
    let mut pool = play(plan, &hang, t("12:00")).journal;
    hang.takes.insert("undo-aggiorna".to_owned(), None);
    pool.extend(play(plan, &hang, t("12:00")).journal);
    pool.extend(play(plan, &World::default(), t("12:00")).journal);
    let whole = pool.clone();
    let cut = (0..pool.len()).prop_map(move |end| whole[..end.min(whole.len())].to_vec());
    prop_oneof![cut, prop::collection::vec(prop::sample::select(pool), 0..40)]
}

fn evening() -> jiff::Timestamp {
    at("2023-02-09T22:00:00+01:00")
}

fn any_switch() -> impl Strategy<Value = SwitchFact> {
    let reason = || "x".to_owned();
    let since = |minute| evening() + jiff::SignedDuration::from_mins(minute);
    prop_oneof![
        Just(SwitchFact::NotAsked),
        Just(SwitchFact::NotYet { reason: reason() }),
        (0_i64..900).prop_map(move |minute| SwitchFact::NotReady { reason: reason(), since: since(minute) }),
        (0_u32..=2).prop_map(|count| SwitchFact::Ready { count }),
        Just(SwitchFact::Gone),
    ]
}

/// What the dead man's switch holds, and what it never does.
fn guarded(
    plan: &Plan,
    journal: &[Entry],
    facts: &Facts,
    now: jiff::Timestamp,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    let known = State::fold(plan, journal);
    let after = State::fold(plan, &[journal, &decision.events].concat());
    let sentinels = match facts.switch {
        SwitchFact::NotAsked => None,
        SwitchFact::Ready { count } => Some(count),
        SwitchFact::NotYet { .. } | SwitchFact::NotReady { .. } | SwitchFact::Gone => Some(0),
    };
    let has = |is: fn(&Event) -> bool| decision.events.iter().any(|entry| is(&entry.event));
    let begins = has(|event| *event == Event::WorkBegun {});
    prop_assert!(!begins || sentinels.is_none_or(|count| count == 2), "work begins without a whole switch");
    let intends = has(|event| matches!(event, Event::StepIntended { .. }));
    prop_assert!(!intends || sentinels != Some(0), "a step without sentinels");
    prop_assert!(!decision.commands.iter().any(is_forward) || sentinels != Some(0), "work without sentinels");
    let goes_on = after.direction == Direction::Forward && after.outcome.is_none();
    let turn_back_at = need::turn_back_at(plan, &after.begun(plan));
    prop_assert!(!goes_on || now < turn_back_at, "past the last moment and not going back");
    if let SwitchFact::NotReady { since, .. } = facts.switch {
        prop_assert!(!goes_on || now < span::after(since, lost_for_max(plan)), "lost and not going back");
    }
    if matches!(known.direction, Direction::Back { .. } | Direction::Committed { .. }) {
        let free = decide(plan, journal, &Facts { switch: SwitchFact::NotAsked, ..facts.clone() }, now);
        let mut waits_for_none = decision.clone();
        waits_for_none.commands.retain(|command| !matches!(command, Command::ArmSwitch | Command::DisarmSwitch));
        prop_assert_eq!(waits_for_none, free, "the way back never waits for the switch");
    }
    Ok(())
}

fn is_forward(command: &Command) -> bool {
    matches!(command, Command::Close { .. } | Command::Change { .. } | Command::Release { job: JobKey::Step(_), .. })
}

static PLAN: std::sync::LazyLock<Plan> = std::sync::LazyLock::new(|| {
    let mut night = sogei();
    night.when_dirty("accesso-ts", nights::opens_in_part("accesso-ts"));
    night.when_dirty("ricetta-elettronica", nights::opens());
    night.plan()
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn every_input_has_a_decision_that_explains_itself(
        journal in any_journal(),
        jobs_seen in prop::collection::vec(any_job(), 12),
        services_seen in prop::collection::vec(any_service(), 7),
        unbounded in any::<bool>(),
        switch in any_switch(),
        minute in 0_i64..900,
    ) {
        let plan = &*PLAN;
        let facts = Facts {
            jobs: jobs(plan).into_iter().zip(jobs_seen).collect(),
            services: services_seen.into_iter().enumerate().collect(),
            clock_unbounded: unbounded.then(|| "x".to_owned()),
            switch,
            ..Facts::default()
        };
        let now = evening() + jiff::SignedDuration::from_mins(minute);
        let decision = decide(plan, &journal, &facts, now);
        prop_assert!(!decision.why.is_empty());
        prop_assert!(decision.wake.iter().all(|wake| wake.at > now && !wake.why.is_empty()));
        let mut whole = journal.clone();
        let nonsense = State::fold(plan, &whole).nonsense;
        whole.extend(decision.events.iter().cloned());
        let state = State::fold(plan, &whole);
        prop_assert_eq!(&state.nonsense, &nonsense, "the engine wrote what it cannot read");
        let may_go_forward = state.direction == Direction::Forward && now < need::turn_back_at(plan, &state.begun(plan));
        prop_assert!(may_go_forward || !decision.commands.iter().any(is_forward));
        guarded(plan, &journal, &facts, now, &decision)?;
        let begins = decision.events.iter().any(|entry| entry.event == Event::WorkBegun {});
        prop_assert!(!(unbounded && begins));
        if State::fold(plan, &journal).direction != Direction::Still {
            let known = decide(plan, &journal, &Facts { clock_unbounded: None, ..facts.clone() }, now);
            prop_assert_eq!(&decision, &known, "only the beginning is held");
        }
        let again = decide(plan, &whole, &facts, now);
        prop_assert_eq!(again.events, vec![], "a decision leaves nothing to decide at the same moment");
    }
}

#[test]
fn what_was_intended_is_not_done_while_nobody_would_take_it_back() {
    let plan = sogei().plan();
    let journal = until_running(&plan, "chiudi-portali");
    let now = journal.last().unwrap().at;
    let reason = || "gone".to_owned();
    let closes = |switch: SwitchFact| {
        let decision = decide(&plan, &journal, &Facts { switch, ..Facts::default() }, now);
        decision.commands.iter().any(|command| matches!(command, Command::Close { .. }))
    };
    assert!(closes(SwitchFact::NotAsked) && closes(SwitchFact::Ready { count: 1 }));
    assert!(!closes(SwitchFact::NotYet { reason: reason() }) && !closes(SwitchFact::NotReady { reason: reason(), since: now }));
}

#[test]
fn the_shorter_the_reserve_the_sooner_a_lost_switch_turns_the_night_back() {
    for (reserve, seconds) in [(Span::minutes(20), 60), (Span::seconds(120), 30), (Span::seconds(8), 10)] {
        let plan = Plan { reserve, ..sogei().plan() };
        assert_eq!(lost_for_max(&plan), Span::seconds(seconds), "{reserve}");
    }
}
