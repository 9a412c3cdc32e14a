//! Deliveries out of order: events that a destination has although an older one is held for it.
//!
//! The cursor on disk stays below the oldest held event, so a restart sends it, and what came after
//! it once more. In memory the destination has everything up to `reached` but what is in `held`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Event;

/// Of one destination for which something is held.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Everything at or below was acknowledged or is held.
    pub reached: u64,
    /// What is held, by sequence number, also where the ring lost it.
    pub held: BTreeMap<u64, Arc<Event>>,
}

impl Ahead {
    /// Whether the book need not fold this event for the destination.
    pub fn has(&self, seq: u64) -> bool {
        seq <= self.reached || self.held.contains_key(&seq)
    }

    /// How far the cursor may go.
    pub fn settled(&self, through: u64) -> u64 {
        let through = through.max(self.reached);
        self.held.keys().next().map_or(through, |oldest| through.min(oldest - 1))
    }
}
