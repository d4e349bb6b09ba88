//! Findings for people: each with the line it speaks of.
//!
//! In: findings and the texts of the files. Out: text without colour. Invariants: a long line is not shown, characters that would
//! change what a terminal shows are replaced. Not here: what was found.

use annotate_snippets::{AnnotationKind, Level as Shown, Origin, Renderer, Snippet};

use super::finding::{Checked, Finding, Level};
use crate::cli::read::Loaded;

/// The longest line that is shown, in bytes.
const LINE_MAX: usize = 240;

/// The whole text.
pub(super) fn text(checked: &Checked, loaded: &Loaded) -> String {
    let renderer = Renderer::plain();
    let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut text = String::new();
    for finding in &checked.findings {
        if lines.last().is_none_or(|(file, _)| *file != finding.file) {
            let of_file = loaded.texts.get(&finding.file).map(|text| text.lines().collect()).unwrap_or_default();
            lines.push((&finding.file, of_file));
        }
        let line = finding.line.and_then(|line| lines.last()?.1.get(usize::try_from(line).ok()?.checked_sub(1)?).copied());
        text.push_str(&one(&renderer, finding, line.filter(|line| line.len() <= LINE_MAX)));
        text.push_str("\n\n");
    }
    text.push_str(&summary(checked));
    text
}

fn one(renderer: &Renderer, finding: &Finding, line: Option<&str>) -> String {
    let level = match finding.level {
        Level::Error => Shown::ERROR,
        Level::Warning => Shown::WARNING,
        Level::Note => Shown::NOTE,
    };
    let (title, file) = (harmless(&finding.message), harmless(&finding.file));
    let whose = [finding.object.as_str(), finding.path.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    let whose = harmless(&whose.join(" "));
    let group = level.primary_title(title).id(finding.rule.as_str());
    let number = |number: Option<u32>| number.and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
    let group = if let Some(line) = line {
        // The others that a terminal obeys the library shows as pictures.
        let line = line.replace(|c| ('\u{80}'..='\u{9f}').contains(&c), "\u{fffd}");
        let annotation = AnnotationKind::Primary.span(word_at(&line, number(finding.column)));
        group.element(Snippet::source(line).line_start(number(finding.line)).path(file).annotation(annotation))
    } else {
        let origin = Origin::path(file);
        let placed = finding.line.is_some();
        group.element(if placed { origin.line(number(finding.line)).char_column(number(finding.column)) } else { origin })
    };
    let group = if whose.is_empty() { group } else { group.element(Shown::NOTE.with_name("in").message(whose)) };
    let group = if finding.sum_said.is_empty() {
        group
    } else {
        group.element(Shown::NOTE.with_name("sum").message(harmless(&finding.sum_said)))
    };
    renderer.render(&[group])
}

/// The bytes of the word that begins at a column.
fn word_at(line: &str, column: usize) -> std::ops::Range<usize> {
    let start = line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
    let rest = line.get(start..).unwrap_or_default();
    let end = rest.find([':', ',', ' ', '}', ']']).filter(|&end| end > 0).unwrap_or(rest.len());
    start..(start + end)
}

/// Without characters that move the cursor, hide, or turn the direction of what follows.
fn harmless(text: &str) -> String {
    text.chars().flat_map(|c| if super::spelling::is_hidden(c) { c.escape_unicode().collect() } else { vec![c] }).collect()
}

fn summary(checked: &Checked) -> String {
    let mut text = String::new();
    for (night, accepted) in &checked.nights {
        let says = match (accepted, checked.count(Level::Error)) {
            (true, 0) => "the night fits",
            (true, _) => "the night fits as far as it was read: mend the errors first",
            (false, _) => "the night is refused",
        };
        text.push_str(&format!("{night}: {says}\n"));
    }
    if checked.left_out_count > 0 {
        text.push_str(&format!("{} more findings are not shown\n", checked.left_out_count));
    }
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    text.push_str(&format!(
        "{}, {} of ours: {}, {}, {}\n",
        counted(checked.files_count, "file"),
        counted(checked.documents.len(), "document"),
        counted(checked.count(Level::Error), "error"),
        counted(checked.count(Level::Warning), "warning"),
        counted(checked.count(Level::Note), "note"),
    ));
    text
}
