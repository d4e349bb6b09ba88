//! Sentinels and operator act in the same second, on fifty nights: each has one end, and nothing happens twice.
//!
//! The operator sleeps from shortly before the nights have to turn back and wakes at the moment at which the sentinels take them over, a
//! little before it or after it. Some nights it had not turned yet, some it had and their Job ends while it sleeps, some it was just giving back
//! when it fell asleep.

mod judge;
mod judged;
mod nights;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::audit::Audit;
use super::cluster::{Cluster, say, until, wait};
use super::operator::{self, Asleep, By};
use super::{stage, tenant};
use judge::{Course, judge};
use nights::{Kind, Nights};

/// One node has no room for fifty at once.
const ROUNDS: usize = 2;
/// The operator leads on when it wakes: this, and what may have passed since it renewed its lease, is shorter than a lease.
const ASLEEP_FOR: SignedDuration = SignedDuration::from_millis(3300);
/// Both sides wrote to the same night within so little.
const SAME_SECOND: SignedDuration = SignedDuration::from_secs(1);
/// So many of the fifty nights at least, or nothing was tested.
const RACES_MIN: usize = 10;

/// One operator, which may sleep: nobody else leads meanwhile.
fn one_operator(cluster: &Cluster) {
    operator::uninstall(cluster);
    tenant::clear(cluster);
    operator::install(cluster, By::Manifests);
    operator::may_sleep(cluster);
    operator::scale(cluster, 1);
    wait(60, "one operator, which leads", || {
        let pods = operator::pod_names(cluster);
        (pods.len() == 1 && pods.contains(&operator::leader(cluster))).then_some(())
    });
}

/// Plays one round; the course of each of its nights.
fn played(cluster: &Cluster) -> Vec<Course> {
    let audit = Audit::from_now(cluster);
    let nights = Nights::declare(cluster);
    until(nights.race_at - SignedDuration::from_secs(8));
    nights.all_work();
    let (process, epoch) = (operator::leader_process(cluster), operator::epoch(cluster));
    until(nights.race_at - ASLEEP_FOR);
    let (asleep, slept_at) = (Asleep::put_process(process), Timestamp::now());
    until(nights.race_at);
    asleep.wake();
    let woke_at = Timestamp::now();
    nights.until_settled();
    let seconds = |moment: Timestamp| moment.duration_since(nights.race_at).as_secs_f64();
    say(format!("the operator slept from {:+.2} s to {:+.2} s", seconds(slept_at), seconds(woke_at)));
    assert_eq!(
        (operator::leader_process(cluster), operator::epoch(cluster)),
        (process, epoch),
        "it leads on, and was not restarted"
    );
    let writes = audit.writes();
    nights.all().iter().map(|night| judge(night, &writes)).collect()
}

fn told(kind: Kind, courses: &[Course]) {
    let of_kind: Vec<&Course> = courses.iter().filter(|course| course.kind == kind).collect();
    let count = |is: &dyn Fn(&Course) -> bool| of_kind.iter().filter(|course| is(course)).count();
    let closest = of_kind.iter().filter_map(|course| course.closest).min().map(|closest| closest.as_millis());
    say(format!(
        "{kind:?}: {} nights, {} ended by sentinels, {} opened by them; both wrote within {SAME_SECOND:#} in {}, closest {closest:?} ms",
        of_kind.len(),
        count(&|course| course.taken_over_at.is_some()),
        count(&|course| course.opened_by_sentinels),
        count(&|course| course.raced_within(SAME_SECOND)),
    ));
    let sum = |of: fn(&Course) -> usize| of_kind.iter().map(|course| of(course)).sum::<usize>();
    say(format!(
        "    {} writes of the operator and {} of sentinels were refused, {} changed nothing",
        sum(|course| course.refused_count.0),
        sum(|course| course.refused_count.1),
        sum(|course| course.idle_count),
    ));
}

#[cfg_attr(feature = "faults", test)]
fn fifty_nights_that_sentinels_and_operator_take_back_in_the_same_second_have_one_end_each_and_nothing_twice() {
    let _turn = stage::turn();
    let cluster = Cluster::connect();
    let mut courses: Vec<Course> = vec![];
    for _ in 0..ROUNDS {
        one_operator(&cluster);
        courses.extend(played(&cluster));
        let problems: Vec<&String> = courses.iter().flat_map(|course| &course.problems).collect();
        assert!(problems.is_empty(), "{problems:#?}");
    }
    for kind in Kind::ALL {
        told(kind, &courses);
    }
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for course in &courses {
        *ends.entry(&course.outcome).or_default() += 1;
    }
    assert_eq!(ends, BTreeMap::from([("RolledBack", 50)]));
    let raced = courses.iter().filter(|course| course.raced_within(SAME_SECOND)).count();
    say(format!("both sides wrote within {SAME_SECOND:#} in {raced} of {} nights", courses.len()));
    assert!(raced >= RACES_MIN, "only {raced} nights were raced for");
}
