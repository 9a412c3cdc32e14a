//! The settings of the stream.
//! True values only: origins are in the form browsers send, and every limit is at least one.

use std::collections::BTreeMap;
use std::time::Duration;

/// How the stream behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whether it is open without credentials.
    pub is_public: bool,
    /// Origins a browser may read it from; `*` for any.
    pub origins: Vec<String>,
    /// Readers at once.
    pub clients_max: usize,
    /// Between two pings.
    pub ping_every: Duration,
    /// Events that may wait for one reader.
    pub queue_events_max: usize,
    /// Bytes that may wait for one reader. A single event may be larger.
    pub queue_bytes_max: usize,
    /// Events that a reader may be behind and still be replayed; one further behind gets a resync.
    pub replay_events_max: usize,
    /// Reconnect hint.
    pub retry: Duration,
    /// Aliases of types, sent to readers so that they can use the same table.
    pub aliases: BTreeMap<String, String>,
}
