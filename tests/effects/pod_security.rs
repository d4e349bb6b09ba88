//! The Pod Security Standards, control by control: what is put into a good template, which field is named, at which level.

use notturno::operator::effects::pod_security::{Level, violations};
use serde_json::{Value, json};

const OWN: &str = "spec.containers[0].securityContext";
const POD: &str = "spec.securityContext";

/// What keeps the level `restricted`.
fn good() -> Value {
    json!({"metadata": {"annotations": {}}, "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "dati", "emptyDir": {}}],
        "containers": [container("c")]}})
}

fn container(name: &str) -> Value {
    json!({"name": name, "image": "c:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
}

/// The good template with one value put in, at `spec.containers[0].name` for example.
fn with(place: &str, value: &Value) -> Value {
    let mut template = good();
    let mut at = &mut template;
    for key in place.split(['.', '[', ']']).filter(|key| !key.is_empty()) {
        at = match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[key],
        };
    }
    *at = value.clone();
    template
}

fn fields(template: &Value, level: Level) -> Vec<String> {
    violations(template, level).iter().map(|one| one.split(": ").next().unwrap().to_owned()).collect()
}

/// What is put where, and which field is named, when it is another one.
type Row = (String, Value, Option<&'static str>);

fn below(context: &str, field: &str, value: Value) -> Row {
    (format!("{context}.{field}"), value, None)
}

fn naming(context: &str, field: &str, value: Value, named: &'static str) -> Row {
    (format!("{context}.{field}"), value, Some(named))
}

/// What a context may not say, of the Pod or of a container.
fn of_contexts(context: &'static str) -> Vec<Row> {
    let kinds = ["seccompProfile", "appArmorProfile"].map(|kind| (format!("{context}.{kind}"), json!({"type": "Unconfined"})));
    let mut rows: Vec<Row> = vec![
        below(context, "windowsOptions.hostProcess", json!(true)),
        below(context, "seLinuxOptions.type", json!("spc_t")),
        below(context, "seLinuxOptions.user", json!("system_u")),
        below(context, "seLinuxOptions.role", json!("system_r")),
    ];
    let named = |kind: &str| match (context, kind.ends_with("seccompProfile")) {
        (OWN, true) => "spec.containers[0].securityContext.seccompProfile.type",
        (OWN, false) => "spec.containers[0].securityContext.appArmorProfile.type",
        (_, true) => "spec.securityContext.seccompProfile.type",
        (_, false) => "spec.securityContext.appArmorProfile.type",
    };
    rows.extend(kinds.map(|(place, value)| (place.clone(), value, Some(named(&place)))));
    rows
}

fn refused_by_baseline() -> Vec<Row> {
    let mut rows = vec![
        below("spec", "hostNetwork", json!(true)),
        below("spec", "hostPID", json!(true)),
        below("spec", "hostIPC", json!(true)),
        naming("spec", "volumes[0]", json!({"name": "n", "hostPath": {"path": "/"}}), "spec.volumes[0].hostPath"),
        below(OWN, "privileged", json!(true)),
        below(OWN, "procMount", json!("Unmasked")),
        naming(OWN, "capabilities.add", json!(["SYS_ADMIN"]), "spec.containers[0].securityContext.capabilities.add[0]"),
        naming(POD, "sysctls", json!([{"name": "kernel.msgmax"}]), "spec.securityContext.sysctls[0]"),
        naming("spec.containers[0]", "ports", json!([{"containerPort": 1}, {"hostPort": 80}]), "spec.containers[0].ports"),
        naming(
            "metadata",
            "annotations",
            json!({"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}),
            "metadata.annotations[\"container.apparmor.security.beta.kubernetes.io/c\"]",
        ),
    ];
    for handler in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop"] {
        for kind in ["httpGet", "tcpSocket"] {
            let place = format!("spec.containers[0].{handler}.{kind}");
            rows.push((place, json!({"host": "10.0.0.1"}), None));
        }
    }
    rows.extend(of_contexts(OWN));
    rows.extend(of_contexts(POD));
    rows
}

fn refused_by_restricted_only() -> Vec<Row> {
    let seccomp = "spec.containers[0].securityContext.seccompProfile.type";
    vec![
        naming("spec", "volumes[0]", json!({"name": "n", "nfs": {}}), "spec.volumes[0].nfs"),
        below(OWN, "allowPrivilegeEscalation", json!(true)),
        below(OWN, "allowPrivilegeEscalation", Value::Null),
        below(OWN, "runAsNonRoot", json!(false)),
        below(OWN, "runAsUser", json!(0)),
        below(POD, "runAsUser", json!(0)),
        below(OWN, "seccompProfile.type", json!("Qualcosa")),
        naming(POD, "seccompProfile", Value::Null, seccomp),
        naming(POD, "runAsNonRoot", Value::Null, "spec.containers[0].securityContext.runAsNonRoot"),
        naming(OWN, "capabilities", json!({"drop": ["NET_RAW"]}), "spec.containers[0].securityContext.capabilities.drop"),
        naming(OWN, "capabilities", json!({}), "spec.containers[0].securityContext.capabilities.drop"),
        naming(OWN, "capabilities.add", json!(["CHOWN"]), "spec.containers[0].securityContext.capabilities.add[0]"),
    ]
}

#[test]
fn a_template_that_breaks_one_control_is_refused_by_its_levels_and_the_field_is_named() {
    let good = good();
    assert_eq!(violations(&good, Level::Restricted), Vec::<String>::new());
    let rows = refused_by_baseline().into_iter().map(|row| (row, true));
    for ((place, value, named), in_baseline) in rows.chain(refused_by_restricted_only().into_iter().map(|row| (row, false))) {
        let template = with(&place, &value);
        let expected = vec![named.unwrap_or(&place).to_owned()];
        assert_eq!(fields(&template, Level::Restricted), expected, "{place} {value}");
        assert_eq!(fields(&template, Level::Baseline), if in_baseline { expected } else { vec![] }, "{place} {value}");
        assert_eq!(violations(&template, Level::Privileged), Vec::<String>::new());
    }
}

#[test]
fn what_the_standard_allows_is_allowed() {
    for (place, value) in [
        (format!("{OWN}.capabilities.add"), json!(["NET_BIND_SERVICE"])),
        (format!("{OWN}.capabilities.drop"), json!(["NET_RAW", "ALL"])),
        (format!("{OWN}.seccompProfile"), json!({"type": "Localhost", "localhostProfile": "a"})),
        (format!("{OWN}.procMount"), json!("Default")),
        (format!("{OWN}.runAsUser"), json!(1000)),
        (format!("{OWN}.seLinuxOptions"), json!({"type": "container_t", "level": "s0"})),
        (format!("{POD}.appArmorProfile"), json!({"type": "RuntimeDefault"})),
        (format!("{POD}.sysctls"), json!([{"name": "net.ipv4.tcp_syncookies", "value": "1"}])),
        ("spec.containers[0].ports".to_owned(), json!([{"containerPort": 80, "hostPort": 0}])),
        ("spec.containers[0].livenessProbe".to_owned(), json!({"httpGet": {"path": "/", "port": 80}})),
        (
            "metadata.annotations".to_owned(),
            json!({"container.apparmor.security.beta.kubernetes.io/c": "localhost/a", "altro": "unconfined"}),
        ),
    ] {
        assert_eq!(violations(&with(&place, &value), Level::Restricted), Vec::<String>::new(), "{place} {value}");
    }
}

#[test]
fn a_container_may_say_for_itself_what_the_pod_does_not_and_may_not_take_back_what_it_does() {
    let own = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]}});
    let mut alone = with(OWN, &own);
    alone["spec"]["securityContext"] = json!({});
    assert_eq!(violations(&alone, Level::Restricted), Vec::<String>::new());
    // The standard refuses the Pod's word, whatever its containers say.
    alone["spec"]["securityContext"] = json!({"runAsNonRoot": false});
    assert_eq!(fields(&alone, Level::Restricted), ["spec.securityContext.runAsNonRoot"]);
    let taken_back = with(
        OWN,
        &json!({"runAsNonRoot": false, "seccompProfile": {"type": "Unconfined"},
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
    );
    assert_eq!(fields(&taken_back, Level::Restricted).len(), 2, "{:?}", violations(&taken_back, Level::Restricted));
}

#[test]
fn every_container_of_every_list_and_every_volume_is_looked_at() {
    let bad = json!({"name": "x", "image": "x:1"});
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let template = with(&format!("spec.{list}"), &json!([container("a"), container("b"), bad]));
        let found = fields(&template, Level::Restricted);
        let place = format!("spec.{list}[2].securityContext.");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|one| one.starts_with(&place)), "{found:?}");
    }
    let template =
        with("spec.volumes", &json!([{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {}}, {"name": "c", "nfs": {}}]));
    assert_eq!(fields(&template, Level::Restricted), ["spec.volumes[1].hostPath", "spec.volumes[2].nfs"]);
}

#[test]
fn an_empty_template_is_told_everything_at_once() {
    let template = json!({"spec": {"hostPID": true, "initContainers": [{"name": "a"}], "containers": [{"name": "b"}]}});
    let found = fields(&template, Level::Restricted);
    assert_eq!(found.len(), 9, "{found:#?}");
    assert_eq!(found.iter().filter(|one| one.starts_with("spec.initContainers[0]")).count(), 4, "{found:#?}");
}

#[test]
fn a_level_is_read_by_its_name() {
    assert_eq!("baseline".parse(), Ok(Level::Baseline));
    assert!("strict".parse::<Level>().is_err_and(|why| why.contains("restricted, baseline or privileged")));
}
