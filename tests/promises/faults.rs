//! Nights in which something goes wrong that the file says: they keep their promises. One that was drawn and broke one is put here as it
//! was written down.
//!
//! In: the nights that have faults of their own. Out: no promise broken. Invariant: every fault of the file struck. Not here: deaths at
//! every write (`crashes`).

use crate::stage::Scene;
use crate::stage::excuse::judged;

#[test]
fn whatever_its_file_says_goes_wrong_a_night_keeps_its_promises() {
    let mut problems = vec![];
    let scenes: Vec<Scene> = Scene::all().into_iter().filter(|scene| !scene.faults.is_empty()).collect();
    for scene in &scenes {
        let played = scene.play(&[]);
        let missed = scene.faults.iter().zip(&played.struck).filter(|(_, count)| **count == 0);
        problems.extend(missed.map(|(fault, _)| format!("{}: {:?} never strikes", scene.name, fault.kind)));
        problems.extend(judged(scene, &played).iter().map(|one| format!("{}: {}: {}", scene.name, one.promise, one.what)));
    }
    assert!(problems.is_empty() && !scenes.is_empty(), "{}", problems.join("\n"));
}
