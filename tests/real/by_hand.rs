//! (e) A person with kubectl only: the operator, its namespace and our kinds are gone, and the page that was kept opens everything.

use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};

use super::audit::Result;
use super::cluster::{Cluster, say, wait};
use super::night::Night;
use super::operator::{self, By};
use super::stage::Stage;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const INTERVENTIONS: &str = "/apis/notturno.dev/v1alpha1/namespaces/centro-dati/interventions";
const KINDS: [&str; 4] = ["interventions", "officecalendars", "publicservices", "runbooks"];
const PERSON: &str = "maria";

/// Somebody with the rights of an ordinary administrator of namespaces, in all of them; the kubeconfig.
fn person(cluster: &Cluster) -> PathBuf {
    let user = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/user");
    let kubeconfig = cluster.run(user.to_str().unwrap(), &[PERSON], "");
    cluster.apply(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: reperibile}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}}\n\
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {PERSON}}}]\n"
    ));
    PathBuf::from(kubeconfig.trim())
}

/// Everything of ours goes: sentinels, operator, namespace, kinds.
fn delete_all_of_ours(cluster: &Cluster, night: &Night) {
    let sentinels = format!("-lnotturno.dev/night={},notturno.dev/role=sentinel", night.uid);
    cluster.run("kubectl", &["-n", "centro-dati", "delete", "deployments", &sentinels, "--ignore-not-found"], "");
    operator::uninstall(cluster);
    wait(90, "an operator that is gone", || cluster.get("/api/v1/namespaces/notturno-system").is_none().then_some(()));
    for kind in KINDS {
        cluster.delete(&format!("{CRDS}/{kind}.notturno.dev"));
    }
    wait(60, "kinds that are gone", || {
        for object in cluster.list(INTERVENTIONS) {
            cluster.free(&format!("{INTERVENTIONS}/{}", object["metadata"]["name"].as_str().unwrap()));
        }
        KINDS.iter().all(|kind| cluster.get(&format!("{CRDS}/{kind}.notturno.dev")).is_none()).then_some(())
    });
}

/// The blocks of the page, as a person pastes them into one shell.
fn pasted(page: &str) -> String {
    page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn with_everything_of_ours_gone_in_mid_upgrade_a_person_with_kubectl_and_the_page_opens_every_door() {
    let stage = Stage::set(By::Manifests);
    stage.database.break_upgrade("sordo");
    let kubeconfig = person(&stage.cluster);
    let night = Night::declare_long(&stage.cluster, SignedDuration::from_secs(30), "40s", SignedDuration::from_secs(60));
    night.until("stepIntended", "aggiorna", 120);
    wait(30, "an upgrade that hangs half-way", || {
        (stage.database.noted().iter().any(|line| line.starts_with("lavora aggiorna"))).then_some(())
    });
    assert_eq!(stage.doors.closed_at(Timestamp::now()).len(), 7, "nobody can use anything");
    assert_eq!((stage.database.rows_of("v15"), stage.database.rows_of("v16")), (200, 200), "the data is half rewritten");
    delete_all_of_ours(&stage.cluster, &night);
    let since = Timestamp::now();

    let stored = format!("/api/v1/namespaces/centro-dati/configmaps/notturno-notte-{}-plan", &night.uid[..8]);
    let page = stage.cluster.get(&stored).unwrap()["data"]["by-hand.md"].as_str().unwrap().to_owned();
    let live = stage.cluster.run(env!("CARGO_BIN_EXE_notturno"), &["by-hand", "centro-dati/notte"], "");
    assert!(live.contains("### If `aggiorna` began: its undo") && live.contains(": **closed**"), "{live}");

    let commands = pasted(&page);
    assert!(!commands.contains("notturno by-hand"), "kubectl is enough");
    let output = Command::new("sh").args(["-eu", "-c", &commands]).env("KUBECONFIG", &kubeconfig).output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    say(format!("by hand within {:.1} s:", Timestamp::now().duration_since(since).as_secs_f64()));
    out.lines().chain(err.lines()).for_each(|line| say(format!("  {line}")));
    assert!(output.status.success(), "{page}");

    wait(30, "doors that are all open", || stage.doors.all_open().then_some(()));
    assert_eq!(stage.database.fingerprint(), stage.fingerprint, "the database is restored byte for byte");
    let noted = stage.database.noted();
    let last_sign_of_life = noted.iter().rposition(|line| line.starts_with("lavora aggiorna")).unwrap();
    let undo = noted.iter().position(|line| line.starts_with("inizia ripristina")).expect("the undo ran");
    assert!(last_sign_of_life < undo, "the upgrade still worked beside its undo");
    let differences = stage.before.differences(&super::dump::Dump::of(&stage.cluster));
    assert!(differences.is_empty(), "not as before:\n{}", differences.join("\n"));
    let opened = stage.audit.writes().into_iter().filter(|write| {
        write.at >= since && write.resource == "deployments" && write.namespace == "sanita" && write.result == Result::Stored
    });
    let hands: std::collections::BTreeSet<String> =
        opened.map(|write| write.user).filter(|user| !user.contains("deployment-controller")).collect();
    assert_eq!(hands, [PERSON.to_owned()].into(), "a person did it, and nobody else");
    stage.cluster.delete("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/reperibile");
    stage.keeps_every_promise(&night, &[]);
}
