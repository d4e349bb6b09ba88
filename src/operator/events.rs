//! One Kubernetes Event for each entry of the journal, for people who watch with `kubectl`.
//!
//! In: entries as appended. Out: Events on the Intervention. Invariants: best effort, beside the night and never in its way; names come
//! from the night's UID and the place of the entry, so that a repetition is refused by the API server and shown to nobody.
//! Not here: the journal itself: an Event that was lost is still there.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as KubeEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use serde_json::Value;
use tokio::task::JoinSet;

use super::context::Context;
use super::effects::call::{Answer, LIMIT, within};
use super::story::story;
use crate::engine::{Entry, Event};

/// The API server's limits.
const NOTE_BYTES_MAX: usize = 1024;
const ACTION_BYTES_MAX: usize = 128;
/// Waves of Events that may be under way for one night; more are dropped.
const WAVES_MAX: usize = 16;

/// The Events of one night that are under way; dropping it gives them up.
#[derive(Debug, Default)]
pub(super) struct Herald(JoinSet<()>);

/// On what the Events are.
#[derive(Clone, Debug)]
pub(super) struct Regarding {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// What one Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// Unique in the night.
    pub(super) place: String,
    pub(super) at: Timestamp,
    pub(super) reason: String,
    pub(super) action: String,
    pub(super) note: String,
    pub(super) warning: bool,
}

impl Herald {
    /// Sends notices, in order, without anybody waiting.
    pub(super) fn tell(&mut self, context: &Context, regarding: &Regarding, notices: Vec<Notice>) {
        while self.0.try_join_next().is_some() {}
        if notices.is_empty() || self.0.len() >= WAVES_MAX {
            return;
        }
        let events: Vec<KubeEvent> = notices.into_iter().map(|notice| event(regarding, notice)).collect();
        let api: Api<KubeEvent> = Api::namespaced(context.client.clone(), &regarding.namespace);
        self.0.spawn(async move {
            for event in events {
                match within(LIMIT, "creating an Event", api.create(&PostParams::default(), &event)).await {
                    Ok(_) => {}
                    Err(error) if error.answer() == Some(Answer::AlreadyExists) => {}
                    Err(error) => tracing::warn!(error = story(&error), "an Event was lost"),
                }
            }
        });
    }

    /// Waits for what is under way.
    pub(super) async fn finish(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// The notices of one record.
pub(super) fn of_record(seq: u32, entries: &[Entry]) -> Vec<Notice> {
    let notice = |(index, entry): (usize, &Entry)| {
        let (name, subject) = words(&entry.event);
        Notice {
            place: format!("{seq:06}.{index}"),
            at: entry.at,
            action: subject.unwrap_or_else(|| name.clone()),
            reason: name,
            note: entry.why.clone(),
            warning: is_warning(&entry.event),
        }
    };
    entries.iter().enumerate().map(notice).collect()
}

/// `StepDone`, and the step or service that it is about.
fn words(event: &Event) -> (String, Option<String>) {
    let value = serde_json::to_value(event).unwrap_or_default();
    let (name, body) = value.as_object().and_then(|object| object.iter().next()).map(|(name, body)| (name.clone(), body)).unzip();
    let mut name = name.unwrap_or_default();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let subject = |key: &str| body.and_then(|body| body.get(key)).and_then(Value::as_str).map(str::to_owned);
    let outcome = subject("step").or_else(|| subject("service")).or_else(|| subject("outcome"));
    (name, outcome)
}

fn is_warning(event: &Event) -> bool {
    match event {
        Event::StepFailed { .. }
        | Event::Overrun { .. }
        | Event::OrderRefused { .. }
        | Event::GoingBack { .. }
        | Event::UndoFailed { .. }
        | Event::UndoOverrun { .. }
        | Event::SmokeFailed { .. }
        | Event::Degraded { .. }
        | Event::HeldClosed { .. }
        | Event::OpeningLate { .. }
        | Event::ClosedAgain { .. }
        | Event::Held { .. }
        | Event::DeadlineMissed { .. } => true,
        Event::Accepted { .. }
        | Event::Armed {}
        | Event::WorkBegun {}
        | Event::StepIntended { .. }
        | Event::StepDone { .. }
        | Event::Extended { .. }
        | Event::Confirmed { .. }
        | Event::Resumed { .. }
        | Event::StepStopped { .. }
        | Event::UndoReleased { .. }
        | Event::UndoDone { .. }
        | Event::SmokeReleased {}
        | Event::SmokeDone {}
        | Event::Committed {}
        | Event::ReopeningBegun {}
        | Event::Opening { .. }
        | Event::Opened { .. }
        | Event::Finished { .. } => false,
    }
}

fn event(regarding: &Regarding, notice: Notice) -> KubeEvent {
    let Notice { place, at, reason, action, note, warning } = notice;
    let uid8: String = regarding.uid.chars().take(8).collect();
    let stem = cut(&regarding.name, 253 - place.len() - uid8.len() - 2);
    KubeEvent {
        metadata: ObjectMeta {
            name: Some(format!("{stem}.{uid8}.{place}")),
            namespace: Some(regarding.namespace.clone()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(at)),
        type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(cut(&reason, ACTION_BYTES_MAX)),
        action: Some(cut(&action, ACTION_BYTES_MAX)),
        note: Some(cut(&note, NOTE_BYTES_MAX)),
        regarding: Some(ObjectReference {
            api_version: Some(format!("{}/{}", crate::api::GROUP, crate::api::VERSION)),
            kind: Some("Intervention".to_owned()),
            namespace: Some(regarding.namespace.clone()),
            name: Some(regarding.name.clone()),
            uid: Some(regarding.uid.clone()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some("notturno.dev/operator".to_owned()),
        reporting_instance: Some("notturno-operator".to_owned()),
        ..KubeEvent::default()
    }
}

/// At most `bytes_max` bytes, whole characters.
fn cut(text: &str, bytes_max: usize) -> String {
    let fits = |(at, c): (usize, char)| (at + c.len_utf8() <= bytes_max).then_some(c);
    text.char_indices().map_while(fits).collect()
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_its_own_event_with_its_step_as_action() {
        let entry = |event| Entry { at: Timestamp::UNIX_EPOCH, event, why: "because".into() };
        let entries = [entry(Event::StepDone { step: "prova".into() }), entry(Event::Committed {})];
        let told = of_record(7, &entries);
        let [done, committed] = told.as_slice() else { panic!("two notices") };
        assert_eq!((done.place.as_str(), done.reason.as_str(), done.action.as_str()), ("000007.0", "StepDone", "prova"));
        assert_eq!(
            (committed.place.as_str(), committed.reason.as_str(), committed.action.as_str()),
            ("000007.1", "Committed", "Committed")
        );
        assert!(!done.warning);
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(cut(&"è".repeat(600), 1023).len(), 1022);
    }
}
