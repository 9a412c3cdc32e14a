//! What the store did.
//! Facts, not judgements: what is told to whom is decided above.

use std::collections::BTreeMap;

/// Facts about one application to the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The store's generation after the stamp.
    pub generation: u64,
    /// Entries that this application took away or made stale.
    pub entries: u64,
    /// The same by entity type, canonical spelling; untyped entries are in `entries` only.
    pub types: BTreeMap<String, u64>,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// False where counting ran out of its time (`store.count_ms_max`).
    pub count_complete: bool,
}
