//! Many nights told: how often they finish, turn back, are late; when doors were open; which step decides.
//!
//! In: the subject, how many. Out: text or JSON, and whether none was late. Invariant: the same arguments give the same bytes. Not here:
//! how they are counted ([`crate::sim::nights`]).

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::one::titled;
use super::supposed::defaults;
use super::{Format, Subject, moment};
use crate::cli::demo::story::{Paint, head};
use crate::engine::words::clock;
use crate::model::plan::Plan;
use crate::sim::nights::{Nights, Opened, Why, nights};

/// The percentiles that are told; the last is the night that was open last.
const PERCENTILES: [(&str, u64); 4] = [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)];
/// The most lines of a list that are told to people.
const LINES_MAX: usize = 10;

/// Plays the nights and tells what they come to.
pub(super) fn told(subject: &Subject, count: u64, output: Format) -> (String, bool) {
    let all = nights(&subject.plan, &subject.written.scenario, count, subject.seed);
    let is_good = all.late == 0 && all.stuck == 0;
    match output {
        Format::Text => (text(subject, &all), is_good),
        Format::Json => (format!("{}\n", object(subject, &all)), is_good),
    }
}

/// So many of all of them; none of no nights is nothing.
#[allow(clippy::cast_precision_loss, reason = "counts are below a million")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2} %", share(part, whole) * 100.0)
}

/// Most often first, then by name.
fn ranked<K: Ord + Clone>(counts: impl Iterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut all: Vec<(K, u64)> = counts.collect();
    all.sort_by(|(left, one), (right, other)| other.cmp(one).then(left.cmp(right)));
    all
}

fn decisive(plan: &Plan, all: &Nights) -> Vec<(String, u64)> {
    let named = |(step, count): (&usize, &u64)| Some((plan.steps.get(*step)?.name.clone(), *count));
    ranked(all.decisive.iter().filter_map(named))
}

fn text(subject: &Subject, all: &Nights) -> String {
    let plan = &subject.plan;
    let mut text = head(plan, Paint { colour: false });
    let _ = writeln!(text, "  scenario      {}", titled(subject));
    for (index, default) in defaults(subject).iter().enumerate() {
        let _ = writeln!(text, "  {:<13} {default}", if index == 0 { "not said" } else { "" });
    }
    let _ = writeln!(text, "\n  {} nights of seed {}\n", all.count, subject.seed);
    let ends = [
        ("finished", all.finished, true),
        ("turned back", all.turned_back, true),
        ("never begun", all.not_begun, false),
        ("stuck half-way", all.stuck, false),
    ];
    for (what, count, _) in ends.into_iter().filter(|(_, count, always)| *count > 0 || *always) {
        let _ = writeln!(text, "  {what:<22} {count:>8}  {:>9}", percent(count, all.count));
    }
    let _ = writeln!(text, "  {:<22} {:>8}  {:>9}", "late for must serve by", all.late, percent(all.late, all.count));
    let _ = writeln!(text, "  {:<22} {:>8}  {:>9}\n", "a person is needed", all.needs_human, percent(all.needs_human, all.count));
    let shown = |opened: Option<Opened>| match opened {
        Some(Opened::At(at)) => clock(plan, at),
        Some(Opened::Never) => "not open".to_owned(),
        None => "-".to_owned(),
    };
    let open = PERCENTILES.map(|(name, percent)| format!("{name} {}", shown(all.percentile(percent))));
    let _ = writeln!(text, "  everything open   {}", open.join(", "));
    if let Some((night, opened)) = all.worst {
        let _ = writeln!(
            text,
            "  open last         night {night}, {}: add --night {night} in place of --nights",
            shown(Some(opened))
        );
    }
    listed(&mut text, "turned back by", &ranked(all.causes.iter().map(|(why, count)| (said(why), *count))), all.turned_back);
    let mut decides = decisive(plan, all);
    decides.extend((all.none_decisive > 0).then(|| ("no step alone".to_owned(), all.none_decisive)));
    listed(&mut text, "the step that decides", &decides, all.turned_back);
    text
}

fn listed(text: &mut String, title: &str, all: &[(String, u64)], whole: u64) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n  {title}");
    let width = all.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, count) in all.iter().take(LINES_MAX) {
        let _ = writeln!(text, "    {name:<width$}  {count:>8}  {:>9}", percent(*count, whole));
    }
    if all.len() > LINES_MAX {
        let _ = writeln!(text, "    and {} more", all.len() - LINES_MAX);
    }
}

fn said(why: &Why) -> String {
    match &why.step {
        Some(step) => format!("{} of {step}", why.kind),
        None => why.kind.to_owned(),
    }
}

fn object(subject: &Subject, all: &Nights) -> Value {
    let plan = &subject.plan;
    let shown = |opened: Opened| match opened {
        Opened::At(at) => Value::String(moment(plan, at)),
        Opened::Never => Value::Null,
    };
    let mut outcomes: Map<String, Value> = Map::new();
    for (outcome, count) in &all.outcomes {
        outcomes.insert(outcome.map_or_else(|| "NeedsHuman".to_owned(), |outcome| outcome.to_string()), json!(count));
    }
    let percentiles =
        PERCENTILES.iter().filter_map(|(name, percent)| Some(((*name).to_owned(), shown(all.percentile(*percent)?))));
    let causes = ranked(all.causes.iter().map(|(why, count)| (why.clone(), *count))).into_iter().map(
        |(why, count)| json!({"cause": why.kind, "step": why.step, "nights": count, "share": share(count, all.turned_back)}),
    );
    let decides = decisive(plan, all).into_iter();
    let decides = decides.map(|(step, count)| json!({"step": step, "nights": count, "share": share(count, all.turned_back)}));
    json!({
        "intervention": subject.intervention, "accepted": true, "timeZone": plan.time_zone,
        "scenario": subject.written.name, "seed": subject.seed, "nights": all.count, "notSaid": defaults(subject),
        "mustServeBy": moment(plan, plan.deadline.must_serve_by),
        "outcomes": outcomes,
        "counts": {"finished": all.finished, "turnedBack": all.turned_back, "notBegun": all.not_begun, "stuck": all.stuck,
            "late": all.late, "needsHuman": all.needs_human},
        "chances": {"finishing": share(all.finished, all.count), "turningBack": share(all.turned_back, all.count),
            "late": share(all.late, all.count)},
        "openAt": percentiles.collect::<Map<_, _>>(),
        "openLast": all.worst.map(|(night, opened)| json!({"night": night, "openAt": shown(opened)})),
        "causes": causes.collect::<Vec<_>>(), "decides": decides.collect::<Vec<_>>(), "noStepAlone": all.none_decisive,
    })
}
