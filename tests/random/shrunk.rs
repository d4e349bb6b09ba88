//! What breaks a promise is made small, and its file plays the same.
//!
//! In: promises that are false on purpose. Out: small nights. Invariant: nothing of the product is at fault here. Not here: how it is done
//! (`shrink`).

use crate::draft::Draft;
use crate::draw::draw;
use crate::shrink::shrink;
use crate::stage::{Kind, Scene};

/// A false promise: no person ever turns a night back that is under way.
fn breaks(scene: &Scene) -> bool {
    let played = scene.play(&[]);
    let ordered = scene.faults.iter().zip(&played.struck).any(|(fault, count)| fault.kind == Kind::OrderTurnBack && *count > 0);
    ordered && played.outcome == "RolledBack"
}

fn fails(draft: &Draft) -> bool {
    breaks(&draft.scene("falsa"))
}

#[test]
fn a_night_that_breaks_a_promise_is_written_down_as_small_as_it_can_be_and_breaks_it_again() {
    let has = |draft: &Draft| {
        !draft.waits() && draft.faults.len() > 1 && draft.faults.iter().any(|one| one.kind == Kind::OrderTurnBack)
    };
    let large =
        (0..20_000).map(draw).find(|draft| has(draft) && draft.steps.len() > 3 && fails(draft)).expect("a night like that");
    let small = shrink(&large, fails);
    assert!(fails(&small), "{small:#?}");
    assert_eq!(small.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [Kind::OrderTurnBack]);
    assert!(small.steps.len() <= 3 && small.services.len() == 1 && small.steps.len() < large.steps.len(), "{small:#?}");
    let text = small.scene("falsa").text("A promise that is false on purpose.");
    let read = Scene::parse("falsa", &text);
    assert!(breaks(&read), "{text}");
    assert_eq!(read.play(&[]).trace(), small.scene("falsa").play(&[]).trace(), "the file is the night");
    // What is any smaller keeps the promise: an order with nothing to turn back.
    let mut smaller = small.clone();
    smaller.faults.clear();
    assert!(!fails(&smaller));
}
