//! Findings as `JUnit` XML, which CI servers show as tests.
//!
//! In: findings. Out: one suite with a case for each document and each file that something is said of. Invariants: well-formed XML 1.0
//! whatever the texts hold. Not here: what was found.

use std::collections::BTreeMap;

use super::catalog::is_of_files;
use super::finding::{Checked, Finding, Level};

/// The whole report.
pub(super) fn junit(checked: &Checked) -> String {
    let mut cases: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    for (object, file) in &checked.documents {
        cases.entry((file, object)).or_default();
    }
    for finding in &checked.findings {
        cases.entry((&finding.file, &finding.object)).or_default().push(finding);
    }
    let (errors, failures) =
        (cases.values().filter(|found| has_error(found)).count(), cases.values().filter(|found| fails(found)).count());
    let counts = format!(r#"tests="{}" failures="{failures}" errors="{errors}""#, cases.len());
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n");
    xml.push_str(&format!("  <testsuite name=\"notturno check\" {counts}>\n"));
    for ((file, object), found) in &cases {
        let name = if object.is_empty() { file } else { object };
        xml.push_str(&format!("    <testcase classname=\"{}\" name=\"{}\">\n", escaped(file), escaped(name)));
        xml.push_str(&verdict(found));
        xml.push_str("    </testcase>\n");
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn has_error(found: &[&Finding]) -> bool {
    found.iter().any(|finding| is_of_files(&finding.rule))
}

fn fails(found: &[&Finding]) -> bool {
    !has_error(found) && found.iter().any(|finding| finding.level == Level::Error)
}

/// One `error` or `failure` with all that is wrong; the rest as output.
fn verdict(found: &[&Finding]) -> String {
    let (wrong, other): (Vec<&Finding>, Vec<&Finding>) = found.iter().partition(|finding| finding.level == Level::Error);
    let mut xml = String::new();
    if let Some(first) = wrong.first() {
        let element = if has_error(found) { "error" } else { "failure" };
        let (message, kind) = (escaped(&first.message), escaped(&first.rule));
        xml.push_str(&format!("      <{element} message=\"{message}\" type=\"{kind}\">{}</{element}>\n", lines(&wrong)));
    }
    if !other.is_empty() {
        xml.push_str(&format!("      <system-out>{}</system-out>\n", lines(&other)));
    }
    xml
}

fn lines(found: &[&Finding]) -> String {
    let line = |finding: &&Finding| {
        let number = |number: Option<u32>| number.map(|number| format!(":{number}")).unwrap_or_default();
        let at = format!("{}{}{}", finding.file, number(finding.line), number(finding.column));
        let parts = [finding.path.as_str(), finding.message.as_str(), finding.sum_said.as_str()];
        let said = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        format!("{at}: {} {}: {said}", finding.level.word(), finding.rule)
    };
    escaped(&found.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// What XML 1.0 may hold; the rest becomes U+FFFD.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\t' | '\n' => c.to_string(),
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}'.to_string(),
        c if c.is_control() => '\u{fffd}'.to_string(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}
