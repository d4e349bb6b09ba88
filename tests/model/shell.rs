//! The effects of the shell, once: a command, a live read of its object, and the write that follows.
//!
//! In: the world as it is when the command is carried out, the epoch and the clock of whoever does it. Out: writes with their tests; none
//! when there is nothing to do, or the live read forbids it. Each function says which effect of the product it is; those have the reasons.

use notturno::engine::{BurnTo, Command, JobKey};

use crate::mind::Standing;
use crate::night::{J, U, moment};
use crate::rules::{Rules, Stamp};
use crate::world::{Change, FORWARD, Job, Objects, Target, Test, Token, Way, Write};

/// How long a forward call may take: `LIMIT` of src/operator/effects/call.rs.
const CALL: i64 = 10;

/// Who carries a command out.
#[derive(Clone, Copy, Debug)]
pub struct Hands<'a> {
    pub rules: &'a Rules,
    pub objects: &'a Objects,
    pub epoch: u8,
    /// What their clock shows.
    pub clock: i64,
}

impl Hands<'_> {
    /// src/operator/effects/perform.rs, `perform`.
    pub fn writes(&self, command: &Command) -> Vec<Write> {
        let one = match command {
            Command::Close { service, not_after } => self.close(*service).filter(|_| self.is_in_time(Some(*not_after))),
            Command::Release { job, not_after } => self.is_in_time(*not_after).then(|| self.release(job_of(*job))),
            Command::BurnJob { job, to } => self.burn_job(job_of(*job), *to),
            Command::BurnTargets { service } => self.burn_target(*service),
            Command::Reopen { service } => self.restore(*service),
            Command::Disarm => return [0, 1].into_iter().filter_map(|target| self.disarm(target)).collect(),
            Command::Arm
            | Command::Change { .. }
            | Command::Check { .. }
            | Command::BurnChange { .. }
            | Command::ExpireChange { .. }
            | Command::Restore { .. }
            | Command::CloseAgain { .. }
            | Command::Degrade { .. }
            | Command::Probe { .. }
            | Command::LetGo { .. }
            | Command::ArmSwitch
            | Command::DisarmSwitch => None,
        };
        one.into_iter().collect()
    }

    /// perform.rs, `Fence::check`.
    fn is_in_time(&self, not_after: Option<jiff::Timestamp>) -> bool {
        !self.rules.fences || not_after.is_none_or(|not_after| moment(self.clock + CALL) <= not_after)
    }

    fn own(&self, way: Way) -> Token {
        Token::Own(self.epoch, way)
    }

    fn tested(token: Token, is_tested: bool) -> Test {
        if is_tested { Test::Token(token) } else { Test::Nothing }
    }

    /// change.rs, `change` and `may_change`.
    fn close(&self, k: usize) -> Option<Write> {
        let target = self.objects.targets[k];
        if target.is_closed || self.epoch != 1 {
            return None;
        }
        match (self.rules.stamps, Standing::of(target.token, 1)) {
            (_, Standing::Own(Way::Forward)) => {}
            (Stamp::WithIntention, Standing::Missing) => return Some(write(Change::Stamp(k), Test::Nothing)),
            (Stamp::WithIntentionOfRevision, Standing::Missing) => return Some(write(Change::Stamp(k), Test::Revision(target))),
            (_, Standing::Foreign) => return None,
            _ if self.rules.tests_token => return None,
            _ => {}
        }
        Some(write(Change::Close(k), Self::tested(FORWARD, self.rules.tests_token)))
    }

    /// work.rs, `release`: no live read, and it tests that the Job was never released.
    fn release(&self, j: usize) -> Write {
        let unburned = !self.rules.operator_burns && self.epoch == 1;
        let token = if j == U && !unburned { self.own(Way::Back) } else { self.own(Way::Forward) };
        write(Change::Release(j), Self::tested(token, j == U || self.rules.tests_token))
    }

    /// work.rs, `burn`.
    fn burn_job(&self, j: usize, to: BurnTo) -> Option<Write> {
        let job = self.objects.jobs[j];
        let only_stops = j == J && (!self.rules.stop_burns || (!self.rules.operator_burns && self.epoch == 1));
        if only_stops {
            return (!job.is_suspended).then(|| write(Change::Suspend(j, self.moment()), Test::Nothing));
        }
        if !self.rules.operator_burns && self.epoch == 1 {
            return None;
        }
        let standing = Standing::of(job.token, self.epoch);
        match (standing, to) {
            (Standing::Own(Way::Back | Way::Expired), BurnTo::Back) | (Standing::Newer(_) | Standing::Foreign, _) => None,
            (Standing::Own(Way::Expired) | Standing::Older(Way::Expired), BurnTo::Expired) if job.is_suspended => None,
            (Standing::Own(_) | Standing::Older(_), BurnTo::Expired) => {
                let never = job.is_suspended && !job.was_released;
                let change = Change::StopJob(j, self.own(Way::Expired), never, self.moment());
                Some(write(change, Test::Token(job.token)))
            }
            (Standing::Own(_) | Standing::Older(_), BurnTo::Back) if job.is_suspended || is_handed_on(job, standing) => {
                Some(write(Change::TurnJob(j, self.own(Way::Back), job.is_suspended), Test::Token(job.token)))
            }
            // It runs although nobody released it; or its token is gone, which nothing here takes away.
            (Standing::Own(_) | Standing::Older(_) | Standing::Missing, _) => None,
        }
    }

    fn moment(&self) -> i16 {
        i16::try_from(self.clock).expect("a night of minutes")
    }

    /// targets.rs, `burn_to`.
    fn burn_target(&self, k: usize) -> Option<Write> {
        if !self.rules.operator_burns && self.epoch == 1 {
            return None;
        }
        let target = self.objects.targets[k];
        let change = Change::BurnTarget(k, self.own(Way::Reopen));
        match Standing::of(target.token, self.epoch) {
            Standing::Own(Way::Reopen | Way::Expired) | Standing::Newer(_) | Standing::Foreign => None,
            Standing::Own(_) | Standing::Older(_) => Some(write(change, Test::Token(target.token))),
            // A removal would change nothing, and nothing is what the API server writes then.
            Standing::Missing if !self.rules.leaves_tombstone => None,
            Standing::Missing => Some(write(change, Test::Revision(target))),
        }
    }

    /// restore.rs, `restore` and `restoring`.
    fn restore(&self, k: usize) -> Option<Write> {
        let target = self.objects.targets[k];
        if target.is_restored || !target.is_closed {
            return None;
        }
        let burns = self.rules.operator_burns || self.epoch != 1;
        let (test, burn) = match Standing::of(target.token, self.epoch) {
            Standing::Own(Way::Reopen | Way::Expired) => (Test::Token(target.token), None),
            Standing::Own(_) | Standing::Older(_) => (Test::Token(target.token), burns.then(|| self.own(Way::Reopen))),
            Standing::Missing => (Test::Revision(target), None),
            Standing::Newer(_) | Standing::Foreign => return None,
        };
        let test = if self.rules.tests_back_token { test } else { Test::Nothing };
        Some(write(Change::Restore(k, burn), test))
    }

    /// targets.rs, `disarm`: by whoever is there, whatever the epoch.
    fn disarm(&self, k: usize) -> Option<Write> {
        let Target { token, is_restored, .. } = self.objects.targets[k];
        let is_ours = matches!(token, Token::Own(..)) || (token == Token::None && is_restored);
        is_ours.then(|| write(Change::Disarm(k), Test::Token(token)))
    }
}

fn write(change: Change, test: Test) -> Write {
    Write { change, test, age: 0 }
}

/// work.rs, `is_handed_on`: an undo that the epoch before released goes on.
fn is_handed_on(job: Job, standing: Standing) -> bool {
    job.was_released && standing == Standing::Older(Way::Back)
}

fn job_of(key: JobKey) -> usize {
    match key {
        JobKey::Step(_) => J,
        JobKey::Undo(..) => U,
        JobKey::Smoke => unreachable!("the night has no smoke test"),
    }
}
