//! What a hostile hand or a broken cluster does to ledger and answers: what is clean opens in time all the same, and nobody calls a night
//! over that is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sentinel::found;
use crate::world::{NIGHT, World, at};
use notturno::embedded::{Fault, RequestInfo, Stage, Verb};

fn world() -> World {
    let world = World::new(true);
    world.declare(|_| {});
    world
}

/// The first change of `portale-ts` tonight is refused, with more words than a ledger has room for.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_million_characters_keeps_no_night_from_going_back() {
    let world = world();
    let by_day = world.restored();
    let (clock, once) = (world.clock, Arc::new(AtomicBool::new(false)));
    world.embedded.set_fault(Some(Arc::new(move |request: &RequestInfo, stage: Stage| {
        let closing = request.verb == Verb::Patch && request.name == "portale-ts" && !request.dry_run;
        let tonight = clock.now() >= at("2023-02-10T00:30:00+01:00") && stage == Stage::Before;
        if closing && tonight && !once.swap(true, Ordering::SeqCst) {
            return Fault::Status(403, "no ".repeat(350_000));
        }
        Fault::None
    })));
    let _operator = world.operator();
    world.until("2023-02-10T02:00:00+01:00").await;
    assert_eq!(world.status(NIGHT)["outcome"], "RolledBack", "refused at 01:00, it needs no hour");
    assert_eq!(found(&world, "").await, by_day);
}
