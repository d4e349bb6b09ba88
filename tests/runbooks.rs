//! The four nights of `runbooks/`: what is printed for each, its key moments, and how each goes when it goes well and when not.
//! `UPDATE=1 cargo test --test runbooks` rewrites the timelines beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod nights;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use jiff::Timestamp;
use nights::{Night, Played, World, at, play};
use notturno::api::{self, Document, validate};
use notturno::cli::read::read_texts;
use notturno::engine::Event;
use notturno::engine::journal::Cause;
use notturno::engine::words::rfc3339;
use notturno::model::phase::Outcome;
use notturno::model::plan::Plan;
use notturno::model::span::Span;

const FILES: [&str; 4] = ["sogei-2023", "zerocode-release", "prenota-spid", "archivio-730"];

fn path(name: &str) -> String {
    format!("{}/runbooks/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(path(&format!("{file}.yaml"))).unwrap()
}

/// The runbook with pieces of text replaced, each of which has to be there.
fn changed(file: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text(file), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in {file}");
        text.replace(from, to)
    })
}

/// A file as the operator would take it.
fn read(text: &str) -> Night {
    let (mut intervention, mut runbook, mut services, mut calendars) = (None, None, vec![], BTreeMap::new());
    for document in read_texts([("night.yaml", text.as_bytes())]).unwrap() {
        match api::from_value(document.value).unwrap() {
            Document::Calendar(raw) => {
                let calendar = validate::calendar(&raw).unwrap().value;
                calendars.insert(calendar.name().to_owned(), calendar);
            }
            Document::Service(raw) => services.push(validate::service(&raw).unwrap().value),
            Document::Runbook(raw) => runbook = Some(validate::runbook(&raw).unwrap().value),
            Document::Intervention(raw) => intervention = Some(validate::intervention(&raw).unwrap().value),
        }
    }
    Night { intervention: intervention.unwrap(), runbook: runbook.unwrap(), services, calendars }
}

fn night(file: &str) -> Night {
    read(&text(file))
}

fn turn_back_at(plan: &Plan) -> Timestamp {
    plan.steps.iter().map(|step| step.turn_back_at).min().unwrap()
}

/// Start, deadline, planned open and latest turn-back, with their offsets.
fn moments(plan: &Plan) -> [String; 4] {
    [plan.start_at, plan.deadline.must_serve_by, plan.planned_open_at, turn_back_at(plan)].map(|at| rfc3339(plan, at))
}

/// Everything takes what it declared, reopening too.
fn as_planned(plan: &Plan) -> World {
    let reopening = plan.services.iter().map(|service| (service.id.name.clone(), service.reopen_budget)).collect();
    World { reopening, ..World::default() }
}

fn played(plan: &Plan, world: &World) -> Played {
    play(plan, world, plan.deadline.must_serve_by + jiff::SignedDuration::from_hours(12))
}

/// When the last service answered, and how the night ended.
fn end(played: &Played) -> (Option<Outcome>, String) {
    let opened = played.journal.iter().rfind(|entry| matches!(entry.event, Event::Opened { .. }));
    (played.state().outcome, opened.map(|entry| rfc3339(&played.plan, entry.at)).unwrap_or_default())
}

fn when(played: &Played, is: impl Fn(&Event) -> bool) -> String {
    played.at(is).unwrap_or_else(|| panic!("it never happened:\n{}", played.text()))
}

/// One step outlives everything.
fn hanging(plan: &Plan, step: &str) -> Played {
    let mut world = as_planned(plan);
    assert!(plan.step_named(step).is_some(), "no step {step}");
    world.takes.insert(step.to_owned(), None);
    played(plan, &world)
}

fn undone(played: &Played, name: &str) -> String {
    when(played, |event| matches!(event, Event::UndoDone { step, .. } if step == name))
}

fn done(played: &Played, name: &str) -> String {
    when(played, |event| matches!(event, Event::StepDone { step } if step == name))
}

// What is printed

#[test]
#[allow(clippy::disallowed_methods, reason = "how a person asks for a rewrite")]
fn each_night_has_its_timeline_beside_it() {
    for file in FILES {
        let arguments = ["plan".to_owned(), format!("runbooks/{file}.yaml")];
        let binary = env!("CARGO_BIN_EXE_notturno");
        let output = Command::new(binary).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{file}");
        let (real, beside) = (String::from_utf8(output.stdout).unwrap(), path(&format!("{file}.timeline.txt")));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&beside, &real).unwrap();
        }
        let shown = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(shown, real, "{beside} is not up to date: UPDATE=1 cargo test --test runbooks");
    }
}

#[test]
fn nothing_lies_in_the_folder_but_nights_their_timelines_and_their_scenarios() {
    let all = fs::read_dir(path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in all.filter(|name| name != "scenarios") {
        let known = FILES.iter().any(|file| name == format!("{file}.yaml") || name == format!("{file}.timeline.txt"));
        assert!(known, "{name} is compared by no test");
    }
}

#[test]
fn every_scenario_can_be_played_on_its_night_one_of_many_and_ends_in_time() {
    let all = fs::read_dir(path("scenarios")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut count = 0;
    for name in all {
        let file = FILES.iter().find(|file| name.starts_with(&format!("{file}."))).expect("it begins with the name of its night");
        let (runbook, scenario) = (format!("runbooks/{file}.yaml"), format!("runbooks/scenarios/{name}"));
        for more in [&[][..], &["--nights", "50"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_notturno"));
            command.args(["simulate", &runbook, "--scenario", &scenario]).args(more).current_dir(env!("CARGO_MANIFEST_DIR"));
            let output = command.output().unwrap();
            assert_eq!(
                (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
                (Some(0), ""),
                "{name} {more:?}"
            );
        }
        count += 1;
    }
    assert!(count >= 2, "only {count} scenarios were found");
}

#[test]
fn the_key_moments_are_those_of_the_declared_sums() {
    // Start, must serve by, planned open, latest turn-back.
    let expected = [
        ["2023-02-10T00:30:00+01:00", "2023-02-10T07:00:00+01:00", "2023-02-10T05:00:00+01:00", "2023-02-10T04:55:00+01:00"],
        ["2026-11-25T23:00:00+01:00", "2026-11-26T06:45:00+01:00", "2026-11-26T00:50:00+01:00", "2026-11-26T05:30:00+01:00"],
        ["2026-12-01T22:30:00+01:00", "2026-12-02T06:45:00+01:00", "2026-12-02T00:35:00+01:00", "2026-12-02T05:30:00+01:00"],
        ["2027-01-13T20:00:00+01:00", "2027-01-14T07:30:00+01:00", "2027-01-14T03:35:00+01:00", "2027-01-14T04:40:00+01:00"],
    ];
    for (file, expected) in FILES.iter().zip(expected) {
        assert_eq!(moments(&night(file).plan()), expected, "{file}");
    }
}

#[test]
fn every_text_for_the_public_is_there_in_italian_and_in_english() {
    for file in FILES {
        for service in night(file).services {
            let sites = service.sites.iter().filter_map(|site| site.tolerates.as_ref()).map(|tolerance| &tolerance.fallback);
            let calls = service.depends_on.iter().map(|dependency| &dependency.fallback);
            for text in sites.chain(calls).chain([&service.title]) {
                assert!(!text.it.is_empty() && !text.en.is_empty(), "{file}: {}: {text:?}", service.id);
            }
        }
    }
}

#[test]
fn images_and_addresses_are_of_nobody() {
    for file in FILES {
        let text = text(file);
        for word in text.split(|c: char| c.is_whitespace() || "\"'{},[]".contains(c)) {
            let Some((_, rest)) = word.split_once("://") else { continue };
            let host = rest.split(['/', ':']).next().unwrap();
            assert!(host.ends_with(".sanita"), "{file}: {word}: an address is of a service in the cluster");
        }
        let images = text.lines().filter_map(|line| line.trim().strip_prefix("image: "));
        for image in images.chain(text.lines().filter_map(|line| line.split_once("/image, value: ").map(|(_, image)| image))) {
            assert!(image.starts_with("\"registro.example/"), "{file}: {image}");
        }
    }
}

// How each goes

#[test]
fn each_night_that_takes_what_it_declared_is_complete_at_its_planned_open() {
    for file in FILES {
        let plan = night(file).plan();
        let played = played(&plan, &as_planned(&plan));
        let expected = (Some(Outcome::Completed), rfc3339(&plan, plan.planned_open_at));
        assert_eq!(end(&played), expected, "{file}\n{}", played.text());
    }
}

#[test]
fn sogei_an_upgrade_that_hangs_is_open_at_a_quarter_to_six() {
    // 02:00 + hard cap 120 = 04:00 back; undo 60 = 05:00; smoke 15 = 05:15; reopening 30 = 05:45; must serve by 07:00.
    let played = hanging(&night("sogei-2023").plan(), "aggiorna");
    assert_eq!(when(&played, |event| matches!(event, Event::GoingBack { .. })), "04:00");
    assert_eq!(end(&played), (Some(Outcome::RolledBack), "2023-02-10T05:45:00+01:00".to_owned()), "{}", played.text());
}

#[test]
fn zerocode_a_canary_that_passes_and_a_latency_that_stays_red_turn_the_night_back() {
    // 00:35 canary passed; latency 00:35 + 5 = 00:40 back; image 10 = 00:50; schema 25 = 01:15; smoke 10 = 01:25;
    // reopening 10 = 01:35; must serve by 06:45.
    let played = hanging(&night("zerocode-release").plan(), "latenza");
    assert_eq!(done(&played, "canarino"), "00:35");
    let hard_cap = |event: &Event| matches!(event, Event::GoingBack { cause: Cause::HardCap { step } } if step == "latenza");
    assert_eq!(when(&played, hard_cap), "00:40", "{}", played.text());
    assert_eq!((undone(&played, "versione"), undone(&played, "schema")), ("00:50".to_owned(), "01:15".to_owned()));
    assert_eq!(end(&played), (Some(Outcome::RolledBack), "2026-11-26T01:35:00+01:00".to_owned()), "{}", played.text());
}

#[test]
fn prenota_logins_that_stay_red_turn_the_night_back_while_the_old_key_is_still_there() {
    // 23:55 logins + 20 = 00:15 back; new key taken away 10 = 00:25; smoke 10 = 00:35; reopening 10 = 00:45; must serve by 06:45.
    let played = hanging(&night("prenota-spid").plan(), "accessi");
    assert_eq!(when(&played, |event| matches!(event, Event::GoingBack { .. })), "00:15", "{}", played.text());
    let retired = played.at(|event| matches!(event, Event::StepIntended { step, .. } if step == "ritira"));
    assert_eq!((retired, undone(&played, "pubblica")), (None, "00:25".to_owned()));
    assert_eq!(end(&played), (Some(Outcome::RolledBack), "2026-12-02T00:45:00+01:00".to_owned()), "{}", played.text());
}

#[test]
fn archivio_a_reprocessing_that_outlives_its_hard_cap_is_undone_and_open_before_five() {
    // 21:15 + 300 = 02:15 people are asked; + hard cap 330 = 02:45 back; undo 90 = 04:15; smoke 20 = 04:35; reopening 20 = 04:55;
    // must serve by 07:30.
    let played = hanging(&night("archivio-730").plan(), "rielabora");
    assert_eq!(when(&played, |event| matches!(event, Event::Overrun { .. })), "02:15");
    assert_eq!(when(&played, |event| matches!(event, Event::GoingBack { .. })), "02:45", "{}", played.text());
    assert_eq!(undone(&played, "rielabora"), "04:15");
    assert_eq!(end(&played), (Some(Outcome::RolledBack), "2027-01-14T04:55:00+01:00".to_owned()), "{}", played.text());
}

#[test]
fn archivio_a_reprocessing_and_a_restore_that_both_hang_leave_it_open_without_its_totals() {
    let plan = night("archivio-730").plan();
    assert_eq!(plan.sentinel_service_account, "guardia-notturna");
    let mut world = as_planned(&plan);
    world.takes.extend(["rielabora", "undo-rielabora"].map(|name| (name.to_owned(), None)));
    let played = played(&plan, &world);
    let text = played.text();
    // Back at 02:45; the restore never ends; must serve by 07:30 - reserve 40 - reopening 20 = 06:30, and 12 to answer.
    assert_eq!(when(&played, |event| matches!(event, Event::UndosExpired { .. })), "06:30", "{text}");
    assert!(text.contains("senza-totali (ConfigMap sanita/archivio-730)"), "{text}");
    assert_eq!(played.opened("archivio-730").as_deref(), Some("06:42"), "{text}");
    assert!(played.opened("invio-spese").is_some(), "{text}");
    assert_eq!((played.state().outcome, played.state().needs_human()), (Some(Outcome::RolledBack), true), "{text}");
}

// Days that are not like others

#[test]
fn the_archive_on_the_twelfth_of_february_is_refused_by_the_freeze_in_words() {
    let february = changed("archivio-730", &[("2027-01-13T20:00", "2027-02-12T20:00")]);
    let refusals = read(&february).verdict().refusals;
    let [refusal] = refusals.as_slice() else { panic!("the freeze alone: {refusals:#?}") };
    assert_eq!((refusal.reason.as_str(), refusal.path.as_str()), ("Frozen", "spec.startTime"));
    for words in [
        "from 2027-02-09 to 2027-03-08",
        "freeze opposizione-730 of calendar sportello-730",
        "Cittadini che si oppongono all'uso delle spese sanitarie",
        "a member of direttori-sanita-digitale may override it, by name and with a reason",
        "this version takes no override yet",
    ] {
        assert!(refusal.message.contains(words), "{words:?} is not in: {}", refusal.message);
    }
    let nobody = [("2027-01-13T20:00", "2027-02-12T20:00"), ("      overridableBy: {groups: [direttori-sanita-digitale]}", "")];
    let refusals = read(&changed("archivio-730", &nobody)).verdict().refusals;
    assert!(refusals[0].message.contains("nobody may override it"), "{}", refusals[0].message);
}

#[test]
fn the_archive_on_the_last_day_before_the_freeze_and_on_the_first_after_it_is_accepted() {
    // Civil days, the first and the last included.
    for (day, frozen) in [("2027-02-08", false), ("2027-02-09", true), ("2027-03-08", true), ("2027-03-09", false)] {
        let night = read(&changed("archivio-730", &[("2027-01-13T20:00", &format!("{day}T20:00"))]));
        assert_eq!(!night.verdict().refusals.is_empty(), frozen, "{day}");
    }
}

#[test]
fn on_the_patrons_day_the_town_is_closed_its_neighbour_is_not_and_the_phone_answers() {
    let night = night("prenota-spid");
    let open = |calendar: &str, moment: &str| night.calendars[calendar].is_open_at(at(moment));
    let (morning, next) = ("2026-12-01T09:00:00+01:00", "2026-12-02T09:00:00+01:00");
    let calendars = ["prelievi-citta", "prelievi-valle", "cup-telefono"];
    assert_eq!(calendars.map(|calendar| open(calendar, morning)), [false, true, true]);
    assert_eq!(calendars.map(|calendar| open(calendar, next)), [true, true, true]);
    let plan = night.plan();
    assert_eq!((plan.deadline.site.as_str(), plan.deadline.calendar.as_str()), ("totem-citta", "prelievi-citta"));
    assert!(plan.services.iter().all(|service| service.id.name != "prenota-telefono"), "the phone is not concerned");

    // Moved to the evening before, the town's doors are a day further away and the neighbour's are not.
    let eve = read(&changed("prenota-spid", &[("2026-12-01T22:30", "2026-11-30T22:30")])).plan();
    assert_eq!((eve.deadline.site.as_str(), moments(&eve)[1].as_str()), ("totem-valle", "2026-12-01T06:45:00+01:00"));
}

#[test]
fn the_fourth_of_october_moves_the_doors_of_a_monday_to_tuesday() {
    let eve = |start: &str| read(&changed("zerocode-release", &[("2026-11-25T23:00:00+01:00", start)])).plan();
    let desk = |plan: &Plan| {
        let own = plan.services.iter().find(|service| service.id.name == "accettazione-prelievi").unwrap();
        rfc3339(plan, own.deadline.as_ref().unwrap().must_serve_by)
    };
    // In 2027 it is a Monday; a week later Monday is a Monday. In 2026 it is a Sunday anyway.
    assert_eq!(desk(&eve("2027-10-03T23:00:00+02:00")), "2027-10-05T06:45:00+02:00");
    assert_eq!(desk(&eve("2027-10-10T23:00:00+02:00")), "2027-10-11T06:45:00+02:00");
    assert_eq!(desk(&eve("2026-10-03T23:00:00+02:00")), "2026-10-05T06:45:00+02:00");
}

#[test]
fn on_the_nights_of_the_clock_change_budgets_are_elapsed_and_deadlines_are_civil() {
    let on = |start: &str, more: &[(&str, &str)]| {
        let mut changes = vec![("2027-01-13T20:00:00+01:00", start), ("Mo-Fr 08:00-13:00; PH off", "Mo-Su 08:00-13:00")];
        changes.extend(more);
        read(&changed("archivio-730", &changes)).plan()
    };
    let after = |plan: &Plan| Span::between(plan.planned_open_at, plan.deadline.must_serve_by).to_string();
    // 455 minutes of work and reopening from 20:00: 03:35, but the clock was put forward at 02:00, so it shows 04:35.
    let spring = on("2026-03-28T20:00:00+01:00", &[]);
    assert_eq!(
        moments(&spring)[1..],
        ["2026-03-29T07:30:00+02:00", "2026-03-29T04:35:00+02:00", "2026-03-29T04:40:00+02:00"].map(str::to_owned)
    );
    assert_eq!(after(&spring), "2h55m", "an hour less than on 13 January");
    // Put back at 03:00: it shows 02:35, for the second time. What the open site bears is elapsed time too: 20:00 + 12 h shows 07:00,
    // and that binds before the counters do.
    let autumn = on("2026-10-24T20:00:00+02:00", &[]);
    assert_eq!(autumn.deadline.site, "in-linea");
    assert_eq!(
        moments(&autumn)[1..],
        ["2026-10-25T07:00:00+01:00", "2026-10-25T02:35:00+01:00", "2026-10-25T04:10:00+01:00"].map(str::to_owned)
    );
    let patient = on("2026-10-24T20:00:00+02:00", &[("closedFor: 12h", "closedFor: 13h")]);
    assert_eq!((patient.deadline.site.as_str(), after(&patient).as_str()), ("sportelli", "4h55m"));
    assert_eq!(moments(&patient)[3], "2026-10-25T04:40:00+01:00");
    // And they are played as they are planned.
    for plan in [spring, autumn, patient] {
        let played = played(&plan, &as_planned(&plan));
        assert_eq!(end(&played), (Some(Outcome::Completed), rfc3339(&plan, plan.planned_open_at)), "{}", played.text());
    }
}
