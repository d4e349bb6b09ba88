//! The manifests in the repository are what the code says; `UPDATE=1` rewrites them.

use std::path::Path;

use notturno::api::manifests;

fn held_against(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(&path, generated).expect("the file can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let first = written.lines().zip(generated.lines()).position(|(left, right)| left != right);
    let first = first.unwrap_or_else(|| written.lines().count().min(generated.lines().count())) + 1;
    assert!(written == generated, "{file} differs from the code from line {first} on: UPDATE=1 cargo test --test manifests");
}

#[test]
fn the_crds_are_those_of_the_code() {
    held_against("crds.yaml", &manifests::crds_yaml().expect("emits"));
}

#[test]
fn the_installation_is_that_of_the_code() {
    held_against("install.yaml", &manifests::install_yaml().expect("emits"));
}

#[test]
fn the_yaml_reads_back_as_it_was() {
    let text = manifests::install_yaml().expect("emits");
    let read: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).expect("reads");
    assert_eq!(read, manifests::install().expect("builds"));
}

#[test]
fn the_operator_may_not_touch_what_is_a_tenants() {
    let objects = manifests::install().expect("builds");
    let roles: Vec<_> = objects.iter().filter(|object| object["kind"] == "ClusterRole").collect();
    assert_eq!(roles.len(), 1);
    for rule in roles[0]["rules"].as_array().expect("rules") {
        let group = rule["apiGroups"][0].as_str().expect("a group");
        assert!(["notturno.dev", "events.k8s.io"].contains(&group), "{rule}");
        assert!(!rule.to_string().contains('*'), "no wildcards: {rule}");
    }
}
