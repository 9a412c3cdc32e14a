//! Counters of the store, as relaxed atomics.
//! They are for statistics; the store makes no decision by them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One counter.
#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counted events.
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
