//! The store's own time: milliseconds that only go forward.
//!
//! Lives and windows are measured on it, never on the wall clock, which may jump. It says nothing
//! about the order of fills and invalidations; generations do.

use std::time::{Duration, Instant};

/// Milliseconds since some fixed moment; never goes back.
pub trait MonotonicClock: Send + Sync {
    /// The time now.
    fn now_ms(&self) -> u64;
}

/// The process clock.
#[derive(Debug)]
pub struct ProcessClock(Instant);

impl Default for ProcessClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl MonotonicClock for ProcessClock {
    fn now_ms(&self) -> u64 {
        millis(self.0.elapsed())
    }
}

/// A duration in whole milliseconds; too long ones are the longest.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
