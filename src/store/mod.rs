//! The cache: entries in memory, cleared by generations and tickets.
//!
//! One mechanism serves every kind of invalidation. An entry carries tags; clearing a tag stamps it
//! with the store's next generation, whatever the number of its entries; an entry is valid while
//! nothing of it is newer than its *ticket*, the generation read before its fill began. So what an
//! invalidation has overtaken is neither stored nor served, to waiters neither.
//!
//! The store returns facts. It logs nothing, announces nothing and knows no graph.

use std::time::Duration;

mod bans;
mod cells;
mod clear;
mod clock;
mod entry;
mod expiry;
mod fill;
mod flight;
mod found;
mod generation;
mod map;
mod memory;
mod recent;
mod stats;
mod sweep;
mod ticket;

#[cfg(test)]
mod tests;

/// Where [`generation`] takes its atomics from; `tests/loom/` puts loom's in this place.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

pub use clock::{MonotonicClock, ProcessClock};
pub use fill::{Admitted, Fill, FillRefusal};
pub use found::{EntryFilter, ListedEntry, Lookup, ServedEntry};
pub use memory::Memory;
pub use sweep::Swept;
pub use ticket::Ticket;

/// Limits and lives of the memory store.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of bodies and overhead, at most.
    pub bytes_max: u64,
    /// How long counting what was cleared may take.
    pub count_time_max: Duration,
    /// Time to live of an entry whose fill names none.
    pub ttl: Duration,
    /// Longest life that may be named.
    pub ttl_max: Duration,
    /// How long after a soft invalidation an entry may be served stale.
    pub soft_time_max: Duration,
    /// How long a fill without a ticket may have taken: what was invalidated within it makes such
    /// a fill doubtful. Zero: none is.
    pub fill_time_max: Duration,
    /// Longest a fill may take.
    pub ticket_time_max: Duration,
    /// Bans remembered before they collapse into one over everything.
    pub bans_max: usize,
    /// Tags remembered without an entry.
    pub stamps_max: usize,
}
