//! A target that hangs on the way back delays itself: its neighbours open as if it were not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::front::{Asked, Deed};
use crate::world::{HANGS, NIGHT, World};

/// Much less than one call that hangs.
const SOON: Duration = Duration::from_secs(5);

fn opens(asked: &Asked, service: &str) -> bool {
    let patches = asked.is("PATCH", "/deployments/") && asked.path.ends_with(service);
    patches && asked.body.contains(".reopen") && asked.body.contains("/spec/replicas")
}

/// How long the way back took until `archivio` was open, and how many requests hung meanwhile.
async fn archivio_opens(hangs: impl Fn(&Asked) -> bool + Send + Sync + 'static) -> (Duration, usize) {
    let world = World::new(HANGS).await;
    world.night();
    let operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    let since = world.turn_back(&operator, NIGHT);
    let hung = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hung);
    world.front.rule(move |asked| {
        if hangs(asked) {
            count.fetch_add(1, Ordering::Relaxed);
            Deed::Swallow
        } else {
            Deed::Pass
        }
    });
    let open = |world: &World| {
        let services = world.status(NIGHT)["services"].as_array().cloned().unwrap_or_default();
        services.iter().any(|one| one["name"] == "sanita/archivio" && one["state"] == "Open")
    };
    world.until("archivio open", open).await;
    let took = Instant::now().duration_since(since);
    let hung = hung.load(Ordering::Relaxed);
    world.front.calm();
    assert_eq!(world.outcome(NIGHT).await, "RolledBack");
    assert_eq!([world.replicas("ricetta"), world.replicas("archivio")], [2, 2]);
    (took, hung)
}

#[tokio::test]
async fn a_target_whose_reads_or_openings_hang_does_not_delay_the_opening_of_others() {
    let (alone, _) = archivio_opens(|_| false).await;
    let (reads, hung) = archivio_opens(|asked| asked.is("GET", "/deployments/ricetta")).await;
    assert!(hung > 0 && reads < alone + SOON, "{alone:?} alone, {reads:?} beside one whose reads hang");
    let (writes, hung) = archivio_opens(|asked| opens(asked, "/ricetta")).await;
    assert!(hung > 0 && writes < alone + SOON, "{alone:?} alone, {writes:?} beside one whose opening hangs");
}
