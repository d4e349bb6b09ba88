//! `notturno check` as a person and a pipeline use it: the binary, its formats, its exit codes, its table of rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod binary;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use binary::Ran;
use notturno::cli::check::{Finding, Level, RULES, check};
use notturno::cli::read::load_texts;
use serde_json::Value;

const SOGEI: &str = include_str!("../runbooks/sogei-2023.yaml");

fn run(arguments: &[&str], stdin: &str) -> Ran {
    binary::run(&[&["check"], arguments].concat(), stdin.as_bytes())
}

/// What is found in texts, as `rule path`.
fn found(texts: &[(&str, &str)]) -> Vec<Finding> {
    check(&load_texts(texts.iter().map(|(name, text)| (*name, text.as_bytes()))), texts.len()).findings
}

fn rules(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{} {}", finding.rule, finding.path).trim_end().to_owned()).collect()
}

/// The documents of the replay of one kind.
fn of_kind(kind: &str) -> String {
    let documents = SOGEI.split("\n---\n").filter(|document| document.contains(&format!("kind: {kind}\n")));
    documents.collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn a_whole_night_is_planned_and_nothing_is_said() {
    let ran = run(&["runbooks/sogei-2023.yaml"], "");
    assert_eq!(ran.code, 0);
    assert!(ran.out.starts_with("centro-dati/notte-9-febbraio: the night fits\n"), "{}", ran.out);
    let ran = run(&["-", "-o", "json"], SOGEI);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["ok"], &report["documents"]), (0, &Value::from(true), &Value::from(16)));
    assert_eq!(report["nights"][0]["accepted"], true);
}

#[test]
fn a_night_in_several_files_is_planned_as_one() {
    let files = ["OfficeCalendar", "PublicService", "Runbook", "Intervention"].map(of_kind);
    let texts = ["a", "b", "c", "d"].into_iter().zip(files.iter().map(String::as_str)).collect::<Vec<_>>();
    let checked = check(&load_texts(texts.iter().map(|(name, text)| (*name, text.as_bytes()))), 4);
    assert_eq!((rules(&checked.findings), checked.nights), (vec![], vec![("centro-dati/notte-9-febbraio".to_owned(), true)]));
}

#[test]
fn parts_of_a_night_are_checked_without_the_rest() {
    for kind in ["OfficeCalendar", "PublicService"] {
        assert_eq!(rules(&found(&[("f", &of_kind(kind))])), Vec::<String>::new(), "{kind}");
    }
    assert_eq!(rules(&found(&[("f", &of_kind("Runbook"))])), ["NotPlanned metadata"], "what it names is taken on trust");
    // Alone, or without services, a night is a note; beside other runbooks a wrong name is an error.
    let (night, runbook) = (of_kind("Intervention"), of_kind("Runbook"));
    assert_eq!(rules(&found(&[("f", &night)])), ["NotPlanned spec.runbook"]);
    assert_eq!(rules(&found(&[("f", &night), ("g", &runbook)])), ["NotPlanned spec.runbook"]);
    let other = runbook.replace("name: aggiornamento-motore", "name: aggiornamento-motori");
    assert_eq!(rules(&found(&[("f", &night), ("g", &other)])), ["UnknownRunbook spec.runbook"]);
    // With services and calendars the set is meant to be whole.
    let calendars = of_kind("OfficeCalendar").replace("metadata: {name: medici}", "metadata: {name: medico}");
    let services = of_kind("PublicService");
    let missing = found(&[("a", &calendars), ("b", &services), ("c", &runbook), ("d", &night)]);
    assert_eq!(rules(&missing), ["UnknownCalendar spec.sites[0].calendar"]);
}

/// The replay without its night.
fn without_its_night() -> String {
    let documents = SOGEI.split("\n---\n").filter(|document| !document.contains("kind: Intervention\n"));
    documents.collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn what_a_runbook_without_a_night_names_is_looked_up() {
    let text = without_its_night();
    assert_eq!(rules(&found(&[("f", &text)])), ["NotPlanned metadata"]);
    for (from, to, rule) in [
        ("services: [portale-ts", "services: [portale-tz", "UnknownService spec.steps[1].close.services[0]"),
        ("calendar: medici", "calendar: medico", "UnknownCalendar spec.sites[0].calendar"),
        (
            "allowedFrom: [{namespace: centro-dati}]",
            "allowedFrom: [{namespace: centro}]",
            "ClosingNotAllowed spec.steps[1].close.services[0]",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let findings = found(&[("f", &text.replace(from, to))]);
        assert!(rules(&findings).contains(&rule.to_owned()), "{to}: {findings:#?}");
        assert_eq!(run(&["-"], &text.replace(from, to)).code, 1, "{to}");
    }
}

#[test]
fn a_file_without_any_document_is_a_warning_and_one_of_others_is_none() {
    for text in ["", "# niente\n", "---\n---\n"] {
        assert_eq!(rules(&found(&[("f", text), ("g", SOGEI)])), ["NoDocument"], "{text:?}");
        let ran = run(&["-", "-o", "junit"], text);
        assert!(ran.code == 0 && ran.out.contains(r#"tests="1""#) && ran.out.contains("warning NoDocument"), "{}", ran.out);
    }
}

#[test]
fn what_may_stand_in_a_file_that_cannot_be_read_is_not_called_unknown() {
    let (services, rest) = (of_kind("PublicService"), ["OfficeCalendar", "Runbook", "Intervention"].map(of_kind).join("\n---\n"));
    let (first, others) = services.split_once("\n---\n").unwrap();
    let findings = found(&[("a", &format!("{others}\n---\n{{")), ("b", &format!("{first}\n---\n{rest}"))]);
    assert_eq!(rules(&findings), ["NotYaml"], "the others are read up to the fault");
    let findings = found(&[("a", &format!("{{\n---\n{others}")), ("b", &format!("{first}\n---\n{rest}"))]);
    assert_eq!(rules(&findings), ["NotYaml", "NotPlanned spec.runbook"]);
}

#[test]
fn a_start_by_the_clock_of_another_place_is_a_warning_and_one_in_utc_is_none() {
    let at = |text: &str| SOGEI.replace("2023-02-10T00:30:00+01:00", text);
    assert_ne!(at("x"), SOGEI);
    let findings = found(&[("f", &at("2023-02-10T01:30:00+02:00"))]);
    assert_eq!(rules(&findings), ["OtherOffset spec.startTime"]);
    assert!(findings[0].message.contains("+02:00 is not Europe/Rome's offset then, which is +01:00: this is 00:30 there"));
    assert_eq!((findings[0].level, findings[0].line.is_some()), (Level::Warning, true));
    assert_eq!(rules(&found(&[("f", &at("2023-02-09T23:30:00Z"))])), Vec::<String>::new());
}

#[test]
fn other_groups_are_ignored_whatever_they_say() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: no, b: 010, c: ~, on: 1_000}\n";
    assert_eq!(rules(&found(&[("f", text)])), Vec::<String>::new());
}

#[test]
fn a_group_that_is_almost_ours_is_an_error_in_every_document_of_it() {
    let count = SOGEI.matches("apiVersion: notturno.dev/v1alpha1\n").count();
    for group in
        ["notturno.exmaple/v1", "notturno.dve/v1alpha1", "Notturno.dev/v1alpha1", "v1alpha1", "notturno.dev", "example.org/v1"]
    {
        let text = SOGEI.replace("apiVersion: notturno.dev/v1alpha1\n", &format!("apiVersion: {group}\n"));
        let findings = found(&[("f", &text)]);
        assert_eq!(rules(&findings), vec!["UnknownGroup apiVersion"; count], "{group}");
        for finding in findings {
            let line = usize::try_from(finding.line.expect("a line")).unwrap();
            assert_eq!(text.lines().nth(line - 1), Some(format!("apiVersion: {group}").as_str()));
            assert!(finding.message.ends_with("write apiVersion: notturno.dev/v1alpha1"), "{}", finding.message);
        }
        let ran = run(&["-", "-o", "json"], &text);
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.code, &report["ok"], &report["errors"]), (1, &Value::from(false), &Value::from(count)), "{group}");
    }
}

#[test]
fn a_runbook_of_another_program_beside_ours_fails_no_pipeline() {
    let text = format!("{SOGEI}---\napiVersion: example.org/v1\nkind: Runbook\nmetadata: {{name: r, namespace: n}}\n");
    assert_eq!(rules(&found(&[("f", &text)])), ["OtherGroup apiVersion"]);
    assert_eq!(run(&["-"], &text).code, 0);
}

#[test]
fn a_night_without_a_namespace_is_said_at_its_field_and_an_error_where_its_runbook_has_one() {
    let night = of_kind("Intervention").replace(", namespace: centro-dati}", "}");
    assert_eq!(rules(&found(&[("f", &night)])), ["NoNamespace metadata.namespace", "NotPlanned spec.runbook"]);
    let whole = SOGEI.replace("name: notte-9-febbraio, namespace: centro-dati}", "name: notte-9-febbraio}");
    let findings = found(&[("f", &whole)]);
    assert_eq!(rules(&findings), ["NoNamespace metadata.namespace", "NotPlanned spec"]);
    assert_eq!(findings[0].level, Level::Error);
    assert!(findings[0].message.ends_with("write metadata.namespace: centro-dati"), "{}", findings[0].message);
    assert_eq!(run(&["-"], &whole).code, 1);
}

#[test]
fn one_unreadable_file_hides_nothing_of_the_others() {
    let broken = SOGEI.replace("needs: [preflight]", "needs: [preflite]");
    let findings = found(&[("a", "{"), ("b", &broken)]);
    assert_eq!(rules(&findings), ["NotYaml", "UnknownStep spec.steps[1].needs[0]", "NotPlanned spec.runbook"]);
    assert_eq!(check(&load_texts([("a", &b"{"[..])]), 1).exit_code(), 2);
}

#[test]
fn a_refused_service_does_not_hide_that_the_night_does_not_fit() {
    let text = SOGEI.replacen("budget: 90m", "budget: 4h", 1).replacen("hardCap: 120m", "hardCap: 4h", 1).replacen(
        "whenDirty: StayClosed",
        "whenDirty: Maybe",
        1,
    );
    let findings = found(&[("f", &text)]);
    let sums: Vec<&Finding> = findings.iter().filter(|finding| finding.rule == "DoesNotFit").collect();
    assert!(!sums.is_empty() && sums.iter().all(|finding| !finding.sum.is_empty() && finding.line.is_some()), "{findings:#?}");
    let rules = rules(&findings);
    assert!(
        rules.contains(&"NotAllowed spec.whenDirty".to_owned()) && rules.contains(&"PlannedInPart spec".to_owned()),
        "{rules:?}"
    );
    assert!(!rules.iter().any(|rule| rule.starts_with("UnknownService")), "what only follows is not said: {rules:?}");
}

#[test]
fn warnings_and_notes_do_not_fail_a_pipeline() {
    let text = of_kind("Runbook").replacen("reserve: 20m", "reserve: 0m", 1);
    let ran = run(&["-", "-o", "json"], &text);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["errors"], &report["warnings"]), (0, &Value::from(0), &Value::from(1)), "{report}");
}

#[test]
fn files_that_are_not_there_and_wrong_usage_are_exit_code_2() {
    let ran = run(&["no-such-file.yaml", "runbooks/sogei-2023.yaml"], "");
    assert_eq!(ran.code, 2);
    assert!(ran.out.contains("error[FileUnreadable]: no such file: check the path"), "{}", ran.out);
    assert!(ran.out.contains("the night fits"), "the other file is checked: {}", ran.out);
    assert_eq!(run(&[], "").code, 2);
    assert_eq!(run(&["-o", "xml", "-"], "").code, 2);
    assert_eq!(run(&["--rules"], "").code, 0);
}

const AWKWARD: &str = "apiVersion: notturno.dev/v1alpha1\nkind: OfficeCalendar\nmetadata: {name: c}\nspec:\n  timeZone: \"<&\\\"'\\u0007>\"\n  hours: \"24/7\"\n";

#[test]
fn sarif_has_what_the_schema_requires() {
    let ran = run(&["-", "-o", "sarif"], AWKWARD);
    assert_eq!(ran.code, 1);
    let log: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(run["tool"]["driver"]["name"], "notturno");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rules.len(), "rules are distinct");
    assert!(rules.iter().all(|rule| !rule["shortDescription"]["text"].as_str().unwrap().is_empty()));
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "stdin");
        assert_eq!((&place["region"]["startLine"], &place["region"]["startColumn"]), (&Value::from(5), &Value::from(3)));
    }
}

#[test]
fn junit_is_well_formed_whatever_the_texts_hold() {
    let ran = run(&["-", "-o", "junit"], AWKWARD);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains(r#"<testsuites tests="1" failures="1" errors="0">"#), "{}", ran.out);
    assert!(ran.out.contains(r#"<testcase classname="-" name="OfficeCalendar/c">"#), "{}", ran.out);
    assert!(ran.out.contains("&lt;&amp;"), "{}", ran.out);
    assert!(!ran.out.chars().any(|c| c.is_control() && c != '\n'), "no control characters");
    // Every element that is opened is closed, in order, and nothing but elements has angle brackets.
    let mut open = Vec::new();
    for part in ran.out.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "{part}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.starts_with('?') || tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    let ran = run(&["no-such-file.yaml", "-o", "junit"], "");
    assert!(ran.out.contains(r#"errors="1""#) && ran.out.contains("<error "), "{}", ran.out);
}

#[test]
fn what_kubectl_reads_differently_is_pointed_out() {
    let runbook: String =
        of_kind("Runbook").lines().filter(|line| !line.starts_with("  description:")).map(|line| format!("{line}\n")).collect();
    let with = |line: &str| runbook.replacen("spec:\n", &format!("spec:\n  {line}\n"), 1);
    for (line, rule) in [
        ("description: no", "WrongType"),
        ("description: 1_000", "WrongType"),
        ("description: 2027-02-10", "OtherReaders"),
        ("description: 1:30:00", "OtherReaders"),
        ("description: ~", "ExplicitNull"),
        ("description: &a ciao", "Anchor"),
        ("y: 1", "KubectlReadsDifferently"),
    ] {
        let findings = found(&[("f", &with(line))]);
        let at = findings.iter().find(|finding| finding.rule == rule).unwrap_or_else(|| panic!("{line}: {findings:#?}"));
        assert!(at.line.is_some_and(|line| line > 1) && at.path.starts_with("spec."), "{line}: {at:?}");
    }
    for line in ["description: \"no\"", "description: nono", "description: '010'", "description: |\n    on\n"] {
        assert_eq!(rules(&found(&[("f", &with(line))])), ["NotPlanned metadata"], "{line}");
    }
}

/// The reasons in the code: the first text given to what makes refusals, warnings and problems.
fn reasons() -> BTreeSet<String> {
    fn texts(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                texts(&path, found);
            } else {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut all = Vec::new();
    for layer in ["api", "plan", "model", "cli"] {
        texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(layer), &mut all);
    }
    let call = regex::Regex::new(
        r#"(?:refuse\(|Refusal::new\(|warn\(|problem\(|not_planned\(|Some\(\(|placed\(|reason: |const [A-Z_]+: &str = |found, |at, |Some\(\()\s*"([A-Z][a-z]+(?:[A-Z][a-z0-9]+)*)""#,
    )
    .unwrap();
    let mut found = BTreeSet::new();
    for text in all {
        let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
        found.extend(call.captures_iter(&code).map(|found| found[1].to_owned()));
    }
    found
}

#[test]
fn every_reason_in_the_code_stands_in_the_table_of_rules_and_no_other() {
    // A usage error of `plan`, what only names a place for a message, and a kind that no cluster has.
    let elsewhere = ["Usage", "Problem", "Scenario"];
    let table: BTreeSet<String> = RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert!(RULES.is_sorted_by_key(|rule| rule.id) && table.len() == RULES.len(), "by id, and each once");
    let code: BTreeSet<String> = reasons().into_iter().filter(|reason| !elsewhere.contains(&reason.as_str())).collect();
    assert!(code.len() > 50, "{code:?}");
    let missing: Vec<_> = code.difference(&table).collect();
    assert!(missing.is_empty(), "not in src/cli/check/catalog.rs: {missing:?}");
    let source = |id: &str| {
        // Some reasons are chosen by an expression: anywhere in quotes will do.
        let mut command = Command::new("grep");
        command.args(["-rq", "--exclude=catalog.rs", &format!("\"{id}\""), concat!(env!("CARGO_MANIFEST_DIR"), "/src")]);
        command.status().unwrap().success()
    };
    let stale: Vec<_> = table.difference(&code).filter(|id| !source(id)).collect();
    assert!(stale.is_empty(), "nothing finds these any more: {stale:?}");
}

#[test]
fn refusals_are_errors_and_warnings_are_not_in_the_table() {
    for (text, level) in [("refuse(", Level::Error), ("Refusal::new(", Level::Error), ("warn(", Level::Warning)] {
        let pattern = regex::Regex::new(&format!(r#"{}\s*"([A-Z][A-Za-z]+)""#, regex::escape(text))).unwrap();
        let mut count = 0;
        for folder in ["api/validate", "plan"] {
            for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)).unwrap() {
                let code = std::fs::read_to_string(entry.unwrap().path()).unwrap();
                for found in pattern.captures_iter(&code) {
                    let rule = RULES.iter().find(|rule| rule.id == &found[1]).unwrap_or_else(|| panic!("{}", &found[1]));
                    assert_eq!(rule.level, level, "{}", rule.id);
                    count += 1;
                }
            }
        }
        assert!(count > 0 || text == "Refusal::new(", "{text}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_no_success_and_a_reader_that_goes_away_is_no_error() {
    for arguments in [["check", "-o", "sarif", "runbooks/sogei-2023.yaml"], ["plan", "-o", "json", "runbooks/sogei-2023.yaml"]] {
        let said = |script: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, binary::BINARY]).args(arguments);
            binary::ran(&mut shell, b"").err
        };
        let full = said(r#""$0" "$@" >/dev/full; echo "code $?" >&2"#);
        assert!(full.starts_with("notturno: the output could not be written: ") && full.ends_with("code 2\n"), "{full}");
        let gone = said(r#"{ sleep 0.2; "$0" "$@"; echo "code $?" >&2; } | true"#);
        assert_eq!(gone, "code 0\n");
    }
}
