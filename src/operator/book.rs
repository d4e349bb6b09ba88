//! One night's ledger as this operator has read and written it.
//!
//! In: whose night, entries. Out: plan, journal, pre-images, the tenant's hands. Invariants: what is in `entries` was seen in the ledger,
//! but for what says that part of it is lost; after an append that is not known to have landed nothing here is used again: it is read
//! anew. Not here: how a ledger is kept ([`super::effects::ledger`]), what is recorded.

use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::context::Context;
use super::effects::ledger::{self, AppendError, Head, LedgerError, LedgerRead, PlanIdentity, Record};
use super::effects::names::LedgerNames;
use super::effects::tenants::TenantError;
use super::effects::{Preimages, Tenant};
use crate::engine::{Believed, Entry, Event, State};
use crate::model::plan::Plan;

/// Who writes, in every record.
const BY: &str = "operator";

/// Where a night's ledger is, and as whom it is read.
#[derive(Clone, Debug)]
pub(super) struct Whose {
    pub(super) namespace: String,
    pub(super) service_account: String,
    pub(super) name: String,
    pub(super) night_uid: String,
}

/// The ledger as read.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) plan: Arc<Plan>,
    pub(super) preimages: Option<Preimages>,
    pub(super) entries: Vec<Entry>,
    /// Another hand deletes plan or ledger, or has changed them: go back.
    pub(super) is_changed: bool,
    /// Part of what the night recorded is lost, and with it what may be undone: only what needs no record is done (PROTOCOL rule 22).
    pub(super) is_torn: bool,
    /// The plan's `ConfigMap`, once it was asked for.
    pub(super) identity: Option<PlanIdentity>,
    head: Head,
    /// All records, whoever wrote them: their places, and where their entries are.
    records: Vec<(u32, Range<usize>)>,
}

/// Why a ledger cannot be had now. Retry later, whatever it is; while it lasts, people see the reason.
#[derive(Debug, thiserror::Error)]
pub(super) enum BookError {
    /// There is no token for the tenant.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// It cannot be read, begun or ended.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A record is not known to be in it. Nothing may be sent.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Book {
    /// The ledger of a night; none when nothing was accepted yet.
    pub(super) async fn open(context: &Context, whose: &Whose) -> Result<Option<Self>, BookError> {
        let tenant = context.tenants.of(&whose.namespace, &whose.service_account).await?;
        let Some(read) = ledger::read(&tenant, &whose.name, &whose.night_uid).await? else { return Ok(None) };
        let now = context.time.now();
        if read.head.is_none() && read.broken.is_none() {
            return Self::begin(context, read.plan, now).await.map(Some);
        }
        Ok(Some(Self::of(read, now)))
    }

    /// What was read, `now`.
    fn of(read: LedgerRead, now: Timestamp) -> Self {
        let Believed { entries, read_count: _, is_torn } = read.believed(now);
        let LedgerRead { plan, plan_hash: _, preimages, entries: _, records, head, broken, is_torn: _, is_armed: _, deleting } =
            read;
        if let Some(why) = broken.filter(|_| is_torn) {
            tracing::error!(
                why,
                "part of the ledger is lost: only what needs no record is done, and a person has to end the night"
            );
        }
        Self {
            plan: Arc::new(plan),
            preimages,
            entries,
            is_changed: deleting,
            is_torn,
            identity: None,
            head: head.unwrap_or(Head { seq: 0, hash: String::new() }),
            records: places(&records),
        }
    }

    /// Freezes the plan and begins its journal, unless another replica was first: then its journal is the one.
    pub(super) async fn begin(context: &Context, plan: Plan, now: Timestamp) -> Result<Self, BookError> {
        let tenant = context.tenants.of(&plan.namespace, &plan.service_account).await?;
        let why = format!(
            "the plan keeps the promise: open by {}, bound by {} at {}; requested by {:?}, whom nobody has verified",
            crate::engine::words::clock(&plan, plan.deadline.must_serve_by),
            plan.deadline.service,
            plan.deadline.site,
            plan.requester
        );
        let entries = vec![Entry { at: now, event: Event::Accepted { plan_hash: ledger::plan_hash(&plan) }, why }];
        let ours = Record::after(None, BY, entries.clone()).head();
        let head = ledger::accept(&tenant, &plan, BY, entries.clone()).await?;
        if head != ours {
            let read = ledger::read(&tenant, &plan.name, &plan.uid).await?;
            let gone = || LedgerError::PlanGone { name: LedgerNames::of(&plan.name, &plan.uid).plan };
            return Ok(Self::of(read.ok_or_else(gone)?, now));
        }
        let (plan, records) = (Arc::new(plan), vec![(head.seq, 0..entries.len())]);
        Ok(Self { plan, preimages: None, entries, is_changed: false, is_torn: false, identity: None, head, records })
    }

    /// Appends one record; it was seen in the ledger when this returns.
    pub(super) async fn append(&mut self, context: &Context, entries: &[Entry]) -> Result<(), BookError> {
        let tenant = self.tenant(context).await?;
        self.head = ledger::append(&tenant, &self.plan, &self.head, BY, entries.to_vec()).await?;
        let first = self.entries.len();
        self.entries.extend_from_slice(entries);
        self.records.push((self.head.seq, first..self.entries.len()));
        Ok(())
    }

    /// The night is over: plan and ledger may be deleted by whoever wants to.
    pub(super) async fn close(&self, context: &Context) -> Result<(), BookError> {
        let tenant = self.tenant(context).await?;
        ledger::finish(&tenant, &self.plan.name, &self.plan.uid).await.map_err(LedgerError::from)?;
        Ok(())
    }

    pub(super) async fn tenant(&self, context: &Context) -> Result<Tenant, TenantError> {
        context.tenants.of(&self.plan.namespace, &self.plan.service_account).await
    }

    /// Its outcome is recorded.
    pub(super) fn is_over(&self) -> bool {
        State::fold(&self.plan, &self.entries).outcome.is_some()
    }

    /// It is armed and has not begun.
    pub(super) fn only_waits(&self) -> bool {
        matches!(self.entries.last(), Some(Entry { event: Event::Armed {}, .. }))
    }

    /// No record that was seen in the ledger before is missing in what was read now, or is another.
    pub(super) fn goes_on_from(&self, before: &Self) -> bool {
        let mut own = self.records_after(0);
        before.records_after(0).all(|record| own.next() == Some(record))
    }

    /// The records after this one, each with its place, whoever wrote them.
    pub(super) fn records_after(&self, seq: u32) -> impl Iterator<Item = (u32, &[Entry])> {
        let after = self.records.iter().filter(move |(place, _)| *place > seq);
        after.filter_map(|(place, entries)| Some((*place, self.entries.get(entries.clone())?)))
    }

    pub(super) fn seq(&self) -> u32 {
        self.head.seq
    }

    /// Pre-images as arming and later intentions recorded them.
    pub(super) fn current_preimages(&self) -> Preimages {
        self.preimages.clone().unwrap_or_default().as_intended(&self.entries)
    }
}

fn places(records: &[usize]) -> Vec<(u32, Range<usize>)> {
    let mut first = 0;
    let mut places = Vec::new();
    for (seq, count) in (1..).zip(records) {
        let next = first + count;
        places.push((seq, first..next));
        first = next;
    }
    places
}
