//! Several replicas, of which one works.
//!
//! In: the shared context, this replica's part in the election. Out: nights, while it leads, and a beat of the heart with each
//! renewal of the lease. Invariants: a replica that does not lead asks for nothing but the lease, and is healthy, which is no proof of
//! life: only who leads gives one; one that loses the lease drops its nights at once, wherever they are, and waits again; the lease is
//! given back after the last night has finished its turn. A write that outlives either may still land: tokens are what stops it.
//! Not here: who leads ([`super::lease`]), what a beat proves ([`super::heart`]).

use tokio::sync::watch;

use super::context::Context;
use super::health::Pulse;
use super::lease::Elector;
use super::run::{RunError, answer, serve};

/// Runs until `stop` turns true, and works while it leads.
///
/// # Errors
/// As [`super::run::run`].
pub async fn lead(
    context: Context,
    mut elector: Elector,
    mut pulse: Pulse,
    mut stop: watch::Receiver<bool>,
) -> Result<(), RunError> {
    while !*stop.borrow() && follow(&mut elector, &mut pulse, &mut stop).await {
        pulse.synced.send_replace(false);
        context.heart.begins();
        let renewed = || context.heart.beats(context.watch_for_seconds, &context.metrics, context.time.now());
        let ended = tokio::select! {
            biased;
            () = elector.until_lost(renewed) => None,
            ended = serve(context.clone(), &mut pulse, stop.clone()) => Some(ended),
        };
        context.heart.ends();
        if let Some(ended) = ended {
            elector.release().await;
            return ended;
        }
        context.metrics.nobody_stands();
    }
    Ok(())
}

/// Waits to lead, in good health; false when it is to stop instead.
async fn follow(elector: &mut Elector, pulse: &mut Pulse, stop: &mut watch::Receiver<bool>) -> bool {
    let Pulse { turns, synced } = pulse;
    let mut winning = std::pin::pin!(elector.until_won(|| {
        synced.send_replace(true);
    }));
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return false,
            Some(ping) = turns.recv() => answer(ping),
            () = &mut winning => return true,
        }
    }
}
