//! What a night may vary: typed, bounded values.
//!
//! In: a parameter as declared, a value as written. Out: [`Parameter`], and why a value does not do ([`Parameter::problem`]).
//! Invariants: values are text on the wire and in a Job's environment; a type only says which texts do. Not here: where values go.

use regex::Regex;

use super::span::Span;

/// The compiled size of a pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A value that an intervention gives to a runbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Which texts do.
    pub kind: Kind,
    /// The value when the night gives none.
    pub default: Option<String>,
}

/// The type of a parameter, with its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text {
        /// A regular expression that the whole value has to match.
        pattern: Option<String>,
        /// The only values that do, when any are named.
        allowed: Vec<String>,
    },
    /// A whole number in decimal digits.
    Integer {
        /// The least.
        minimum: Option<i64>,
        /// The most.
        maximum: Option<i64>,
    },
    /// `true` or `false`.
    Boolean,
    /// An elapsed time in Go syntax.
    Duration,
}

impl Parameter {
    /// What is wrong with a value, in words; nothing when it does.
    #[must_use]
    pub fn problem(&self, value: &str) -> Option<String> {
        match &self.kind {
            Kind::Text { pattern, allowed } => {
                if !allowed.is_empty() && !allowed.iter().any(|one| one == value) {
                    return Some(format!("{value:?} is none of {}", allowed.join(", ")));
                }
                let pattern = pattern.as_ref()?;
                let misses = whole(pattern).is_ok_and(|whole| !whole.is_match(value));
                misses.then(|| format!("{value:?} does not match the parameter's pattern {pattern}"))
            }
            Kind::Integer { minimum, maximum } => {
                let Ok(number) = value.parse::<i64>() else { return Some(format!("{value:?} is not a whole number")) };
                if let Some(least) = minimum.filter(|least| number < *least) {
                    return Some(format!("{number} is below the minimum {least}"));
                }
                maximum.filter(|most| number > *most).map(|most| format!("{number} is above the maximum {most}"))
            }
            Kind::Boolean => (!matches!(value, "true" | "false")).then(|| format!("{value:?} is neither \"true\" nor \"false\"")),
            Kind::Duration => Span::try_from(value.to_owned()).err().map(|problem| problem.to_string()),
        }
    }

    /// What is wrong with its pattern, in words.
    #[must_use]
    pub fn pattern_problem(&self) -> Option<String> {
        let Kind::Text { pattern: Some(pattern), .. } = &self.kind else { return None };
        whole(pattern).err()
    }
}

/// Compiles a pattern so that it matches whole values.
fn whole(pattern: &str) -> Result<Regex, String> {
    let compile = |text: &str| regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    // Alone first: "a)|(b" would be valid between the brackets, and match parts.
    compile(pattern).and_then(|_| compile(&format!("^(?:{pattern})$"))).map_err(|error| {
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: Kind, value: &str) -> Option<String> {
        Parameter { name: "p".into(), kind, default: None }.problem(value)
    }

    #[test]
    fn a_pattern_that_is_none_is_told_from_one_that_is() {
        let problem = |pattern: &str| {
            let kind = Kind::Text { pattern: Some(pattern.into()), allowed: Vec::new() };
            Parameter { name: "p".into(), kind, default: None }.pattern_problem()
        };
        assert_eq!(problem("a|bc"), None);
        assert_eq!(problem("a)|(b").as_deref(), Some("unopened group"));
        assert_eq!(Parameter { name: "p".into(), kind: Kind::Boolean, default: None }.pattern_problem(), None);
    }

    #[test]
    fn a_pattern_matches_the_whole_value() {
        let kind = || Kind::Text { pattern: Some("a|bc".into()), allowed: Vec::new() };
        assert_eq!(problem(kind(), "bc"), None);
        assert_eq!(problem(kind(), "abc").as_deref(), Some("\"abc\" does not match the parameter's pattern a|bc"));
    }

    #[test]
    fn numbers_have_bounds_and_booleans_two_values() {
        let kind = || Kind::Integer { minimum: Some(1), maximum: Some(9) };
        assert_eq!(problem(kind(), "9"), None);
        assert_eq!(problem(kind(), "10").as_deref(), Some("10 is above the maximum 9"));
        assert_eq!(problem(kind(), "0").as_deref(), Some("0 is below the minimum 1"));
        assert_eq!(problem(kind(), "1.5").as_deref(), Some("\"1.5\" is not a whole number"));
        assert_eq!(problem(Kind::Boolean, "no").as_deref(), Some("\"no\" is neither \"true\" nor \"false\""));
        assert!(problem(Kind::Duration, "90").is_some());
        assert_eq!(problem(Kind::Duration, "90m"), None);
    }

    #[test]
    fn a_value_is_one_of_those_allowed() {
        let kind = Kind::Text { pattern: None, allowed: vec!["blue".into(), "green".into()] };
        assert_eq!(problem(kind, "red").as_deref(), Some("\"red\" is none of blue, green"));
    }
}
