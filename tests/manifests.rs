//! The manifests in the repository are what the code says (`UPDATE=1` rewrites them), and what an API server and a reader need.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test may")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use notturno::api::{manifests, schema, structure};
use notturno::operator::heartbeat::Every;
use serde_json::Value;

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

fn of_chart(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/notturno").join(file))
        .expect("a file of the chart")
}

fn schema_of_chart() -> Value {
    serde_json::from_str(&of_chart("values.schema.json")).expect("JSON")
}

/// Values and their schema name the same, all the way down: what is misspelt is refused.
fn described(path: &str, values: &Value, schema: &Value) {
    let Some(fields) = values.as_object() else { return };
    if path == ".resources" {
        return;
    }
    assert_eq!(schema["additionalProperties"], false, "{path}");
    let properties = schema["properties"].as_object().expect("properties");
    // Helm has values of its own there.
    let named = properties.keys().filter(|name| path.is_empty() && name.as_str() != "global" || !path.is_empty());
    assert_eq!(named.collect::<BTreeSet<_>>(), fields.keys().collect::<BTreeSet<_>>(), "{path}");
    for (name, value) in fields {
        described(&format!("{path}.{name}"), value, &properties[name]);
    }
}

#[test]
fn every_value_of_the_chart_is_described_and_no_other_is_taken() {
    described("", &serde_saphyr::from_str(&of_chart("values.yaml")).expect("YAML"), &schema_of_chart());
}

#[test]
fn the_chart_takes_the_spans_of_the_heartbeat_that_the_operator_takes() {
    let schema = schema_of_chart();
    let pattern = schema["properties"]["heartbeat"]["properties"]["every"]["pattern"].as_str().expect("a pattern");
    let pattern = regex::Regex::new(pattern).expect("an expression");
    for text in [
        "0s", "5s", "9s", "10s", "60s", "99s", "100s", "3599s", "3600s", "3601s", "0m", "1m", "59m", "60m", "61m", "1h", "2h",
        "60", "",
    ] {
        assert_eq!(pattern.is_match(text), text.parse::<Every>().is_ok(), "{text:?}");
    }
}

#[test]
fn what_else_the_operator_is_told_by_the_chart_is_what_it_knows() {
    let schema = schema_of_chart();
    let pattern = schema["properties"]["extraArgs"]["items"]["pattern"].as_str().expect("a pattern");
    let known = regex::Regex::new(pattern).expect("an expression");
    let output = Command::new(env!("CARGO_BIN_EXE_notturno")).args(["operator", "--help"]).output().expect("runs");
    let help = String::from_utf8(output.stdout).expect("text");
    let template = of_chart("templates/operator.yaml");
    let flags = help.split_whitespace().filter_map(|word| word.strip_prefix("--")).map(|flag| format!("--{flag}"));
    let mut more = Vec::new();
    for flag in flags.collect::<BTreeSet<_>>() {
        let values = ["", "=info", "=restricted", "=json"].map(|value| known.is_match(&format!("{flag}{value}")));
        if values.contains(&true) {
            assert!(!template.contains(&format!("- {flag}=")), "{flag} is a value of its own");
            more.push(flag);
        }
    }
    assert_eq!(more, ["--http-allow", "--log", "--log-format", "--pod-security", "--without-sentinel"]);
    assert!(!known.is_match("--http-allows=.example") && !known.is_match("--pod-security=none"));
    assert!(
        template.contains("{{- range .Values.extraArgs }}\n            - {{ . | quote }}\n            {{- end }}\n"),
        "{template}"
    );
    let without = template.split("{{- if not (has \"--without-sentinel\" .Values.extraArgs) }}").nth(1).expect("a condition");
    let left_out = without.split("{{- end }}").next().expect("its end");
    assert!(
        left_out.contains("--sentinel-image=") && left_out.contains("--sentinel-pull-policy="),
        "the operator takes one or the other"
    );
}

/// Visits every schema of every kind with its path.
fn visit(look: &mut impl FnMut(&str, &JSONSchemaProps)) {
    fn descend(path: &str, schema: &JSONSchemaProps, look: &mut impl FnMut(&str, &JSONSchemaProps)) {
        look(path, schema);
        for (name, child) in schema.properties.iter().flatten() {
            descend(&format!("{path}.{name}"), child, look);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            descend(&format!("{path}[]"), items, look);
        }
    }
    for crd in manifests::crds() {
        let kind = crd.spec.names.kind;
        descend(&kind, structure::schema_of(&kind).expect("a schema"), look);
    }
}

#[test]
fn every_field_is_documented_and_bounded_and_every_rule_speaks() {
    let mut fields = 0;
    visit(&mut |path, schema| {
        fields += 1;
        let list_item = path.ends_with("[]");
        let object = schema.type_.as_deref() == Some("object");
        assert!(schema.description.as_deref().is_some_and(|text| text.len() > 4) || (list_item && !object), "{path} has no doc");
        assert!(!schema.description.as_deref().unwrap_or_default().contains(['\n', '`']), "{path}: kubectl explain shows it raw");
        match schema.type_.as_deref() {
            Some("string") => {
                assert!(schema.max_length.is_some() || schema.enum_.is_some(), "{path} is not bounded");
                let words = schema.pattern.as_deref().map(schema::form_of);
                assert!(words != Some(None) || path.contains(".status."), "{path}: nobody says what form it has");
            }
            Some("array") => {
                assert!(schema.max_items.is_some(), "{path} is not bounded");
                assert!(schema.x_kubernetes_list_type.is_some(), "{path}: how is it merged?");
            }
            Some("object") => {
                let open = schema.additional_properties.is_some();
                assert!(!open || schema.max_properties.is_some(), "{path} is not bounded");
            }
            Some("integer" | "boolean") => {}
            None if schema.x_kubernetes_preserve_unknown_fields == Some(true) => {}
            other => panic!("{path} has the type {other:?}"),
        }
        let format = schema.format.as_deref().unwrap_or_default();
        assert!(["", "int32", "int64", "date-time"].contains(&format), "{path}: Kubernetes does not know {format}");
        let in_list = path.contains("[]");
        assert!(!in_list || schema.default.is_none(), "{path}: a default in a list item makes every apply a change");
        assert!(schema.nullable.is_none() && schema.any_of.is_none() && schema.one_of.is_none(), "{path}: plain");
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            assert!(rule.message.as_deref().is_some_and(|text| text.len() > 10), "{path}: {} says nothing", rule.rule);
        }
        let word = path.rsplit('.').next().unwrap_or_default();
        assert!(!["on", "off", "yes", "no", "y", "n"].contains(&word), "{path} is a boolean to some YAML readers");
    });
    assert!(fields > 150, "all kinds were looked at: {fields}");
}

#[test]
fn no_kind_says_that_the_program_calls_a_person_or_that_half_done_work_never_opens() {
    visit(&mut |path, schema| {
        let text = schema.description.as_deref().unwrap_or_default();
        assert!(!text.contains("a person is called") && !text.contains("they do not open"), "{path}: {text}");
    });
}

#[test]
fn the_schemas_are_lean() {
    for crd in manifests::crds() {
        let bytes = serde_json::to_string(&crd).expect("writes").len();
        assert!(bytes < 40_000, "{}: every write costs the API server in proportion to its schema: {bytes}", crd.spec.names.kind);
        assert_eq!(crd.spec.names.categories.as_deref(), Some(&["notturno".to_owned()][..]));
        let scope = if crd.spec.names.kind == "OfficeCalendar" { "Cluster" } else { "Namespaced" };
        assert_eq!(crd.spec.scope, scope);
    }
}
