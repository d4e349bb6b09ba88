//! Chance from a seed.
//!
//! In: a seed. Out: choices. Invariant: the same seed chooses the same. Not here: what is chosen.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub struct Chance(ChaCha8Rng);

impl Chance {
    pub fn of(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// One of `from` to `to`, both included.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to - from + 1).expect("a range");
        from + i64::try_from(self.0.next_u64() % width).unwrap()
    }

    /// One time in so many.
    pub fn one_in(&mut self, count: i64) -> bool {
        self.between(1, count) == 1
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.between(0, i64::try_from(all.len()).unwrap() - 1)).unwrap()]
    }

    /// One of these words.
    pub fn word(&mut self, all: &[&'static str]) -> &'static str {
        let word: &&'static str = self.one_of(all);
        word
    }
}
