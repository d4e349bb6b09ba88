//! Random sequences of calls.
//!
//! In: a seed. Out: the sequence, always the same. Not here: what is sent of each kind ([`super::kinds`]).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::calls::{APPLY, Body, Call, JSON, MERGE};
use super::kinds::{self, Kind, read};

const NAMES: [&str; 2] = ["a", "b"];
const MANAGERS: [&str; 2] = ["first", "second"];
const SELECTORS: [&str; 6] = ["tier=x", "tier in (x,y)", "tier!=y", "!gone", "tier", "tier notin (y),!gone"];

/// Chance, and what it decides among.
struct Draw {
    chance: ChaCha8Rng,
    kinds: Vec<&'static Kind>,
    namespace: &'static str,
    made_count: u32,
}

/// How an object is spoken of.
fn known(kind: &Kind, name: &str) -> String {
    format!("{}/{}", kind.plural, name.trim_matches(['<', '>']))
}

/// The sequence of a seed.
pub fn sequence(seed: u64, namespace: &'static str) -> Vec<Call> {
    let mut draw = Draw { chance: ChaCha8Rng::seed_from_u64(seed), kinds: vec![], namespace, made_count: 0 };
    for _ in 0..=draw.below(2) {
        let kind = draw.of(kinds::all());
        draw.kinds.push(kind);
    }
    let length = 5 + draw.below(9);
    // Something has to be there, or most of it is about nothing.
    let applied = draw.once_in(3);
    let first = |kind: &&'static Kind| {
        let object = kind.object("a", namespace);
        if applied {
            return Call::new(kind, "PATCH", "/a").said(APPLY).with(object).asking("fieldManager", MANAGERS[0]);
        }
        Call::new(kind, "POST", "").with(object)
    };
    let first: Vec<Call> = draw.kinds.iter().map(first).collect();
    let mut calls: Vec<Call> = first.into_iter().chain((0..length).map(|_| draw.call())).collect();
    // In the end the whole story, as somebody saw it who watched.
    for kind in draw.kinds.clone() {
        let watch = Call::new(kind, "GET", "").asking("watch", "true").asking("timeoutSeconds", "20");
        let watch = watch.asking("resourceVersion", format!("<start {}>", kind.plural));
        let watch = if draw.once_in(3) { watch } else { watch.asking("labelSelector", draw.text(&SELECTORS)) };
        calls.push(Call { watches: true, ..watch });
    }
    calls
}

impl Draw {
    fn below(&mut self, count: u32) -> u32 {
        self.chance.next_u32() % count
    }

    fn once_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    fn of<T>(&mut self, all: &'static [T]) -> &'static T {
        let place = self.below(u32::try_from(all.len()).unwrap());
        &all[place as usize]
    }

    fn text(&mut self, all: &'static [&'static str]) -> &'static str {
        self.of::<&'static str>(all)
    }

    fn kind(&mut self) -> &'static Kind {
        let place = self.below(u32::try_from(self.kinds.len()).unwrap());
        self.kinds[place as usize]
    }

    /// A name in a path; now and then one that the server made, or nobody has.
    fn name(&mut self) -> String {
        match self.below(20) {
            0 => "<generated 1>".to_owned(),
            1 => "nobody".to_owned(),
            _ => (self.text(&NAMES)).to_owned(),
        }
    }

    fn call(&mut self) -> Call {
        let kind = self.kind();
        let call = match self.below(100) {
            0..20 => self.create(kind),
            20..26 => Call::new(kind, "GET", format!("/{}", self.name())),
            26..33 => self.list(kind),
            33..46 => self.update(kind),
            46..57 => self.merge(kind),
            57..70 => self.json_patch(kind),
            70..78 => self.apply(kind),
            78..84 => self.status(kind),
            84..93 => self.delete(kind),
            93..95 => self.delete_all(kind),
            95..98 => self.watch(kind),
            _ => self.nonsense(kind),
        };
        let writes = call.method != "GET";
        if writes && self.once_in(20) { call.asking("dryRun", "All") } else { call }
    }

    /// Labels, annotations, finalizers, owners: what every kind has.
    fn metadata(&mut self) -> Value {
        let owner = self.kind();
        let name = self.text(&NAMES);
        let uid = format!("<uid {}/{name}>", owner.plural);
        let owner = json!({"apiVersion": owner.api_version, "kind": owner.word, "name": name, "uid": uid});
        match self.below(16) {
            0..3 => json!({"labels": {"tier": "x"}}),
            3..5 => json!({"labels": {"tier": "y", "gone": "no"}}),
            5 => json!({"labels": {"tier": null}}),
            6..8 => json!({"annotations": {"notturno.dev/token": "n1.1.forward", "note": "1"}}),
            8 => json!({"annotations": null}),
            9..11 => json!({"finalizers": ["notturno.dev/night"]}),
            11 => json!({"finalizers": null}),
            12 => json!({"ownerReferences": [owner]}),
            13 => {
                json!({"ownerReferences": [owner, {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": "<uid configmaps/b>"}]})
            }
            14 => json!({"creationTimestamp": null}),
            _ => self.bad_metadata(),
        }
    }

    fn bad_metadata(&mut self) -> Value {
        match self.below(8) {
            0 => json!({"labels": {"tier": "no spaces"}}),
            1 => json!({"labels": {"tier": 1}}),
            2 => json!({"annotations": {"a/b/c": "x"}}),
            3 => json!({"finalizers": ["night"]}),
            4 => json!({"uid": "<uid configmaps/b>"}),
            5 => json!({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": ""}]}),
            6 => json!({"creationTimestamp": "2001-02-03T04:05:06Z"}),
            _ => json!({"namespace": "elsewhere"}),
        }
    }

    /// Something to merge into an object.
    fn change(&mut self, kind: &'static Kind) -> Value {
        let mut change = match self.below(10) {
            0..5 => read(self.text(kind.changes)),
            5 => read(self.text(kind.spoils)),
            _ => json!({}),
        };
        if change == json!({}) || self.once_in(4) {
            json_patch::merge(&mut change, &json!({"metadata": self.metadata()}));
        }
        change
    }

    fn object(&mut self, kind: &'static Kind, name: &str) -> Value {
        let mut object = kind.object(name, self.namespace);
        for _ in 0..self.below(3) {
            let change = self.change(kind);
            json_patch::merge(&mut object, &change);
        }
        object
    }

    fn create(&mut self, kind: &'static Kind) -> Call {
        let name = match self.below(16) {
            0 => self.text(&[
                "Upper",
                "-dash",
                "a..b",
                "a_b",
                "a.b",
                "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg",
            ]),
            _ => self.text(&NAMES),
        };
        let mut object = self.object(kind, name);
        match self.below(16) {
            0 | 1 => {
                let metadata = object["metadata"].as_object_mut().unwrap();
                metadata.remove("name");
                // Their order in lists is that in which they were made.
                self.made_count += 1;
                metadata.insert("generateName".to_owned(), format!("made-{:02}-", self.made_count).into());
            }
            2 => drop(object["metadata"].as_object_mut().unwrap().remove("namespace")),
            3 => {
                object["status"] = kind.statuses.first().map_or(json!({"phase": "Odd"}), |status| read(status)["status"].clone());
            }
            4 if self.once_in(2) => object["metadata"]["resourceVersion"] = "1".into(),
            4 => drop(object["metadata"].as_object_mut().unwrap().remove("name")),
            _ => {}
        }
        Call::new(kind, "POST", "").with(object)
    }

    fn list(&mut self, kind: &'static Kind) -> Call {
        let call = Call::new(kind, "GET", "");
        match self.below(8) {
            0 => call,
            1..4 => call.asking("labelSelector", self.text(&SELECTORS)),
            4 => {
                call.asking("fieldSelector", self.text(&["metadata.name=a", "metadata.name!=a", "metadata.namespace=elsewhere"]))
            }
            5 => call.asking("limit", "1"),
            _ => call.asking("limit", "1").asking("continue", "<more>"),
        }
    }

    fn update(&mut self, kind: &'static Kind) -> Call {
        let name = self.name();
        let call = Call::new(kind, "PUT", format!("/{name}"));
        if self.once_in(6) {
            return call.with(self.object(kind, &name));
        }
        let mut change = self.change(kind);
        match self.below(10) {
            0 => json_patch::merge(&mut change, &json!({"metadata": {"resourceVersion": null}})),
            1 => json_patch::merge(
                &mut change,
                &json!({"metadata": {"resourceVersion": format!("<older {}>", known(kind, &name))}}),
            ),
            2 => json_patch::merge(&mut change, &json!({"metadata": {"uid": "<uid none>"}})),
            3 => json_patch::merge(&mut change, &json!({"metadata": {"uid": null}})),
            _ => {}
        }
        Call { body: Body::Seen { name, change }, ..call }
    }

    fn merge(&mut self, kind: &'static Kind) -> Call {
        let name = self.name();
        let mut change = self.change(kind);
        match self.below(12) {
            0 => change["metadata"]["resourceVersion"] = format!("<older {}>", known(kind, &name)).into(),
            1 => change["metadata"]["resourceVersion"] = format!("<version {}>", known(kind, &name)).into(),
            2 => change["metadata"]["uid"] = "<uid none>".into(),
            _ => {}
        }
        Call::new(kind, "PATCH", format!("/{name}")).said(MERGE).with(change)
    }

    fn json_patch(&mut self, kind: &'static Kind) -> Call {
        let name = self.name();
        let operations: Vec<Value> = (0..=self.below(3)).map(|_| self.operation(kind, &name)).collect();
        Call::new(kind, "PATCH", format!("/{name}")).said(JSON).with(operations.into())
    }

    fn operation(&mut self, kind: &'static Kind, name: &str) -> Value {
        let of = known(kind, name);
        let (path, value) = self.of(kind.places);
        let value = read(value);
        match self.below(16) {
            0 | 1 => json!({"op": "test", "path": "/metadata/uid", "value": format!("<uid {of}>")}),
            2 => json!({"op": "test", "path": "/metadata/resourceVersion", "value": format!("<version {of}>")}),
            3 => json!({"op": "test", "path": path, "value": value}),
            4 => json!({"op": "test", "path": "/metadata/annotations/none", "value": null}),
            5..8 => json!({"op": "replace", "path": path, "value": value}),
            8 | 9 => json!({"op": "add", "path": path, "value": value}),
            10 => json!({"op": "remove", "path": path}),
            11 => json!({"op": "add", "path": "/metadata/annotations", "value": {"notturno.dev/token": "n1.1.forward"}}),
            12 => json!({"op": "replace", "path": "/metadata/annotations/notturno.dev~1token", "value": "n1.2.back"}),
            13 => json!({"op": "test", "path": "/metadata/annotations/notturno.dev~1token", "value": "n1.1.forward"}),
            14 => {
                json!({"op": "remove", "path": self.text(&["/metadata/annotations/notturno.dev~1token", "/metadata/finalizers", "/metadata/labels"])})
            }
            _ => self.odd_operation(path),
        }
    }

    fn odd_operation(&mut self, path: &str) -> Value {
        match self.below(7) {
            0 => json!({"op": "add", "path": "/metadata/finalizers/-", "value": "notturno.dev/other"}),
            1 => json!({"op": "copy", "from": "/metadata/name", "path": "/metadata/annotations/name"}),
            2 => json!({"op": "move", "from": path, "path": "/metadata/annotations/moved"}),
            3 => json!({"op": "replace", "path": "/metadata/uid", "value": "<uid none>"}),
            4 => json!({"op": "replace", "path": "/metadata/name", "value": "c"}),
            5 => json!({"op": "odd", "path": path, "value": 1}),
            _ => json!({"op": "test", "path": "/nowhere/at/all", "value": null}),
        }
    }

    fn apply(&mut self, kind: &'static Kind) -> Call {
        let name = self.text(&NAMES);
        let mut object = if self.once_in(2) {
            self.object(kind, name)
        } else {
            let mut part = json!({"apiVersion": kind.api_version, "kind": kind.word, "metadata": {"name": name}});
            let change = self.change(kind);
            json_patch::merge(&mut part, &change);
            part
        };
        if self.once_in(12) {
            object["metadata"]["resourceVersion"] = format!("<older {}>", known(kind, name)).into();
        }
        let call = Call::new(kind, "PATCH", format!("/{name}")).said(APPLY).with(object);
        let call = if self.once_in(12) { call } else { call.asking("fieldManager", self.text(&MANAGERS)) };
        if self.once_in(2) { call.asking("force", "true") } else { call }
    }

    fn status(&mut self, kind: &'static Kind) -> Call {
        let name = self.name();
        let place = format!("/{name}/status");
        let change = match kind.statuses {
            [] => json!({"status": {}}),
            statuses => read(self.text(statuses)),
        };
        match self.below(4) {
            0 if kind.plural != "services" => Call { body: Body::Seen { name, change }, ..Call::new(kind, "PUT", place) },
            1 => {
                let change = json!([{"op": "add", "path": "/status", "value": change["status"]}]);
                Call::new(kind, "PATCH", place).said(JSON).with(change)
            }
            2 => {
                let mut change = change;
                let more = self.change(kind);
                json_patch::merge(&mut change, &more);
                Call::new(kind, "PATCH", place).said(MERGE).with(change)
            }
            _ => Call::new(kind, "PATCH", place).said(MERGE).with(change),
        }
    }

    /// What is said about deleting.
    fn options(&mut self, of: &str) -> Body {
        let options = match self.below(12) {
            0 => json!({"preconditions": {"uid": format!("<uid {of}>")}}),
            1 => json!({"preconditions": {"uid": "<uid none>"}}),
            2 => json!({"preconditions": {"resourceVersion": format!("<version {of}>")}}),
            3 => json!({"preconditions": {"resourceVersion": format!("<older {of}>")}}),
            4 => json!({"propagationPolicy": "Background"}),
            5 => json!({"propagationPolicy": "Foreground"}),
            6 => json!({"propagationPolicy": "Orphan"}),
            7 => json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"}),
            8 if self.once_in(3) => json!({"propagationPolicy": "Odd"}),
            8 => json!({"dryRun": ["All"]}),
            _ => return Body::Nothing,
        };
        let mut whole = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        json_patch::merge(&mut whole, &options);
        Body::Sent(whole)
    }

    fn delete(&mut self, kind: &'static Kind) -> Call {
        let name = self.name();
        let body = self.options(&known(kind, &name));
        let call = Call { body, ..Call::new(kind, "DELETE", format!("/{name}")) };
        if self.once_in(10) { call.asking("propagationPolicy", self.text(&["Background", "Foreground", "Orphan"])) } else { call }
    }

    fn delete_all(&mut self, kind: &'static Kind) -> Call {
        let call = Call::new(kind, "DELETE", "");
        match self.below(3) {
            0 => call.asking("labelSelector", self.text(&SELECTORS)),
            1 => call.asking("fieldSelector", "metadata.name=a"),
            _ => call,
        }
    }

    fn watch(&mut self, kind: &'static Kind) -> Call {
        let call = Call::new(kind, "GET", "").asking("watch", "true").asking("timeoutSeconds", "20");
        let call = match self.below(10) {
            0..5 => call.asking("resourceVersion", format!("<start {}>", kind.plural)),
            5..8 => call,
            8 => call.asking("resourceVersion", "odd"),
            _ => call
                .asking("sendInitialEvents", "true")
                .asking("resourceVersionMatch", "NotOlderThan")
                .asking("allowWatchBookmarks", "true"),
        };
        // The last object, by which the end is known, is one that each of these selects.
        let call = if self.once_in(2) { call.asking("labelSelector", self.text(&SELECTORS)) } else { call };
        Call { watches: true, ..call }
    }

    fn nonsense(&mut self, kind: &'static Kind) -> Call {
        let whole = kind.object("a", self.namespace);
        match self.below(12) {
            0 => Call::new(kind, "GET", "/a/unheard"),
            1 => Call::new(kind, "PUT", "/a/unheard").with(whole),
            2 => Call::new(kind, "PUT", "/b").with(whole),
            3 => Call::new(kind, "POST", "")
                .with(json!({"apiVersion": kind.api_version, "kind": "Odd", "metadata": {"name": "a"}})),
            4 => Call::new(kind, "POST", "").with(json!("text")),
            5 => Call::new(kind, "PATCH", "/a").said("application/odd").with(json!({})),
            6 => Call::new(kind, "PATCH", "/a").said(MERGE).with(json!([1])),
            7 => Call::new(kind, "PATCH", "/a").said(JSON).with(json!({"op": "add"})),
            8 => Call::new(kind, "GET", "").asking("labelSelector", "a in b"),
            9 => Call::new(kind, "GET", "").asking("fieldSelector", "spec.odd=1"),
            10 => Call::new(kind, "GET", "").asking("continue", "odd").asking("limit", "1"),
            _ if kind.plural == "interventions" => Call::new(kind, "DELETE", "/a/unheard"),
            _ => Call::new(kind, "POST", "/a").with(whole),
        }
    }
}
