//! `PublicService` → [`Service`].
//!
//! In: the raw object. Out: the validated one, or every problem. Invariants: as in [`super`]. What is not here: whether the
//! calendars and the services it names exist, whether an open site has to say what it tolerates ([`crate::plan`]).

use super::inside::refuse_kind;
use super::{Checked, DEFAULT_NAMESPACE, Findings, only, overlap, patch};
use crate::api::service::{self as raw, PublicService};
use crate::model::reference::{Reference, ServiceRef, Target};
use crate::model::refusal::Refusal;
use crate::model::service::{Change, Closing, Contact, Dependency, Probe, Service, Site, Text, Tolerance, WhenDirty};
use crate::model::span::Span;

/// Validates a service.
///
/// # Errors
/// Every problem of the object.
pub fn service(raw: &PublicService) -> Result<Checked<Service>, Vec<Refusal>> {
    let mut found = Findings::of("PublicService", raw, Some(namespace(raw)), &raw.spec);
    let value = read(raw, &mut found);
    found.into_result(value)
}

/// The service as far as it can be read, with stand-ins in the places of what is refused: only ever used to find more problems.
#[must_use]
pub fn service_in_part(raw: &PublicService) -> Service {
    read(raw, &mut Findings::of("PublicService", raw, Some(namespace(raw)), &raw.spec))
}

fn namespace(raw: &PublicService) -> &str {
    raw.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
}

fn read(raw: &PublicService, found: &mut Findings) -> Service {
    let namespace = namespace(raw);
    let id = ServiceRef::new(namespace, raw.metadata.name.as_deref().unwrap_or_default());
    let raw::PublicServiceSpec {
        title,
        sites,
        depends_on,
        close,
        reopen,
        when_dirty: word,
        degraded,
        when_dirty_reason: reason,
        allowed_from,
        contacts,
        when_red,
    } = &raw.spec;
    let (reopen_budget, probes) = reopening(found, reopen.as_ref(), !close.is_empty());
    Service {
        title: text(found, "spec.title", title),
        sites: sites.iter().enumerate().map(|(index, raw)| site(found, &format!("spec.sites[{index}]"), raw)).collect(),
        depends_on: dependencies(found, &id, depends_on),
        close: closings(found, namespace, "spec.close", close),
        reopen_budget,
        probes,
        when_dirty: when_dirty(found, namespace, *word, degraded, reason.as_deref()),
        when_red: *when_red,
        allowed_from: allowed_from.iter().map(|allowed| allowed.namespace.clone()).collect(),
        contacts: contacts.iter().map(contact).collect(),
        id,
    }
}

fn text(found: &mut Findings, path: &str, raw: &raw::Text) -> Text {
    if raw.it.is_none() && raw.en.is_none() {
        found.refuse("Missing", path, "write the text in at least one language: it or en");
    }
    Text { it: raw.it.clone().unwrap_or_default(), en: raw.en.clone().unwrap_or_default() }
}

fn site(found: &mut Findings, path: &str, raw: &raw::Site) -> Site {
    let tolerates = raw.tolerates.as_ref().map(|tolerates| Tolerance {
        closed_for: found.span(&format!("{path}.tolerates.closedFor"), &tolerates.closed_for),
        fallback: text(found, &format!("{path}.tolerates.fallback"), &tolerates.fallback),
    });
    Site { name: raw.name.clone(), calendar: raw.calendar.clone(), tolerates }
}

fn dependencies(found: &mut Findings, own: &ServiceRef, raw: &[raw::Dependency]) -> Vec<Dependency> {
    let mut dependencies = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let path = format!("spec.dependsOn[{index}]");
        let service = found.reference(&format!("{path}.service"), &raw.service);
        if full(&service, own) == *own {
            found.refuse("DependsOnItself", &format!("{path}.service"), format!("{own} depends on itself: remove it"));
        }
        let fallback = raw.fallback.as_ref().map(|fallback| text(found, &format!("{path}.fallback"), fallback));
        dependencies.push(Dependency { service, mode: raw.mode, fallback: fallback.unwrap_or_default() });
    }
    let names = dependencies.iter().enumerate();
    found.distinct(names.map(|(index, dependency)| (format!("spec.dependsOn[{index}].service"), full(&dependency.service, own))));
    dependencies
}

fn full(reference: &Reference, own: &ServiceRef) -> ServiceRef {
    ServiceRef::new(reference.namespace.as_deref().unwrap_or(&own.namespace), &reference.name)
}

/// What goes with another word is refused, and what is missing.
fn when_dirty(
    found: &mut Findings,
    namespace: &str,
    word: raw::WhenDirty,
    degraded: &[raw::Closing],
    reason: Option<&str>,
) -> WhenDirty {
    let actions = closings(found, namespace, "spec.degraded", degraded);
    match word {
        raw::WhenDirty::OpenDegraded if degraded.is_empty() => {
            let message = "whenDirty: OpenDegraded says what is changed when it opens on half-done work: write degraded";
            found.refuse("Missing", "spec.degraded", message);
        }
        raw::WhenDirty::StayClosed | raw::WhenDirty::Open if !degraded.is_empty() => {
            let message = "only what opens with whenDirty: OpenDegraded is changed then: write that, or remove degraded";
            found.refuse("NotAllowed", "spec.degraded", message);
        }
        raw::WhenDirty::StayClosed | raw::WhenDirty::OpenDegraded | raw::WhenDirty::Open => {}
    }
    match (word, reason) {
        (raw::WhenDirty::Open, None) => {
            let message = "whenDirty: Open says why half-done work behind an open door is better than a closed one: write it";
            found.refuse("Missing", "spec.whenDirtyReason", message);
        }
        (raw::WhenDirty::StayClosed | raw::WhenDirty::OpenDegraded, Some(_)) => {
            let message = "it is the reason for whenDirty: Open: write that, or remove it";
            found.refuse("NotAllowed", "spec.whenDirtyReason", message);
        }
        (raw::WhenDirty::Open, Some(_)) | (raw::WhenDirty::StayClosed | raw::WhenDirty::OpenDegraded, None) => {}
    }
    match word {
        raw::WhenDirty::StayClosed => WhenDirty::StayClosed,
        raw::WhenDirty::OpenDegraded => WhenDirty::OpenDegraded { actions },
        raw::WhenDirty::Open => WhenDirty::Open { reason: reason.unwrap_or_default().to_owned() },
    }
}

fn closings(found: &mut Findings, namespace: &str, list: &str, raw: &[raw::Closing]) -> Vec<Closing> {
    let mut closings = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let path = format!("{list}[{index}]");
        match one_change(found, &path, raw) {
            Some((target, change)) => {
                closings.push((path, Closing { name: raw.name.clone(), target: in_namespace(target, namespace), change }));
            }
            None => found.refuse("NotExactlyOne", &path, "a closing does exactly one thing: write one of scale, suspend, patch"),
        }
    }
    let in_order: Vec<&Closing> = closings.iter().map(|(_, closing)| closing).collect();
    for (later, field, earlier) in overlap::overlaps(&in_order) {
        let path = |position: usize| closings.get(position).map(|(path, _)| path.as_str()).unwrap_or_default();
        let message = format!("{field} is changed by {} already: change it once", path(earlier));
        found.refuse("Duplicate", path(later), message);
    }
    closings.into_iter().map(|(_, closing)| closing).collect()
}

fn one_change<'a>(found: &mut Findings, path: &str, raw: &'a raw::Closing) -> Option<(&'a raw::Target, Change)> {
    let raw::Closing { name: _, scale, suspend, patch } = raw;
    let mut target = |field: &str, target: &'a raw::Target| {
        refuse_kind(found, &format!("{path}.{field}.target"), &target.api_version, &target.kind);
        target
    };
    let scaled = scale.as_ref().map(|scale| (target("scale", &scale.target), Change::Scale { replicas: scale.replicas }));
    let suspended = suspend.as_ref().map(|suspend| (target("suspend", &suspend.target), Change::Suspend {}));
    let patched = patch.as_ref().map(|patch| (target("patch", &patch.target), patch));
    let patched = patched
        .map(|(target, patch)| (target, patch::change(found, &format!("{path}.patch"), patch.merge.as_ref(), &patch.json)));
    only([scaled, suspended, patched])
}

fn in_namespace(target: &raw::Target, namespace: &str) -> Target {
    let raw::Target { api_version, kind, name } = target;
    Target { api_version: api_version.clone(), kind: kind.clone(), namespace: namespace.to_owned(), name: name.clone() }
}

fn reopening(found: &mut Findings, raw: Option<&raw::Reopen>, closes: bool) -> (Span, Vec<Probe>) {
    let budget = raw.and_then(|raw| raw.budget.as_deref());
    if closes && budget.is_none() {
        let message = "a service that can be closed says how long opening it takes: write reopen.budget";
        found.refuse("Missing", "spec.reopen.budget", message);
    }
    let budget = budget.map_or(Span::ZERO, |text| found.budget("spec.reopen.budget", text));
    let probes = raw.map(|raw| raw.probes.as_slice()).unwrap_or_default();
    if closes && probes.is_empty() {
        found.warn(
            "NoProbe",
            "spec.reopen.probes",
            "without a probe the service counts as open once its objects are as they were",
        );
    }
    if raw.is_some_and(|raw| !raw.ramp.is_empty()) {
        found.warn("NotActedOn", "spec.reopen.ramp", "a ramp is recorded but not yet acted on: everybody is let in at once");
    }
    (budget, probes.iter().enumerate().map(|(index, raw)| probe(found, index, raw, budget)).collect())
}

fn probe(found: &mut Findings, index: usize, raw: &raw::Probe, budget: Span) -> Probe {
    let path = format!("spec.reopen.probes[{index}]");
    let raw::Probe { name, http: raw::HttpGet { url, status }, consecutive, every } = raw;
    let asked = Asked { url, url_path: format!("{path}.http.url"), status, consecutive: *consecutive, every };
    probe_of(found, &path, name, &asked, budget, "reopen.budget")
}

/// What is asked of an address, as written.
pub(super) struct Asked<'a> {
    pub url: &'a str,
    pub url_path: String,
    pub status: &'a [i32],
    pub consecutive: i32,
    pub every: &'a str,
}

/// A probe, whose answers have to fit into `budget`.
pub(super) fn probe_of(found: &mut Findings, path: &str, name: &str, raw: &Asked<'_>, budget: Span, called: &str) -> Probe {
    let every = found.positive(
        &format!("{path}.every"),
        raw.every,
        "time between two questions is longer than nothing: write one such as 10s",
    );
    if let Some(message) = bad_address(raw.url) {
        found.refuse("BadAddress", &raw.url_path, message);
    }
    let consecutive = u32::try_from(raw.consecutive).unwrap_or_default();
    let least: Span = (1..consecutive.min(100)).map(|_| every).sum();
    if !budget.is_zero() && least >= budget {
        let message = format!(
            "{consecutive} good answers, one every {every}, take at least {least}: more than {called} {budget} leaves; \
             ask less, or raise it"
        );
        found.refuse("DoesNotFit", path, message);
    }
    let status = raw.status.iter().filter_map(|&code| u16::try_from(code).ok()).collect();
    Probe { name: name.to_owned(), url: raw.url.to_owned(), status, consecutive, every }
}

fn bad_address(url: &str) -> Option<String> {
    let example = "write http://name.namespace:port/path";
    match url.parse::<http::Uri>() {
        Ok(uri) if uri.scheme_str() == Some("https") => Some(format!("probes speak plain http inside the cluster: {example}")),
        Ok(uri) if uri.scheme_str() != Some("http") => Some(format!("{url:?} is not an http address: {example}")),
        Ok(uri) if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
            Some(format!("an address holds no user and no password: {example}"))
        }
        Ok(uri) if uri.host().is_none_or(str::is_empty) => Some(format!("{url:?} has no host: {example}")),
        Ok(_) => None,
        Err(_) => Some(format!("{url:?} is not an http address: {example}")),
    }
}

fn contact(raw: &raw::Contact) -> Contact {
    Contact { role: raw.role.clone(), name: raw.name.clone(), notify: raw.notify.clone().unwrap_or_default() }
}
