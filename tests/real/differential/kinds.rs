//! The kinds that are compared, and what is sent of each.
//!
//! Out: a valid object of every kind, changes that are fine, changes that are not, and places for JSON patches. Invariants: all of it is text in which
//! `NAME` and `NS` stand for the object's own; `<…>` is filled in by whoever sends it ([`super::memory`]). Not here: which of it is sent when.

use serde_json::Value;

/// One kind.
#[derive(Debug)]
pub struct Kind {
    pub plural: &'static str,
    pub api_version: &'static str,
    pub word: &'static str,
    /// What `/status` may be given; none where it does not exist.
    pub statuses: &'static [&'static str],
    /// Everything but what it is and what it is called.
    body: &'static str,
    /// Merged into an object, they leave one that can be stored, whatever it was before.
    pub changes: &'static [&'static str],
    /// Merged into an object, they mostly leave one that cannot.
    pub spoils: &'static [&'static str],
    /// Where JSON patches go, and with what.
    pub places: &'static [(&'static str, &'static str)],
}

impl Kind {
    /// The path of all objects in a namespace.
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{}/namespaces/{namespace}/{}", self.api_version, self.plural)
    }

    /// A valid object.
    pub fn object(&self, name: &str, namespace: &str) -> Value {
        let mut object = read(&self.body.replace("NAME", name).replace("NS", namespace));
        object["apiVersion"] = self.api_version.into();
        object["kind"] = self.word.into();
        object["metadata"] = serde_json::json!({"name": name, "namespace": namespace});
        object
    }
}

/// What one of the texts says.
pub fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

const POD: &str = r#"{"restartPolicy": "Never", "containers": [{"name": "work", "image": "work:1"}]}"#;

const CONFIG_MAP: Kind = Kind {
    plural: "configmaps",
    api_version: "v1",
    word: "ConfigMap",
    statuses: &[],
    body: r#"{"data": {"k": "1"}}"#,
    changes: &[
        r#"{"data": {"k": "2"}}"#,
        r#"{"data": {"j": "x"}}"#,
        r#"{"data": {"k": null}}"#,
        r#"{"data": null}"#,
        r#"{"binaryData": {"b": "AAE="}}"#,
        r#"{"immutable": true}"#,
    ],
    spoils: &[
        r#"{"data": {"k": 1}}"#,
        r#"{"data": {"no key": "x"}}"#,
        r#"{"binaryData": {"b": "%%"}}"#,
        r#"{"binaryData": {"k": "AAE="}}"#,
        r#"{"data": []}"#,
        r#"{"immutable": "yes"}"#,
        r#"{"unheard": {"of": 1}}"#,
    ],
    places: &[("/data/k", r#""3""#), ("/data/j", r#""y""#), ("/data", r#"{"k": "4"}"#), ("/data/none/deeper", r#""5""#)],
};

const SECRET: Kind = Kind {
    plural: "secrets",
    api_version: "v1",
    word: "Secret",
    statuses: &[],
    body: r#"{"type": "Opaque", "data": {"k": "MQ=="}}"#,
    changes: &[
        r#"{"data": {"k": "Mg=="}}"#,
        r#"{"data": {"j": "eA=="}}"#,
        r#"{"data": {"k": null}}"#,
        r#"{"stringData": {"k": "plain", "l": ""}}"#,
        r#"{"immutable": true}"#,
    ],
    spoils: &[
        r#"{"data": {"k": "%%"}}"#,
        r#"{"data": {"no key": "MQ=="}}"#,
        r#"{"data": {"k": 1}}"#,
        r#"{"type": "notturno.dev/other"}"#,
        r#"{"stringData": {"k": true}}"#,
    ],
    places: &[("/data/k", r#""Mw==""#), ("/data/j", r#""eQ==""#), ("/type", r#""Opaque""#)],
};

const SERVICE: Kind = Kind {
    plural: "services",
    api_version: "v1",
    word: "Service",
    statuses: &[
        r#"{"status": {"conditions": [{"type": "Odd", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2023-02-09T23:30:00Z"}]}}"#,
        r#"{"status": {"conditions": null}}"#,
    ],
    body: r#"{"spec": {"clusterIP": "None", "selector": {"app": "x"}, "ports": [{"name": "http", "port": 80}]}}"#,
    changes: &[
        r#"{"spec": {"selector": {"app": "y"}}}"#,
        r#"{"spec": {"selector": null}}"#,
        r#"{"spec": {"ports": [{"name": "http", "port": 8080, "targetPort": "web"}]}}"#,
        r#"{"spec": {"ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 81, "protocol": "UDP"}]}}"#,
        r#"{"spec": {"publishNotReadyAddresses": true}}"#,
    ],
    spoils: &[
        r#"{"spec": {"ports": [{"name": "http", "port": 0}]}}"#,
        r#"{"spec": {"ports": [{"port": 80}, {"port": 81}]}}"#,
        r#"{"spec": {"type": "Odd"}}"#,
        r#"{"spec": {"selector": {"app": "no spaces"}}}"#,
        r#"{"spec": {"ports": "eighty"}}"#,
    ],
    places: &[("/spec/selector/app", r#""z""#), ("/spec/selector", r#"{"app": "w"}"#), ("/spec/ports/0/port", "81")],
};

const SERVICE_ACCOUNT: Kind = Kind {
    plural: "serviceaccounts",
    api_version: "v1",
    word: "ServiceAccount",
    statuses: &[],
    body: "{}",
    changes: &[
        r#"{"automountServiceAccountToken": false}"#,
        r#"{"automountServiceAccountToken": null}"#,
        r#"{"imagePullSecrets": [{"name": "pull"}]}"#,
        r#"{"secrets": [{"name": "s"}]}"#,
    ],
    spoils: &[r#"{"automountServiceAccountToken": "no"}"#, r#"{"secrets": {"name": "s"}}"#],
    places: &[("/automountServiceAccountToken", "true"), ("/imagePullSecrets", r#"[{"name": "other"}]"#)],
};

const LEASE: Kind = Kind {
    plural: "leases",
    api_version: "coordination.k8s.io/v1",
    word: "Lease",
    statuses: &[],
    body: r#"{"spec": {"holderIdentity": "one", "leaseDurationSeconds": 15, "leaseTransitions": 0,
        "acquireTime": "2023-02-09T23:30:00.000000Z", "renewTime": "2023-02-09T23:30:00.000000Z"}}"#,
    changes: &[
        r#"{"spec": {"holderIdentity": "two", "leaseTransitions": 1}}"#,
        r#"{"spec": {"renewTime": "2023-02-09T23:30:05.250000Z"}}"#,
        r#"{"spec": {"renewTime": "2023-02-09T23:30:06Z"}}"#,
        r#"{"spec": {"holderIdentity": null}}"#,
    ],
    spoils: &[
        r#"{"spec": {"leaseDurationSeconds": 0}}"#,
        r#"{"spec": {"leaseTransitions": -1}}"#,
        r#"{"spec": {"acquireTime": "yesterday"}}"#,
        r#"{"spec": {"holderIdentity": 1}}"#,
        r#"{"spec": {"leaseDurationSeconds": "15"}}"#,
    ],
    places: &[("/spec/holderIdentity", r#""three""#), ("/spec/leaseTransitions", "2"), ("/spec/leaseDurationSeconds", "-1")],
};

const EVENT: Kind = Kind {
    plural: "events",
    api_version: "v1",
    word: "Event",
    statuses: &[],
    body: r#"{"involvedObject": {"apiVersion": "v1", "kind": "ConfigMap", "name": "NAME", "namespace": "NS"}, "reason": "Told",
        "message": "once", "type": "Normal", "count": 1, "source": {"component": "notturno"}, "reportingComponent": "notturno",
        "reportingInstance": "notturno-1", "action": "Tell", "firstTimestamp": "2023-02-09T23:30:00Z", "lastTimestamp": "2023-02-09T23:30:00Z"}"#,
    changes: &[r#"{"count": 2, "lastTimestamp": "2023-02-09T23:31:00Z"}"#, r#"{"message": "twice"}"#, r#"{"type": "Warning"}"#],
    spoils: &[
        r#"{"involvedObject": {"namespace": "elsewhere"}}"#,
        r#"{"count": "many"}"#,
        r#"{"lastTimestamp": "yesterday"}"#,
        r#"{"eventTime": "2023-02-09T23:30:00Z"}"#,
    ],
    places: &[("/count", "3"), ("/message", r#""thrice""#), ("/reason", r#""Said""#)],
};

const INTERVENTION: Kind = Kind {
    plural: "interventions",
    api_version: "notturno.dev/v1alpha1",
    word: "Intervention",
    statuses: &[
        r#"{"status": {"phase": "Armed", "observedGeneration": 1}}"#,
        r#"{"status": {"phase": "Working", "why": "it is time", "needsHuman": true}}"#,
        r#"{"status": {"step": "work", "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2023-02-09T23:30:00Z"}]}}"#,
        r#"{"status": {"phase": "Odd"}}"#,
        r#"{"status": {"unheard": 1}}"#,
    ],
    body: r#"{"spec": {"runbook": "lavori", "startTime": "2023-02-10T00:30:00+01:00"}}"#,
    changes: &[r#"{"metadata": {"labels": {"app": "night"}}}"#, r#"{"metadata": {"annotations": {"said": "once"}}}"#],
    spoils: &[
        r#"{"spec": {"runbook": "other"}}"#,
        r#"{"spec": {"mode": "Odd"}}"#,
        r#"{"spec": {"unheard": {"of": 1}}}"#,
        r#"{"spec": {"startTime": null}}"#,
        r#"{"spec": {"runbook": 3}}"#,
    ],
    places: &[("/spec/runbook", r#""third""#), ("/spec/parameters", r#"{"a": "b"}"#)],
};

/// All of them.
pub fn all() -> &'static [Kind] {
    static ALL: std::sync::LazyLock<Vec<Kind>> = std::sync::LazyLock::new(|| {
        let with_pod = |text: &'static str| &*text.replace("POD", POD).leak();
        vec![
            CONFIG_MAP,
            SECRET,
            SERVICE,
            SERVICE_ACCOUNT,
            LEASE,
            EVENT,
            INTERVENTION,
            Kind { body: with_pod(JOB.body), ..JOB },
            Kind { body: with_pod(DEPLOYMENT.body), ..DEPLOYMENT },
            Kind { body: with_pod(CRON_JOB.body), ..CRON_JOB },
        ]
    });
    &ALL
}

const JOB: Kind = Kind {
    plural: "jobs",
    api_version: "batch/v1",
    word: "Job",
    statuses: &[
        r#"{"status": {"active": 1, "ready": 0}}"#,
        r#"{"status": {"startTime": "2023-02-09T23:30:00Z"}}"#,
        r#"{"status": {"conditions": [{"type": "Suspended", "status": "True", "reason": "JobSuspended", "message": "Job suspended"}]}}"#,
        r#"{"status": {"active": -1}}"#,
    ],
    body: r#"{"spec": {"suspend": true, "backoffLimit": 0, "template": {"metadata": {"labels": {"step": "NAME"}}, "spec": POD}}}"#,
    changes: &[
        r#"{"spec": {"suspend": false}}"#,
        r#"{"spec": {"suspend": true}}"#,
        r#"{"spec": {"parallelism": 2}}"#,
        r#"{"spec": {"activeDeadlineSeconds": 60}}"#,
        r#"{"spec": {"backoffLimit": 2}}"#,
        r#"{"spec": {"ttlSecondsAfterFinished": 10}}"#,
        r#"{"spec": {"template": {"metadata": {"annotations": {"said": "once"}}}}}"#,
        r#"{"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}}"#,
    ],
    spoils: &[
        r#"{"spec": {"completions": 2}}"#,
        r#"{"spec": {"backoffLimit": -1}}"#,
        r#"{"spec": {"selector": {"matchLabels": {"x": "y"}}}}"#,
        r#"{"spec": {"template": {"spec": {"restartPolicy": "Always"}}}}"#,
        r#"{"spec": {"template": {"spec": {"containers": [{"name": "work", "image": "work:2"}]}}}}"#,
        r#"{"spec": {"template": {"spec": {"containers": []}}}}"#,
        r#"{"spec": {"suspend": "yes"}}"#,
        r#"{"spec": {"template": null}}"#,
    ],
    places: &[
        ("/spec/suspend", "false"),
        ("/spec/suspend", "true"),
        ("/spec/parallelism", "3"),
        ("/spec/template/spec/containers/0/image", r#""work:3""#),
        ("/spec/template/metadata/labels/step", r#""other""#),
    ],
};

const DEPLOYMENT: Kind = Kind {
    plural: "deployments",
    api_version: "apps/v1",
    word: "Deployment",
    statuses: &[
        r#"{"status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1}}"#,
        r#"{"status": {"readyReplicas": null, "replicas": 0}}"#,
        r#"{"status": {"replicas": -1}}"#,
        r#"{"status": {"replicas": 1, "readyReplicas": 2}}"#,
    ],
    body: r#"{"spec": {"replicas": 1, "selector": {"matchLabels": {"app": "NAME"}}, "template": {"metadata": {"labels": {"app": "NAME"}},
        "spec": {"containers": [{"name": "serve", "image": "serve:1"}]}}}}"#,
    changes: &[
        r#"{"spec": {"replicas": 0}}"#,
        r#"{"spec": {"replicas": 3}}"#,
        r#"{"spec": {"paused": true}}"#,
        r#"{"spec": {"template": {"metadata": {"annotations": {"said": "once"}}}}}"#,
        r#"{"spec": {"minReadySeconds": 5}}"#,
        r#"{"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}}"#,
        r#"{"metadata": {"annotations": {"notturno.dev/token": "n1.1.forward"}}}"#,
    ],
    spoils: &[
        r#"{"spec": {"replicas": -1}}"#,
        r#"{"spec": {"selector": {"matchLabels": {"app": "other"}}}}"#,
        r#"{"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}}"#,
        r#"{"spec": {"template": {"spec": {"containers": []}}}}"#,
        r#"{"spec": {"replicas": "many"}}"#,
        r#"{"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}"#,
    ],
    places: &[
        ("/spec/replicas", "2"),
        ("/spec/replicas", "0"),
        ("/spec/paused", "true"),
        ("/spec/template/spec/containers/0/image", r#""serve:2""#),
        ("/metadata/annotations/notturno.dev~1token", r#""n1.2.back""#),
    ],
};

const CRON_JOB: Kind = Kind {
    plural: "cronjobs",
    api_version: "batch/v1",
    word: "CronJob",
    statuses: &[r#"{"status": {"lastScheduleTime": "2023-02-09T23:30:00Z"}}"#, r#"{"status": {"lastScheduleTime": null}}"#],
    body: r#"{"spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"metadata": {"labels": {"app": "NAME"}}, "spec": POD}}}}}"#,
    changes: &[
        r#"{"spec": {"suspend": true}}"#,
        r#"{"spec": {"suspend": false}}"#,
        r#"{"spec": {"schedule": "30 2 * * *", "timeZone": "Europe/Rome"}}"#,
        r#"{"spec": {"concurrencyPolicy": "Forbid"}}"#,
        r#"{"spec": {"startingDeadlineSeconds": 60}}"#,
    ],
    spoils: &[
        r#"{"spec": {"schedule": "at night"}}"#,
        r#"{"spec": {"timeZone": "Nowhere/None"}}"#,
        r#"{"spec": {"concurrencyPolicy": "Odd"}}"#,
        r#"{"spec": {"startingDeadlineSeconds": -1}}"#,
        r#"{"spec": {"suspend": "yes"}}"#,
    ],
    places: &[("/spec/suspend", "true"), ("/spec/schedule", r#""15 1 * * *""#), ("/spec/jobTemplate/spec/backoffLimit", "1")],
};
