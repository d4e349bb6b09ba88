#[cfg(feature = "shell")]
pub mod clock;
#[cfg(feature = "shell")]
pub mod embedded;
