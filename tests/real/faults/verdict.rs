//! What became of every service: the rows of the table, and what has to hold in each.
//!
//! In: five nights after the moment at which all had to be open, and after their end. Out: rows; a failed test where a promise was broken.
//! Invariants: open is what somebody outside saw, and what was handed out; who reopened is the user in the audit log; data is read from the
//! volume itself. Not here: what was broken.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{Fault, TakenOver};
use crate::audit::{Result, Write};
use crate::city::{CITY, Placement, Service, Work};
use crate::cluster::say;
use crate::database::Rows;
use crate::five::{Five, Night};
use crate::ledger::Ledger;

/// One line of the table.
pub struct Row {
    placement: Placement,
    service: &'static str,
    by: String,
    /// Seconds before (−) or after (+) the moment at which it had to be open.
    when: String,
    data: String,
    outcome: String,
}

/// Whose hand a user of the audit log is.
fn hand(night: &Night, user: &str) -> String {
    let tenant = night.tenant.name;
    match user.strip_prefix(&format!("system:serviceaccount:{tenant}:")) {
        Some("lavori") => "operator".to_owned(),
        Some("lavori-sentinel") => "sentinel".to_owned(),
        _ => user.to_owned(),
    }
}

/// The write that gave a service what it is open by, the last of them.
fn reopening<'a>(writes: &'a [Write], service: &Service) -> Option<&'a Write> {
    let (resource, path, value) = service.opened_by();
    let opens = |operation: &Value| operation["op"] != "test" && operation["path"] == path && operation["value"] == value;
    let is_one = |write: &&Write| {
        write.result == Result::Stored
            && (write.resource.as_str(), write.name.as_str()) == (resource, service.name)
            && write.body.as_array().is_some_and(|operations| operations.iter().any(opens))
    };
    writes.iter().rfind(is_one)
}

/// What holds at the moment at which all has to be open, for whoever stands outside.
pub fn at_the_doors(five: &Five, fault: &Fault) {
    assert!(five.doors.asked_since(five.must_serve_by) >= 3, "somebody still knocks");
    let closed = five.doors.closed_at(five.must_serve_by);
    let mut broken = vec![];
    for night in &five.nights {
        for service in night.tenant.services {
            if let Some(at) = five.doors.torn(service.name) {
                broken.push(format!("{} handed out half-done work at {at}", service.name));
            }
            if five.doors.closed(service.name).is_none() {
                broken.push(format!("{} was never seen closed: nothing was tested", service.name));
            }
            if closed.contains(&service.name) {
                broken.extend(may_be_closed(five, fault, night, service));
            }
        }
    }
    assert!(broken.is_empty(), "{}: at the moment at which all has to be open:\n{}", fault.name, broken.join("\n"));
}

/// Closed in time only by declaration: its data is half done, the ledger says through what, and who is called.
fn may_be_closed(five: &Five, fault: &Fault, night: &Night, service: &Service) -> Option<String> {
    let ledger = five.ledger(night)?;
    let touched = night.tenant.work != Work::Waits && service.name == night.tenant.services[0].name;
    if !touched || !fault.may_stay_closed.contains(&night.tenant.name) {
        return Some(format!("{} is closed:\n{}", service.name, ledger.story()));
    }
    let id = format!("\"{CITY}/{}\"", service.name);
    let held = ledger.place("heldClosed", &id).filter(|_| ledger.at("heldClosed", &id).is_some_and(|at| at < five.must_serve_by));
    match held {
        None => Some(format!("{} is closed and nobody said so in time:\n{}", service.name, ledger.story())),
        Some(place) if !ledger.events[place].2.contains(&format!("Reperibile di {}", night.tenant.name)) => {
            Some(format!("{} is held closed and nobody is called: {}", service.name, ledger.events[place].2))
        }
        Some(_) => None,
    }
}

/// The rows, and the table of them for people.
pub fn rows(five: &Five, fault: &Fault) -> Vec<Row> {
    let writes = five.audit.writes();
    let mut rows = vec![];
    for night in &five.nights {
        let ledger = five.ledger(night);
        for service in night.tenant.services {
            let by = reopening(&writes, service).map_or_else(|| "nobody".to_owned(), |write| hand(night, &write.user));
            let opened_at = five.doors.closed(service.name).and_then(|(_, opened_at)| opened_at);
            let when = opened_at.map(|at| format!("{:+.1} s", at.duration_since(five.must_serve_by).as_secs_f64()));
            rows.push(Row {
                placement: night.tenant.held,
                service: service.name,
                by,
                when: when.unwrap_or_else(|| "never".to_owned()),
                data: data(night),
                outcome: ledger.as_ref().and_then(Ledger::outcome).unwrap_or("none").to_owned(),
            });
        }
    }
    say(cells(["fault", "placement", "service", "by", "opened", "data", "outcome"]));
    for row in &rows {
        say(line(fault, row));
    }
    rows
}

fn data(night: &Night) -> String {
    match night.database.rows() {
        Rows::Whole(15) if night.database.fingerprint() == night.fingerprint => "as before".to_owned(),
        Rows::Whole(version) => format!("v{version}, checksum ok"),
        Rows::Torn => "half done".to_owned(),
    }
}

fn line(fault: &Fault, row: &Row) -> String {
    cells([fault.name, &format!("{:?}", row.placement), row.service, &row.by, &row.when, &row.data, &row.outcome])
}

fn cells([fault, placement, service, by, when, data, outcome]: [&str; 7]) -> String {
    format!("{fault:<53} | {placement:<11} | {service:<12} | {by:<8} | {when:>8} | {data:<16} | {outcome}")
}

/// Keeps the rows where `tests/real/table` wants them.
pub fn keep(fault: &Fault, rows: &[Row]) {
    if let Some(file) = std::env::var_os("NOTTURNO_ROWS") {
        fs::write(file, rows.iter().map(|row| line(fault, row) + "\n").collect::<String>()).unwrap();
    }
}

/// What holds once the nights are over and the world is whole again.
pub fn at_the_end(five: &Five, fault: &Fault) {
    let writes = five.audit.writes();
    let mut broken = vec![];
    for night in &five.nights {
        let (tenant, mut problem) = (night.tenant.name, |what: String| broken.push(format!("{}: {what}", night.tenant.name)));
        ran_once(five, night).into_iter().for_each(&mut problem);
        tokens(five, night).into_iter().for_each(&mut problem);
        for service in night.tenant.services {
            let by = reopening(&writes, service).map(|write| hand(night, &write.user));
            match by.as_deref() {
                Some("sentinel") => {}
                Some("operator") if fault.taken_over != TakenOver::All => {}
                other => problem(format!("{} was reopened by {other:?}", service.name)),
            }
        }
        problem_of_takeover(five, fault, night).into_iter().for_each(&mut problem);
        let outcome = five.ledger(night).and_then(|ledger| ledger.outcome().map(str::to_owned));
        let late = fault.may_stay_closed.contains(&tenant);
        let data_is_right = match outcome.as_deref() {
            Some("Completed") if fault.goes_on => night.tenant.work != Work::Rewrites || night.database.rows() == Rows::Whole(16),
            Some("RolledBack") => night.database.fingerprint() == night.fingerprint,
            Some("ReopenedLate") if late => night.database.fingerprint() == night.fingerprint,
            None if !fault.settles => night.database.fingerprint() == night.fingerprint,
            Some(_) | None => false,
        };
        if !data_is_right {
            problem(format!("outcome {outcome:?}, data {}", data(night)));
        }
    }
    if five.nights.iter().all(|night| five.ledger(night).is_some_and(|ledger| ledger.outcome() != Some("Completed"))) {
        broken.extend(five.differences());
    }
    if !five.doors.all_open() {
        broken.push("a door is closed after the end".to_owned());
    }
    assert!(broken.is_empty(), "{}: after the end:\n{}", fault.name, broken.join("\n"));
}

fn problem_of_takeover(five: &Five, fault: &Fault, night: &Night) -> Option<String> {
    let taken_over = five.ledger(night).is_some_and(|ledger| ledger.has("takenOver", "2"));
    let expected = match fault.taken_over {
        TakenOver::All => true,
        TakenOver::Any => return None,
        TakenOver::None => false,
    };
    (taken_over != expected).then(|| format!("taken over: {taken_over}, and that should be {expected}"))
}

/// No Job ran twice: not by its releases, not by its Pods, not by what it noted itself; and no work went on beside its undo.
fn ran_once(five: &Five, night: &Night) -> Vec<String> {
    let starts = five.audit.starts(night.tenant.name);
    // Pods of the sentinels are made by another controller and are not in here.
    let twice = starts.iter().filter(|(_, (released, pods))| *released > 1 || *pods > 1);
    let mut problems: Vec<String> = twice.map(|(job, counts)| format!("{job} ran twice: {counts:?}")).collect();
    let noted = night.database.noted();
    let begun: Vec<&String> = noted.iter().filter(|line| line.starts_with("inizia ")).collect();
    if begun.len() != begun.iter().collect::<BTreeSet<_>>().len() {
        problems.push(format!("a Pod began twice: {begun:?}"));
    }
    let last_sign = noted.iter().rposition(|line| line.starts_with("lavora riscrive"));
    let undo = noted.iter().position(|line| line.starts_with("inizia ripristina"));
    if undo.is_some_and(|undo| last_sign.is_some_and(|last| last > undo)) {
        problems.push("the work went on beside its undo".to_owned());
    }
    problems
}

/// No target bears a token any more; with those on Jobs nothing can go forward, and whoever was deposed can do nothing.
fn tokens(five: &Five, night: &Night) -> Vec<String> {
    let token = |object: &Value| object["metadata"]["annotations"]["notturno.dev/token"].as_str().map(str::to_owned);
    let targets = night.tenant.services.iter().filter_map(|service| token(&five.cluster.get(&service.target())?));
    let mut problems: Vec<String> = targets.map(|token| format!("a target still bears {token}")).collect();
    let jobs = five.jobs(night);
    let taken_over = five.ledger(night).is_some_and(|ledger| ledger.has("takenOver", "2"));
    let is_deposed = |token: &String| token.contains(".1.") && !token.ends_with(".expired");
    let is_alive = |token: &String| token.ends_with(".forward") || (taken_over && is_deposed(token));
    let alive = jobs.iter().filter_map(token).filter(is_alive);
    problems.extend(alive.map(|token| format!("a Job still bears {token}")));
    problems
}
