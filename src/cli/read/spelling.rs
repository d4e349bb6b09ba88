//! How scalars are spelled: what stands in the file before any reader decides what it means.
//!
//! In: a text that [`super::tree`] could parse (so its depth is bounded), and where the objects in it begin. Out: the plain scalars,
//! anchors, aliases and merge keys of those objects, each with its path in the object and its position. Quoted scalars are left out:
//! every reader takes them for text. Aliases are not followed. What is not here: what a spelling means to whom ([`crate::cli::check`]).

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::places::Position;
use crate::api::structure::field_path;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The name of a field.
    Key,
    /// A value.
    Value,
    /// A node that is given a name to repeat it by.
    Anchor,
    /// A place where a named node is repeated.
    Alias,
}

/// One spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// The object, as the caller numbered it.
    pub object: usize,
    /// The field, as refusals name it; of a key, the field it is the name of.
    pub path: String,
    /// Where it stands.
    pub position: Position,
    /// What it is.
    pub role: Role,
    /// As written; empty for anchors and aliases.
    pub text: String,
}

/// The spellings of the objects that begin at `starts`.
#[must_use]
pub fn spellings(text: &str, starts: &BTreeMap<Position, usize>) -> Vec<Spelling> {
    let mut walk = Walk { starts, open: Vec::new(), found: Vec::new() };
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        walk.event(&event, span);
    }
    walk.found
}

/// A list or an object that has begun.
struct Open {
    object: Option<usize>,
    path: String,
    inside: Inside,
}

enum Inside {
    List(usize),
    /// The key whose value comes next; none when a key comes next.
    Object(Option<String>),
}

struct Walk<'a> {
    starts: &'a BTreeMap<Position, usize>,
    open: Vec<Open>,
    found: Vec<Spelling>,
}

impl Walk<'_> {
    fn event(&mut self, event: &Event<'_>, span: Span) {
        let position = (bounded(span.start.line()), bounded(span.start.col()).saturating_add(1));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.anchored(*anchor, position);
                let plain = *style == ScalarStyle::Plain && tag.is_none();
                self.scalar(text, plain, position);
            }
            Event::Alias(_) => {
                self.place(position, Role::Alias, "");
                self.ended();
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Inside::List(0), *anchor, position),
            Event::MappingStart(_, anchor, _) => self.begin(Inside::Object(None), *anchor, position),
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                self.ended();
            }
            _ => {}
        }
    }

    fn anchored(&mut self, anchor: usize, position: Position) {
        if anchor != 0 {
            self.place(position, Role::Anchor, "");
        }
    }

    fn begin(&mut self, inside: Inside, anchor: usize, position: Position) {
        self.anchored(anchor, position);
        let (object, path) = match self.starts.get(&position) {
            Some(&object) if matches!(inside, Inside::Object(_)) => (Some(object), String::new()),
            Some(_) | None => self.here(),
        };
        self.open.push(Open { object, path, inside });
    }

    /// The object and the path of what comes next.
    fn here(&self) -> (Option<usize>, String) {
        let Some(open) = self.open.last() else { return (None, String::new()) };
        let path = match &open.inside {
            Inside::List(index) => format!("{}[{index}]", open.path),
            Inside::Object(None) => open.path.clone(),
            Inside::Object(Some(key)) => field_path(&open.path, key),
        };
        (open.object, path)
    }

    fn place(&mut self, position: Position, role: Role, text: &str) {
        let (Some(object), path) = self.here() else { return };
        self.found.push(Spelling { object, path, position, role, text: text.to_owned() });
    }

    fn scalar(&mut self, text: &str, plain: bool, position: Position) {
        if let Some(Open { inside: Inside::Object(key @ None), .. }) = self.open.last_mut() {
            *key = Some(text.to_owned());
            if plain {
                self.place(position, Role::Key, text);
            }
            return;
        }
        if plain {
            self.place(position, Role::Value, text);
        }
        self.ended();
    }

    /// A node has ended: the next item, or the next key.
    fn ended(&mut self) {
        match self.open.last_mut().map(|open| &mut open.inside) {
            Some(Inside::List(index)) => *index += 1,
            Some(Inside::Object(key)) => *key = None,
            None => {}
        }
    }
}

fn bounded(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
