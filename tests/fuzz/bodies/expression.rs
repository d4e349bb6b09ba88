//! CEL: an expression, and after a line `---` the object that it is asked about.

use notturno::api::expression::Expression;
use serde_json::{Value, json};

/// The longest words about an expression.
const WHY_CHARS_MAX: usize = 400;

/// Takes the bytes for an expression and an object; without one, for a Deployment that is almost ready.
pub fn take(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (expression, object) = text.split_once("\n---\n").unwrap_or((text, ""));
    let object = serde_json::from_str(object).unwrap_or_else(|_| deployment());
    let parsed = Expression::parse(expression);
    assert_eq!(Expression::parse(expression), parsed, "{expression:?}: read twice");
    match parsed {
        Err(why) => assert_words(expression, &why),
        Ok(parsed) => {
            let holds = parsed.holds(&object);
            if let Err(why) = &holds {
                assert_words(expression, why);
                // It may fail while people write; what was accepted then has an answer in the night.
                assert_ne!(why, "the interpreter itself failed on it", "{expression:?}");
            }
            assert_eq!(parsed.holds(&object), holds, "{expression:?}: asked twice");
        }
    }
}

fn assert_words(expression: &str, why: &str) {
    assert!(!why.trim().is_empty() && why.chars().count() <= WHY_CHARS_MAX, "{expression:?}: {why:?}");
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ricetta-api", "labels": {"app": "ricetta"}},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "c", "image": "c:1"}]}}},
        "status": {"readyReplicas": 2, "share": 0.5, "conditions": [{"type": "Available", "status": "True"}]}})
}
