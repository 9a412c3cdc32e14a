//! Deliveries out of order: later events were sent while an older one is held for a destination.
//!
//! The cursor on disk stays below the oldest held event, so a restart sends that event, and what
//! came after it once more. In memory, the destination has everything up to `reached` except what
//! is in `held`. Held events stay in memory after they left the ring, so their bytes are counted:
//! past the limit, an event is not held but sent at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Event;

/// The held events of all destinations may use `bytes_kept` divided by this.
pub(super) const BYTES_PART: usize = 4;

/// The state of one destination for which events are held.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Everything up to and including this was acknowledged or is held.
    pub reached: u64,
    /// The held events by sequence number, each with its size as a record.
    held: BTreeMap<u64, (Arc<Event>, usize)>,
    bytes: usize,
}

impl Ahead {
    /// Holds one more event.
    pub fn hold(&mut self, event: Arc<Event>, bytes: usize) {
        if let std::collections::btree_map::Entry::Vacant(place) = self.held.entry(event.seq) {
            self.bytes += bytes;
            place.insert((event, bytes));
        }
    }

    /// Stops holding an event; returns whether it was held.
    pub fn release(&mut self, seq: u64) -> bool {
        let released = self.held.remove(&seq);
        self.bytes -= released.as_ref().map_or(0, |(_, bytes)| *bytes);
        released.is_some()
    }

    /// Whether this event is held.
    pub fn holds(&self, seq: u64) -> bool {
        self.held.contains_key(&seq)
    }

    /// Whether nothing is held.
    pub fn is_whole(&self) -> bool {
        self.held.is_empty()
    }

    /// The held events up to and including `seq`, oldest first.
    pub fn through(&self, seq: u64) -> impl Iterator<Item = &Arc<Event>> + Clone {
        self.held.range(..=seq).map(|(_, (event, _))| event)
    }

    /// Bytes of the held events, as records.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the destination has this event, or it is held here: the book need not fold it.
    pub fn has(&self, seq: u64) -> bool {
        seq <= self.reached || self.holds(seq)
    }

    /// How far the cursor may move.
    pub fn settled(&self, through: u64) -> u64 {
        let through = through.max(self.reached);
        self.held.keys().next().map_or(through, |oldest| through.min(oldest - 1))
    }
}
