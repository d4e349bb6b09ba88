//! What a closing changes, and that the way back is exact.

use proptest::prelude::*;
use serde_json::{Value, json};

use notturno::model::epoch::Epoch;
use notturno::model::service::Change;
use notturno::operator::effects::capture::{
    FieldChange, Guard, Preimage, changes, close_patch, common, is_closed, is_restored, preimage, restore_patch, untouchable,
};
use notturno::operator::effects::token::{Token, Way};

const FORWARD: &str = "night.1.forward";
const REOPEN: &str = "night.1.reopen";

fn apply(object: &Value, patch: &[Value]) -> Result<Value, String> {
    let patch: json_patch::Patch = serde_json::from_value(json!(patch)).map_err(|e| e.to_string())?;
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).map_err(|e| e.to_string())?;
    Ok(object)
}

fn with_metadata(mut object: Value, token: &str) -> Value {
    object["metadata"] = json!({"uid": "u", "resourceVersion": "7", "annotations": {"notturno.dev/token": token}});
    object
}

fn close(object: &Value, change: &Change) -> Value {
    apply(object, &close_patch(object, "u", FORWARD, &changes(object, change))).expect("the closing applies")
}

fn restore(object: &Value, preimage: &Preimage) -> Value {
    let mut burned = object.clone();
    burned["metadata"]["annotations"]["notturno.dev/token"] = json!(REOPEN);
    let mut open =
        apply(&burned, &restore_patch(&burned, "u", &Guard::Token(REOPEN.into()), preimage)).expect("the restoring applies");
    open["metadata"]["annotations"]["notturno.dev/token"] = json!(FORWARD);
    open
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..4_i64).prop_map(Value::from),
        "[a-b/~]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c/~0]{0,2}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn json_object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-c/~0]{0,2}", json_value(), 0..5).prop_map(|map| json!(map))
}

proptest! {
    #[test]
    fn closing_then_restoring_gives_the_same_object(object in json_object(), merge in json_object()) {
        let live = with_metadata(object, FORWARD);
        let change = Change::Merge { merge };
        let before = preimage(&live, "things", &change);
        let closed = close(&live, &change);
        prop_assert!(is_closed(&closed, &change));
        let written: Preimage = serde_json::from_str(&serde_json::to_string(&before)?)?;
        prop_assert_eq!(&written, &before);
        let open = restore(&closed, &written);
        prop_assert!(is_restored(&open, &before));
        prop_assert_eq!(open, live);
    }

    /// Whatever else became of the object meanwhile: the fields are as before, and restoring again changes nothing.
    #[test]
    fn restoring_brings_the_fields_back_whatever_the_object_has_become(
        object in json_object(), merge in json_object(), later in json_object()
    ) {
        let live = with_metadata(object, FORWARD);
        let before = preimage(&live, "things", &Change::Merge { merge });
        let open = restore(&with_metadata(later, FORWARD), &before);
        prop_assert!(is_restored(&open, &before));
        prop_assert_eq!(restore(&open, &before), open);
    }

    /// What a closing leaves is what RFC 7386 says, except for empty parents of fields that were only to be removed.
    #[test]
    fn a_closing_is_a_merge_patch(object in json_object(), merge in json_object()) {
        let live = with_metadata(object, FORWARD);
        let closed = close(&live, &Change::Merge { merge: merge.clone() });
        let mut merged = live.clone();
        json_patch::merge(&mut merged, &merge);
        prop_assert_eq!(without_empty(closed), without_empty(merged));
    }
}

fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().map(|(key, value)| (key, without_empty(value)));
            Value::Object(kept.filter(|(_, value)| value != &json!({})).collect())
        }
        other => other,
    }
}

fn deployment() -> Value {
    with_metadata(json!({"spec": {"replicas": 3, "template": {"labels": {"a": "b"}}}}), FORWARD)
}

#[test]
fn scaling_and_suspending_name_one_field() {
    let scaled = changes(&deployment(), &Change::Scale { replicas: 0 });
    let expected = FieldChange { pointer: "/spec/replicas".into(), before: Some(json!(3)), after: Some(json!(0)) };
    assert_eq!(scaled, [expected]);
    let suspended = changes(&json!({"spec": {}}), &Change::Suspend {});
    assert_eq!(suspended, [FieldChange { pointer: "/spec/suspend".into(), before: None, after: Some(json!(true)) }]);
}

#[test]
fn where_parents_are_missing_the_first_of_them_is_added_and_removed() {
    let change = Change::Merge { merge: json!({"spec": {"page": {"text": {"it": "chiuso"}, "old": null}}}) };
    let found = changes(&deployment(), &change);
    assert_eq!(
        found,
        [FieldChange { pointer: "/spec/page".into(), before: None, after: Some(json!({"text": {"it": "chiuso"}})) }]
    );
    assert_eq!(restore(&close(&deployment(), &change), &preimage(&deployment(), "x", &change)), deployment());
}

#[test]
fn a_closing_refuses_another_token_another_object_and_another_value() {
    let change = Change::Scale { replicas: 0 };
    let found = changes(&deployment(), &change);
    let patch = close_patch(&deployment(), "u", FORWARD, &found);
    let burned = with_metadata(deployment(), &Token::of("night", Epoch::OPERATOR, Way::Reopen).to_string());
    let mut recreated = deployment();
    recreated["metadata"]["uid"] = json!("v");
    let mut scaled = deployment();
    scaled["spec"]["replicas"] = json!(4);
    for other in [burned, recreated, scaled] {
        assert!(apply(&other, &patch).is_err(), "{other}");
    }
    assert!(apply(&deployment(), &patch).is_ok());
}

#[test]
fn adding_a_field_holds_only_for_the_revision_that_was_read() {
    let change = Change::Merge { merge: json!({"spec": {"closed": true}}) };
    let patch = close_patch(&deployment(), "u", FORWARD, &changes(&deployment(), &change));
    let mut moved = deployment();
    moved["metadata"]["resourceVersion"] = json!("8");
    assert!(apply(&moved, &patch).is_err());
}

#[test]
fn identity_status_and_our_own_marks_are_untouchable() {
    let change = Change::Merge {
        merge: json!({"kind": "X", "status": {"a": 1}, "spec": {"a": 1}, "metadata": {"name": "x", "labels": {"a": "b"},
            "annotations": {"notturno.dev/token": null, "a": "b"}}}),
    };
    let found = changes(&deployment(), &change);
    assert_eq!(untouchable(&found), ["/kind", "/metadata/annotations/notturno.dev~1token", "/metadata/name", "/status"]);
    let all = Change::Merge { merge: json!({"metadata": {"annotations": null}}) };
    assert_eq!(untouchable(&changes(&deployment(), &all)), ["/metadata/annotations"]);
}

#[test]
fn two_changes_of_one_field_are_seen() {
    let one = preimage(&deployment(), "x", &Change::Scale { replicas: 0 });
    let other = preimage(&deployment(), "x", &Change::Merge { merge: json!({"spec": {"replicas": {"a": 1}}}) });
    let apart = preimage(&deployment(), "x", &Change::Merge { merge: json!({"spec": {"replicas2": 1}}) });
    assert_eq!(common(&one, &other), Some("/spec/replicas"));
    assert_eq!(common(&one, &apart), None);
}
