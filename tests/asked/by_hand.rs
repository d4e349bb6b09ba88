//! The page for people, printed from plan and ledger, or as it was kept.

use std::sync::Arc;

use notturno::embedded::{Access, Fault, RequestInfo, Stage};

use crate::served::serve;
use crate::world::{NIGHT, World};

#[tokio::test(start_paused = true)]
async fn in_mid_step_the_page_speaks_of_what_began_also_when_our_kinds_are_gone() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T01:10:00+01:00").await;
    world.embedded.set_fault(Some(Arc::new(|request: &RequestInfo, stage| {
        let gone = request.resource == "interventions" && stage == Stage::Before;
        if gone { Fault::Status(404, "NotFound".to_owned()) } else { Fault::None }
    })));
    let served = serve(&world).await;
    let before = world.embedded.log().len();
    let early = served.ask(&["by-hand", NIGHT]).await;
    assert_eq!(early.code, 0, "{}", early.err);
    early.says("# By hand: night centro-dati/notte-9-febbraio");
    early.says("No step that has an undo of its own began: nothing is to be undone.");
    assert!(early.out.contains("**sanita/portale-ts** (Portale della tessera sanitaria): **closed**"), "{}", early.out);
    assert!(early.out.contains("(Ricetta elettronica): not closed so far"), "{}", early.out);
    let object = served.ask(&["by-hand", NIGHT, "-n", "centro-dati", "-o", "json"]).await.json();
    assert_eq!(object["page"].as_str().map(str::len), Some(early.out.len()));
    let asked = world.embedded.log().split_off(before);
    assert!(asked.iter().filter(|one| one.request.user == "anna").all(|one| one.request.write_number.is_none()), "it only reads");
    drop(served);

    world.until("2023-02-10T02:30:00+01:00").await;
    serve(&world).await.ask(&["by-hand", NIGHT]).await.says("### If `aggiorna` began: its undo");
}

#[tokio::test(start_paused = true)]
async fn where_the_ledger_cannot_be_read_the_page_is_the_one_that_was_kept() {
    let world = World::new(true);
    world.declare(|_| {});
    let _operator = world.operator();
    world.until("2023-02-10T01:10:00+01:00").await;
    world.embedded.set_forbidden(Some(Arc::new(|access: &Access| access.user == "anna" && access.name.ends_with("-ledger"))));
    let ran = serve(&world).await.ask(&["by-hand", NIGHT]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("was kept when the night was armed"), "{}", ran.err);
    ran.says("### If `aggiorna` began: its undo");
}

#[tokio::test(start_paused = true)]
async fn of_a_night_that_is_not_armed_or_not_there_nothing_can_be_said() {
    let world = World::new(true);
    world.declare(|_| {});
    let served = serve(&world).await;
    let early = served.ask(&["by-hand", NIGHT]).await;
    assert_eq!((early.code, early.out.as_str()), (2, ""));
    assert!(early.err.contains("is not armed"), "{}", early.err);
    let absent = served.ask(&["by-hand", "nessuna"]).await;
    assert!(absent.code == 2 && absent.err.contains("no night nessuna"), "{}", absent.err);
}
