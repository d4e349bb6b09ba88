//! Every search: the rules as they are in several bounds, and each rule left out, with what has to break then.

use crate::night::Numbers;
use crate::rules::{BASE, Owners, Promise, Rules, Stamp};

/// A search, and the promises of which one has to be found broken; none where all hold.
pub struct Variant {
    pub name: &'static str,
    pub rules: Rules,
    /// Numbers of promises: `3b`.
    pub breaks: &'static [&'static str],
}

const fn holds(name: &'static str, rules: Rules) -> Variant {
    Variant { name, rules, breaks: &[] }
}

const fn broken(name: &'static str, breaks: &'static [&'static str], rules: Rules) -> Variant {
    Variant { name, rules, breaks }
}

/// The bounds in which rules are left out: no more than breaking them needs.
const SMALL: Rules = Rules { faulty: false, next_night: false, ..BASE };
/// No turning back before its moment.
const UNASKED: Rules = Rules { early: false, ..SMALL };

/// The bounds that CI exhausts.
pub fn small() -> Vec<Variant> {
    vec![
        holds("all rules: one operator, a healthy sentinel, the next night", Rules { faulty: false, ..BASE }),
        holds("all rules, Job and undo may fail or hang", Rules { fails: true, hangs: true, ..UNASKED }),
        holds("all rules, a dirty service declares to open", Rules { fails: true, hangs: true, opens_dirty: true, ..UNASKED }),
        holds("all rules, services count as open in part when they do not answer", Rules { tolerates_red: true, ..UNASKED }),
    ]
}

/// The bounds of the command.
#[cfg(feature = "exhaust")]
pub fn large() -> Vec<Variant> {
    let more = Numbers { work: 2, undo: 4, ..BASE.numbers };
    vec![
        holds("all rules, a faulty sentinel beside the healthy one", Rules { early: false, next_night: false, ..BASE }),
        holds("all rules, two writes in flight", Rules { flight_max: 2, ..SMALL }),
        holds("all rules, two replicas", Rules { replicas: 2, ..UNASKED }),
        holds("all rules, every combination of clocks, a longer night", Rules { all_clocks: true, numbers: more, ..SMALL }),
        holds("all rules, decisions on what was seen at any earlier moment", Rules { old_looks: true, ..UNASKED }),
        holds(
            "all rules, a faulty sentinel, the next night, orders, Job and undo may fail or hang",
            Rules { fails: true, hangs: true, ..BASE },
        ),
    ]
}

/// Each rule left out, as PROTOCOL §3 lists them.
pub fn dropped() -> Vec<Variant> {
    let two = Rules { flight_max: 2, ..SMALL };
    let kept = Rules { old_looks: true, fences: false, ..UNASKED };
    let open = Rules { opens_dirty: true, hangs: true, ..UNASKED };
    let exclusive = |owners| Rules { owners, promise: Promise::Renewable, faulty: true, ..UNASKED };
    vec![
        broken("no token test; the fence is kept", &["3b"], Rules { tests_token: false, ..two }),
        broken(
            "no token test; the fence is kept, a write outlives the grace, and nobody asks to go back",
            &["3a"],
            Rules { tests_token: false, write_lives_for: 3, ..UNASKED },
        ),
        broken("neither token test nor fence", &["3a"], Rules { tests_token: false, fences: false, ..UNASKED }),
        broken("only what is found closed or running is burned", &["2", "6"], Rules { burns_all: false, ..SMALL }),
        broken("no burn when the operator itself turns", &["1", "2", "6"], Rules { operator_burns: false, ..SMALL }),
        broken("no burn in the stop", &["6"], Rules { stop_burns: false, ..SMALL }),
        broken("stamps with the intention, bare", &["3a", "3b"], Rules { stamps: Stamp::WithIntention, ..kept }),
        broken(
            "stamps with the intention, guarded by revision, and a burn removes",
            &["3a", "3b"],
            Rules { stamps: Stamp::WithIntentionOfRevision, leaves_tombstone: false, ..kept },
        ),
        broken("no token test of backward writes", &["8"], Rules { tests_back_token: false, next_night: true, ..SMALL }),
        broken("no compare-and-set on the ledger", &["2", "4", "5", "6", "10"], Rules { compares_head: false, ..SMALL }),
        broken("no proof of Pods: a list that shows none is enough", &["4"], Rules { proves_pods: false, ..SMALL }),
        broken("the first wave before the commit is recorded", &["5", "6"], Rules { commits_first: false, ..UNASKED }),
        broken("no takeover of a committed night", &["1", "2"], Rules { takes_committed: false, ..UNASKED }),
        broken("promises declared and renewed", &["1", "2"], Rules { promise: Promise::Renewable, ..UNASKED }),
        broken(
            "no schedule: each late event buys its time anew",
            &["1", "2"],
            Rules { promise: Promise::Unscheduled, ..UNASKED },
        ),
        broken("an epoch for each sentinel", &["1", "2"], exclusive(Owners::OneEach)),
        broken("an epoch for each sentinel, once more at the last moment", &["1", "2"], exclusive(Owners::OneEachOnceMore)),
        broken(
            "an epoch for each sentinel, again and again at the last moment",
            &["9"],
            Rules { hangs: true, ..exclusive(Owners::OneEachAlways) },
        ),
        broken("no expiry of undos before a dirty service opens", &["6"], Rules { expires_undos: false, ..open }),
        broken("a reserve of two graces", &["1", "2"], Rules { numbers: Numbers { reserve: 2, ..BASE.numbers }, ..UNASKED }),
    ]
}
