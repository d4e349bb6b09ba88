//! What has nothing to say writes nothing.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::world::{HANGS, NIGHT, WORK, World};

#[tokio::test]
async fn passes_that_find_nothing_new_write_nothing() {
    let world = World::new(HANGS).await;
    world.night();
    let _operator = world.operator();
    world.step(NIGHT, "aggiorna", "Running").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = world.front.asked().len();
    let jobs: Api<Job> = Api::namespaced(world.embedded.client("somebody"), WORK);
    let name = format!("notte-{}-aggiorna", &world.uid(NIGHT)[..8]);
    for n in 0..20 {
        let touched =
            Patch::Merge(json!({"status": {"conditions": [{"type": "Touched", "status": "True", "reason": format!("n{n}")}]}}));
        jobs.patch_status(&name, &PatchParams::default(), &touched).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = world.front.asked().split_off(before);
    let looks = asked.iter().filter(|one| one.path.ends_with("/jobs") && !one.is_watch()).count();
    assert!(looks >= 10, "the night looked again: {looks}");
    let writes: Vec<_> = asked.iter().filter(|one| one.method != "GET").collect();
    assert!(writes.is_empty(), "{writes:?}");
}
