//! One Kubernetes Event for each entry of the journal, for people who watch with `kubectl`.
//!
//! In: entries as they stand in the ledger. Out: Events on the Intervention. Invariants: names come from the night's UID and the place of
//! the entry, so that a repetition is refused by the API server and shown to nobody. Each entry is an object of its own and is never
//! counted up: a series would show the first sentence for ever.
//! Not here: the sentences ([`sentences`]), who sends them ([`super::herald`]).

mod sentences;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as KubeEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use crate::engine::{Entry, Event};

/// The API server's limits.
const NAME_BYTES_MAX: usize = 253;
const NOTE_BYTES_MAX: usize = 1024;
const ACTION_BYTES_MAX: usize = 128;

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

/// The notices of one record.
pub(super) fn of_record(seq: u32, entries: &[Entry]) -> Vec<Notice> {
    let notice = |(index, entry): (usize, &Entry)| {
        let reason = reason(&entry.event);
        Notice {
            place: format!("{seq:06}.{index}"),
            at: entry.at,
            action: sentences::subject(&entry.event).unwrap_or_else(|| reason.clone()),
            reason,
            note: sentences::sentence(entry),
            warning: sentences::is_warning(&entry.event),
        }
    };
    entries.iter().enumerate().map(notice).collect()
}

/// `StepDone`.
fn reason(event: &Event) -> String {
    let mut name = event.name();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name
}

/// The Event that says it.
pub(super) fn event(regarding: &Regarding, notice: Notice) -> KubeEvent {
    let Notice { place, at, reason, action, note, warning } = notice;
    let uid8: String = regarding.uid.chars().take(8).collect();
    let stem = cut(&regarding.name, NAME_BYTES_MAX.saturating_sub(place.len() + uid8.len() + 2));
    let stem = stem.trim_end_matches(['-', '.']);
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
        assert_eq!(done.note, "Step prova is done: because.");
        assert_eq!(
            (committed.place.as_str(), committed.reason.as_str(), committed.action.as_str()),
            ("000007.1", "Committed", "Committed")
        );
        assert!(!done.warning);
    }

    #[test]
    fn the_name_of_an_event_is_a_name_whatever_the_night_is_called() {
        let regarding = |name: String| Regarding { namespace: "n".into(), name, uid: "0f0e0d0c-1".into() };
        let entry = Entry { at: Timestamp::UNIX_EPOCH, event: Event::Armed {}, why: String::new() };
        let named = |night: &str| {
            let notice = of_record(1, std::slice::from_ref(&entry)).remove(0);
            event(&regarding(night.to_owned()), notice).metadata.name.unwrap_or_default()
        };
        assert_eq!(named("notte"), "notte.0f0e0d0c.000001.0");
        let long = named(&format!("{}.{}", "a".repeat(234), "b".repeat(18)));
        assert_eq!(long, format!("{}.0f0e0d0c.000001.0", "a".repeat(234)), "no empty part where it was cut");
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(cut(&"è".repeat(600), 1023).len(), 1022);
    }
}
