//! What Kubernetes does by itself: a stale Job controller creates Pods late, Pods run, end, fail, are stopped, hang; and time passes.
//!
//! A Pod may be created as long as the request for it lives: in the tick in which its Job was suspended and the one after. A Job that may
//! run has its Pod within the tick. Stopping takes a tick at most unless it hangs; so does the undo; the forward Job may run for ever.

use crate::night::{A, J, U};
use crate::rules::Rules;
use crate::world::{End, Pod, World, Write};

/// Something that happens to a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happens {
    Created,
    Done,
    Failed,
    Stopped,
    /// It exits; the Job controller may call that complete, whatever it was stopped in (PROTOCOL rule 14).
    Exits(bool),
    Hangs,
}

/// All that may happen to the Pod of a Job now.
pub fn chances(world: &World, rules: &Rules, j: usize) -> Vec<Happens> {
    let job = world.objects.jobs[j];
    let mut all = match job.pod {
        Pod::None | Pod::Ended | Pod::Hangs => Vec::new(),
        Pod::Coming(_) => vec![Happens::Created],
        Pod::Runs(_) if job.is_suspended => vec![Happens::Stopped, Happens::Done],
        Pod::Runs(_) => vec![Happens::Done],
        Pod::Stops(_) => vec![Happens::Exits(false), Happens::Exits(true)],
    };
    if rules.fails && matches!(job.pod, Pod::Runs(_)) && !job.is_suspended {
        all.push(Happens::Failed);
    }
    let may_hang = matches!(job.pod, Pod::Stops(_)) || (j == U && matches!(job.pod, Pod::Runs(_)));
    if rules.hangs && may_hang && !world.may_be_dirty() {
        all.push(Happens::Hangs);
    }
    all
}

/// It happens.
pub fn happen(world: &mut World, j: usize, what: Happens) {
    let job = &mut world.objects.jobs[j];
    match what {
        Happens::Created => {
            job.pod = Pod::Runs(false);
            job.starts = (job.starts + 1).min(2);
            world.is_half_done = true;
        }
        Happens::Done => {
            (job.pod, job.end) = (Pod::Ended, Some(End::Complete));
            world.is_half_done = false;
        }
        Happens::Failed => (job.pod, job.end) = (Pod::Ended, Some(End::Failed)),
        Happens::Stopped => job.pod = Pod::Stops(false),
        Happens::Exits(as_complete) => {
            job.pod = Pod::Ended;
            job.end = job.end.or(as_complete.then_some(End::Complete));
        }
        Happens::Hangs => job.pod = Pod::Hangs,
    }
}

/// People write while an undo runs.
pub fn is_undone_beneath(world: &World) -> bool {
    world.undone_beneath || (world.people_write && world.objects.jobs[U].pod.is_alive())
}

/// A tick passes, unless somebody still has to do something within this one.
pub fn tick(world: &mut World, rules: &Rules) -> bool {
    for (j, job) in world.objects.jobs.iter_mut().enumerate() {
        let is_due = match job.pod {
            Pod::Coming(_) => !job.is_suspended,
            Pod::Runs(is_old) => job.is_suspended || (j == U && is_old),
            Pod::Stops(is_old) => is_old,
            Pod::None | Pod::Hangs | Pod::Ended => false,
        };
        if is_due {
            return false;
        }
        job.pod = match job.pod {
            Pod::Coming(false) => Pod::Coming(true),
            // Its request is over.
            Pod::Coming(true) => Pod::None,
            Pod::Runs(_) if j == U => Pod::Runs(true),
            Pod::Stops(_) => Pod::Stops(true),
            other => other,
        };
    }
    for write in &mut world.flight {
        *write = write.filter(|write| write.age < rules.write_lives_for).map(|write| Write { age: write.age + 1, ..write });
    }
    world.flight.sort_unstable();
    world.tick += 1;
    true
}

/// The first service is open although work on its data runs or is half done.
pub fn is_open_on_half_done(world: &World, opens_dirty: bool) -> bool {
    let runs = [J, U].iter().any(|&j| world.objects.jobs[j].pod.is_alive());
    !world.objects.targets[A].is_closed && (runs || (world.is_half_done && !opens_dirty))
}
