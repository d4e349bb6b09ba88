//! A Pod that the Job controller creates after our stop: its request was long under way, and the controller that would take the Pod away
//! again has died meanwhile. The Pod runs, and never beside the undo.
//!
//! In: a night whose work is released, a Job controller whose request for its Pod is held back until long after the Job is stopped. Out:
//! when that Pod was created and ended, and when the undo ran, by the audit log, by the Pods and by what both noted themselves.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::audit::Result;
use super::cluster::{say, until, wait};
use super::components::Elsewhere;
use super::late::proxy::{Held, Proxy};
use super::late::scene::{NAMESPACE, Night, Scene};
use super::late::sent::Sent;

const CONTROLLER: &str = "kube-controller-manager";
const JOB_CONTROLLER: &str = "system:serviceaccount:kube-system:job-controller";
/// After the burn of its Job: an API server keeps a request of others for a minute at most.
const DELIVERED_AFTER: SignedDuration = SignedDuration::from_secs(45);

const NIGHT: Night = Night {
    name: "stantio",
    door: "stantio",
    close: ("15s", "15s"),
    work: ("10s", "10s"),
    rounds: 300,
    undo: "touches: [tardi/stantio]\n      undo: {budget: 60s, attempts: 1, job: {from: {cronJob: lavoro}, \
           env: [{name: LAVORO, value: ritorno}, {name: GIRI, value: \"40\"}]}}",
    serves_after: 190,
};

/// The Pod of the work, and not that of its undo.
fn asks_for_its_pod(sent: &Sent) -> bool {
    sent.method == http::Method::POST
        && sent.uri.path() == format!("{NAMESPACE}/pods")
        && sent.says("-lavoro")
        && !sent.says("undo")
}

/// The Job controller, with a way on which its requests can be held back.
fn controller(scene: &Scene) -> (Proxy, Elsewhere) {
    let proxy = Proxy::before(&scene.cluster.state().join("users/system.kube-controller-manager.kubeconfig"));
    proxy.hold("the Pod", Held::First, asks_for_its_pod);
    let server = format!("http://{}", proxy.address);
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "stale",
        "clusters": [{"name": "stale", "cluster": {"server": server}}], "users": [{"name": "stale", "user": {}}],
        "contexts": [{"name": "stale", "context": {"cluster": "stale", "user": "stale"}}]});
    let kubeconfig = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("stale.kubeconfig");
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let other = [("--kubeconfig", kubeconfig.to_str().unwrap().to_owned()), ("--secure-port", "0".to_owned())];
    let elsewhere = Elsewhere::put(&scene.cluster, CONTROLLER, &other);
    (proxy, elsewhere)
}

/// Every Pod of the night as it was last seen.
fn look(scene: &Scene, pods: &mut BTreeMap<String, Value>) {
    for pod in scene.cluster.list(&format!("{NAMESPACE}/pods?labelSelector=batch.kubernetes.io%2Fjob-name")) {
        pods.insert(pod["metadata"]["name"].as_str().unwrap().to_owned(), pod);
    }
}

fn moment(pod: &Value, state: &str, field: &str) -> Option<Timestamp> {
    pod["status"]["containerStatuses"][0]["state"][state][field].as_str().map(|at| at.parse().unwrap())
}

#[test]
fn a_pod_that_the_job_controller_creates_after_the_stop_never_runs_beside_the_undo() {
    let mut scene = Scene::set(&[NIGHT.door]);
    let (proxy, mut controller) = controller(&scene);
    scene.start_operator();
    let start_at = scene.declare(&[NIGHT], SignedDuration::from_secs(30));
    proxy.until_held("the Pod", 90);
    let job = format!("/apis/batch/v1/namespaces/tardi/jobs/{}", scene.job(NIGHT.name, "lavoro"));
    assert_eq!(scene.cluster.get(&job).unwrap()["spec"]["suspend"], false, "its Pod is asked for once it may run");
    let burned = scene.until_burned(&job);
    assert_eq!(burned["spec"]["suspend"], true, "a stop is a burn");
    let burned_at: Timestamp = burned["metadata"]["annotations"]["notturno.dev/burned-at"].as_str().unwrap().parse().unwrap();
    controller.kill();
    until(burned_at + DELIVERED_AFTER);
    let answer = proxy.deliver("the Pod");
    assert_eq!(answer.code, 201, "the API server creates it all the same: {answer}");
    let runs = |line: &String| line.starts_with(&format!("lavora {} ", NIGHT.name));
    wait(30, "a late Pod that works", || scene.database.noted().iter().any(runs).then_some(()));
    drop(controller);

    let mut pods = BTreeMap::new();
    let ledger = wait(150, "the end of the night", || {
        look(&scene, &mut pods);
        scene.ledger(NIGHT.name).filter(|ledger| ledger.outcome().is_some())
    });
    say(ledger.course(start_at));
    never_beside(&scene, &pods, burned_at);
    assert_eq!(ledger.outcome(), Some("RolledBack"), "{}", ledger.story());
    assert!(scene.is_open(NIGHT.door), "its door is open again");
}

/// By the audit log, by the Pods, by what both noted.
fn never_beside(scene: &Scene, pods: &BTreeMap<String, Value>, burned_at: Timestamp) {
    let work = scene.job(NIGHT.name, "lavoro");
    let undo = format!("{work}-undo-1");
    assert_eq!(scene.audit.starts("tardi"), [(work.clone(), (1, 1)), (undo.clone(), (1, 1))].into(), "one Pod each");
    let writes = scene.audit.writes();
    let of = |job: &str| {
        let owned = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["name"] == job;
        pods.values().find(owned).unwrap_or_else(|| panic!("no Pod of {job} was seen"))
    };
    let (late, undoing) = (of(&work), of(&undo));
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    let created = |write: &&super::audit::Write| {
        write.user == JOB_CONTROLLER && write.verb == "create" && write.resource == "pods" && write.result == Result::Stored
    };
    let created = writes.iter().filter(created).find(|write| write.body.to_string().contains(&format!("\"{work}\"")));
    let created_at = created.expect("the late Pod is in the audit log").at;
    let released_at = writes.iter().find(|write| write.name == undo && write.releases()).expect("the undo was released").at;
    let deleted = writes.iter().find(|write| write.verb == "delete" && write.resource == "pods" && write.name == name(late));
    let deleted_at = deleted.expect("the late Pod was deleted").at;
    let (ran, ended) = (moment(late, "terminated", "startedAt"), moment(late, "terminated", "finishedAt"));
    let began = moment(undoing, "terminated", "startedAt").expect("the undo ran");
    say(format!(
        "stopped {burned_at}; its Pod created {created_at}, deleted {deleted_at}, ran from {ran:?} to {ended:?}; undo released \
         {released_at}, ran from {began}"
    ));
    assert!(burned_at < created_at, "it was created after the stop");
    let noted = scene.database.noted();
    let last =
        noted.iter().rposition(|line| line.contains(&format!(" {} ", NIGHT.name))).expect("the late Pod noted that it ran");
    let first = noted.iter().position(|line| line.starts_with("inizia ritorno ")).expect("the undo noted that it ran");
    assert!(last < first, "by what they noted themselves, both ran: {noted:?}");
    assert!(ended.is_some_and(|ended| ended <= began), "it ran beside the undo, or still runs");
    assert!(deleted_at < released_at, "it was gone before its undo was released");
}
