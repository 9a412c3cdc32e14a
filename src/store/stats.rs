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

/// The store at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "StoreStats")]
pub struct Stats {
    /// Entries held.
    pub entries: u64,
    /// Those of them whose ttl has passed, at most 0.1 s ago: entries in their stale time (`swr`),
    /// and those that the next background walk takes out. A soft invalidation shortens no ttl.
    pub expired_entries: u64,
    /// Bytes charged for them.
    pub bytes: u64,
    /// The limit of that.
    pub bytes_max: u64,
    /// The newest generation.
    pub generation: u64,
    /// The oldest generation whose tickets are still taken.
    pub floor: u64,
    /// Lookups answered fresh.
    pub hits: u64,
    /// Lookups answered stale.
    pub stale_hits: u64,
    /// Lookups not answered.
    pub misses: u64,
    /// Fills taken.
    pub fills: u64,
    /// Fills refused, for whatever reason.
    pub fills_refused: u64,
    /// Entries that had to go for others.
    pub evictions: u64,
    /// Invalidations applied.
    pub clears: u64,
    /// Entries that they counted as cleared or made stale.
    pub entries_cleared: u64,
    /// Patterns and prefixes remembered.
    pub bans: u64,
    /// How often too many of them became one stamp on everything.
    pub bans_collapsed: u64,
    /// Tags remembered, with or without an entry.
    pub stamps: u64,
}
