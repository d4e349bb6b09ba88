//! Every number of the catalogue is seen to move, and no label grows without bound.

use std::collections::{BTreeMap, BTreeSet};

use notturno::operator::metrics::catalogue::{CATALOGUE, Kind};

use crate::kstatus::refused_until;
use crate::world::{NIGHT, World};

/// Series with their values, by name and labels.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').map(|(series, value)| (series.to_owned(), value.parse().unwrap())).unwrap()).collect()
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap()
}

fn labels(series: &str) -> BTreeSet<&str> {
    let inside = series.split_once('{').map(|(_, rest)| rest.trim_end_matches('}')).unwrap_or_default();
    inside.split("\",").filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_number_moves_in_a_night_that_goes_wrong() {
    let world = World::new(true);
    world.declare(|_| {});
    world.embedded.set_fault(Some(refused_until(&world, "2023-02-10T07:10:00+01:00")));
    let operator = world.operator();
    let look = || operator.context.metrics.text(world.clock.now()).unwrap();
    let before = series(&look());
    let mut moved: BTreeSet<String> = BTreeSet::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for moment in ["2023-02-09T20:00:00+01:00", "2023-02-10T02:30:00+01:00", "2023-02-10T06:30:00+01:00"] {
        world.until(moment).await;
        for (series, value) in series(&look()) {
            let is_new = before.get(&series).is_none_or(|was| (was - value).abs() > f64::EPSILON) && value != 0.0;
            moved.extend(is_new.then(|| name(&series).to_owned()));
            seen.insert(series);
        }
    }
    assert_eq!(world.outcome(NIGHT).await, "ReopenedLate");
    let after = look();
    for (series, value) in series(&after) {
        moved.extend((value != 0.0 && before.get(&series) != Some(&value)).then(|| name(&series).to_owned()));
        seen.insert(series);
    }
    for row in CATALOGUE {
        let name = row.name.as_str();
        // With one replica nothing elects, and the test's API says its own time: lease.rs and clock.rs see those move.
        // Half-done work, the switch and the heartbeat move in half_done.rs, switch.rs and heartbeat.rs.
        let elsewhere = [
            "notturno_half_done_services",
            "notturno_switch_ready",
            "notturno_heartbeat_timestamp_seconds",
            "notturno_heartbeat_pings_total",
        ];
        if elsewhere.contains(&name)
            || ["notturno_leader", "notturno_lease_transitions", "notturno_clock_offset_seconds", "notturno_clock_width_seconds"]
                .contains(&name)
        {
            continue;
        }
        let constant =
            name == "notturno_build_info" && before.iter().any(|(series, value)| series.starts_with(name) && *value > 0.0);
        assert!(moved.contains(name) || constant, "{name} never moved:\n{after}");
        let kind = if row.kind() == Kind::Counter { "counter" } else { "gauge" };
        assert!(
            after.contains(&format!("# TYPE {name} {kind}")) || name.contains("slack") || name.contains("timestamp"),
            "{name}"
        );
    }
    let declared = |series: &str| CATALOGUE.iter().find(|row| row.name.as_str() == name(series));
    for one in &seen {
        let row = declared(one).unwrap_or_else(|| panic!("{one} is not in the catalogue"));
        let expected: BTreeSet<&str> = row.labels.iter().map(|label| label.name).collect();
        assert_eq!(labels(one), expected, "{one}");
    }
    let has = |text: &str| seen.iter().any(|series| series.contains(text));
    assert!(has(r#"notturno_effects_total{kind="reopen",result="failed"}"#) && has(r#"cause="hard-cap""#), "{seen:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_night_that_is_settled_leaves_no_label_behind() {
    let world = World::new(false);
    world.declare(|_| {});
    let operator = world.operator();
    world.until("2023-02-09T20:00:00+01:00").await;
    let text = operator.context.metrics.text(world.clock.now()).unwrap();
    let slack = format!(r#"notturno_slack_seconds{{night="centro-dati/{NIGHT}"}} 35700"#);
    assert!(text.contains(&slack), "9h55m until 05:55: {text}");
    world.outcome(NIGHT).await;
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    let text = operator.context.metrics.text(world.clock.now()).unwrap();
    assert!(!text.contains(NIGHT), "{text}");
    assert!(text.contains(r#"notturno_outcomes_total{outcome="Completed"} 1"#), "{text}");
}

#[test]
fn names_are_as_prometheus_wants_them() {
    let names: BTreeSet<&str> = CATALOGUE.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), CATALOGUE.len());
    for row in CATALOGUE {
        let name = row.name.as_str();
        assert!(name.starts_with("notturno_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!(!row.unit.contains("seconds") || name.ends_with("_seconds"), "{name} counts {}", row.unit);
        assert!(row.labels.iter().all(|label| !label.values.is_empty()), "{name}: what bounds its labels?");
        assert!(row.meaning.len() > 10 && !row.meaning.contains('|'), "{name}");
    }
}
