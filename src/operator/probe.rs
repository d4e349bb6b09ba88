//! Asking services whether they answer, for as long as the engine wants to know.
//!
//! In: the services that a decision commands to probe. Out: [`Probes`] per service, and a ring when one turns green or red.
//! Invariants: what is no longer commanded is no longer asked; a probe that panics is a red answer; only `consecutive` good answers in
//! a row make green; a service without probes is green. Not here: what green means (the engine), sockets ([`super::http_get`]).

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::context::Getter;
use crate::engine::facts::{Probes, ServiceFact};
use crate::engine::{Command, Facts};
use crate::model::plan::{Plan, ServiceIndex};
use crate::model::service::Probe;
use crate::model::span::Span;

/// The longest text kept of an answer.
const REASON_CHARS_MAX: usize = 200;

/// The probers of one night; dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Probers(BTreeMap<ServiceIndex, Prober>);

/// One service, or one step, under probe.
#[derive(Debug)]
pub(crate) struct Prober {
    answers: Arc<Mutex<Vec<Answers>>>,
    since: Instant,
    _asking: JoinSet<()>,
}

/// What one probe has heard.
#[derive(Clone, Debug, Default)]
struct Answers {
    good_in_a_row: u32,
    is_green: bool,
    last: Option<String>,
}

impl Probers {
    /// Asks these services, and no others.
    pub(crate) fn set(&mut self, wanted: &BTreeSet<ServiceIndex>, plan: &Plan, getter: &Getter, bell: &Arc<Notify>) {
        self.0.retain(|service, _| wanted.contains(service));
        for &service in wanted {
            let Some(planned) = plan.services.get(service) else { continue };
            self.0.entry(service).or_insert_with(|| {
                if planned.probes.is_empty() {
                    bell.notify_one();
                }
                Prober::start(&planned.probes, getter, bell)
            });
        }
    }

    /// Adds what is known of each service under probe; one that has no targets has nothing to be burned or given back.
    pub(crate) fn add_to(&self, plan: &Plan, facts: &mut Facts) {
        for (service, probes) in self.facts() {
            let has_targets = plan.services.get(service).is_some_and(|planned| planned.close_at.is_some());
            let unseen = ServiceFact { burned: !has_targets, restored: !has_targets, ..ServiceFact::default() };
            facts.services.entry(service).or_insert(unseen).probes = probes;
        }
    }

    /// What is known of each service under probe.
    fn facts(&self) -> BTreeMap<ServiceIndex, Probes> {
        self.0.iter().map(|(service, prober)| (*service, prober.fact())).collect()
    }
}

/// Services to ask: those whose objects are as they were, since what answers before that is not the service.
pub(crate) fn to_probe(commands: &[Command]) -> BTreeSet<ServiceIndex> {
    let mut wanted = BTreeSet::new();
    for command in commands {
        if let Command::Probe { service } = command {
            wanted.insert(*service);
        }
    }
    wanted.retain(|service| !commands.contains(&Command::Reopen { service: *service }));
    wanted
}

impl Prober {
    pub(crate) fn start(probes: &[Probe], getter: &Getter, bell: &Arc<Notify>) -> Self {
        let answers = Arc::new(Mutex::new(vec![Answers::default(); probes.len()]));
        let mut asking = JoinSet::new();
        for (index, probe) in probes.iter().enumerate() {
            asking.spawn(ask(probe.clone(), index, Arc::clone(&answers), Arc::clone(getter), Arc::clone(bell)));
        }
        Self { answers, since: Instant::now(), _asking: asking }
    }

    pub(crate) fn fact(&self) -> Probes {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match answers.iter().find(|answers| !answers.is_green) {
            None => Probes::Green,
            Some(red) => red.last.clone().map_or(Probes::NotAsked, |reason| Probes::Red { reason, asked_for: self.asked_for() }),
        }
    }

    fn asked_for(&self) -> Span {
        Span::seconds(u32::try_from(self.since.elapsed().as_secs()).unwrap_or(u32::MAX))
    }
}

async fn ask(probe: Probe, index: usize, answers: Arc<Mutex<Vec<Answers>>>, getter: Getter, bell: Arc<Notify>) {
    let every = Duration::try_from(probe.every.get()).unwrap_or_default().max(Duration::from_millis(100));
    loop {
        let answer = AssertUnwindSafe(async { getter(probe.url.clone()).await }).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| Err("the prober itself failed".to_owned()));
        let turned = {
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.get_mut(index).is_some_and(|answers| answers.hear(&probe, answer))
        };
        if turned {
            bell.notify_one();
        }
        tokio::time::sleep(every).await;
    }
}

impl Answers {
    /// Notes one answer; true when the probe turned green or red.
    fn hear(&mut self, probe: &Probe, answer: Result<u16, String>) -> bool {
        let good = matches!(answer, Ok(status) if probe.status.contains(&status));
        let was_green = self.is_green;
        self.good_in_a_row = if good { self.good_in_a_row.saturating_add(1) } else { 0 };
        self.is_green = self.good_in_a_row >= probe.consecutive;
        let words = match answer {
            Ok(status) if good => format!("answers {status}, {} of {} in a row", self.good_in_a_row, probe.consecutive),
            Ok(status) => format!("answers {status}"),
            Err(reason) => reason,
        };
        self.last = Some(format!("{}: {words}", probe.name).chars().take(REASON_CHARS_MAX).collect());
        was_green != self.is_green
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    fn probe() -> Probe {
        let status = vec![200, 204];
        Probe { name: "vive".into(), url: "http://a.b/".into(), status, consecutive: 3, every: Span::seconds(5) }
    }

    #[test]
    fn only_good_answers_in_a_row_make_green() {
        let mut answers = Answers::default();
        let turned: Vec<bool> = [Ok(200), Ok(204), Ok(503), Ok(200), Ok(200), Ok(200), Err("refused".into())]
            .into_iter()
            .map(|answer| answers.hear(&probe(), answer))
            .collect();
        assert_eq!(turned, [false, false, false, false, false, true, true]);
        assert_eq!(answers.last.as_deref(), Some("vive: refused"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_prober_that_panics_is_a_red_answer() {
        let bell = Arc::new(Notify::new());
        let getter: Getter = Arc::new(|_| panic!("poison"));
        let prober = Prober::start(&[probe()], &getter, &bell);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(prober.fact(), Probes::Red { reason: "vive: the prober itself failed".into(), asked_for: Span::seconds(1) });
    }

    fn of_url(url: &str) -> Probe {
        Probe { name: url.into(), url: url.into(), ..probe() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_green_when_all_its_probes_are_and_nothing_is_known_of_it_before_they_were_asked() {
        let getter: Getter =
            Arc::new(|url| std::future::ready(if url == "http://buona/" { Ok(200) } else { Err("refused".into()) }).boxed());
        let bell = Arc::new(Notify::new());
        let prober = Prober::start(&[of_url("http://buona/"), of_url("http://cattiva/")], &getter, &bell);
        assert_eq!(prober.fact(), Probes::NotAsked);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(prober.fact(), Probes::Red { reason: "http://cattiva/: refused".into(), asked_for: Span::seconds(60) });
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_asked_as_often_as_it_says_and_rings_when_it_turns_only() {
        let asked = Arc::new(Mutex::new(0_u32));
        let count = Arc::clone(&asked);
        let getter: Getter = Arc::new(move |_| {
            *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            std::future::ready(Ok(200)).boxed()
        });
        let bell = Arc::new(Notify::new());
        let prober = Prober::start(&[probe()], &getter, &bell);
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(bell.notified().now_or_never(), None, "two good answers of three");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((bell.notified().now_or_never(), prober.fact()), (Some(()), Probes::Green));
        tokio::time::sleep(Duration::from_secs(48)).await;
        assert_eq!(bell.notified().now_or_never(), None, "green stays green");
        assert_eq!(*asked.lock().unwrap_or_else(PoisonError::into_inner), 12, "in a minute, every five seconds");
    }
}
