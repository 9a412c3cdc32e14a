//! The result of an application to the store.
//! These are facts; the modules above decide what to report.

use std::collections::BTreeMap;

/// The result of one application to the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The store's generation after the stamp.
    pub generation: u64,
    /// Entries that were removed or made stale.
    pub entries: u64,
    /// These entries by type, in canonical spelling; untyped entries are only in `entries`.
    pub types: BTreeMap<String, u64>,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// False if counting reached its time limit (`store.count_ms_max`).
    pub count_complete: bool,
}
