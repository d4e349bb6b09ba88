//! The shell: observe → decide → record → perform → report.

pub mod effects;
