//! (f) The upgrade hangs and its undo fails: one service stays closed, one opens changed as it declared, one opens as it is.

use jiff::{SignedDuration, Timestamp};

use super::audit::Result;
use super::cluster::{say, wait};
use super::doors::get;
use super::night::Night;
use super::operator::By;
use super::stage::{Stage, served_state};
use super::tenant::SERVICES;

/// What accesso-ts declares: one more page, which nobody serves by day; of the same Deployment that its closing scales.
const IN_PART: &str = r"
  whenDirty: OpenDegraded
  degraded:
    - name: avviso
      patch:
        target: {apiVersion: apps/v1, kind: Deployment, name: accesso-ts}
        json:
          - {op: add, path: /spec/template/spec/volumes/0/configMap/items/-, value: {key: cortesia, path: avviso}}
  contacts: [{role: reperibile, name: Turno A, notify: sala-operativa}]";
const AS_IT_IS: &str = "\n  whenDirty: Open\n  whenDirtyReason: Una ricetta vecchia è meglio di nessuna";

fn declared(text: String) -> String {
    let mut text = text;
    for (service, words) in [("accesso-ts", IN_PART), ("ricetta-elettronica", AS_IT_IS)] {
        let head = format!("metadata: {{name: {service}, namespace: sanita}}\nspec:");
        assert!(text.contains(&head), "{service}");
        text = text.replace(&head, &format!("{head}{words}"));
    }
    text
}

fn page(name: &str, path: &str) -> Option<String> {
    let service = SERVICES.iter().find(|service| service.name == name).unwrap();
    get(service.address(), path).ok().filter(|answer| answer.starts_with("HTTP/1.1 200 "))
}

#[test]
fn an_upgrade_whose_undo_fails_leaves_each_service_as_it_declared_and_nothing_works_beneath_people() {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    stage.database.break_undo();
    assert_eq!(page("accesso-ts", "/avviso"), None, "by day there is no notice");
    let night = Night::declare_other(&stage.cluster, SignedDuration::from_secs(30), "12s", SignedDuration::ZERO, declared);
    night.until("undoFailed", "aggiorna", 160);
    night.until("undoReleased", "aggiorna", 30);
    let ledger = night.until("undosExpired", "", 200);
    assert!(ledger.has("heldClosed", ""), "{}", ledger.story());
    let left = night.must_serve_by.duration_since(Timestamp::now()).as_secs().max(1).unsigned_abs();
    wait(left, "a notice that people outside can read", || page("accesso-ts", "/avviso"));
    wait(left, "prescriptions on half-done work", || page("ricetta-elettronica", "/health"));
    let noticed = Timestamp::now();
    say(format!("noticed {} before must-serve-by; people see: {}", night.must_serve_by.duration_since(noticed), served_state()));
    // Nothing works on the data beneath them, and nothing will.
    let signs = || stage.database.noted().len();
    let before = signs();
    wait(340, "must-serve-by", || (Timestamp::now() > night.must_serve_by).then_some(()));
    assert_eq!(signs(), before, "{:?}", stage.database.noted());
    let shut = stage.doors.closed_at(Timestamp::now());
    // What calls the one that stays closed is as well as that.
    assert_eq!(shut, ["anagrafe-assistiti", "cup", "zerocode"], "{}", night.ledger().unwrap().story());
    for open in ["accesso-ts", "ricetta-elettronica", "archivio-730", "portale-ts"] {
        let (_, opened_at) = stage.doors.closed(open).unwrap();
        assert!(opened_at.is_some_and(|at| at <= night.must_serve_by), "{open}: {opened_at:?}");
    }
    undos_are_gone_before_the_first_door(&stage, &night);
    let status =
        stage.cluster.get("/apis/notturno.dev/v1alpha1/namespaces/centro-dati/interventions/notte").unwrap()["status"].clone();
    assert_eq!(status["needsHuman"], true);
    let because = status["services"].to_string();
    for words in [
        "through aggiorna",
        "take away by hand: avviso (Deployment sanita/accesso-ts)",
        "call reperibile Turno A (sala-operativa)",
    ] {
        assert!(because.contains(words), "{words}: {because}");
    }
    say(because);
    stage.keeps_every_promise(&night, &[]);
}

/// In the audit log: both attempts burned, the end of the Pod that did not hear, then the first restoring of a service they reach.
fn undos_are_gone_before_the_first_door(stage: &Stage, night: &Night) {
    let writes = stage.audit.writes();
    let stored = |found: &dyn Fn(&super::audit::Write) -> bool| {
        writes.iter().filter(|write| write.result == Result::Stored && found(write)).map(|write| write.at).collect::<Vec<_>>()
    };
    let burned = |attempt: u32| {
        let name = night.job(&format!("aggiorna-undo-{attempt}"));
        let at = stored(&|write| write.resource == "jobs" && write.name == name && write.body.to_string().contains(".expired"));
        *at.first().unwrap_or_else(|| panic!("attempt {attempt} was never burned"))
    };
    let let_go = stored(&|write| {
        write.resource == "pods" && write.verb == "patch" && write.name.starts_with(&night.job("aggiorna-undo-2"))
    });
    let opened = stored(&|write| {
        let back = write.body.to_string().contains(".reopen") && write.body.to_string().contains("/spec/replicas");
        write.resource == "deployments" && ["accesso-ts", "ricetta-elettronica"].contains(&write.name.as_str()) && back
    });
    let opened = *opened.first().expect("a restoring");
    assert!(burned(1) < opened && burned(2) < opened, "burned {} and {}, opened {opened}", burned(1), burned(2));
    say(format!("burned {}, {}; Pod let go {let_go:?}; opened {opened}", burned(1), burned(2)));
}
