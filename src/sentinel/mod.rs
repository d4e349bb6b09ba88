//! The dead man's switch: reopens what the operator no longer can (DESIGN §4, PROTOCOL rules 17 to 22).
//!
//! In: a frozen plan, the two ConfigMaps of the night, the rights of an account that may only give back. Out: the night's way back, when
//! progress was due and nothing came. One loop: **read → look → decide → record → perform**, with the same engine as the operator and
//! backward commands only. Invariants: the ledger is read live before anything is decided; nothing is sent before its intention was seen
//! there, but for what rule 22 allows when the ledger is out of reach; two of these may act at once, early, late or twice, with the same
//! end; it knows none of our custom resources, and needs nothing of ours that runs. While it waits it reads the ledger when the engine
//! says that something may be due, and asks nothing else. Not here: any decision ([`crate::engine`]), any effect
//! ([`crate::operator::effects`]).
//!
//! | file | what it does |
//! |---|---|
//! | [`post`] | what one sentinel is given: hands, plan, clock |
//! | `watch` | one turn, and what is kept between turns |
//! | `known` | the ledger as last read, and for how long it has been out of reach |
//! | [`health`] | the endpoints by which it says that its rehearsal went well |

pub mod health;
mod known;
pub mod post;
mod watch;

use tokio::sync::watch as channel;

pub use health::Readiness;
pub use post::Post;

/// Stands watch until told to stop.
pub async fn stand(post: Post, readiness: Readiness, mut stop: channel::Receiver<bool>) {
    let mut watch = watch::Watch::new(post, readiness);
    while !*stop.borrow() {
        let rest = watch.turn().await;
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = watch.rest(rest) => {}
        }
    }
}
