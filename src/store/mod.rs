//! The cache.
use std::time::Duration;

/// Limits and lives of the memory store.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of bodies and overhead, at most.
    pub bytes_max: u64,
    /// How long counting what was cleared may take.
    pub count_time_max: Duration,
    /// Life of an entry whose fill names none.
    pub ttl: Duration,
    /// Longest life that may be named.
    pub ttl_max: Duration,
    /// How long after a soft invalidation an entry may be served stale.
    pub soft_time_max: Duration,
    /// Longest a fill may take.
    pub ticket_time_max: Duration,
    /// Bans remembered before they collapse into one over everything.
    pub bans_max: usize,
    /// Tags remembered without an entry.
    pub stamps_max: usize,
}
