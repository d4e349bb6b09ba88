//! Reading files as people write them: YAML or JSON, several documents in a file, several files in a command.
//!
//! In: paths (`-` is standard input), or texts that are already in memory. Out: every [`Document`] with the place of each
//! of its fields, or every [`ReadProblem`] of every file at once, with line and column.
//!
//! Invariants:
//! - nothing panics and nothing grows without bound, whatever the bytes: sizes, depth, documents and the expansion of
//!   aliases are limited;
//! - documents come out in the order of the files and of the documents in them; a `List` is replaced by its items;
//! - objects of other API groups are returned like ours, so that one file may hold a whole night; only ours must have a
//!   `metadata.name`.
//!
//! What is not here: what the fields mean, kinds, unknown fields, strings that YAML takes for something else (`api/`).

mod document;
mod places;
mod spelling;
mod tree;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;

pub use document::Document;
pub use places::Position;
pub use spelling::{Role, Spelling, spellings};

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most files of one command.
pub const FILES_MAX: usize = 1_024;

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// The file itself cannot be read.
pub(super) const UNREADABLE: &str = "FileUnreadable";
/// The file is more than is looked at.
pub(super) const TOO_LARGE: &str = "FileTooLarge";
/// The file is no text.
pub(super) const NOT_TEXT: &str = "NotUtf8";
/// The file is no YAML.
pub(super) const NOT_YAML: &str = "NotYaml";

/// One thing that kept a file from being read, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadProblem {
    /// The kind of problem, one CamelCase word.
    pub reason: &'static str,
    /// As it was named; `-` for standard input; empty when all the files together are meant.
    pub file: String,
    /// From 1.
    pub line: Option<u32>,
    /// From 1, in characters.
    pub column: Option<u32>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for ReadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() {
            return write!(f, "{}", self.message);
        }
        write!(f, "{}", self.file)?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, ":{line}:{column}")?,
            (Some(line), None) => write!(f, ":{line}")?,
            (None, Some(_) | None) => {}
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ReadProblem {}

/// What files hold: all that could be read, and all that is wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Every document that could be read, those of files with problems included.
    pub documents: Vec<Document>,
    /// Every problem, in the order of the paths.
    pub problems: Vec<ReadProblem>,
    /// The files in the order in which they were named.
    pub files: Vec<String>,
    /// The text of every file that is text, by its name.
    pub texts: BTreeMap<String, String>,
}

impl Loaded {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        self.files.push(name.to_owned());
        match text_of(name, &with_line_feeds(bytes)) {
            Err(problem) => self.problems.push(problem),
            Ok(text) => {
                let (roots, fault) = tree::parse(text);
                for root in roots {
                    document::from_tree(name, root, &mut self.documents, &mut self.problems);
                }
                self.problems.extend(fault.map(|fault| fault.in_file(name, text)));
                self.texts.insert(name.to_owned(), text.to_owned());
            }
        }
    }

    fn whole(self) -> Result<Vec<Document>, Vec<ReadProblem>> {
        if self.problems.is_empty() { Ok(self.documents) } else { Err(self.problems) }
    }
}

/// Reads every document of every file. A path is read as a file even if it looks like a URL; `-` is standard input.
///
/// # Errors
/// Every problem of every file, in the order of the paths.
pub fn read(paths: &[String]) -> Result<Vec<Document>, Vec<ReadProblem>> {
    load(paths).whole()
}

/// As [`read`], and keeps what could be read beside what is wrong.
#[must_use]
pub fn load(paths: &[String]) -> Loaded {
    let mut loaded = Loaded::default();
    if paths.len() > FILES_MAX {
        let message = format!("{} files are named: name at most {FILES_MAX} at a time", paths.len());
        loaded.problems.push(whole_file(UNREADABLE, STANDARD_INPUT, message));
        return loaded;
    }
    for (index, path) in paths.iter().enumerate() {
        if paths.iter().take(index).any(|earlier| earlier == path) {
            loaded.problems.push(whole_file(UNREADABLE, path, "is named twice: name it once".to_owned()));
            continue;
        }
        match bytes_of(path) {
            Ok(bytes) => loaded.add(path, &bytes),
            Err(problem) => {
                loaded.files.push(path.clone());
                loaded.problems.push(problem);
            }
        }
    }
    loaded
}

/// Reads texts already in memory: `(name, bytes)`, the name standing for the file in problems.
///
/// # Errors
/// As [`read`].
pub fn read_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<Document>, Vec<ReadProblem>> {
    load_texts(texts).whole()
}

/// As [`read_texts`], and keeps what could be read beside what is wrong.
#[must_use]
pub fn load_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Loaded {
    let mut loaded = Loaded::default();
    texts.into_iter().for_each(|(name, bytes)| loaded.add(name, bytes));
    loaded
}

/// The bytes of a file, at most one more than allowed.
fn bytes_of(path: &str) -> Result<Vec<u8>, ReadProblem> {
    let unreadable = |error: std::io::Error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file: check the path".to_owned(),
            std::io::ErrorKind::IsADirectory => "is a folder: name the files in it".to_owned(),
            std::io::ErrorKind::PermissionDenied => "may not be read: check its permissions".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        whole_file(UNREADABLE, path, message)
    };
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if path == STANDARD_INPUT {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(unreadable)?;
    }
    Ok(bytes)
}

/// A carriage return that stands alone ends a line of YAML too; places and shown lines are to know one way only.
fn with_line_feeds(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_alone = |at: usize, byte: u8| byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    let mut all = bytes.iter().enumerate();
    if !all.any(|(at, byte)| is_alone(at, *byte)) {
        return Cow::Borrowed(bytes);
    }
    let all = bytes.iter().enumerate();
    Cow::Owned(all.map(|(at, byte)| if is_alone(at, *byte) { b'\n' } else { *byte }).collect())
}

fn text_of<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, ReadProblem> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("is larger than {} MiB: split it", FILE_BYTES_MAX / 1024 / 1024);
        return Err(whole_file(TOO_LARGE, file, message));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(whole_file(NOT_TEXT, file, "is UTF-16 text: save it as UTF-8".to_owned()));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let message = "holds a NUL character, which text never does: remove it; if the file is UTF-16, save it as UTF-8";
        return Err(not_text(file, bytes, at, message));
    }
    std::str::from_utf8(bytes).map_err(|error| not_text(file, bytes, error.valid_up_to(), "is not UTF-8 text: save it as UTF-8"))
}

/// A problem of the byte at a place.
fn not_text(file: &str, bytes: &[u8], at: usize, message: &str) -> ReadProblem {
    {
        let valid = bytes.get(..at).unwrap_or_default();
        let line = String::from_utf8_lossy(valid).matches('\n').count() + 1;
        let start_of_line = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(valid.get(start_of_line..).unwrap_or_default()).chars().count() + 1;
        ReadProblem {
            reason: NOT_TEXT,
            file: file.to_owned(),
            line: u32::try_from(line).ok(),
            column: u32::try_from(column).ok(),
            message: message.to_owned(),
        }
    }
}

fn whole_file(reason: &'static str, file: &str, message: String) -> ReadProblem {
    ReadProblem { reason, file: file.to_owned(), line: None, column: None, message }
}
