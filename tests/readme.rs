//! The README is true: its commands run, what it shows is what is printed, its table is the code's.
//! `UPDATE=1 cargo test --test readme` rewrites what is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use notturno::api::manifests::{self, HEARTBEAT_SECRET, HEARTBEAT_URL};
use notturno::api::structure;
use notturno::model::service::{WhenDirty, WhenRed};
use notturno::operator::effects::ledger::BY_HAND;
use notturno::operator::effects::marks;
use notturno::operator::effects::names::{LedgerNames, sentinel_name};
use notturno::operator::lease::{LEASE_FOR, RENEW_EVERY};
use notturno::operator::metrics::catalogue::{CATALOGUE, Name};
use notturno::operator::{heart, heartbeat};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Commands that other tests run or compare, each with the test that does.
const RUN_ELSEWHERE: [(&str, &str); 8] = [
    ("kubectl -n NAMESPACE get configmaps -l app.kubernetes.io/managed-by=notturno", "a test below, for its label"),
    (r"kubectl -n NAMESPACE get configmap NAME -o jsonpath='{.data.by-hand\.md}'", "a test below, for its key"),
    ("tests/run", "is what runs this test"),
    ("cargo install --locked --path .", "a test below, for the name that is linked to"),
    ("ln -sf notturno ~/.cargo/bin/kubectl-notturno", "a test below, for the name that it links to"),
    (STATIC, "a test below: it is how tests/cluster/image builds"),
    (
        "sed 's|notturno.test/notturno:dev|IMAGE|' manifests/install.yaml | kubectl apply --server-side -f -",
        "a test below, and tests/real",
    ),
    ("cargo run --release -- demo --undo-fails", "tests/demo.rs, for its exit code"),
];

const STATIC: &str =
    "RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release --locked --target x86_64-unknown-linux-gnu --bin notturno";

fn readme() -> String {
    fs::read_to_string(PATH).unwrap()
}

fn commands() -> Vec<String> {
    let text = readme();
    let blocks = text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

fn notturno(arguments: &[&str]) -> Output {
    let directory = env!("CARGO_MANIFEST_DIR");
    Command::new(env!("CARGO_BIN_EXE_notturno")).args(arguments).current_dir(directory).output().unwrap()
}

/// What stands between `<!-- name -->` and `<!-- /name -->`.
fn shown(name: &str) -> String {
    let text = readme();
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = text.find(&open).expect("the mark") + open.len();
    text[start..start + text[start..].find(&close).expect("the closing mark")].to_owned()
}

#[allow(clippy::disallowed_methods, reason = "how a person asks for a rewrite")]
fn compare(name: &str, real: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PATH, readme().replace(&format!("<!-- {name} -->\n{}", shown(name)), &format!("<!-- {name} -->\n{real}")))
            .unwrap();
    }
    assert_eq!(shown(name), real, "README.md is not up to date: UPDATE=1 cargo test --test readme");
}

#[test]
fn every_command_that_it_shows_works() {
    let mut run_count = 0;
    for command in commands() {
        if let Some(arguments) = command.strip_prefix("cargo run --release -- ") {
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            let output = notturno(&arguments);
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(!output.stdout.is_empty(), "{command} says nothing");
            run_count += 1;
        } else {
            assert!(RUN_ELSEWHERE.iter().any(|(known, _)| *known == command), "{command:?} is run by no test");
        }
    }
    assert!(run_count >= 6, "only {run_count} commands were found");
}

#[test]
fn the_demo_that_it_shows_is_the_demo() {
    let output = notturno(&["demo"]);
    let text = String::from_utf8(output.stdout).unwrap();
    compare("demo", &format!("```text\n{}```\n", text.trim_start_matches('\n')));
}

#[test]
fn the_phase_table_is_the_engines() {
    compare("phases", &notturno::engine::phases::markdown());
}

/// What each runbook is there to show.
const RUNBOOKS: [(&str, &str); 4] = [
    (
        "sogei-2023",
        "the night of 2023 again: an upgrade that hangs is turned back by its hard cap; pharmacies and doctors tolerate it all night",
    ),
    (
        "zerocode-release",
        "a release: schema, image, canary as a Job, and a latency check that turns back although the canary passed",
    ),
    (
        "prenota-spid",
        "new login keys without an undo written: changes are captured and put back; a patron's day closes one town only",
    ),
    (
        "archivio-730",
        "one long step; read-only instead of closed; on half-done work open without its totals; refused while a freeze holds",
    ),
];

/// One row: what the planner says about the file.
fn row((name, shows): (&str, &str)) -> String {
    let output = notturno(&["plan", &format!("runbooks/{name}.yaml"), "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let moment = |value: &serde_json::Value, format: &str| {
        let at: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
        at.to_zoned(jiff::tz::TimeZone::get(plan["timeZone"].as_str().unwrap()).unwrap()).strftime(format).to_string()
    };
    let clock = |field: &str| moment(&plan[field], "%H:%M");
    let turn_back = plan["steps"].as_array().unwrap().iter().map(|step| step["turnBackAt"].as_str().unwrap()).min().unwrap();
    format!(
        "| [`{name}.yaml`](runbooks/{name}.yaml) | {} | {} | {} | {} | {shows} |\n",
        moment(&plan["startTime"], "%a %-d %b %Y, %H:%M"),
        clock("plannedOpen"),
        moment(&turn_back.into(), "%H:%M"),
        clock("mustServeBy"),
    )
}

#[test]
fn the_table_of_runbooks_is_what_the_planner_says_of_them() {
    let head =
        "| runbook | start | planned open | latest turn-back | must serve by | what it shows |\n|---|---|---|---|---|---|\n";
    compare("runbooks", &format!("{head}{}", RUNBOOKS.map(row).concat()));
    let beside = fs::read_dir(format!("{}/runbooks", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let count = beside.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "yaml")).count();
    assert_eq!(count, RUNBOOKS.len(), "every runbook is in the table");
}

#[test]
fn the_table_of_metrics_is_the_operators() {
    compare("metrics", &notturno::operator::metrics::catalogue::markdown());
}

#[test]
fn the_table_of_rules_is_the_checks() {
    compare("rules", &notturno::cli::check::markdown());
}

#[test]
fn it_says_which_rust_builds_it_and_that_some_of_it_is_c() {
    let text = readme();
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"')).expect("a version");
    assert!(text.contains(&format!("Rust ({version} or newer) and a C compiler")), "{version}");
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"cc\""), "nothing is compiled from C any more: say so");
}

#[test]
fn what_is_recorded_and_not_acted_on_stands_among_its_limits() {
    let text = readme();
    let limits = text.split("**Its limits, in this version:**").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    for word in ["`Decision`", "`MaintenanceWindow`", "Ramps", "`contacts[].notify`", "override a freeze"] {
        assert!(limits.contains(word), "{word}: {limits}");
    }
}

#[test]
fn what_becomes_of_a_service_by_default_is_said_as_the_kinds_have_it() {
    let text = readme();
    let fields = text.split("**Half-done work.**").nth(1).and_then(|rest| rest.split("\n**The dead").next()).unwrap();
    let spec = structure::spec_schema("PublicService").unwrap().properties.as_ref().unwrap();
    for (field, default) in
        [("whenDirty", WhenDirty::default().as_str().to_owned()), ("whenRed", format!("{:?}", WhenRed::default()))]
    {
        let (default, words) = (serde_json::json!(default), spec[field].enum_.as_ref().unwrap());
        assert_eq!(words.first().map(|word| &word.0), Some(&default), "{field}");
        for word in words {
            assert!(fields.contains(word.0.as_str().unwrap()), "{field}: {word:?}");
        }
        let after = fields.split(&format!("`{field}: {}`", default.as_str().unwrap())).nth(1).expect("the default comes first");
        assert!(after.split('`').next().unwrap().contains("the default"), "{field}");
    }
}

#[test]
fn every_file_and_folder_that_it_names_exists() {
    let text = readme();
    let named = text.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains([' ', '<', '…', '*', ':']));
    let mut count = 0;
    for word in named.filter(|word| ["src", "tests", "manifests", "runbooks", "charts"].iter().any(|top| word.starts_with(top))) {
        assert!(fs::metadata(format!("{}/{word}", env!("CARGO_MANIFEST_DIR"))).is_ok(), "{word}");
        count += 1;
    }
    assert!(count >= 8, "only {count} were found");
}

#[test]
fn the_moment_at_which_the_sentinels_act_in_the_night_it_shows_is_that_of_the_plan() {
    let output = notturno(&["plan", "runbooks/sogei-2023.yaml", "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let turn_backs = plan["steps"].as_array().unwrap().iter().map(|step| step["turnBackAt"].as_str().unwrap());
    let latest: jiff::Timestamp = turn_backs.min().unwrap().parse().unwrap();
    // A quarter of twenty minutes or more is cut to the longest grace. tests/takeover.rs plays the night and sees the same.
    let reserve = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/sogei-2023.yaml")).unwrap();
    assert!(reserve.contains("  reserve: 20m "), "another reserve: is the grace still a minute?");
    let zone = jiff::tz::TimeZone::get(plan["timeZone"].as_str().unwrap()).unwrap();
    let acts_at = (latest + jiff::SignedDuration::from_mins(1)).to_zoned(zone).strftime("%H:%M").to_string();
    let hard_cap = shown("demo").lines().find_map(|line| Some(line.split_once("aggiorna outlived its hard cap, ")?.1.to_owned()));
    let said = format!("is turned back at {acts_at}, not at {}", hard_cap.expect("the hard cap"));
    assert!(readme().contains(&said), "{said:?} is not said");
}

#[test]
fn what_finds_the_page_by_hand_goes_by_the_label_the_key_and_the_names_that_are_written() {
    let text = readme();
    let key = BY_HAND.replace('.', "\\.");
    for command in [
        format!("kubectl -n NAMESPACE get configmaps -l {}={}\n", marks::MANAGED_BY, marks::US),
        format!("kubectl -n NAMESPACE get configmap NAME -o jsonpath='{{.data.{key}}}'\n"),
    ] {
        assert!(text.contains(&command), "{command:?} is not said");
    }
    let count = 8;
    assert!(text.contains(&format!("`<uid>` is the first {count}\ncharacters of the Intervention's UID")));
    let uid: String = ('a'..='z').collect();
    let named = |stem: &str, what: &str| format!("notturno-notte-{}-{what}", &stem[..count]);
    assert_eq!(LedgerNames::of("notte", &uid).plan, named(&uid, "plan"));
    assert_eq!(sentinel_name("notte", &uid), named(&uid, "sentinel"));
}

#[test]
fn the_image_that_it_shows_is_what_operator_and_sentinels_are_started_from() {
    let file = |name: &str| fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let image = file("tests/cluster/image");
    for part in STATIC.split_whitespace().filter(|part| part.starts_with("target-feature") || *part == "--release") {
        assert!(image.contains(part.trim_matches('"')), "{part}");
    }
    let text = readme();
    let (before, shown) = text.split_once("```dockerfile\n").expect("a Dockerfile");
    assert!(before.contains(STATIC), "it is built before it is copied");
    let lines: Vec<&str> = shown.split("```").next().unwrap().lines().collect();
    let copied = lines.iter().find_map(|line| line.strip_prefix("COPY ")).and_then(|line| line.split_once(' ')).expect("a file");
    assert_eq!(copied.0, "target/x86_64-unknown-linux-gnu/release/notturno");
    assert!(lines.contains(&format!("ENTRYPOINT [\"{}\"]", copied.1).as_str()), "{lines:?}");
    let installed = manifests::install().unwrap();
    let pod = &installed.iter().find(|object| object["kind"] == "Deployment").unwrap()["spec"]["template"]["spec"];
    let (user, container) = (&pod["securityContext"], &pod["containers"][0]);
    assert!(lines.contains(&format!("USER {}:{}", user["runAsUser"], user["runAsGroup"]).as_str()), "{lines:?}");
    assert!(container["command"].is_null() && container["args"][0] == "operator", "given arguments only: {container}");
    let sed = text.split("sed 's|").nth(1).and_then(|rest| rest.split_once('|')).expect("a substitution").0;
    let replaced = file("manifests/install.yaml").replace(sed, "IMAGE");
    assert!(replaced.contains("image: IMAGE\n") && replaced.contains("--sentinel-image=IMAGE\n"), "both places");
    assert!(!replaced.contains("notturno.test/"), "nothing else names an image");
    assert!(file("Cargo.toml").contains("[[bin]]\nname = \"notturno\"\n"), "what is installed and linked to");
}

/// A span in the words of prose: whole minutes, or seconds.
fn in_words(span: Duration) -> String {
    const NUMBERS: [&str; 7] = ["no", "one", "two", "three", "four", "five", "six"];
    let (count, unit) =
        if span.as_secs().is_multiple_of(60) { (span.as_secs() / 60, "minute") } else { (span.as_secs(), "second") };
    let number = NUMBERS.get(usize::try_from(count).unwrap()).expect("a small number, or a longer list here");
    format!("{number} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A span as an argument is written.
fn in_units(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds.is_multiple_of(3600) { format!("{}h", seconds / 3600) } else { format!("{seconds}s") }
}

#[test]
fn every_span_of_the_heartbeat_that_it_names_is_the_programs() {
    let text = readme().split_whitespace().collect::<Vec<_>>().join(" ");
    let bounds = [heartbeat::EVERY_MIN, heartbeat::EVERY_MAX].map(in_units).join(" to ");
    for phrase in [
        format!("a proof of life every {}", in_words(RENEW_EVERY)),
        format!("({} without an answer to any of its calls", in_words(heart::ROUND_FOR_MAX)),
        format!("{} late for its moment)", in_words(heart::LATE_FOR_MAX)),
        format!("(`--heartbeat-every`, from {bounds})"),
        format!("an answer of success within {} counts", in_words(heartbeat::PING_FOR_MAX)),
    ] {
        assert!(text.contains(&phrase), "{phrase:?} is not said");
    }
    let values = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/notturno/values.yaml")).unwrap();
    assert!(values.contains(&format!("from {bounds}.")), "{values}");
}

/// The names of this program's metrics in a text.
fn metrics(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("notturno_")).collect()
}

#[test]
fn the_alert_that_it_shows_is_a_rule_on_numbers_that_there_are_and_waits_for_a_change_of_leader() {
    let text = shown("alert").replace("```yaml", "").replace("```", "");
    let rules: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
    let [rule] = rules["groups"][0]["rules"].as_array().unwrap().as_slice() else { panic!("{rules}") };
    assert_eq!((&rule["alert"], &rule["for"]), (&"NotturnoSilent".into(), &"1m".into()));
    let expr = rule["expr"].as_str().unwrap();
    let proof = Name::Heartbeat.as_str();
    let old = expr.strip_prefix(&format!("absent({proof}) or time() - max({proof}) > ")).expect("an expression");
    // Another replica leads once the lease has expired, and gives its first proof with the renewal after that.
    let change = LEASE_FOR + 2 * RENEW_EVERY;
    assert!(old.parse::<u64>().unwrap() >= 2 * change.as_secs(), "{old}");
}

#[test]
fn every_metric_and_flag_that_it_names_is_there() {
    let text = readme();
    let named = metrics(&text);
    let known = |name: &&str| CATALOGUE.iter().any(|row| row.name.as_str() == *name);
    assert!(named.len() > CATALOGUE.len() && named.iter().all(known), "{:?}", named.iter().find(|name| !known(name)));
    let help = String::from_utf8(notturno(&["operator", "--help"]).stdout).unwrap();
    for flag in ["--heartbeat-url", "--heartbeat-every", "--sentinel-image", "--without-sentinel", "--http-allow"] {
        assert!(text.contains(flag) && help.contains(flag), "{flag}");
    }
    assert!(text.contains(&format!("Secret `{HEARTBEAT_SECRET}`")));
}

#[test]
fn the_chart_knows_the_same_secret_for_the_heartbeat_as_the_manifests() {
    let file = |name: &str| fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let values: serde_json::Value = serde_saphyr::from_str(&file("charts/notturno/values.yaml")).unwrap();
    assert_eq!(values["heartbeat"]["secret"], HEARTBEAT_SECRET);
    let every = format!("--heartbeat-every={}", values["heartbeat"]["every"].as_str().unwrap());
    assert!(file("manifests/install.yaml").contains(&every));
    let template = file("charts/notturno/templates/operator.yaml");
    let env = "secretKeyRef: {name: {{ .Values.heartbeat.secret }}, key: url, optional: true}";
    assert!(template.contains(&format!("- name: {HEARTBEAT_URL}")) && template.contains(env), "{template}");
}
