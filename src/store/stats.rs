//! Counters of the store: relaxed atomics that order nothing.
//! They are for people; no decision of the store reads one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One counter.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// Some more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What is counted as it happens.
#[derive(Default)]
pub(super) struct Counts {
    pub hits: Count,
    pub stale_hits: Count,
    pub misses: Count,
    pub fills: Count,
    pub fills_refused: Count,
    pub evictions: Count,
    pub clears: Count,
    pub entries_cleared: Count,
    pub bans_collapsed: Count,
}
