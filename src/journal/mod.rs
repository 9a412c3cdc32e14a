//! The durable log.
use std::path::PathBuf;

/// Where the journal lives and how much it keeps.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory.
    pub dir: PathBuf,
    /// Size of one segment file.
    pub segment_bytes: u64,
    /// Events kept for replay.
    pub events_kept: usize,
    /// Bytes of events kept for replay.
    pub bytes_kept: usize,
    /// Selectors in one destination's backlog before it is widened.
    pub backlog_members_max: usize,
}
