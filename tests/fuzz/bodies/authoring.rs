//! A file as somebody wrote it: read, checked, and told in every format.

use notturno::cli::check::{Checked, Finding, Format, RULES, check, shown};
use notturno::cli::read::{Document, Loaded, ReadProblem, load_texts};
use serde_json::Value;

use super::assert_in_proportion;

type Position = (u32, u32);

const FILE: &str = "notte.yaml";
/// A thousand findings, each with its line.
const TIMES_MAX: usize = 512;

/// Takes the bytes for a file.
pub fn take(bytes: &[u8]) {
    let loaded = load_texts([(FILE, bytes)]);
    let lines = lines(bytes);
    let line_count = lines.len();
    for problem in &loaded.problems {
        assert_placed(problem, &lines);
    }
    for document in &loaded.documents {
        assert!(usize::try_from(document.start().0).unwrap() <= line_count, "{document:?}");
        assert_eq!(document.value_at("kind").and_then(Value::as_str), Some(document.kind.as_str()));
        assert_fields_stand_where_they_are_said(document, &lines);
    }
    let checked = check(&loaded, 1);
    for finding in &checked.findings {
        assert_said_well(finding, line_count);
    }
    assert!(checked.exit_code() > 0 || loaded.problems.is_empty(), "a file that cannot be read is an error");
    told(&checked, &loaded, bytes.len());
}

/// The whole file is meant only by what is wrong with all of it.
fn is_of_the_whole(message: &str) -> bool {
    ["is larger than", "is UTF-16 text", "no document of ours"].iter().any(|words| message.starts_with(words))
}

/// The characters of each line, without a byte order mark, which no editor counts; what is no UTF-8 is counted in bytes, which are not fewer.
fn lines(bytes: &[u8]) -> Vec<Vec<char>> {
    let text: String =
        std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned);
    text.trim_start_matches('\u{feff}').replace("\r\n", "\n").split(['\n', '\r']).map(|line| line.chars().collect()).collect()
}

/// What stands there; None just behind the end of a line.
fn char_at(lines: &[Vec<char>], (line, column): Position) -> Option<char> {
    let [line, column] = [line, column].map(|number| usize::try_from(number).unwrap().checked_sub(1).expect("it counts from 1"));
    let line = lines.get(line).expect("a line of the file");
    assert!(column <= line.len(), "{column} in {line:?}");
    line.get(column).copied()
}

/// A field's place is where its name begins, or what makes a name of it.
fn assert_fields_stand_where_they_are_said(document: &Document, lines: &[Vec<char>]) {
    let mut open = vec![(String::new(), &document.value)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                let plain = |name: &str| {
                    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric())
                };
                for (name, value) in fields.iter().filter(|(name, _)| plain(name)) {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    let at = document.position(&path).expect("its place");
                    let begins = char_at(lines, at);
                    let fits = begins.is_some_and(|c| name.starts_with(c) || "\"'&!*?|>".contains(c));
                    assert!(fits, "{path} at {at:?} is {begins:?}");
                    open.push((path, value));
                }
            }
            Value::Array(items) => open.extend(items.iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// What is wrong stands in the file, at most just behind the end of a line; and there is something to do about it.
fn assert_placed(problem: &ReadProblem, lines: &[Vec<char>]) {
    assert!(problem.message.contains(": ") && problem.file == FILE, "{problem:?}");
    match (problem.line, problem.column) {
        (Some(line), Some(column)) => {
            char_at(lines, (line, column));
        }
        _ => assert!(is_of_the_whole(&problem.message), "no place: {problem}"),
    }
}

fn assert_said_well(finding: &Finding, line_count: usize) {
    assert!(RULES.iter().any(|rule| rule.id == finding.rule), "a rule that no table knows: {finding:?}");
    assert!(!["Unreadable", "NotProven"].contains(&finding.rule.as_str()), "a fault of the program: {finding:?}");
    assert!(!finding.message.trim().is_empty() && finding.file == FILE, "{finding:?}");
    let line = finding.line.map(|line| usize::try_from(line).unwrap());
    assert!(line.is_none_or(|line| (1..=line_count).contains(&line)), "{finding:?}");
    assert!(line.is_some() || is_of_the_whole(&finding.message), "no place: {finding:?}");
}

fn told(checked: &Checked, loaded: &Loaded, given: usize) {
    for format in [Format::Text, Format::Json, Format::Sarif, Format::Junit] {
        let said = shown(checked, loaded, format);
        assert_in_proportion("check", said.len(), given, TIMES_MAX);
        match format {
            Format::Json | Format::Sarif => assert!(serde_json::from_str::<Value>(&said).is_ok(), "{said}"),
            Format::Text | Format::Junit => {
                assert!(!said.chars().any(|c| c.is_control() && !"\n\t".contains(c)), "a control character: {said:?}");
            }
        }
    }
}
