//! What differs between the embedded API and a real one, on purpose.
//!
//! In: two answers to the same call. Out: whether they are the same but for what is written here. Invariants: every entry is written in the header of
//! `src/embedded/mod.rs` too, with these words; an entry that nothing needs is a defect. Not here: how answers are made comparable.

use std::collections::BTreeSet;

use serde_json::Value;

use super::calls::Call;
use super::kinds::{self, Kind, read};
use super::side::Answer;

/// What becomes of two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same, but for what is written down.
    Same,
    /// Not the same as is written down, and what is stored differs from now on.
    WaysPart,
    /// Not the same, and nobody said so.
    Different,
}

/// The names of the differences without which answers would not have been the same.
pub type Needed = BTreeSet<String>;

/// How a difference shows.
enum Effect {
    /// In objects: takes it out of the real one and the embedded one.
    Shows(fn(&Call, &mut Value, &mut Value)),
    /// In objects, at places of which each is needed or not.
    ShowsAt(fn(&Call) -> Vec<Default>),
    /// In the answer itself: what is stored differs from now on.
    Parts(fn(&Call, &Answer, &Answer) -> bool),
    /// In the answer itself: the real one refuses these fields, and the embedded one does not look at them.
    Unchecked(&'static [(&'static str, &'static str)]),
    /// In how both refuse it.
    Refuses(fn(&Call, &Answer, &Answer) -> bool),
}

/// What a real API server writes where nothing was said.
struct Default {
    path: String,
    value: Value,
}

impl Default {
    fn name(&self, of: &str, kind: &Kind) -> String {
        format!("{of} {} {} {}", kind.plural, self.path, self.value)
    }
}

pub struct Difference {
    pub name: &'static str,
    /// The words with which the header of `src/embedded/mod.rs` tells it.
    pub written: &'static str,
    /// Why it stays.
    pub why: &'static str,
    effect: Effect,
}

const SCHEMAS: &str = "Custom kinds have no schema: no validation, defaults, pruning, conversion or CEL";
const CHECKED: &str = "Built-in kinds are checked where a night would notice";

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "managers",
        written: "Server-side apply knows the managers that apply, and no others",
        why: "a night asks only whether others applied what it restores",
        effect: Effect::Shows(|_, real, embedded| {
            for one in [real, embedded] {
                one.get_mut("metadata").and_then(Value::as_object_mut).map(|metadata| metadata.remove("managedFields"));
            }
        }),
    },
    Difference {
        name: "conflicts with managers that do not apply",
        written: "fields that were created, updated or patched belong to nobody and never conflict",
        why: "as above",
        effect: Effect::Parts(|call, real, _| call.applies() && real.code == 409 && names_one_that_does_not_apply(&real.message)),
    },
    Difference {
        name: "fields that somebody else has who does not apply",
        written: "and go with their last applier",
        why: "as above",
        effect: Effect::Parts(|call, real, embedded| {
            let managers = real.shown.pointer("/metadata/managedFields").and_then(Value::as_array);
            let updates = managers.is_some_and(|managers| managers.iter().any(|manager| manager["operation"] == "Update"));
            call.applies() && real.code == 200 && updates && differ(call, real, embedded, false)
        }),
    },
    Difference {
        name: "default",
        written: "only what a night reads is defaulted",
        why: "what nobody reads would only be carried along",
        effect: Effect::ShowsAt(built_in_defaults),
    },
    Difference {
        name: "cluster IPs",
        written: "Services are given no cluster IPs",
        why: "the embedded network knows names",
        effect: Effect::Shows(|call, real, embedded| {
            if call.kind.plural == "services" && embedded.pointer("/spec/clusterIP").is_none() {
                let spec = real.get_mut("spec").and_then(Value::as_object_mut);
                spec.map(|spec| ["clusterIP", "clusterIPs"].map(|field| spec.remove(field)));
            }
        }),
    },
    Difference {
        name: "unknown field",
        written: "fields that they do not know are kept",
        why: "a night writes none",
        effect: Effect::Parts(|call, _, embedded| !call.is_of_ours() && embedded.shown.get("unheard").is_some()),
    },
    Difference {
        name: "unchecked",
        written: CHECKED,
        why: "a night reads them from objects that an API server took",
        effect: Effect::Unchecked(UNCHECKED),
    },
    Difference {
        name: "types before conflicts",
        written: "what both refuse is refused for its types before its conflicts",
        why: "it is refused all the same",
        effect: Effect::Refuses(|call, real, embedded| {
            call.applies() && [409, 422, 500].contains(&real.code) && embedded.code >= 400
        }),
    },
    Difference {
        name: "default of ours",
        written: SCHEMAS,
        why: "the kinds are read with their defaults, whoever wrote them",
        effect: Effect::ShowsAt(defaults_of_ours),
    },
    Difference {
        name: "validation of ours",
        written: SCHEMAS,
        why: "the schemas are tested by themselves",
        effect: Effect::Parts(|call, real, embedded| {
            call.is_of_ours() && [400, 422, 500].contains(&real.code) && embedded.code != real.code
        }),
    },
    Difference {
        name: "default of ours that the next write stores",
        written: SCHEMAS,
        why: "a write that changes nothing else is one revision more, once",
        effect: Effect::Parts(|call, real, embedded| {
            let unstored = embedded.shown.pointer("/status/observedGeneration").is_none();
            let both = real.code == 200 && embedded.code == 200 && matches!(call.method, "PUT" | "PATCH");
            call.is_of_ours() && both && unstored && differ(call, real, embedded, false) && !differ(call, real, embedded, true)
        }),
    },
    Difference {
        name: "pruning of ours",
        written: SCHEMAS,
        why: "a field that nobody knows is read by nobody",
        effect: Effect::Parts(|call, _, embedded| {
            call.is_of_ours() && ["/spec/unheard", "/status/unheard"].iter().any(|path| embedded.shown.pointer(path).is_some())
        }),
    },
];

const POD: &[(&str, &str)] = &[
    ("dnsPolicy", r#""ClusterFirst""#),
    ("schedulerName", r#""default-scheduler""#),
    ("securityContext", "{}"),
    ("containers/0/imagePullPolicy", r#""IfNotPresent""#),
    ("containers/0/resources", "{}"),
    ("containers/0/terminationMessagePath", r#""/dev/termination-log""#),
    ("containers/0/terminationMessagePolicy", r#""File""#),
];

/// Kind, where, and what a real API server writes there.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("cronjobs", "spec/jobTemplate/metadata", "{}"),
    ("cronjobs", "spec/jobTemplate/spec/template/spec/terminationGracePeriodSeconds", "30"),
    ("deployments", "spec/template/spec/restartPolicy", r#""Always""#),
    ("deployments", "spec/template/spec/terminationGracePeriodSeconds", "30"),
    ("deployments", "spec/progressDeadlineSeconds", "600"),
    ("deployments", "spec/revisionHistoryLimit", "10"),
    ("deployments", "spec/strategy", r#"{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"}"#),
    ("events", "eventTime", "null"),
    ("jobs", "status/conditions/0/lastProbeTime", "null"),
    ("jobs", "status/conditions/0/lastTransitionTime", "null"),
    ("services", "spec/clusterIPs", r#"["None"]"#),
    ("services", "spec/internalTrafficPolicy", r#""Cluster""#),
    ("services", "spec/ipFamilies", r#"["IPv4"]"#),
    ("services", "spec/ipFamilies", r#"["IPv4","IPv6"]"#),
    ("services", "spec/ipFamilyPolicy", r#""SingleStack""#),
    ("services", "spec/ipFamilyPolicy", r#""RequireDualStack""#),
    ("services", "spec/sessionAffinity", r#""None""#),
    ("services", "spec/type", r#""ClusterIP""#),
    ("services", "spec/ports/0/protocol", r#""TCP""#),
    ("services", "spec/ports/0/targetPort", "80"),
    ("services", "spec/ports/1/targetPort", "81"),
];

/// Kind, and the beginning of a field's name.
const UNCHECKED: &[(&str, &str)] = &[
    ("cronjobs", "spec.concurrencyPolicy"),
    ("cronjobs", "spec.jobTemplate.spec.template"),
    ("cronjobs", "spec.schedule"),
    ("cronjobs", "spec.startingDeadlineSeconds"),
    ("cronjobs", "spec.timeZone"),
    ("deployments", "spec.replicas"),
    ("deployments", "spec.selector"),
    ("deployments", "spec.template.labels"),
    ("deployments", "spec.template.metadata.labels"),
    ("deployments", "spec.template.spec"),
    ("deployments", "status"),
    ("events", "involvedObject.namespace"),
    ("jobs", "spec.backoffLimit"),
    ("jobs", "spec.selector"),
    ("jobs", "spec.template.labels"),
    ("jobs", "spec.template.metadata.labels"),
    ("jobs", "spec.template.spec"),
    ("jobs", "status"),
    ("leases", "spec.leaseDurationSeconds"),
    ("leases", "spec.leaseTransitions"),
    ("services", "spec.clusterIPs"),
    ("services", "spec.ipFamilies"),
    ("services", "spec.ipFamilyPolicy"),
    ("services", "spec.ports"),
    ("services", "spec.selector"),
    ("services", "spec.type"),
];

fn default(path: &str, value: &str) -> Default {
    Default { path: path.to_owned(), value: read(value) }
}

fn built_in_defaults(call: &Call) -> Vec<Default> {
    let of_pods = match call.kind.plural {
        "jobs" | "deployments" => "spec/template/spec",
        "cronjobs" => "spec/jobTemplate/spec/template/spec",
        _ => "",
    };
    let of_pods = POD.iter().filter(|_| !of_pods.is_empty()).map(|(path, value)| default(&format!("{of_pods}/{path}"), value));
    let of_kind = DEFAULTS.iter().filter(|(kind, ..)| *kind == call.kind.plural).map(|(_, path, value)| default(path, value));
    of_pods.chain(of_kind).collect()
}

fn defaults_of_ours(call: &Call) -> Vec<Default> {
    let defaults = [
        ("spec/margin", r#""15m""#),
        ("spec/mode", r#""Run""#),
        ("spec/startTolerance", r#""30m""#),
        ("spec/tellBefore", r#""75m""#),
        ("status/needsHuman", "false"),
        ("status/observedGeneration", "-1"),
        ("status", "{}"),
    ];
    defaults.into_iter().filter(|_| call.is_of_ours()).map(|(path, value)| default(path, value)).collect()
}

/// Takes the default out of the real object where the embedded one has nothing.
fn hide(real: &mut Value, embedded: &Value, Default { path, value }: &Default) -> bool {
    let path = format!("/{path}");
    let (above, last) = path.rsplit_once('/').unwrap();
    let found = real.pointer(&path) == Some(value) && embedded.pointer(&path).is_none();
    let fields = real.pointer_mut(above).and_then(Value::as_object_mut).filter(|_| found);
    fields.is_some_and(|fields| fields.remove(last).is_some())
}

/// Whether the conflict is with somebody who did not apply.
fn names_one_that_does_not_apply(message: &str) -> bool {
    // Nobody here writes under a name but those who apply.
    message.starts_with("Apply failed") && message.contains("\"unknown\"")
}

/// Whether two answers with one object differ in more than managers and defaults; and revisions, if those do not count.
fn differ(call: &Call, real: &Answer, embedded: &Answer, but_for_revisions: bool) -> bool {
    let (mut one, mut other) = (real.shown.clone(), embedded.shown.clone());
    for metadata in [&mut one, &mut other].into_iter().filter_map(|object| object.get_mut("metadata")?.as_object_mut()) {
        metadata.remove("managedFields");
        if but_for_revisions {
            metadata.remove("resourceVersion");
        }
    }
    for default in built_in_defaults(call).iter().chain(&defaults_of_ours(call)) {
        hide(&mut one, &other, default);
    }
    one != other
}

/// All names that something has to need.
pub fn names() -> Needed {
    let mut names = Needed::new();
    for Difference { name, effect, .. } in DIFFERENCES {
        match effect {
            Effect::Unchecked(fields) => names.extend(fields.iter().map(|(kind, field)| format!("{name} {kind} {field}"))),
            Effect::ShowsAt(defaults) => {
                for kind in kinds::all() {
                    let of_kind = defaults(&Call::new(kind, "GET", ""));
                    names.extend(of_kind.iter().map(|default| default.name(name, kind)));
                }
            }
            Effect::Shows(_) | Effect::Parts(_) | Effect::Refuses(_) => drop(names.insert((*name).to_owned())),
        }
    }
    names
}

/// Holds two answers against each other.
pub fn judge(call: &Call, real: &Answer, embedded: &Answer, needed: &mut Needed) -> Verdict {
    if (real.code, &real.shown) == (embedded.code, &embedded.shown) {
        return Verdict::Same;
    }
    let (mut ones, mut others) = (real.shown.clone(), embedded.shown.clone());
    for Difference { name, effect, .. } in DIFFERENCES {
        let before = (ones.clone(), others.clone());
        match effect {
            Effect::Parts(parts) if parts(call, real, embedded) => {
                needed.insert((*name).to_owned());
                // What is refused on both sides changes nothing.
                return if real.code < 400 || embedded.code < 400 { Verdict::WaysPart } else { Verdict::Same };
            }
            Effect::Refuses(refuses) if refuses(call, real, embedded) => {
                needed.insert((*name).to_owned());
                return Verdict::Same;
            }
            Effect::Unchecked(fields) if real.code == 422 && embedded.code != 422 && !real.causes.is_empty() => {
                let known = |cause: &String| {
                    fields
                        .iter()
                        .find(|(kind, field)| *kind == call.kind.plural && cause.starts_with(field))
                        .map(|(_, field)| *field)
                };
                if let Some(fields) = real.causes.iter().map(known).collect::<Option<Vec<&str>>>() {
                    needed.extend(fields.into_iter().map(|field| format!("{name} {} {field}", call.kind.plural)));
                    return if embedded.code < 300 { Verdict::WaysPart } else { Verdict::Same };
                }
            }
            Effect::Shows(take_out) => {
                each_pair(&mut ones, &mut others, &mut |one, other| take_out(call, one, other));
                if before != (ones.clone(), others.clone()) {
                    needed.insert((*name).to_owned());
                }
            }
            Effect::ShowsAt(defaults) => {
                for default in defaults(call) {
                    each_pair(&mut ones, &mut others, &mut |one, other| {
                        if hide(one, other, &default) {
                            needed.insert(default.name(name, call.kind));
                        }
                    });
                }
            }
            Effect::Parts(_) | Effect::Refuses(_) | Effect::Unchecked(_) => {}
        }
    }
    if real.code == embedded.code && ones == others { Verdict::Same } else { Verdict::Different }
}

/// Goes through the objects of two answers side by side.
fn each_pair(one: &mut Value, other: &mut Value, visit: &mut dyn FnMut(&mut Value, &mut Value)) {
    let field = ["items", "object"].into_iter().find(|field| one.get(field).is_some() && other.get(field).is_some());
    if let Some(field) = field {
        return each_pair(&mut one[field], &mut other[field], visit);
    }
    match (&mut *one, &mut *other) {
        (Value::Array(ones), Value::Array(others)) => {
            ones.iter_mut().zip(others).for_each(|(one, other)| each_pair(one, other, visit));
        }
        (Value::Object(_), Value::Object(_)) => visit(one, other),
        _ => {}
    }
}
