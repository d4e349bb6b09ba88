//! `notturno plan` as a person and a pipeline use it: the binary, files, exit codes, JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod binary;

use binary::Ran;
use serde_json::Value;

const SOGEI: &str = include_str!("../runbooks/sogei-2023.yaml");

/// What is said as JSON.
fn json(ran: &Ran) -> Value {
    assert_eq!(ran.out.trim_end().lines().count(), 1, "one object on stdout: {}", ran.out);
    serde_json::from_str(&ran.out).expect("JSON")
}

fn run(arguments: &[&str], stdin: &str) -> Ran {
    binary::run(arguments, stdin.as_bytes())
}

fn plan(text: &str) -> Ran {
    run(&["plan", "-", "-o", "json"], text)
}

/// The runbook with one piece of text replaced, which has to be there.
fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(SOGEI.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the runbook");
        text.replace(from, to)
    })
}

fn steps<'a>(report: &'a Value, field: &str) -> Vec<(&'a str, &'a str)> {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().map(|step| (step["name"].as_str().unwrap(), step[field].as_str().unwrap())).collect()
}

fn moment(clock: &str) -> String {
    format!("2023-02-10T{clock}:00+01:00")
}

#[test]
fn the_replay_of_2023_is_accepted_with_its_moments() {
    let ran = run(&["plan", concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/sogei-2023.yaml"), "-o", "json"], "");
    let report = json(&ran);
    assert_eq!((ran.code, report["accepted"].as_bool()), (0, Some(true)), "{}", ran.err);
    assert_eq!(report["intervention"], "centro-dati/notte-9-febbraio");
    assert_eq!(report["timeZone"], "Europe/Rome");
    let expected = [
        ("startTime", "00:30"),
        ("plannedOpen", "05:00"),
        ("tellPeopleBy", "06:00"),
        ("reopenBy", "06:10"),
        ("mustServeBy", "07:00"),
        ("firstOpening", "07:15"),
    ];
    for (field, clock) in expected {
        assert_eq!(report[field], moment(clock), "{field}");
    }
    assert_eq!(report["boundBy"]["service"], "sanita/zerocode");
    assert_eq!(report["boundBy"]["calendar"], "prelievi");
    let turn_back = ["05:55", "05:55", "05:55", "05:55", "04:55", "04:55", "04:55"].map(moment);
    assert_eq!(steps(&report, "turnBackAt").iter().map(|(_, at)| *at).collect::<Vec<_>>(), turn_back);
    let aggiorna = &report["steps"][4];
    assert_eq!((&aggiorna["name"], &aggiorna["budget"]), (&Value::from("aggiorna"), &Value::from("1h30m0s")));
    assert_eq!((&aggiorna["start"], &aggiorna["end"]), (&Value::from(moment("02:00")), &Value::from(moment("03:30"))));
    assert_eq!(aggiorna["finishBy"], moment("03:55"));
    let closed: Vec<_> = report["services"].as_array().unwrap().iter().filter(|s| s.get("closeAt").is_some()).collect();
    assert_eq!(closed.len(), 5);
    assert_eq!(closed[2]["couldStayClosedBy"], serde_json::json!(["aggiorna", "indici"]));
    let then: Vec<_> = closed.iter().map(|service| service["whenDirty"].as_str()).collect();
    assert_eq!(then, [None, None, Some("StayClosed"), Some("StayClosed"), Some("StayClosed")], "only of what could");
}

#[test]
fn what_no_file_is_to_blame_for_has_no_empty_place_before_it() {
    let nothing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";
    let words = "the files hold no Intervention: give one that says when the night is";
    for arguments in [&["plan", "-"][..], &["explain", "-f", "-"]] {
        let ran = run(arguments, nothing);
        assert_eq!((ran.code, ran.err.as_str()), (2, format!("notturno: {words}\n").as_str()), "{arguments:?}");
    }
    assert_eq!(json(&plan(nothing))["errors"], serde_json::json!([{"message": words}]));
}

#[test]
fn a_night_in_a_group_that_is_almost_ours_is_refused_and_not_missed() {
    let report = json(&plan(&SOGEI.replace("notturno.dev/v1alpha1", "notturno.exmaple/v1alpha1")));
    assert_eq!((&report["intervention"], &report["accepted"]), (&"centro-dati/notte-9-febbraio".into(), &false.into()));
    let refusals = report["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 16);
    for refusal in refusals {
        assert_eq!((&refusal["reason"], &refusal["path"]), (&"UnknownGroup".into(), &"apiVersion".into()));
        assert!(refusal["line"].is_u64() && refusal["message"].as_str().unwrap().contains("notturno.dev/v1alpha1"), "{refusal}");
    }
}

#[test]
fn a_plan_says_what_becomes_of_each_service_on_half_done_work() {
    let own = |service: &str| format!("metadata: {{name: {service}, namespace: sanita}}\nspec:");
    let action = "{name: sola-lettura, suspend: {target: {apiVersion: batch/v1, kind: CronJob, name: accessi}}}";
    let changes = [
        (own("accesso-ts"), format!("\n  degraded: [{action}]"), "OpenDegraded"),
        (own("anagrafe-assistiti"), "\n  whenDirtyReason: Meglio vecchia che niente".to_owned(), "Open"),
    ];
    let mut text = SOGEI.to_owned();
    for (head, more, word) in &changes {
        let (before, after) = text.split_once(head.as_str()).unwrap();
        text = format!("{before}{head}{more}{}", after.replacen("whenDirty: StayClosed", &format!("whenDirty: {word}"), 1));
    }
    let report = json(&plan(&text));
    let of = |name: &str| {
        report["services"].as_array().unwrap().iter().find(|one| one["name"] == format!("sanita/{name}")).unwrap().clone()
    };
    assert_eq!(
        (&of("accesso-ts")["whenDirty"], &of("accesso-ts")["degraded"]),
        (&"OpenDegraded".into(), &serde_json::json!(["sola-lettura"]))
    );
    assert_eq!(of("anagrafe-assistiti")["whenDirtyReason"], "Meglio vecchia che niente");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("ExpiresForOthers") && warnings.contains("sanita/ricetta-elettronica, which stays closed then"),
        "{warnings}"
    );
    let table = run(&["plan", "-"], &text).out;
    for row in
        ["aggiorna, indici: opens with sola-lettura", "aggiorna, indici: opens: Meglio vecchia", "aggiorna, indici: stays closed"]
    {
        assert!(table.contains(row), "{row}: {table}");
    }
}

#[test]
fn changed_inputs_move_the_moments() {
    let doors =
        with(&[("\"Mo-Sa 07:15-11:00; PH off\"", "\"Mo-Sa 07:45-11:00; PH off\""), ("Mo-Fr 07:30-16:30", "Mo-Fr 07:45-16:30")]);
    let restore = with(&[("budget: 60m ", "budget: 75m ")]);
    let reserve = with(&[("reserve: 20m ", "reserve: 35m ")]);
    for (text, before, after) in [(doors, "06:25", "05:25"), (restore, "05:55", "04:40"), (reserve, "05:40", "04:40")] {
        let ran = plan(&text);
        let report = json(&ran);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(report["steps"][0]["turnBackAt"], moment(before));
        assert_eq!(report["steps"][4]["turnBackAt"], moment(after));
    }
}

#[test]
fn a_reserve_that_does_not_fit_is_refused_with_the_sum_and_its_place() {
    let ran = plan(&with(&[("reserve: 20m ", "reserve: 200m ")]));
    let report = json(&ran);
    assert_eq!((ran.code, report["accepted"].as_bool()), (1, Some(false)));
    let refusal = &report["refusals"][0];
    assert_eq!((&refusal["reason"], &refusal["path"]), (&Value::from("DoesNotFit"), &Value::from("spec.steps[4]")));
    let line = SOGEI.lines().position(|line| line.contains("- name: aggiorna")).unwrap() + 1;
    assert_eq!(refusal["line"], line);
    let sum = serde_json::json!([
        {"term": "end", "at": moment("03:30")},
        {"term": "undo", "for": "1h0m0s"},
        {"term": "smoke", "for": "15m0s"},
        {"term": "reopen", "for": "30m0s"},
        {"term": "reserve", "for": "3h20m0s"},
        {"term": "total", "at": moment("08:35")},
        {"term": "mustServeBy", "at": moment("07:00")},
    ]);
    assert_eq!(refusal["sum"], sum);
    let table = run(&["plan", "-"], &with(&[("reserve: 20m ", "reserve: 200m ")]));
    assert!(
        table.err.contains("03:30 + undo 1h + smoke 15m + reopen 30m + reserve 3h20m = 08:35, mustServeBy 07:00"),
        "{}",
        table.err
    );
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = with(&[
        ("timeZone: Europe/Rome\n  hours: \"Mo-Sa 07:15", "timeZone: Europe/Roma\n  hours: \"Mo-Sa 07:15"),
        ("needs: [indici]", "needs: [indicii]"),
        ("reserve: 20m ", "reserv: 20m "),
    ]);
    let ran = plan(&text);
    assert_eq!(ran.code, 1, "{}", ran.out);
    let report = json(&ran);
    let said: Vec<String> = report["refusals"].as_array().unwrap().iter().map(ToString::to_string).collect();
    for words in ["Europe/Roma", "reserv"] {
        assert!(said.iter().any(|refusal| refusal.contains(words)), "{words} in {said:#?}");
    }
    assert!(report["refusals"].as_array().unwrap().iter().all(|refusal| refusal["line"].is_u64()), "{said:#?}");
}

#[test]
fn what_cannot_be_read_is_exit_two_and_still_json() {
    let broken = plan("kind: [\n");
    assert_eq!((broken.code, json(&broken)["errors"][0]["line"].as_u64()), (2, Some(1)));
    let missing = run(&["plan", "/nowhere.yaml", "-o", "json"], "");
    assert_eq!((missing.code, json(&missing)["errors"][0]["file"].as_str()), (2, Some("/nowhere.yaml")));
    let usage = run(&["plan", "-o", "json"], "");
    assert_eq!((usage.code, json(&usage)["accepted"].as_bool()), (2, Some(false)));
    let no_night = plan("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    assert_eq!(no_night.code, 2);
    let several =
        format!("{SOGEI}\n---\n{}", SOGEI[SOGEI.rfind("apiVersion").unwrap()..].replace("notte-9-febbraio", "altra-notte"));
    assert_eq!(plan(&several).code, 2);
    let chosen = run(&["plan", "-", "-o", "json", "--intervention", "altra-notte"], &several);
    assert_eq!((chosen.code, json(&chosen)["intervention"].as_str()), (0, Some("centro-dati/altra-notte")), "{}", chosen.out);
}

#[test]
fn what_is_missing_or_unknown_is_refused() {
    let calendar = with(&[("calendar: medici}", "calendar: dottori}")]);
    let service = with(&[("[portale-ts, archivio-730]} #", "[portale-ts, archivio-731]} #")]);
    let runbook = with(&[("runbook: aggiornamento-motore", "runbook: aggiornamento")]);
    let kind = with(&[("kind: Runbook", "kind: Runbok")]);
    for (text, reason, words) in [
        (calendar, "UnknownCalendar", "dottori"),
        (service, "UnknownService", "archivio-731"),
        (runbook, "UnknownRunbook", "aggiornamento"),
        (kind, "UnknownKind", "Runbok"),
    ] {
        let ran = plan(&text);
        let report = json(&ran);
        let found = report["refusals"].as_array().unwrap().iter().any(|refusal| {
            refusal["reason"] == reason && refusal["message"].as_str().unwrap().contains(words) && refusal["line"].is_u64()
        });
        assert!(found && ran.code == 1, "{reason}: {}", ran.out);
    }
}

/// 3h beside the upgrade: going back waits for the end of both.
#[test]
fn what_runs_beside_a_step_is_named_where_the_step_itself_would_fit() {
    let beside = "    - name: statistiche\n      needs: [chiudi-nucleo]\n      budget: 3h\n      job: {from: {cronJob: istantanea}}\n      \
                  touches: []\n      noUndo: {reason: NothingToUndo}\n";
    let anchor = "    - name: aggiorna ";
    let ran = run(&["plan", "-"], &with(&[(anchor, &format!("{beside}{anchor}"))]));
    assert_eq!(ran.code, 1);
    for words in [
        "going back from step \"indici\" when all that counts with it has ended would open services 5m too late",
        "05:00 + undo 1h + smoke 15m + reopen 30m + reserve 20m = 07:05, mustServeBy 07:00",
    ] {
        assert!(ran.err.contains(words), "{words}\n{}", ran.err);
    }
}

#[test]
fn a_night_that_would_open_after_its_moment_has_no_slack_and_says_by_how_much() {
    let ran = run(&["plan", "-"], &with(&[("budget: 90m", "budget: 4h"), ("hardCap: 120m", "hardCap: 5h")]));
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("slack at the planned end: none, 30m too late"), "{}", ran.out);
}

#[test]
fn the_table_tells_the_night_on_one_screen() {
    let ran = run(&["plan", "-"], SOGEI);
    assert_eq!(ran.code, 0);
    for words in [
        "must serve by   07:00  sanita/zerocode: site prelievi (calendar prelievi) opens 07:15, margin 15m",
        "aggiorna         02:00   03:30    1h30m  1h               04:55      03:55",
        "from aggiorna on: 04:55 = must serve by 07:00 - (undo 1h + smoke 15m + reopen 30m + reserve 20m = 2h5m)",
    ] {
        assert!(ran.out.contains(words), "{words}\n{}", ran.out);
    }
    assert!(ran.out.lines().count() <= 40);
}

#[test]
fn a_plan_names_both_accounts_and_warns_of_one_that_serves_twice() {
    let work = "  serviceAccountName: lavori-notturni ";
    let said = |sentinel: &str| {
        let text = with(&[(work, &format!("  sentinelServiceAccountName: {sentinel}\n{work}"))]);
        let (table, report) = (run(&["plan", "-"], &text), json(&plan(&text)));
        assert_eq!((table.code, &report["serviceAccount"]), (0, &Value::from("lavori-notturni")));
        assert_eq!(report["sentinelServiceAccount"], sentinel);
        let line = format!("  runs as         lavori-notturni, its sentinel as {sentinel}\n");
        assert!(table.out.contains(&line), "{}", table.out);
        report["warnings"].as_array().unwrap().iter().filter(|warning| warning["reason"] == "SharedAccount").count()
    };
    assert_eq!((said("guardia"), said("lavori-notturni")), (0, 1));
    assert_eq!(json(&plan(SOGEI))["sentinelServiceAccount"], "lavori-notturni-sentinel", "where the runbook names none");
}

#[test]
fn a_rehearsal_is_planned_like_the_night_and_shown_as_one() {
    let rehearsal = with(&[("mode: Run ", "mode: Rehearse ")]);
    let (run, rehearse) = (plan(SOGEI), plan(&rehearsal));
    assert_eq!((&json(&run)["mode"], &json(&rehearse)["mode"]), (&Value::from("Run"), &Value::from("Rehearse")));
    assert_eq!((rehearse.code, &json(&rehearse)["plannedOpen"]), (0, &Value::from(moment("05:00"))));
    let table = self::run(&["plan", "-"], &rehearsal).out;
    assert!(table.contains("mode            Rehearse: tried as soon as it is created"), "{table}");
}
