//! Where the fields of a document are written.
//!
//! In: a field path, `spec.steps[4].budget`. Out: the line and column of that field's name (of the item, in a list), or of
//! the nearest ancestor that is written. Keys that are no identifiers are bracketed, quoted or not:
//! `metadata.labels[app.kubernetes.io/name]`, `data["a.b"]`. What is not here: values.

use std::collections::BTreeMap;

/// Line and column, both from 1; the column counts characters.
pub type Position = (u32, u32);

/// The place of a node and of everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: Position,
    pub(super) inside: Inside,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Nothing,
    Items(Vec<Place>),
    Fields(BTreeMap<String, Place>),
}

impl Place {
    /// The place of a path; None when not even its first step is written.
    pub(super) fn of(&self, path: &str) -> Option<Position> {
        let mut here = self;
        let mut found = None;
        for step in steps(path) {
            match here.inside(step) {
                Some(next) => {
                    here = next;
                    found = Some(next.position);
                }
                None => break,
            }
        }
        found
    }

    fn inside(&self, step: &str) -> Option<&Place> {
        match &self.inside {
            Inside::Nothing => None,
            Inside::Items(items) => items.get(step.parse::<usize>().ok()?),
            Inside::Fields(fields) => fields.get(step),
        }
    }
}

/// `a.b[2]["c.d"][e/f]` → a, b, 2, c.d, e/f. Every turn consumes at least one character.
pub(super) fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (step, after) = match bracketed.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inner = bracketed.get(1..).unwrap_or_default();
                    let (step, after) = inner.split_once(quote).unwrap_or((inner, ""));
                    (step, after.strip_prefix(']').unwrap_or(after))
                }
                Some(_) | None => bracketed.split_once(']').unwrap_or((bracketed, "")),
            };
            steps.push(step);
            rest = after;
        } else {
            let named = rest.strip_prefix('.').unwrap_or(rest);
            let (step, after) = named.split_at(named.find(['.', '[']).unwrap_or(named.len()));
            if !step.is_empty() {
                steps.push(step);
            }
            rest = after;
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn a_path_is_taken_apart() {
        assert_eq!(steps("spec.steps[4].budget"), ["spec", "steps", "4", "budget"]);
        assert_eq!(steps("data[\"a.b\"].c"), ["data", "a.b", "c"]);
        assert_eq!(steps("metadata.labels[a.b/c]"), ["metadata", "labels", "a.b/c"]);
        assert_eq!(steps("[0][1]"), ["0", "1"]);
        for odd in ["", ".", "..", "[", "[\"", "[]", "a[", "a]b", "[é"] {
            let _ = steps(odd);
        }
    }
}
