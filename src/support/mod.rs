//! Small things that know nothing of caches.

pub mod backoff;
pub mod clock;
pub mod secret;

pub use secret::Secret;
