//! A YAML text as a tree in which every node knows its line and column.
//!
//! In: text. Out: one [`Root`] per document that is not empty; where a fault ends the parsing, those before it, and the fault.
//! Duplicate keys do not end it: they stay in the tree, for the caller to report all at once.
//!
//! serde-saphyr reads the scalars and tells positions through `Spanned`, so that this is one pass with its limits on.
//! What is not here: what a document must contain (`document.rs`).

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Options, Spanned};

use super::places::Position;
use super::{NOT_YAML, ReadProblem, TOO_LARGE};

/// Nesting of lists and objects; the deepest Kubernetes schemas stay below 60.
const DEPTH_MAX: usize = 100;
/// Ample for [`DEPTH_MAX`] in a build without optimizations; only what is used is taken from memory.
const STACK_BYTES: usize = 32 * 1024 * 1024;
const NODES_MAX: usize = 200_000;
const DOCUMENTS_MAX: usize = 1_024;
/// How often what stands before a fault is read again.
const REREAD_MAX: usize = 2;
/// Nodes that aliases may repeat, in one file.
const REPEATED_NODES_MAX: usize = 20_000;

/// A document: its tree and where it starts.
pub(super) struct Root {
    pub(super) position: Position,
    pub(super) node: Node,
}

/// A node; an object keeps its keys as written, duplicates included.
pub(super) enum Node {
    Scalar(Value),
    /// A number that JSON cannot hold, and where it stands as the value of a field, whose place is that of its name.
    NotFinite(Option<Position>),
    List(Vec<(Position, Node)>),
    Object(Vec<(Position, String, Node)>),
}

/// Why a text cannot be parsed any further.
pub(super) struct Fault {
    reason: &'static str,
    position: Option<Position>,
    message: String,
    /// The line at which the first document begins that is not read; none when that is the first of all.
    unread_from: Option<u32>,
}

impl Fault {
    pub(super) fn in_file(self, file: &str, text: &str) -> ReadProblem {
        let message = if self.reason == NOT_YAML { self.advised(text) } else { self.message };
        let (line, column) = self.position.map_or((None, None), |(line, column)| (Some(line), Some(column)));
        let unread = self.unread_from.map(|line| format!("; of this file nothing from line {line} on was looked at"));
        let message = format!("{message}{}", unread.unwrap_or_default());
        ReadProblem { reason: self.reason, file: file.to_owned(), line, column, message }
    }

    /// What to do about a fault of the text, as far as the line tells.
    fn advised(&self, text: &str) -> String {
        let line = self.position.and_then(|(line, _)| text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?));
        let line = line.unwrap_or_default();
        let indent = line.split(|c: char| !c.is_whitespace()).next().unwrap_or_default();
        let advice = if self.message.contains("tab") || indent.contains('\t') {
            "indent with spaces, here and on the next line"
        } else if self.message.contains("unknown anchor") && has_anchor_elsewhere(line, text) {
            "an anchor ends with its document, at ---: write out what it stands for"
        } else if line.contains("{{") {
            "this looks like a template: render it first"
        } else {
            "mend this line, or what is left open above it"
        };
        format!("{}: {advice}", self.message)
    }
}

/// Whether what a line's alias repeats stands somewhere else in the text.
fn has_anchor_elsewhere(line: &str, text: &str) -> bool {
    let name = |after: &str| after.split(|c: char| c.is_whitespace() || ",]}".contains(c)).next().map(str::to_owned);
    let mut names = line.split('*').skip(1).filter_map(name).filter(|name| !name.is_empty());
    names.any(|name| {
        text.split('&').skip(1).any(|after| after.split(|c: char| c.is_whitespace() || ",]}".contains(c)).next() == Some(&name))
    })
}

/// Parses every document of the text, or every one before the first fault; empty ones are left out.
pub(super) fn parse(text: &str) -> (Vec<Root>, Option<Fault>) {
    let fault = match parse_apart(text) {
        Ok(roots) => return (roots, None),
        Err(fault) => fault,
    };
    if fault.reason != NOT_YAML {
        return (Vec::new(), Some(fault));
    }
    let line = fault.position.map_or(0, |(line, _)| line);
    // What is left open in one document may be noticed in the next.
    for (unread_from, whole) in documents_before(text, line).into_iter().rev().take(REREAD_MAX) {
        if let Ok(roots) = parse_apart(whole)
            && !roots.is_empty()
        {
            return (roots, Some(Fault { unread_from: Some(unread_from), ..fault }));
        }
    }
    (Vec::new(), Some(fault))
}

/// The lines at which a document begins, up to `line`, each with the text before it.
fn documents_before(text: &str, line: u32) -> Vec<(u32, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    for (number, content) in (1..=line).zip(text.split_inclusive('\n')) {
        let is_mark = content.strip_prefix("---").is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace));
        if let Some(before) = text.get(..start).filter(|_| is_mark) {
            found.push((number, before));
        }
        start += content.len();
    }
    found
}

/// On a thread of its own: parsing descends with the text's nesting, and the caller's stack may be any.
fn parse_apart(text: &str) -> Result<Vec<Root>, Fault> {
    let unparsed = |message: String| Fault { reason: NOT_YAML, position: None, message, unread_from: None };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("read".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || parse_here(text))
            .map_err(|error| unparsed(format!("cannot be parsed now, no thread could be started: {error}; try again")))?
            .join()
            .unwrap_or_else(|_| Err(unparsed("cannot be parsed: the YAML parser failed on it; simplify the file".to_owned())))
    })
}

fn parse_here(text: &str) -> Result<Vec<Root>, Fault> {
    let roots = serde_saphyr::from_multiple_with_options::<Spanned<Node>>(text, options()).map_err(fault)?;
    Ok(roots.into_iter().map(|root| Root { position: position(root.referenced), node: root.value }).collect())
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_documents: DOCUMENTS_MAX,
            max_recorded_anchor_events: NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPEATED_NODES_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that `map_err` wants")]
fn fault(error: serde_saphyr::Error) -> Fault {
    let at = error.location().map(position);
    let error = error.without_snippet();
    if let Some(limit) = limit_reached(error) {
        return Fault { reason: TOO_LARGE, position: at, message: limit, unread_from: None };
    }
    let said = error.to_string();
    // The place is told apart from the words.
    let words = at.and_then(|(line, column)| said.strip_suffix(&format!(" at line {line}, column {column}")));
    Fault { reason: NOT_YAML, position: at, message: words.unwrap_or(&said).to_owned(), unread_from: None }
}

/// What to do about a limit, in our words; None for faults of the text itself.
fn limit_reached(error: &serde_saphyr::Error) -> Option<String> {
    use serde_saphyr::Error;
    use serde_saphyr::budget::BudgetBreach;
    match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            Some(format!("is nested deeper than {DEPTH_MAX} levels: simplify it"))
        }
        Error::Budget { breach: BudgetBreach::Nodes { .. }, .. } => {
            Some(format!("the file has more than {NODES_MAX} values: split it"))
        }
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            Some(format!("the file has more than {DOCUMENTS_MAX} documents: split it"))
        }
        Error::Budget { breach, .. } => Some(format!("the file exceeds a limit of the parser ({breach:?}): split it")),
        // The scanner has a limit of its own, below ours, for lists in brackets.
        deep if deep.to_string().contains("recursion limit") => {
            Some("is nested deeper than the parser follows: simplify it".to_owned())
        }
        // Wrapped with both places when it happens inside an alias; only its words are left to know it by.
        replay if replay.to_string().starts_with("alias replay ") => {
            Some(format!("aliases repeat more than {REPEATED_NODES_MAX} values: write them out, or split the file"))
        }
        _ => None,
    }
}

fn position(location: Location) -> Position {
    let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    (bounded(location.line()), bounded(location.column()))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Number::from_f64(value).map_or(Node::NotFinite(None), |number| Node::Scalar(Value::Number(number))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Value::String(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Scalar(Value::String(value)))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Node>>()? {
            list.push((position(item.referenced), item.value));
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some((key, mut value)) = fields.next_entry::<Spanned<String>, Spanned<Node>>()? {
            if let Node::NotFinite(at) = &mut value.value {
                *at = Some(position(value.referenced));
            }
            object.push((position(key.referenced), key.value, value.value));
        }
        Ok(Node::Object(object))
    }
}
