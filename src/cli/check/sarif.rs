//! Findings as SARIF 2.1.0, which code review tools show beside the lines.
//!
//! In: findings. Out: one SARIF log. Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0". Invariants: what
//! the schema requires is there; places are relative URIs, columns count characters. Not here: what was found.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::catalog::{RULES, level_of, says};
use super::finding::{Checked, Finding};

/// The whole log.
pub(super) fn sarif(checked: &Checked) -> String {
    let mut ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    ids.extend(checked.findings.iter().map(|finding| finding.rule.as_str()));
    let ids: Vec<&str> = ids.into_iter().collect();
    let rules: Vec<Value> = ids.iter().map(|id| rule(id)).collect();
    let results: Vec<Value> = checked.findings.iter().map(|finding| result(finding, &ids)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "notturno", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": checked.exit_code() < 2, "exitCode": checked.exit_code()}],
            "results": results,
        }],
    });
    format!("{log}\n")
}

fn rule(id: &str) -> Value {
    json!({
        "id": id,
        "shortDescription": {"text": says(id)},
        "defaultConfiguration": {"level": level_of(id).word()},
    })
}

fn result(finding: &Finding, ids: &[&str]) -> Value {
    let mut physical = json!({"artifactLocation": {"uri": uri(&finding.file)}});
    if let (Some(line), Some(fields)) = (finding.line, physical.as_object_mut()) {
        fields.insert("region".to_owned(), json!({"startLine": line, "startColumn": finding.column.unwrap_or(1)}));
    }
    let mut location = json!({"physicalLocation": physical});
    let whose = [finding.object.as_str(), finding.path.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    if let (false, Some(fields)) = (whose.is_empty(), location.as_object_mut()) {
        fields.insert("logicalLocations".to_owned(), json!([{"fullyQualifiedName": whose.join(" ")}]));
    }
    let message = [finding.message.as_str(), finding.sum_said.as_str()].into_iter().filter(|part| !part.is_empty());
    json!({
        "ruleId": finding.rule,
        "ruleIndex": ids.iter().position(|id| *id == finding.rule),
        "level": finding.level.word(),
        "message": {"text": message.collect::<Vec<_>>().join(" | ")},
        "locations": [location],
    })
}

/// A path as a URI: what RFC 3986 reserves or does not know is percent-encoded.
fn uri(file: &str) -> String {
    if file == "-" || file.is_empty() {
        return "stdin".to_owned();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    file.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
