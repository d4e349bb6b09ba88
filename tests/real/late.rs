//! Writes that are held back and delivered late: each is refused by what it tests of the token, and by nothing else; the same write
//! without that test is taken, and does the harm.
//!
//! In: nights whose closing, start, reopening or stamp is held back on its way from the operator. Out: what the API server says when it
//! comes at last: after an early turn back, after `finished`, in the next night, after the takeover. Invariants: each test of the late
//! write is asked for by itself, so that what refuses it is known; refused and stored are what the audit log says, open and closed what
//! HTTP says.

pub mod proxy;
pub mod scene;
pub mod sent;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::audit::{Result, Write};
use super::cluster::{say, wait};
use proxy::Held;
use scene::{NAMESPACE, Night, Scene};
use sent::{Sent, TOKEN};

const TENANT: &str = "system:serviceaccount:tardi:lavori";
const REVISION: &str = "/metadata/resourceVersion";
const SELECTOR: &str = "/spec/selector/app";

/// So long that a call which is never answered, ten seconds, can be made again.
const AGAIN: (&str, &str) = ("25s", "25s");
/// The night goes back when a call that is never answered is hardly over.
const EARLY: (&str, &str) = ("14s", "14s");
/// Only the moment at which it has to turn back ends it.
const LONG: (&str, &str) = ("25s", "10m");

const fn night(name: &'static str, close: (&'static str, &'static str), work: (&'static str, &'static str)) -> Night {
    let undo = "touches: []\n      noUndo: {reason: NothingToUndo}";
    Night { name, door: name, close, work, rounds: 10, undo, serves_after: 115 }
}

const fn taken_over(night: Night) -> Night {
    Night { serves_after: 150, ..night }
}

const NIGHTS: [Night; 8] = [
    night("chiusa-presto", EARLY, AGAIN),
    night("lavoro-presto", AGAIN, EARLY),
    night("timbro-presto", EARLY, AGAIN),
    night("chiusa-alla-fine", AGAIN, AGAIN),
    night("lavoro-alla-fine", AGAIN, EARLY),
    night("ieri", AGAIN, AGAIN),
    taken_over(night("chiusa-presa", LONG, AGAIN)),
    taken_over(night("lavoro-preso", AGAIN, LONG)),
];
/// Of the same door as `ieri`; its work keeps it closed.
const TONIGHT: Night = Night { name: "stasera", door: "ieri", rounds: 100, ..night("", AGAIN, AGAIN) };

fn door_path(door: &str) -> String {
    format!("{NAMESPACE}/services/{door}")
}

fn closes(door: &'static str) -> impl Fn(&Sent) -> bool {
    move |sent| sent.patches(&door_path(door), "") && sent.writes(SELECTOR, &json!("nessuno"))
}

fn reopens(door: &'static str) -> impl Fn(&Sent) -> bool {
    move |sent| sent.patches(&door_path(door), "") && sent.writes(SELECTOR, &json!("sportello"))
}

/// A token put on it by day: nothing of its own is tested, and nothing else is changed.
fn stamps(door: &'static str) -> impl Fn(&Sent) -> bool {
    move |sent| {
        let tests_token = sent.tests().iter().any(|path| path == TOKEN);
        sent.patches(&door_path(door), "") && sent.says(".1.forward") && !tests_token && !sent.says("/spec/")
    }
}

fn starts(night: &'static str) -> impl Fn(&Sent) -> bool {
    move |sent| {
        sent.patches(&format!("/apis/batch/v1/namespaces/tardi/jobs/{night}-"), "-lavoro")
            && sent.writes("/spec/suspend", &json!(false))
    }
}

/// The record of its end.
fn finishes(night: &'static str) -> impl Fn(&Sent) -> bool {
    move |sent| sent.patches(&format!("{NAMESPACE}/configmaps/notturno-{night}-"), "-ledger") && sent.says("\\\"finished\\\"")
}

/// What is held of which night.
fn hold(scene: &Scene) {
    let proxy = &scene.proxy;
    for night in ["chiusa-presto", "timbro-presto", "chiusa-presa"] {
        proxy.hold(&format!("{night}: closing"), Held::All, closes(night));
    }
    for night in ["lavoro-presto", "lavoro-alla-fine", "lavoro-preso"] {
        proxy.hold(&format!("{night}: start"), Held::All, starts(night));
    }
    proxy.hold("timbro-presto: stamp", Held::First, stamps("timbro-presto"));
    proxy.hold("chiusa-alla-fine: closing", Held::First, closes("chiusa-alla-fine"));
    proxy.hold("ieri: reopening", Held::First, reopens("ieri"));
    for night in ["chiusa-presto", "lavoro-presto", "timbro-presto"] {
        proxy.hold(&format!("{night}: end"), Held::All, finishes(night));
    }
}

/// What went otherwise than it should, all of it.
struct Trial {
    scene: Scene,
    problems: Vec<String>,
}

impl Trial {
    fn check(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            let what = what.into();
            say(format!("WRONG: {what}"));
            self.problems.push(what);
        }
    }

    /// What was held under that name is delivered, and refused by nothing but what it tests there.
    fn is_refused(&mut self, name: &str, by: &str) {
        let scene = &self.scene;
        let sent = scene.proxy.until_held(name, 1);
        let fails = |path: &String| scene.proxy.send(&sent.only_the_test_of(path)).code != 200;
        let failing: Vec<String> = sent.tests().into_iter().filter(fails).collect();
        let since = Timestamp::now();
        let answer = scene.proxy.deliver(name);
        say(format!("{name}, late: {answer}; of its {} tests these fail: {failing:?}", sent.tests().len()));
        let logged = self.logged(&sent, since);
        self.check(answer.code == 422, format!("{name}: {answer}"));
        self.check(failing == [by], format!("{name}: refused by {failing:?}, not by {by} alone"));
        self.check(logged == [Result::Refused(422)], format!("{name}: the audit log says {logged:?}"));
    }

    /// The same without what it tests there is taken.
    fn is_taken_without(&mut self, name: &str, path: &str) {
        let sent = self.scene.proxy.until_held(name, 1).without(&[path]);
        let since = Timestamp::now();
        let answer = self.scene.proxy.send(&sent);
        say(format!("{name}, without its test of {path}: {answer}"));
        let logged = self.logged(&sent, since);
        self.check(answer.code == 200, format!("{name} without {path}: {answer}"));
        self.check(logged == [Result::Stored], format!("{name} without {path}: the audit log says {logged:?}"));
    }

    /// What the audit log says of a write since then.
    fn logged(&self, sent: &Sent, since: Timestamp) -> Vec<Result> {
        let path = sent.uri.path();
        let name = path.rsplit('/').next().unwrap_or_default();
        let alike = |write: &&Write| {
            write.user == TENANT && write.name == name && write.body == json!(sent.operations()) && write.result != Result::Tried
        };
        self.scene.audit.writes().iter().filter(alike).filter(|write| write.at >= since).map(|write| write.result).collect()
    }

    fn is_open(&mut self, door: &str, when: &str) {
        let open = self.scene.is_open(door);
        self.check(open, format!("{door} is closed {when}"));
    }

    fn was_never_closed(&mut self, door: &str) {
        let closed = self.scene.doors.closed(door);
        self.check(closed.is_none(), format!("{door} was closed: {closed:?}"));
    }

    /// The write that was refused, taken: the door is closed, though nobody's night closes it.
    fn closes_if_not_tested(&mut self, night: &'static str) {
        self.is_taken_without(&format!("{night}: closing"), TOKEN);
        self.scene.until_closed(night, 10);
    }

    /// Neither by its releases, nor by its Pods, nor by what it notes itself.
    fn never_ran(&mut self, night: &str) {
        let started = self.scene.audit.starts("tardi").remove(&self.scene.job(night, "lavoro"));
        let noted: Vec<String> = self.noted(night);
        self.check(started.is_none() && noted.is_empty(), format!("the work of {night} ran: {started:?}, {noted:?}"));
    }

    fn noted(&self, night: &str) -> Vec<String> {
        self.scene.database.noted().into_iter().filter(|line| line.starts_with(&format!("inizia {night} "))).collect()
    }

    /// The start that was refused, taken: the work runs, though its night is over.
    fn runs_if_not_tested(&mut self, night: &str) {
        self.never_ran(night);
        self.is_taken_without(&format!("{night}: start"), TOKEN);
        wait(40, format!("the work of {night}"), || (!self.noted(night).is_empty()).then_some(()));
    }

    /// The night that could not do what was held went back long before it had to, and its tokens are burned.
    fn after_an_early_turn_back(&mut self) {
        for night in ["chiusa-presto", "lavoro-presto", "timbro-presto"] {
            self.scene.until(night, "goingBack", "hardCap", 150);
            self.scene.until_burned(&door_path(night));
        }
        let job = format!("/apis/batch/v1/namespaces/tardi/jobs/{}", self.scene.job("lavoro-presto", "lavoro"));
        self.scene.until_burned(&job);
        self.is_refused("chiusa-presto: closing", TOKEN);
        self.is_refused("lavoro-presto: start", TOKEN);
        self.is_refused("timbro-presto: closing", TOKEN);
        // A stamp has no token to test: what it holds for is the revision that was read by day, and the burn is another.
        self.is_refused("timbro-presto: stamp", REVISION);
        for night in ["chiusa-presto", "lavoro-presto", "timbro-presto"] {
            let ended = self.scene.ledger(night).unwrap().outcome().is_some();
            self.check(!ended, format!("{night} had ended before its late write came"));
            self.scene.proxy.open(&format!("{night}: end"));
            self.is_open(night, "after a late write");
        }
        self.was_never_closed("chiusa-presto");
        self.was_never_closed("timbro-presto");
        self.closes_if_not_tested("chiusa-presto");
        self.runs_if_not_tested("lavoro-presto");
        // With the stamp taken, the closing behind it is taken as it is.
        self.is_taken_without("timbro-presto: stamp", REVISION);
        let sent = self.scene.proxy.until_held("timbro-presto: closing", 1);
        let answer = self.scene.proxy.send(&sent);
        self.check(answer.code == 200, format!("timbro-presto: the closing behind a late stamp: {answer}"));
        self.scene.until_closed("timbro-presto", 10);
    }

    fn after_the_end(&mut self) {
        self.scene.until("chiusa-alla-fine", "finished", "Completed", 150);
        self.scene.until("lavoro-alla-fine", "finished", "RolledBack", 60);
        wait(30, "a door without a token", || {
            let door = self.scene.cluster.get(&door_path("chiusa-alla-fine"))?;
            door["metadata"]["annotations"]["notturno.dev/token"].is_null().then_some(())
        });
        self.is_refused("chiusa-alla-fine: closing", TOKEN);
        self.is_refused("lavoro-alla-fine: start", TOKEN);
        self.is_open("chiusa-alla-fine", "after a late closing");
        self.closes_if_not_tested("chiusa-alla-fine");
        self.runs_if_not_tested("lavoro-alla-fine");
    }

    /// Last night's reopening comes when tonight has closed the same door.
    fn in_the_next_night(&mut self) {
        self.scene.until_closed("ieri", 60);
        self.scene.until("stasera", "stepIntended", "lavoro", 30);
        self.is_refused("ieri: reopening", TOKEN);
        let open = self.scene.is_open("ieri");
        self.check(!open, "ieri is open after last night's reopening came late");
        self.is_taken_without("ieri: reopening", TOKEN);
        wait(10, "a door that last night opens in the middle of tonight's work", || self.scene.is_open("ieri").then_some(()));
    }

    fn after_the_takeover(&mut self) {
        for night in ["chiusa-presa", "lavoro-preso"] {
            let (intended, of) = if night == "chiusa-presa" { ("closing", "closing") } else { ("start", "lavoro") };
            self.scene.proxy.until_held(&format!("{night}: {intended}"), 1);
            let ledger = self.scene.ledger(night).unwrap();
            self.check(!ledger.has("goingBack", "") && !ledger.has("takenOver", ""), format!("{night} still works: {of}"));
        }
        self.scene.kill_operator();
        for night in ["chiusa-presa", "lavoro-preso"] {
            self.scene.until(night, "takenOver", "2", 120);
            let door = self.scene.until_burned(&door_path(night));
            let token = door["metadata"]["annotations"]["notturno.dev/token"].as_str().unwrap_or_default().to_owned();
            self.check(token.ends_with(".2.reopen") || token.is_empty(), format!("{night} bears {token}"));
        }
        let job = format!("/apis/batch/v1/namespaces/tardi/jobs/{}", self.scene.job("lavoro-preso", "lavoro"));
        self.scene.until_burned(&job);
        self.is_refused("chiusa-presa: closing", TOKEN);
        self.is_refused("lavoro-preso: start", TOKEN);
        for night in ["chiusa-presa", "lavoro-preso"] {
            self.scene.until(night, "finished", "RolledBack", 60);
            self.is_open(night, "after a late write");
        }
        self.was_never_closed("chiusa-presa");
        self.closes_if_not_tested("chiusa-presa");
        self.runs_if_not_tested("lavoro-preso");
    }
}

#[test]
fn a_closing_a_start_a_reopening_and_a_stamp_that_come_late_are_refused_by_the_token_and_by_nothing_else() {
    let mut scene = Scene::set(&NIGHTS.map(|night| night.door));
    hold(&scene);
    scene.start_operator();
    let start_at = scene.declare_first(&NIGHTS);
    let mut trial = Trial { scene, problems: vec![] };
    let seconds = || Timestamp::now().duration_since(start_at).as_secs_f64();
    trial.after_an_early_turn_back();
    say(format!("after an early turn back: {:.1} s after the start", seconds()));
    trial.scene.until("ieri", "finished", "Completed", 120);
    trial.scene.declare(&[TONIGHT], SignedDuration::from_secs(25));
    trial.after_the_end();
    say(format!("after the end: {:.1} s after the start", seconds()));
    trial.in_the_next_night();
    say(format!("in the next night: {:.1} s after the start", seconds()));
    trial.after_the_takeover();
    say(format!("after the takeover: {:.1} s after the start", seconds()));
    assert!(trial.problems.is_empty(), "{}", trial.problems.join("\n"));
}
