//! The clock of the store: milliseconds that only increase.
//!
//! Times to live and windows are measured on it, never on the wall clock, which may jump. It does
//! not define the order of fills and invalidations; generations do.

use std::time::Duration;

use crate::support::boot::since_boot;

/// Milliseconds since a fixed moment; never decreases.
pub trait MonotonicClock: Send + Sync {
    /// The time now.
    fn now_ms(&self) -> u64;
}

/// The process clock. It continues while the machine sleeps, because entries age then as well.
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

/// A duration in whole milliseconds, at most `u64::MAX`.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
