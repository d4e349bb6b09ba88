//! A scenario as text, the shipped night, and the program that plays one against the other.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub const SOGEI: &str = "runbooks/sogei-2023.yaml";

/// A scenario of these fields, indented as they stand.
pub fn scenario(spec: &str) -> String {
    format!("apiVersion: simulate.notturno.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: prova}}\nspec:\n{spec}\n")
}

/// The program with the scenario on standard input.
pub fn simulate(spec: &str, arguments: &[&str]) -> Output {
    with_text(&scenario(spec), arguments)
}

pub fn with_text(text: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_notturno"));
    command.args(["simulate", SOGEI, "--scenario", "-"]).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Its one object, and its exit code.
pub fn json(spec: &str, arguments: &[&str]) -> (Value, i32) {
    let output = simulate(spec, &[arguments, &["-o", "json"]].concat());
    let object = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    });
    (object, output.status.code().unwrap())
}

/// `05:45` of the night.
pub fn hour(moment: &Value) -> &str {
    moment.as_str().map_or("-", |text| &text[11..16])
}

/// When a service was open.
pub fn open(night: &Value, service: &str) -> String {
    let services = night["services"].as_array().unwrap();
    let found = services.iter().find(|one| one["name"] == format!("sanita/{service}")).expect("a service");
    hour(&found["openAt"]).to_owned()
}
