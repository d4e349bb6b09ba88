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
/// A busy machine lets sentinels come late: more nights are played until enough of them were raced for.
const ROUNDS_MAX: usize = 4;
/// The operator leads on when it wakes: this, and what may have passed since it renewed its lease, is shorter than a lease.
const ASLEEP_FOR: SignedDuration = SignedDuration::from_millis(3300);
/// Both sides acted on the same night within so little.
const SAME_SECOND: SignedDuration = SignedDuration::from_secs(1);
/// A sentinel took so many of the nights over within a second of the operator's waking, at least: it either writes then, or reads
/// what a sentinel has just written.
const MET_MIN: usize = 25;
/// In so many of them, at least, both wrote within a second: who is first wins, and the other is refused.
const RACES_MIN: usize = 3;

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

/// Plays one round; the course of each of its nights, and how long after the operator's waking a sentinel took over those that it did.
fn played(cluster: &Cluster) -> (Vec<Course>, Vec<(Kind, SignedDuration)>) {
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
    let courses: Vec<Course> = nights.all().iter().map(|night| judge(night, &writes)).collect();
    let after = |course: &Course| Some((course.kind, course.taken_over_at?.duration_since(woke_at)));
    let taken = courses.iter().filter_map(after).collect();
    (courses, taken)
}

fn told(kind: Kind, courses: &[Course], taken: &[(Kind, SignedDuration)]) {
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
    let mut after: Vec<_> = taken.iter().filter(|(of, _)| *of == kind).map(|(_, after)| after.as_secs_f64()).collect();
    after.sort_by(f64::total_cmp);
    say(format!("    taken over {after:+.2?} s after the waking"));
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
    let (mut courses, mut taken): (Vec<Course>, Vec<(Kind, SignedDuration)>) = (vec![], vec![]);
    let (mut met, mut raced) = (0, 0);
    for round in 1..=ROUNDS_MAX {
        one_operator(&cluster);
        let (of_round, taken_in_round) = played(&cluster);
        courses.extend(of_round);
        taken.extend(taken_in_round);
        let problems: Vec<&String> = courses.iter().flat_map(|course| &course.problems).collect();
        assert!(problems.is_empty(), "{problems:#?}");
        met = taken.iter().filter(|(_, after)| after.abs() <= SAME_SECOND).count();
        raced = courses.iter().filter(|course| course.raced_within(SAME_SECOND)).count();
        if round >= ROUNDS && met >= MET_MIN && raced >= RACES_MIN {
            break;
        }
    }
    for kind in Kind::ALL {
        told(kind, &courses, &taken);
    }
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for course in &courses {
        *ends.entry(&course.outcome).or_default() += 1;
    }
    assert_eq!(ends, BTreeMap::from([("RolledBack", courses.len())]));
    say(format!("{met} of {} nights were taken over within {SAME_SECOND:#} of the waking, both wrote in {raced}", courses.len()));
    assert!(met >= MET_MIN && raced >= RACES_MIN, "only {met} nights were taken over as the operator woke, {raced} raced for");
}
