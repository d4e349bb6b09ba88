//! What kubectl, or another YAML reader, takes for something else than this program does, and what cannot be seen.
//!
//! In: a file's text and its documents of ours. Out: findings. Source of what kubectl reads: its YAML library (go-yaml 2, YAML 1.1) before
//! anything is sent: `no` is false, `010` is eight, `1_000` is a thousand. Not here: whether the value is right where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::catalog::level_of;
use super::finding::Finding;
use crate::api::structure::{field_path, is_free};
use crate::cli::plan::assemble::object_of;
use crate::cli::read::{Document, Position, Role, Spelling, spellings};

/// Appends what there is to say of one file.
pub(super) fn findings(file: &str, text: &str, documents: &[Document], found: &mut Vec<Finding>) {
    let here: Vec<&Document> = documents.iter().filter(|document| document.file == file).collect();
    let starts: BTreeMap<Position, usize> = here.iter().enumerate().map(|(index, document)| (document.start(), index)).collect();
    let mut once: BTreeSet<(usize, &str)> = BTreeSet::new();
    let known = known(file, found);
    for spelling in spellings(text, &starts) {
        let Some(document) = here.get(spelling.object) else { continue };
        if spelling.role == Role::Value && said_already(&spelling, document, &known, found) {
            continue;
        }
        if let Some((rule, message)) = judged(&spelling, document) {
            // Anchors are worth one word in a document, not one at each.
            if matches!(rule, "MergeKey" | "Anchor") && !once.insert((spelling.object, rule)) {
                continue;
            }
            found.push(finding(document, &spelling.path, spelling.position, rule, message));
        }
    }
    for document in here {
        hidden(document, "", &document.value, found);
    }
}

/// What is found already, by object and field.
type Known = BTreeMap<(String, String), usize>;

fn known(file: &str, found: &[Finding]) -> Known {
    let here = found.iter().enumerate().filter(|(_, finding)| finding.file == file && !finding.path.is_empty());
    here.map(|(index, finding)| ((finding.object.clone(), finding.path.clone()), index)).collect()
}

/// Where a text is expected and something else is read, what was written is shown as the text it should be; nothing more is said where
/// the value is missing or of a wrong type.
fn said_already(spelling: &Spelling, document: &Document, known: &Known, found: &mut [Finding]) -> bool {
    let index = known.get(&(object_of(document), spelling.path.clone()));
    let Some(finding) = index.and_then(|&index| found.get_mut(index)) else { return false };
    let Some(read) = document.value_at(&spelling.path) else { return false };
    if finding.rule == "WrongType" && finding.message.ends_with("put what is written in quotes") {
        let (text, read) = (&spelling.text, shown(read));
        let and = if read == *text { format!("{text} is none") } else { format!("{text} is read as {read}") };
        finding.message = format!("a text is expected here, and {and}: write \"{text}\"");
    }
    finding.rule == "WrongType" || finding.rule == "Missing"
}

/// A value as people write it.
fn shown(value: &Value) -> String {
    let whole = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 1e15);
    whole.map_or_else(|| value.to_string(), |number| number.to_string())
}

fn finding(document: &Document, path: &str, (line, column): Position, rule: &str, message: String) -> Finding {
    Finding {
        rule: rule.to_owned(),
        level: level_of(rule),
        file: document.file.clone(),
        line: Some(line),
        column: Some(column),
        object: object_of(document),
        path: path.to_owned(),
        message,
        sum: Vec::new(),
        sum_said: String::new(),
    }
}

fn judged(spelling: &Spelling, document: &Document) -> Option<(&'static str, String)> {
    let text = spelling.text.as_str();
    match spelling.role {
        Role::Anchor | Role::Alias => Some((
            "Anchor",
            "anchors and aliases are resolved before anything is sent: the cluster holds copies, and a change has to be applied to all"
                .to_owned(),
        )),
        Role::Key if text == "<<" => Some((
            "MergeKey",
            "<< is YAML 1.1: kubectl merges, a YAML 1.2 reader keeps a field with this name; write the fields out".to_owned(),
        )),
        Role::Key => key(text),
        Role::Value => value(spelling, document),
    }
}

fn key(text: &str) -> Option<(&'static str, String)> {
    let named = match kubectl_reads(text) {
        Value::String(_) => return None,
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    };
    (named != text).then(|| {
        let message = format!("kubectl reads the field name {text} as {named}, which is another field: quote it");
        ("KubectlReadsDifferently", message)
    })
}

fn value(spelling: &Spelling, document: &Document) -> Option<(&'static str, String)> {
    let text = spelling.text.as_str();
    let ours = document.value_at(&spelling.path)?;
    let theirs = kubectl_reads(text);
    // A field that is written twice has two texts, of which this program takes the first.
    if !same(ours, &theirs) {
        let message =
            format!("kubectl reads {text} as {}, this program as {}: {}", said(&theirs), said(ours), what_to_write(ours, text));
        return Some(("KubectlReadsDifferently", message));
    }
    let is_free = is_free(&document.kind, &spelling.path);
    match ours {
        Value::Null if spelling.path.starts_with("spec") && !is_free => {
            let message = "nothing is written here, so the field counts as absent: write a value, or remove the line";
            Some(("ExplicitNull", message.to_owned()))
        }
        Value::Bool(truth) if is_free && text != truth.to_string() => {
            Some(("NotWhatIsWritten", format!("{text} is read as {truth}: quote it if it is a text")))
        }
        Value::Number(number) if (is_free || is_too_large(number)) && text != number.to_string() => {
            Some(("NotWhatIsWritten", format!("{text} is read as the number {}: quote it if it is a text", shown(ours))))
        }
        Value::String(_) if SEXAGESIMAL.as_ref().is_some_and(|form| form.is_match(text)) => {
            Some(("OtherReaders", format!("{text} is a number in base 60 to other YAML 1.1 readers: quote it")))
        }
        Value::String(_) if DATE.as_ref().is_some_and(|form| form.is_match(text)) => {
            Some(("OtherReaders", format!("{text} is a date and no text to other YAML readers: quote it")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Beyond 64 bits, where digits are lost.
fn is_too_large(number: &serde_json::Number) -> bool {
    number.as_i64().is_none() && number.as_f64().is_some_and(|number| number.abs() > 9e18)
}

fn what_to_write(ours: &Value, text: &str) -> String {
    match ours {
        Value::Number(_) => format!("write {}, or quote it if it is a text", shown(ours)),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => format!("quote it, \"{text}\""),
    }
}

fn said(value: &Value) -> String {
    match value {
        Value::String(_) => "a text".to_owned(),
        Value::Null => "nothing".to_owned(),
        other => shown(other),
    }
}

fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours == theirs || ours.as_f64() == theirs.as_f64(),
        (Value::String(_), Value::String(_)) => true,
        _ => ours == theirs,
    }
}

static SEXAGESIMAL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[-+]?[0-9]+(:[0-5]?[0-9])+$").ok());
static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?$").ok());
static FLOAT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[-+]?[0-9]*\.?[0-9]+([eE][-+][0-9]+)?$").ok());

/// What kubectl makes of a plain scalar. Source: go-yaml 2, `resolve.go`; moments and dates stay text there.
fn kubectl_reads(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Value::Bool(false),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Value::String(text.to_owned());
    }
    let digits = text.replace('_', "");
    if let Some(number) = whole_number(&digits) {
        return number;
    }
    let float = FLOAT.as_ref().is_some_and(|form| form.is_match(&digits)).then(|| digits.parse::<f64>().ok()).flatten();
    float.and_then(serde_json::Number::from_f64).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// Go's `strconv.ParseInt(text, 0, 64)`, then `ParseUint`.
fn whole_number(text: &str) -> Option<Value> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = rest.to_ascii_lowercase();
    let (radix, digits) = match (lower.get(..2), lower.strip_prefix('0')) {
        (Some("0x"), _) => (16, lower.get(2..)?),
        (Some("0o"), _) => (8, lower.get(2..)?),
        (Some("0b"), _) => (2, lower.get(2..)?),
        (_, Some(octal)) if !octal.is_empty() => (8, octal),
        (_, Some(_) | None) => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if negative { -number } else { number };
    i64::try_from(number).map(Value::from).or_else(|_| u64::try_from(number).map(Value::from)).ok()
}

/// Whether a character changes what is seen without being seen itself: controls, marks of direction, characters without width.
pub(super) fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn seen(document: &Document, path: &str, text: &str, found: &mut Vec<Finding>) {
    let Some(number) = text.chars().find(|c| is_hidden(*c)).map(u32::from) else { return };
    let at = document.position(path).unwrap_or_else(|| document.start());
    let message = format!("holds the character U+{number:04X}, which cannot be seen and changes what is: remove it");
    found.push(finding(document, path, at, "HiddenCharacter", message));
}

/// As deep as the document, which is bounded.
fn hidden(document: &Document, path: &str, value: &Value, found: &mut Vec<Finding>) {
    match value {
        Value::String(text) => seen(document, path, text, found),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                hidden(document, &format!("{path}[{index}]"), item, found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let here = field_path(path, name);
                seen(document, &here, name, found);
                hidden(document, &here, value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::kubectl_reads;

    #[test]
    fn plain_scalars_are_what_kubectl_takes_them_for() {
        let cases = [
            ("no", json!(false)),
            ("On", json!(true)),
            ("y", json!(true)),
            ("~", Value::Null),
            ("", Value::Null),
            ("1_000", json!(1000)),
            ("010", json!(8)),
            ("08", json!(8.0)),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("-7", json!(-7)),
            ("15.10", json!(15.1)),
            ("1e3", json!("1e3")),
            ("1e+3", json!(1000.0)),
            ("12:30", json!("12:30")),
            ("2023-02-09", json!("2023-02-09")),
            ("1h30m", json!("1h30m")),
            ("nO", json!("nO")),
            ("+", json!("+")),
            ("-", json!("-")),
            ("18446744073709551615", json!(u64::MAX)),
            ("1__", json!(1)),
            ("0", json!(0)),
            ("--1", json!("--1")),
        ];
        for (text, read) in cases {
            assert_eq!(kubectl_reads(text), read, "{text:?}");
        }
    }
}
