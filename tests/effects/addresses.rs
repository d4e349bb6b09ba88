//! Addresses that would never be asked: told by day, all at once, and nothing is touched.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use notturno::operator::effects::Switch;
use notturno::operator::effects::pod_security::Level;
use notturno::operator::effects::{ArmError, Judge, Unasked, arm};
use serde_json::json;

use crate::scene::*;

/// Who forbids what is not of the cluster, and knows only this name there.
fn judge(known: &'static str) -> Judge {
    Arc::new(move |url: String| {
        let verdict = match () {
            () if url.contains(known) => Ok(()),
            () if url.contains(".svc") => Err(Unasked::Unknown("no such host".to_owned())),
            () => Err(Unasked::Forbidden("it is no Service of the cluster".to_owned())),
        };
        std::future::ready(verdict).boxed()
    })
}

fn probe(name: &str, url: &str) -> serde_json::Value {
    json!({"name": name, "url": url, "status": [200], "consecutive": 1, "every": "5s"})
}

fn asking(scene: &mut Scene, name: &str, url: &str, needs: &[usize]) {
    let mut step = scene.plan.steps[2].clone();
    name.clone_into(&mut step.name);
    step.needs = needs.to_vec();
    step.action = serde_json::from_value(json!({"check": {"http": probe(name, url)}})).unwrap();
    scene.plan.steps.push(step);
}

async fn problems(scene: &Scene, judge: &Judge) -> Vec<String> {
    match arm(&scene.tenant, &scene.plan, Level::Restricted, judge, &Switch::Without).await {
        Err(ArmError::Impossible { mut problems }) => {
            problems.sort();
            problems
        }
        Ok(_) => Vec::new(),
        Err(other) => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn probes_and_checks_that_would_never_be_asked_are_told_at_once_and_nothing_is_claimed() {
    let mut scene = Scene::by_day();
    scene.plan.services[0].probes = vec![
        serde_json::from_value(probe("vive", "http://ricetta.sanita.svc/")).unwrap(),
        serde_json::from_value(probe("fuori", "http://www.example.org/")).unwrap(),
    ];
    asking(&mut scene, "controlla", "http://altro.sanita.svc:8080/pronto", &[]);
    scene.accept().await;
    let before = scene.api.log().len();
    let expected = [
        "PublicService/sanita/ricetta, probe fuori: http://www.example.org/ would never be asked: it is no Service of the cluster; \
         correct the address, or let the administrator allow it",
        "the runbook, step controlla, http: http://altro.sanita.svc:8080/pronto would never be asked: no such host; correct the \
         address, or make that Service by day",
    ];
    assert_eq!(problems(&scene, &judge("ricetta.sanita.svc")).await, expected);
    assert_eq!(scene.changed_since(before), Vec::<String>::new());
    assert_eq!(problems(&scene, &judge("")).await, Vec::<String>::new(), "once they may be asked it is armed");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_an_earlier_step_makes_need_not_be_known_by_day() {
    for (name, needs, known) in [("nuova", &[3][..], true), ("nuova", &[], false), ("altra", &[3], false)] {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nuova", "namespace": "sanita"},
            "spec": {"ports": [{"port": 80}]}});
        let target = json!({"apiVersion": "v1", "kind": "Service", "namespace": "sanita", "name": "nuova"});
        let mut scene = crate::step_scene::with_steps(&[(target, json!({"apply": {"manifest": service}}))]);
        for service in &mut scene.plan.services {
            service.probes.clear();
        }
        asking(&mut scene, "controlla", &format!("http://{name}.sanita.svc/"), needs);
        scene.accept().await;
        let found = problems(&scene, &judge("nothing")).await;
        assert_eq!(found.is_empty(), known, "{name} {needs:?}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_are_not_resolved_in_time_are_a_problem_and_hold_arming_no_longer() {
    let mut scene = Scene::by_day();
    scene.plan.services[1].probes = (0..10)
        .map(|n| serde_json::from_value(probe(&format!("vive-{n}"), &format!("http://cup-{n}.sanita.svc/"))).unwrap())
        .collect();
    scene.plan.services[0].probes.clear();
    scene.accept().await;
    let judge: Judge = Arc::new(|_| std::future::pending().boxed());
    let since = tokio::time::Instant::now();
    let found = problems(&scene, &judge).await;
    assert_eq!(found.len(), 10, "{found:#?}");
    assert!(found[0].contains("its name is not resolved within 5s"), "{found:#?}");
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
}
