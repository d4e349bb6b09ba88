//! What every target is made of: its body, and changes that keep the form of its inputs.

#[allow(dead_code, reason = "each target uses its part")]
#[path = "bodies/mod.rs"]
pub mod bodies;
#[allow(dead_code, reason = "each target uses its part")]
#[path = "mutation.rs"]
pub mod mutation;
#[path = "tolerance.rs"]
pub mod tolerance;

/// The target of a body, whose inputs are changed so, by these words.
macro_rules! target {
    ($body:ident, $change:ident, $words:expr) => {
        libfuzzer_sys::fuzz_target!(init: target::tolerance::set(), |data: &[u8]| target::bodies::$body::take(data));
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            target::mutation::$change(data, size, max_size, seed, $words)
        });
    };
}
