//! What was found, before it is printed.
//!
//! In: nothing of its own. Out: [`Finding`] and [`Checked`], their JSON and exit code. Not here: how anything is found.

use serde::Serialize;
use serde_json::{Value, json};

use super::catalog;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The files are wrong: exit code 1.
    Error,
    /// Allowed, and probably not meant.
    Warning,
    /// Good to know.
    Note,
}

impl Level {
    /// One word, as SARIF has it too.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding with its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The id of the rule, one CamelCase word: [`super::RULES`].
    pub rule: String,
    /// How much it matters.
    pub level: Level,
    /// The file as it was named; `-` for standard input.
    pub file: String,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// `Kind/namespace/name`; empty when the file is meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// The field; empty when the whole object is meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
    /// The sum that does not come out, term by term.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sum: Vec<Value>,
    /// The same sum for people.
    #[serde(skip)]
    pub sum_said: String,
}

/// All that was found, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// The findings.
    pub findings: Vec<Finding>,
    /// Documents of ours: `Kind/namespace/name` and file.
    pub documents: Vec<(String, String)>,
    /// Nights that were planned and whether they are accepted.
    pub nights: Vec<(String, bool)>,
    /// Files that were named.
    pub files_count: usize,
    /// Findings beyond the most that are shown.
    pub left_out_count: usize,
}

impl Checked {
    /// 0, 1 or 2, as the verb promises.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.findings.iter().any(|finding| catalog::is_of_files(&finding.rule)) {
            2
        } else {
            u8::from(self.count(Level::Error) > 0)
        }
    }

    /// How many findings of a level there are.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// One object on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let nights: Vec<Value> =
            self.nights.iter().map(|(name, accepted)| json!({"intervention": name, "accepted": accepted})).collect();
        let report = json!({
            "ok": self.exit_code() == 0,
            "files": self.files_count,
            "documents": self.documents.len(),
            "errors": self.count(Level::Error),
            "warnings": self.count(Level::Warning),
            "notes": self.count(Level::Note),
            "leftOut": self.left_out_count,
            "nights": nights,
            "findings": self.findings,
        });
        format!("{report}\n")
    }
}
