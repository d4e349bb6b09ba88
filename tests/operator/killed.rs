//! An operator that is killed at a write of a hanging night, and another that takes over: the end is the same.

use std::sync::Arc;
use std::time::Duration;

use notturno::embedded::{Fault, FaultFn, RequestInfo, Stage};
use serde_json::Value;
use tokio::sync::Notify;

use crate::told::of_records;
use crate::world::{NIGHT, Running, World};

/// A hanging night that turns back, and what a person finds after it.
pub struct Killed {
    pub world: fn() -> World,
    pub operator: fn(&World) -> Running,
    pub found: fn(&World) -> Vec<Value>,
}

impl Killed {
    /// One write in `every` from the `first` on, the operator killed before or after it; the first such write that the night lacks.
    pub fn at_each_write(&self, stage: Stage, first: u64, every: u64) -> u64 {
        let mut number = first;
        while self.at(number, stage) {
            number += every;
        }
        println!("killed {stage:?} one write in {every}, up to {number}");
        number
    }

    /// Kills it at this write and plays the night to its end; false when the night has no such write.
    pub fn at(&self, number: u64, stage: Stage) -> bool {
        let by_day = paused(async { (self.found)(&(self.world)()) });
        let end = paused(self.at_write(number, stage));
        assert!(end.as_ref().is_none_or(|end| *end == by_day), "write {number}, {stage:?}: {end:#?}");
        end.is_some()
    }

    /// The writes of a night that nobody kills.
    pub fn writes(&self, is: impl Fn(&RequestInfo) -> bool) -> Vec<u64> {
        paused(async {
            let world = (self.world)();
            let _operator = (self.operator)(&world);
            world.outcome(NIGHT).await;
            tokio::time::sleep(Duration::from_secs(120)).await;
            let log = world.embedded.log().into_iter();
            log.filter(|one| is(&one.request)).filter_map(|one| one.request.write_number).collect()
        })
    }

    /// What a person finds after a night whose operator was killed at this write; none when the night has no such write.
    async fn at_write(&self, number: u64, stage: Stage) -> Option<Vec<Value>> {
        let world = (self.world)();
        let killed = hang(&world, number, stage);
        let first = (self.operator)(&world);
        tokio::select! {
            biased;
            () = killed.notified() => {}
            _ = world.outcome(NIGHT) => return None,
        }
        drop(first);
        world.embedded.set_fault(None);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let _second = (self.operator)(&world);
        assert_eq!(world.outcome(NIGHT).await, "RolledBack", "write {number}, {stage:?}");
        tokio::time::sleep(Duration::from_secs(120)).await;
        let ledger = world.ledger().await;
        assert_eq!(ledger.broken, None, "write {number}, {stage:?}");
        assert_eq!(of_records(&world).len(), ledger.entries.len(), "write {number}, {stage:?}: all is told");
        assert!(world.starts().iter().all(|(_, starts)| *starts <= 1), "write {number}, {stage:?}: {:?}", world.starts());
        assert_eq!(world.switch(), None, "write {number}, {stage:?}");
        assert_eq!(world.held(), [] as [String; 0], "write {number}, {stage:?}");
        Some((self.found)(&world))
    }
}

/// One write hangs, before it is done, or after it and before its answer; rung when it does.
fn hang(world: &World, number: u64, stage: Stage) -> Arc<Notify> {
    let happened = Arc::new(Notify::new());
    let bell = Arc::clone(&happened);
    let fault: FaultFn = Arc::new(move |request: &RequestInfo, now: Stage| {
        if request.write_number == Some(number) && now == stage {
            bell.notify_one();
            return Fault::Hang;
        }
        Fault::None
    });
    world.embedded.set_fault(Some(fault));
    happened
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(work)
}
