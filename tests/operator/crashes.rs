//! Kill the operator at every write of the night, before and after it: the end is the same.

use std::time::Duration;

use notturno::embedded::Stage;

use crate::world::{Crash, NIGHT, World};

/// Plays the hanging night with one crash; none when the night has no such write.
fn night_with_crash(number: u64, stage: Stage) -> Option<Vec<serde_json::Value>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(true);
        world.declare(|_| {});
        let crash = Crash::at(&world, number, stage);
        let first = world.operator();
        tokio::select! {
            biased;
            () = crash.happened.notified() => {}
            _ = world.outcome(NIGHT) => return None,
        }
        drop(first);
        world.embedded.set_fault(None);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let _second = world.operator();
        assert_eq!(world.outcome(NIGHT).await, "RolledBack", "write {number}, {stage:?}");
        tokio::time::sleep(Duration::from_secs(120)).await;
        let ledger = world.ledger().await;
        assert_eq!(ledger.broken, None, "write {number}, {stage:?}");
        assert!(world.starts().iter().all(|(_, starts)| *starts <= 1), "write {number}, {stage:?}: {:?}", world.starts());
        let finalizers = &world.intervention(NIGHT).unwrap()["metadata"]["finalizers"];
        assert!(finalizers.as_array().is_none_or(Vec::is_empty), "write {number}, {stage:?}: {finalizers}");
        Some(world.restored())
    })
}

fn all_nights(stage: Stage) {
    let by_day = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async { World::new(true).restored() })
    };
    let mut number = 1;
    while let Some(end) = night_with_crash(number, stage) {
        assert_eq!(end, by_day, "write {number}, {stage:?}");
        number += 1;
    }
    println!("{} nights with a crash {stage:?} a write", number - 1);
    assert!(number > 60, "the night has more writes than {number}");
}

#[test]
fn a_crash_before_any_write_changes_nothing_about_the_end() {
    all_nights(Stage::Before);
}

#[test]
fn a_crash_after_any_write_changes_nothing_about_the_end() {
    all_nights(Stage::After);
}
