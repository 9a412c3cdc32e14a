//! Deliveries out of order: events that a destination has although an older one is held for it.
//!
//! The cursor on disk stays below the oldest held event, so a restart sends it, and what came after
//! it once more. In memory the destination has everything up to `reached` but what is in `held`.
//! Held events stay in memory after the ring has lost them, so their bytes are counted: what would
//! be too much is not held, and goes at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Event;

/// Part of `bytes_kept` that copies held for all destinations may take.
pub(super) const BYTES_PART: usize = 4;

/// Of one destination for which something is held.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Everything at or below was acknowledged or is held.
    pub reached: u64,
    /// What is held, by sequence number, with its size as a record, also where the ring lost it.
    held: BTreeMap<u64, (Arc<Event>, usize)>,
    bytes: usize,
}

impl Ahead {
    /// Holds one event more.
    pub fn hold(&mut self, event: Arc<Event>, bytes: usize) {
        if let std::collections::btree_map::Entry::Vacant(place) = self.held.entry(event.seq) {
            self.bytes += bytes;
            place.insert((event, bytes));
        }
    }

    /// Holds it no longer; says whether it did.
    pub fn release(&mut self, seq: u64) -> bool {
        let released = self.held.remove(&seq);
        self.bytes -= released.as_ref().map_or(0, |(_, bytes)| *bytes);
        released.is_some()
    }

    /// Whether this event is held.
    pub fn holds(&self, seq: u64) -> bool {
        self.held.contains_key(&seq)
    }

    /// Whether nothing is.
    pub fn is_whole(&self) -> bool {
        self.held.is_empty()
    }

    /// What is held at or below a place, oldest first.
    pub fn through(&self, seq: u64) -> impl Iterator<Item = &Arc<Event>> + Clone {
        self.held.range(..=seq).map(|(_, (event, _))| event)
    }

    /// The size of what is held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the book need not fold this event for the destination.
    pub fn has(&self, seq: u64) -> bool {
        seq <= self.reached || self.holds(seq)
    }

    /// How far the cursor may go.
    pub fn settled(&self, through: u64) -> u64 {
        let through = through.max(self.reached);
        self.held.keys().next().map_or(through, |oldest| through.min(oldest - 1))
    }
}
