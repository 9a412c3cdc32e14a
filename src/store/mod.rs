//! The cache: entries in memory, cleared by generations and tickets.
//!
//! One mechanism serves every kind of invalidation. An entry has tags; clearing a tag stamps it
//! with the next generation of the store, whatever the number of its entries. An entry is valid as
//! long as no stamp of its tags is newer than its *ticket*, the generation read before its fill
//! began. So a fill that an invalidation has overtaken is neither stored nor served, not even to
//! waiters.
//!
//! The store returns facts. It logs nothing, announces nothing and does not know the graph.

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

/// The atomics of [`generation`]; `tests/loom/` replaces them by those of loom.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

pub use clock::{MonotonicClock, ProcessClock};
pub use fill::{Admitted, Fill, FillRefusal};
pub use found::{EntryFilter, ListedEntry, Lookup, ServedEntry};
pub use memory::Memory;
pub use sweep::Swept;
pub use ticket::Ticket;

/// Limits and times of the memory store.
#[derive(Debug, Clone)]
pub struct Config {
    /// Maximum of bytes, bodies and overhead together.
    pub bytes_max: u64,
    /// Time limit for counting the cleared entries.
    pub count_time_max: Duration,
    /// Time to live of an entry whose fill gives none.
    pub ttl: Duration,
    /// Longest time to live that a fill may give.
    pub ttl_max: Duration,
    /// How long after a soft invalidation an entry may be served stale.
    pub soft_time_max: Duration,
    /// The assumed duration of a fill without a ticket: an invalidation within it makes the fill
    /// doubtful. Zero: no fill is doubtful.
    pub fill_time_max: Duration,
    /// How long a ticket is valid.
    pub ticket_time_max: Duration,
    /// Bans that are kept before they collapse into one stamp on everything.
    pub bans_max: usize,
    /// Tags without an entry whose stamps are kept.
    pub stamps_max: usize,
}
