//! Orders of people, until the `Decision` kind exists: a queue per night, in memory.
//!
//! In: orders, given by whoever shares this value with the operator (the demo, tests). Out: a night's orders, oldest first, as facts.
//! Invariants: an order wakes its night; a night keeps at most [`ORDERS_MAX`]. Not here: who may give which order; whether it is obeyed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::engine::facts::Order;

/// The most orders kept for one night; later ones are dropped.
pub const ORDERS_MAX: usize = 256;

/// Orders by night. Clones are the same queue.
#[derive(Clone, Debug, Default)]
pub struct Orders(Arc<Mutex<BTreeMap<String, Queue>>>);

#[derive(Debug, Default)]
struct Queue {
    orders: Vec<Order>,
    bell: Option<Arc<Notify>>,
}

impl Orders {
    /// Gives an order to the night `namespace/name`. False when its queue is full.
    #[must_use]
    pub fn give(&self, night: &str, order: Order) -> bool {
        self.with(night, |queue| {
            let fits = queue.orders.len() < ORDERS_MAX;
            if fits {
                queue.orders.push(order);
                queue.bell.iter().for_each(|bell| bell.notify_one());
            }
            fits
        })
    }

    /// The orders given to a night so far.
    #[must_use]
    pub fn of(&self, night: &str) -> Vec<Order> {
        self.with(night, |queue| queue.orders.clone())
    }

    /// From now on orders to this night ring this bell.
    pub(super) fn attach(&self, night: &str, bell: Arc<Notify>) {
        self.with(night, |queue| queue.bell = Some(bell));
    }

    /// The night is over.
    pub(super) fn forget(&self, night: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(night);
    }

    fn with<T>(&self, night: &str, act: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(queues.entry(night.to_owned()).or_default())
    }
}
