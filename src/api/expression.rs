//! CEL expressions over one object, as `wait` has them.
//!
//! In: what people write, and objects. Out: [`Expression`], and whether it holds. Invariants: an expression that does not compile, or that
//! names anything but `self`, is refused with words; a field that is not there makes it not true; a deep expression overflows no stack of
//! the program, and a fault of the interpreter is an error value; its costs are bounded ([`bounds`]). Not here: how long an evaluation may
//! take (the operator), costs as the API server counts them.

mod bounds;

use std::sync::Arc;

use cel::{Context, ExecutionError, IdedExpr, Program};
use serde_json::Value;

/// The longest expression, in characters.
pub const CHARS_MAX: usize = 1024;
/// The largest object that is looked into, as JSON.
pub const OBJECT_BYTES_MAX: usize = 1024 * 1024;
/// Enough for the deepest expression of that length.
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// The longest words kept of an error.
const REASON_CHARS_MAX: usize = 300;

/// An expression that compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(Arc<str>);

impl Expression {
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let length = text.chars().count();
        if text.trim().is_empty() || length > CHARS_MAX {
            return Err(format!("an expression has 1 to {CHARS_MAX} characters, this has {length}"));
        }
        let own: Arc<str> = text.into();
        let source = Arc::clone(&own);
        with_room(move || {
            let program = compiled(&source)?;
            let mut context = Context::default();
            bounds::count(&mut context);
            context.add_variable_from_value("self", cel::Value::Map(cel::objects::Map { map: Arc::default() }));
            match cel::Value::resolve(&program, &context) {
                Err(ExecutionError::UndeclaredReference(name)) => {
                    Err(bounded(&format!("{name} is not known here: the object is called self")))
                }
                Ok(_) | Err(_) => Ok(()),
            }
        })??;
        Ok(Self(own))
    }

    /// Whether it is true of the object; an error says why that cannot be told.
    ///
    /// # Errors
    /// What the interpreter says, or that the object is too large.
    pub fn holds(&self, object: &Value) -> Result<bool, String> {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let bytes = object.to_string().len();
        if bytes > OBJECT_BYTES_MAX {
            return Err(format!("the object has {bytes} bytes; expressions look into {OBJECT_BYTES_MAX} at most"));
        }
        let source = Arc::clone(&self.0);
        with_room(move || {
            let program = compiled(&source)?;
            let mut context = Context::default();
            bounds::count(&mut context);
            context.add_variable_from_value("self", of_json(&object));
            match cel::Value::resolve(&program, &context) {
                Ok(cel::Value::Bool(holds)) => Ok(holds),
                Ok(other) => Err(bounded(&format!("it gives {:?}, which is neither true nor false", other.type_of()))),
                Err(ExecutionError::NoSuchKey(_)) => Ok(false),
                Err(error) => Err(bounded(&words(&error))),
            }
        })?
    }
}

fn compiled(source: &str) -> Result<IdedExpr, String> {
    let program = Program::compile(source).map_err(|error| bounded(&format!("it is not CEL: {error}")))?;
    bounds::bounded(program.expression().clone())
}

/// Runs it on a stack of its own, where a fault of the interpreter ends nothing else.
fn with_room<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let thread = std::thread::Builder::new().name("cel".to_owned()).stack_size(STACK_BYTES).spawn(run);
    let thread = thread.map_err(|error| format!("no thread to evaluate it on: {error}"))?;
    thread.join().map_err(|_| "the interpreter itself failed on it".to_owned())
}

/// An error of the interpreter without the values in it: those are the object's, and the order of a map is chance, so that the same
/// failure would be told in other words each time.
#[allow(clippy::wildcard_enum_match_arm, reason = "the library's errors, which may grow; the others hold no values")]
pub(super) fn words(error: &ExecutionError) -> String {
    use ExecutionError as Error;
    let kind = cel::Value::type_of;
    match error {
        Error::UnsupportedTargetType { target } => format!("this is not possible on {}", kind(target)),
        Error::NotSupportedAsMethod { method, target } => format!("{method} is not possible on {}", kind(target)),
        Error::UnsupportedKeyType(key) => format!("{} is no key of a map", kind(key)),
        Error::ValuesNotComparable(one, other) => format!("{} and {} cannot be compared", kind(one), kind(other)),
        Error::UnsupportedUnaryOperator(operator, value) => format!("{operator} is not possible on {}", kind(value)),
        Error::UnsupportedBinaryOperator(operator, one, other) => {
            format!("{operator} is not possible between {} and {}", kind(one), kind(other))
        }
        Error::UnsupportedMapIndex(index) => format!("{} is no key of a map", kind(index)),
        Error::UnsupportedListIndex(index) => format!("{} is no place in a list", kind(index)),
        Error::UnsupportedIndex(index, value) => format!("{} is no place in {}", kind(index), kind(value)),
        Error::NoSuchOverload | Error::UnexpectedType { .. } => {
            "an operator or a function gets values of kinds that it does not take".to_owned()
        }
        Error::DivisionByZero(_) | Error::RemainderByZero(_) => "it divides by zero".to_owned(),
        Error::Overflow(operator, ..) => format!("{operator} comes to more than a number holds"),
        Error::IndexOutOfBounds(_) => "a list has no such place".to_owned(),
        // `cannot convert …`, `cannot determine the size of …`: what follows is a value.
        Error::FunctionError { function, message } if message.starts_with("cannot ") => {
            format!("{function} is not possible on what it gets")
        }
        other => other.to_string(),
    }
}

fn bounded(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(REASON_CHARS_MAX).collect()
}

/// As the API server's CEL sees JSON: whole numbers are `int`.
fn of_json(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => cel::Value::Int(value),
            (None, Some(value)) => cel::Value::UInt(value),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(of_json).collect())),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| (cel::objects::Key::String(Arc::new(key.clone())), of_json(value));
            cel::Value::Map(cel::objects::Map { map: Arc::new(members.iter().map(member).collect()) })
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(text: &str, object: &Value) -> Result<bool, String> {
        Expression::parse(text).expect("it compiles").holds(object)
    }

    #[test]
    fn what_people_wait_for_is_told() {
        let live = json!({"kind": "Deployment", "spec": {"replicas": 3}, "status": {"readyReplicas": 3, "share": 0.5,
            "conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "False"}]}});
        for (text, expected) in [
            ("self.status.readyReplicas >= 3", true),
            ("self.status.readyReplicas == self.spec.replicas", true),
            ("self.status.readyReplicas > 3", false),
            ("self.status.conditions.exists(c, c.type == 'Available' && c.status == 'True')", true),
            ("self.status.conditions.all(c, c.status == 'True')", false),
            ("has(self.status.share) && self.status.share < 1.0", true),
            ("has(self.status.absent)", false),
            ("self.status.conditions.filter(c, c.type == 'Progressing')[0].status == 'False'", true),
            ("self.kind.startsWith('Deploy') && size(self.status.conditions) == 2", true),
        ] {
            assert_eq!(holds(text, &live), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_not_true() {
        for text in ["self.status.readyReplicas >= 3", "self.status.phase == 'Bound'", "self.a.b.c"] {
            assert_eq!(holds(text, &json!({"status": {}})), Ok(false), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_says_why() {
        let live = json!({"spec": {"replicas": 3}});
        assert!(holds("self.spec.replicas", &live).is_err_and(|why| why.contains("neither true nor false")));
        assert!(holds("self.spec.replicas > 'x'", &live).is_err());
        for (text, words) in [
            ("self.spec - 1", "sub is not possible between map and int"),
            ("self.spec.replicas > self.spec", "an operator or a function gets values of kinds that it does not take"),
            ("self.spec.getFullYear() > 1", "an operator or a function gets values of kinds that it does not take"),
            ("self.spec[self]", "map is no key of a map"),
            ("self.spec.replicas / 0 > 1", "it divides by zero"),
            ("[1][self.spec.replicas] > 1", "a list has no such place"),
            ("self.spec.replicas + 9223372036854775807 > 1", "add comes to more than a number holds"),
            ("string(self.spec) == ''", "string is not possible on what it gets"),
            ("size(self.spec.replicas) > 1", "size is not possible on what it gets"),
        ] {
            assert_eq!(holds(text, &live), Err(words.to_owned()), "{text}: in the same words each time");
        }
        let large = json!({"data": "x".repeat(OBJECT_BYTES_MAX)});
        assert!(holds("true", &large).is_err_and(|why| why.contains("bytes")));
        let managed = json!({"metadata": {"managedFields": "x".repeat(OBJECT_BYTES_MAX)}});
        assert_eq!(holds("!has(self.metadata.managedFields)", &managed), Ok(true));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_words() {
        let refused = |text: &str| Expression::parse(text).expect_err("it is refused");
        assert!(refused("self.status.").contains("it is not CEL"));
        assert!(refused("object.status.ready").contains("object is not known here"));
        assert!(refused("niente(self)").contains("niente is not known here"));
        assert!(refused(" ").contains("1 to 1024"));
        assert!(refused(&"a".repeat(1025)).contains("1025"));
    }

    /// A map's own order is another one each time, and the first item that decides ends a loop.
    #[test]
    fn a_map_is_looked_through_in_one_order() {
        let live =
            json!({"all": {"m": 0, "b": 1, "a": 2, "l": 3, "c": 4, "z": 5, "k": 6, "y": 7}, "mixed": {"a": 1, "b": "x", "c": 0}});
        assert_eq!(holds("self.all.map(k, k) == ['a', 'b', 'c', 'k', 'l', 'm', 'y', 'z']", &live), Ok(true));
        for _ in 0..20 {
            assert_eq!(holds("self.mixed.all(k, self.mixed[k] < 1)", &live), Ok(false), "a decides");
        }
        assert_eq!(holds("{3: 'x', 1: 'y', 2: 'z'}.filter(k, k > 1) == [2, 3]", &live), Ok(true));
        assert_eq!(holds("self.absent.exists(k, k == 'a')", &live), Ok(false));
    }

    #[test]
    fn what_could_cost_without_bound_is_refused_before_it_runs() {
        let items = format!("[{}0]", "0,".repeat(49));
        let nested = ["a", "b", "c", "d", "e", "f"].iter().fold("true".to_owned(), |e, v| format!("{items}.all({v}, {e})"));
        let doubled = format!("size(['x']{}) > 0", ".map(x, x + x)".repeat(60));
        let chained = format!("size(self.a{}) > 0", ".filter(x, true)".repeat(3));
        let copied = "self.a.exists(x, [x, x].exists(y, true))";
        for costly in [nested.as_str(), &doubled, &chained, copied, "Messaggio{a: 1} == self"] {
            assert!(Expression::parse(costly).is_err(), "{costly}");
        }
        for cheap in [
            "self.items.exists(i, i.conditions.exists(c, c.type in ['Ready', 'Available']))",
            "self.items.filter(i, i.ready).map(i, i.name) == ['a']",
            "self.items.exists_one(i, i.ready) && self.items.all(i, i.old) && self.a + 1 > 2",
        ] {
            assert!(Expression::parse(cheap).is_ok(), "{cheap}");
        }
    }

    #[test]
    fn loops_turn_only_so_often() {
        let many = json!({"items": vec![0; 400]});
        let why = holds("self.items.all(a, self.items.all(b, a == b))", &many).expect_err("400 times 400 is too often");
        assert!(why.contains("more than 100000"), "{why}");
        assert_eq!(holds("self.items.all(a, a == 0)", &many), Ok(true));
    }

    /// Whoever asks may have little room itself.
    #[test]
    fn a_deep_expression_ends_no_process() {
        let ask = || {
            for deep in [
                format!("{}true{}", "(".repeat(500), ")".repeat(500)),
                "!".repeat(1000) + "true",
                format!("self{}", ".a".repeat(500)),
            ] {
                let _ = Expression::parse(&deep).map(|expression| expression.holds(&json!({})));
            }
        };
        let asking = std::thread::Builder::new().stack_size(128 * 1024).spawn(ask).expect("a thread");
        asking.join().expect("it comes to its end");
    }
}
