//! Files as people write them, and files nobody should write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(feature = "shell")]

use notturno::cli::read::{Document, FILE_BYTES_MAX, ReadProblem, load_texts, read, read_texts};
use proptest::prelude::*;
use serde_json::json;

fn one_file(text: &str) -> Result<Vec<Document>, Vec<ReadProblem>> {
    read_texts([("notte.yaml", text.as_bytes())])
}

fn documents(text: &str) -> Vec<Document> {
    one_file(text).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

fn shown(problems: &[ReadProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The problems of a text, one a line.
fn problems(bytes: &[u8]) -> String {
    match read_texts([("notte.yaml", bytes)]) {
        Ok(found) => panic!("read: {found:?}"),
        Err(problems) => shown(&problems),
    }
}

const NIGHT: &str = "\
# la notte
apiVersion: notturno.dev/v1alpha1
kind: Runbook
metadata: {name: aggiornamento, namespace: centro-dati}
spec:
  reserve: 20m
  steps:
    - name: preflight
      budget: 30m
    - name: aggiorna
      job: {from: {cronJob: aggiorna}, env: [{name: VERSIONE, parameter: versione}]}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: altro
  labels:
    app.kubernetes.io/name: altro
data: {}
";

#[test]
fn a_file_of_several_documents_is_read_in_order() {
    let found = documents(NIGHT);
    assert_eq!(found.len(), 2);
    let night = &found[0];
    assert_eq!((night.file.as_str(), night.index), ("notte.yaml", 0));
    assert_eq!((night.api_version.as_str(), night.kind.as_str()), ("notturno.dev/v1alpha1", "Runbook"));
    assert_eq!((night.name.as_str(), night.namespace.as_deref()), ("aggiornamento", Some("centro-dati")));
    assert_eq!(night.value["spec"]["steps"][0]["budget"], json!("30m"));
    assert_eq!((found[1].kind.as_str(), found[1].namespace.as_deref(), found[1].index), ("ConfigMap", None, 1));
}

#[test]
fn every_field_has_its_line_and_column() {
    let found = documents(NIGHT);
    let night = &found[0];
    for (path, position) in [
        ("spec", (5, 1)),
        ("spec.reserve", (6, 3)),
        ("spec.steps", (7, 3)),
        ("spec.steps[0]", (8, 7)),
        ("spec.steps[0].budget", (9, 7)),
        ("spec.steps[1].name", (10, 7)),
        ("spec.steps[1].job.env[0].parameter", (11, 63)),
        ("metadata.namespace", (4, 33)),
    ] {
        assert_eq!(night.position(path), Some(position), "{path}");
    }
    assert_eq!(night.start(), (2, 1));
    assert_eq!(found[1].start(), (13, 1));
    assert_eq!(found[1].position("metadata.labels[app.kubernetes.io/name]"), Some((18, 5)));
    assert_eq!(found[1].position("metadata.labels[\"app.kubernetes.io/name\"]"), Some((18, 5)));
}

#[test]
fn a_field_that_is_not_written_is_pointed_at_through_its_ancestor() {
    let night = &documents(NIGHT)[0];
    assert_eq!(night.position("spec.steps[1].undo.budget"), Some((10, 7)));
    assert_eq!(night.position("spec.steps[9].budget"), Some((7, 3)));
    assert_eq!(night.position("spec.steps.name"), Some((7, 3)));
    assert_eq!(night.position("status"), None);
    assert_eq!(night.problem_at("spec.steps[9]", "no such step").to_string(), "notte.yaml:7:3: no such step");
    assert_eq!(night.problem_at("status", "none").to_string(), "notte.yaml:2:1: none");
}

#[test]
fn columns_count_characters() {
    let found = documents("apiVersion: a/v1\nkind: K\nmetadata: {name: x}\nspec: {città: è, dopo: 1}\n");
    assert_eq!(found[0].position("spec.dopo"), Some((4, 18)));
}

#[test]
fn empty_documents_and_files_are_nothing() {
    for text in ["", "\n", "# soltanto un commento\n", "---\n---\n", "null\n", "---\n# niente\n---\n"] {
        assert!(documents(text).is_empty(), "{text:?}");
    }
    assert_eq!(documents(&format!("---\n---\n{NIGHT}---\n")).len(), 2);
}

#[test]
fn json_is_read_like_yaml() {
    let text = "{\n\t\"apiVersion\": \"notturno.dev/v1alpha1\", \"kind\": \"Runbook\",\n\t\"metadata\": {\"name\": \"a\\u00e8\\/\\ud83d\\ude00\"},\n\t\"spec\": {\"n\": 1.5e3, \"big\": 18446744073709551615, \"empty\": null, \"list\": []}\n}\n";
    let found = documents(text);
    assert_eq!(found[0].name, "aè/😀");
    assert_eq!(found[0].value["spec"], json!({"n": 1500.0, "big": u64::MAX, "empty": null, "list": []}));
    assert_eq!(found[0].position("spec.big"), Some((4, 23)));
}

#[test]
fn a_list_is_replaced_by_its_items() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: a/v1\n  kind: A\n  metadata: {name: uno}\n- apiVersion: v1\n  kind: AList\n  items:\n  - apiVersion: b/v1\n    kind: B\n    metadata: {name: due}\n    spec: {x: 1}\n---\napiVersion: c/v1\nkind: C\nmetadata: {name: tre}\n";
    let found = documents(text);
    let names: Vec<(&str, usize)> = found.iter().map(|document| (document.name.as_str(), document.index)).collect();
    assert_eq!(names, [("uno", 0), ("due", 1), ("tre", 2)]);
    assert_eq!(found[1].position("spec.x"), Some((13, 12)));
    assert!(documents("apiVersion: v1\nkind: List\nitems: []\n").is_empty());
}

#[test]
fn anchors_and_merges_are_followed_and_point_at_where_they_are_used() {
    let text = "apiVersion: a/v1\nkind: A\nmetadata: {name: x}\nspec:\n  base: &b {budget: 30m, hardCap: 40m}\n  one: *b\n  two:\n    <<: *b\n    budget: 10m\n";
    let found = documents(text);
    assert_eq!(found[0].value["spec"]["one"], json!({"budget": "30m", "hardCap": "40m"}));
    assert_eq!(found[0].value["spec"]["two"], json!({"budget": "10m", "hardCap": "40m"}));
    assert_eq!(found[0].position("spec.one"), Some((6, 3)));
    assert_eq!(found[0].position("spec.two.budget"), Some((9, 5)));
    assert_eq!(found[0].position("spec.two.hardCap").map(|(line, _)| line), Some(8));
}

#[test]
fn duplicate_keys_are_all_reported_with_their_places() {
    let text = "apiVersion: a/v1\nkind: A\nmetadata: {name: x, name: y}\nspec:\n  budget: 1h\n  budget: 2h\n---\napiVersion: b/v1\nkind: B\nkind: C\nmetadata: {name: z}\n";
    assert_eq!(
        problems(text.as_bytes()),
        "notte.yaml:3:21: \"name\" is written twice, first on line 3: keep one\n\
         notte.yaml:6:3: \"budget\" is written twice, first on line 5: keep one\n\
         notte.yaml:10:1: \"kind\" is written twice, first on line 9: keep one"
    );
}

#[test]
fn what_a_document_must_have_is_asked_for() {
    for (text, said) in [
        ("[1, 2]", "notte.yaml:1:1: this document is a list, not an object: begin it with apiVersion and kind"),
        ("ciao", "notte.yaml:1:1: this document is a text, not an object: begin it with apiVersion and kind"),
        (
            "\nmetadata: {name: x}\n",
            "notte.yaml:2:1: apiVersion is missing: add it, such as notturno.dev/v1alpha1\n\
             notte.yaml:2:1: kind is missing: add it, such as Runbook",
        ),
        (
            "apiVersion: 1\nkind: [A]\n",
            "notte.yaml:1:1: apiVersion is a number, not a text: write one, such as notturno.dev/v1alpha1\n\
             notte.yaml:2:1: kind is a list, not a text: write one, such as Runbook",
        ),
        (
            "apiVersion: notturno.dev/v1alpha1\nkind: Runbook\nspec: {}\n",
            "notte.yaml:1:1: this Runbook has no metadata.name: give it a name, as a text",
        ),
        (
            "apiVersion: notturno.dev/v1alpha1\nkind: Runbook\nmetadata:\n  name: 730\n",
            "notte.yaml:4:3: metadata.name is a number, not a text: put what is written in quotes",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: [3]\n",
            "notte.yaml:3:9: this document is a number, not an object: begin it with apiVersion and kind",
        ),
    ] {
        assert_eq!(problems(text.as_bytes()), said, "{text}");
    }
}

#[test]
fn objects_of_other_groups_need_no_name() {
    let found = documents("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n");
    assert_eq!((found[0].kind.as_str(), found[0].name.as_str()), ("Kustomization", ""));
}

#[test]
fn a_syntax_error_has_its_line_and_column() {
    let text = "apiVersion: a/v1\nkind: A\nspec:\n  a: [1, 2\n  b: }\n";
    assert_eq!(
        problems(text.as_bytes()),
        "notte.yaml:5:4: illegal placement of ':' indicator: mend this line, or what is left open above it"
    );
    let tab = problems(b"apiVersion: a/v1\nspec:\n\ta: 1\n");
    let said =
        "notte.yaml:3:2: tabs disallowed within this context (block indentation): indent with spaces, here and on the next line";
    assert_eq!(tab, said);
}

#[test]
fn all_files_are_read_before_anything_is_said() {
    let found = read_texts([
        ("a.yaml", &b"kind: A\n"[..]),
        ("b.yaml", NIGHT.as_bytes()),
        ("c.yaml", b"a: [\n"),
        ("d.yaml", b"apiVersion: v1\n"),
    ]);
    let files: Vec<String> = found.expect_err("three are bad").into_iter().map(|problem| problem.file).collect();
    assert_eq!(files, ["a.yaml", "c.yaml", "d.yaml"]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = std::env::temp_dir().join(format!("notturno-read-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let good = folder.join("a.yaml").display().to_string();
    std::fs::write(&good, NIGHT).unwrap();
    let missing = folder.join("b.yaml").display().to_string();
    let folder_name = folder.display().to_string();
    let paths = [good.clone(), missing.clone(), folder_name.clone(), good.clone(), "/dev/zero".to_owned()];
    let said = shown(&read(&paths).expect_err("four are bad"));
    assert_eq!(
        said,
        format!(
            "{missing}: no such file: check the path\n{folder_name}: is a folder: name the files in it\n\
             {good}: is named twice: name it once\n/dev/zero: is larger than 4 MiB: split it"
        )
    );
    assert_eq!(read(&[good]).unwrap().len(), 2);
    std::fs::remove_dir_all(&folder).unwrap();
}

// Hostile bytes

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    assert_eq!(problems(b"kind: A\nnome: citt\xe0\n"), "notte.yaml:2:11: is not UTF-8 text: save it as UTF-8");
    assert!(problems(b"\xff\xfek\0i\0n\0d\0").contains("UTF-8"), "UTF-16");
    assert!(problems(b"kind: a\0b\n").starts_with("notte.yaml:1:"), "{}", problems(b"kind: a\0b\n"));
    assert_eq!(documents(&format!("\u{feff}{NIGHT}")).len(), 2, "a byte order mark is no harm");
}

#[test]
fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
    let spaces = |depth: usize| (0..depth).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
    for text in ["[".repeat(1_000_000), "{a: ".repeat(200_000), "- ".repeat(200_000), "? ".repeat(100_000), spaces(1_500)] {
        let said = problems(text.as_bytes());
        assert!(said.starts_with("notte.yaml:"), "{}: {said}", &text[..20]);
    }
    let deep = format!("apiVersion: a/v1\nkind: A\nmetadata: {{name: x}}\nspec: {}1{}\n", "[".repeat(90), "]".repeat(90));
    assert_eq!(documents(&deep).len(), 1, "ninety deep is deep enough");
}

#[test]
fn an_alias_bomb_is_defused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let reference = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [reference.as_str(); 10].join(", "));
    }
    assert_eq!(
        problems(text.as_bytes()),
        "notte.yaml:5:10: aliases repeat more than 20000 values: write them out, or split the file"
    );
}

#[test]
fn large_texts_are_read_and_too_large_files_are_not() {
    let long = "x".repeat(1024 * 1024);
    let found = documents(&format!("apiVersion: a/v1\nkind: A\nmetadata: {{name: x}}\ndata: \"{long}\"\n"));
    assert_eq!(found[0].value["data"].as_str().map(str::len), Some(1024 * 1024));
    let padded = format!("{NIGHT}# {}", "x".repeat(FILE_BYTES_MAX));
    assert_eq!(problems(padded.as_bytes()), "notte.yaml: is larger than 4 MiB: split it");
    let key = format!("apiVersion: a/v1\nkind: A\n? {long}\n: 1\n? {long}\n: 2\n");
    assert!(problems(key.as_bytes()).len() < 1_000);
    assert_eq!(
        problems("- a\n".repeat(300_000).as_bytes()),
        "notte.yaml:200000:3: the file has more than 200000 values: split it"
    );
    assert_eq!(
        problems("a: 1\n---\n".repeat(1_100).as_bytes()),
        "notte.yaml:2048:1: the file has more than 1024 documents: split it"
    );
}

#[test]
fn numbers_that_no_json_holds_are_refused_with_their_place() {
    for number in [".nan", ".inf", "1e999", "-.Inf"] {
        let said = problems(format!("apiVersion: a/v1\nkind: A\nmetadata: {{name: x}}\nspec:\n  n: {number}\n").as_bytes());
        assert_eq!(said, "notte.yaml:5:6: this is not a finite number: quote it");
    }
}

#[test]
fn numbers_that_are_none_are_all_told_with_their_places_and_hide_no_other_document() {
    let text = "apiVersion: a/v1\nkind: A\nmetadata: {name: x}\nspec: {a: .nan, b: [1, -1e999]}\n---\n.inf\n---\napiVersion: b/v1\nkind: B\n";
    assert_eq!(
        problems(text.as_bytes()),
        "notte.yaml:4:11: this is not a finite number: quote it\n\
         notte.yaml:4:24: this is not a finite number: quote it\n\
         notte.yaml:6:1: this is not a finite number: quote it"
    );
    let kinds: Vec<String> = load_texts([("notte.yaml", text.as_bytes())]).documents.into_iter().map(|one| one.kind).collect();
    assert_eq!(kinds, ["B"]);
}

#[test]
fn lines_that_end_with_a_carriage_return_alone_are_counted_in_one_way() {
    for (text, place) in [
        ("apiVersion: a/v1\rkind: A\rspec: {a: .nan}\r", "notte.yaml:3:11: this is not"),
        ("kind: A\rspec: \0\r", "notte.yaml:2:7: holds a NUL"),
        ("kind: A\r\nspec:\r  - [\u{6}", "notte.yaml:3:6: unexpected character"),
    ] {
        let found = problems(text.as_bytes());
        assert!(found.starts_with(place), "{text:?}: {found}");
        let shown = load_texts([("notte.yaml", text.as_bytes())]).texts;
        assert!(shown.values().all(|text| text.lines().count() == 3), "{shown:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_texts([("x", bytes.as_slice())]);
    }

    #[test]
    fn any_yamlish_text_gets_an_answer(text in "((apiVersion|kind|metadata|name|items|List|a|1|~|!!str|!x|&a|\\*a|<<|---|\\.\\.\\.|%YAML|\\|-|>\\+|\"|'|é|\u{2028})?[:\\-,\\[\\]{}?# \n\t]{0,4}){0,25}") {
        let _ = read_texts([("x", text.as_bytes())]);
    }

    #[test]
    fn a_night_cut_anywhere_gets_an_answer(at in 0_usize..500, junk in "[\\PC\n\t]{0,5}") {
        let mut text: String = NIGHT.chars().take(at).collect();
        text += &junk;
        text.extend(NIGHT.chars().skip(at));
        if let Err(problems) = read_texts([("x", text.as_bytes())]) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.line.is_some() && problem.message.len() < 1_000));
        }
    }
}
