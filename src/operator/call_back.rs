//! What calls a night away from whatever it waits for: an order, a deletion, the moment to turn back.
//!
//! In: what the last decision knew of, the bell, the clock. Out: work, done or left. Invariants: forward work that is under way never
//! keeps the way back waiting; a look that hangs does so for [`HEAD_START`] at most; no ring is lost. Work that is left may still land:
//! the burn that follows is what stops it (PROTOCOL rule 6). Not here: what is decided then.

use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::mailbox::{Mailbox, Seen};

/// How long a look may go on once the night is called.
const HEAD_START: Duration = Duration::from_secs(1);

/// What a decision knew of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heeded {
    pub(super) order_count: usize,
    pub(super) deleted: bool,
}

impl Heeded {
    /// What there is to know now.
    pub(super) fn now(mailbox: &Mailbox, context: &Context, night: &str) -> Self {
        let deleted = match mailbox.seen() {
            Seen::There(object) => object.metadata.deletion_timestamp.is_some(),
            Seen::Gone => true,
        };
        Self { order_count: context.orders.of(night).len(), deleted }
    }
}

/// The call, for as long as one decision stands.
pub(super) struct CallBack<'a> {
    pub(super) mailbox: &'a Mailbox,
    pub(super) context: &'a Context,
    pub(super) night: &'a str,
    pub(super) heeded: Heeded,
    /// When the clock calls, if it still has to.
    pub(super) at: Option<Timestamp>,
}

impl CallBack<'_> {
    /// Does `work` until the night is called; none when it was.
    pub(super) async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.or_after(Duration::ZERO, work).await
    }

    /// Does `work` until a head start after the night is called.
    pub(super) async fn or_soon<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.or_after(HEAD_START, work).await
    }

    async fn or_after<T>(&self, head_start: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut rang = false;
        let called = async {
            tokio::select! {
                biased;
                () = self.rung(&mut rang) => {}
                () = self.due() => {}
            }
            tokio::time::sleep(head_start).await;
        };
        let done = tokio::select! {
            biased;
            done = work => Some(done),
            () = called => None,
        };
        if rang {
            self.mailbox.bell().notify_one();
        }
        done
    }

    async fn rung(&self, rang: &mut bool) {
        while Heeded::now(self.mailbox, self.context, self.night) == self.heeded {
            self.mailbox.heard().await;
            *rang = true;
        }
    }

    async fn due(&self) {
        match self.at {
            Some(at) => self.context.time.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}
