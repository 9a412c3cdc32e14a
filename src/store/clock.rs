//! The store's own time: milliseconds that only go forward.
//!
//! Lives and windows are measured on it, never on the wall clock, which may jump. It says nothing
//! about the order of fills and invalidations; generations do.

use std::time::Duration;

use crate::support::boot::since_boot;

/// Milliseconds since some fixed moment; never goes back.
pub trait MonotonicClock: Send + Sync {
    /// The time now.
    fn now_ms(&self) -> u64;
}

/// The process clock. It goes on while the machine sleeps, as entries grow old then too.
#[derive(Debug)]
pub struct ProcessClock(Duration);

impl Default for ProcessClock {
    fn default() -> Self {
        Self(since_boot())
    }
}

impl MonotonicClock for ProcessClock {
    fn now_ms(&self) -> u64 {
        millis(since_boot().saturating_sub(self.0))
    }
}

/// A duration in whole milliseconds; too long ones are the longest.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
