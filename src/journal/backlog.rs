//! What callers are shown: what a destination is owed, a page of the ring, the version counters.
//! Copies, made for the caller: nothing here keeps the book locked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Demand, Event, Selectors, TypeName};

use super::state::Folded;

/// How much one send may name.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events named one by one.
    pub events_max: usize,
    /// Bytes of them, as records.
    pub bytes_max: usize,
    /// Selectors of them.
    pub members_max: usize,
}

/// What one send is to cover: closed when it was taken; what arrives later is another send's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Its acknowledgement settles everything at or below this sequence number.
    pub through: u64,
    /// Named one by one, oldest first.
    pub events: Vec<Arc<Event>>,
    /// What is past naming, merged; older than every named event.
    pub merged: Demand,
    /// The cascade of what is past naming, for a destination with another graph.
    pub merged_cascade: Selectors,
    /// How many events were merged; 0 with a merged demand where a gap made it.
    pub merged_count: u64,
    /// Whether the merged demand holds an `all` that nobody asked for.
    pub widened: bool,
    /// The oldest sequence number in it; 0 where a gap made it.
    pub first_seq: u64,
    /// When the oldest was accepted, milliseconds since 1970.
    pub oldest_at_ms: u64,
}

impl Backlog {
    /// The held part is copied here, which is why callers do it outside the lock.
    pub(super) fn new(taken: SharedBacklog) -> Self {
        let SharedBacklog { held, events, through } = taken;
        let first = events.first();
        let mut backlog = Self {
            through,
            first_seq: first.map_or(0, |event| event.seq),
            oldest_at_ms: first.map_or(0, |event| event.at_ms),
            events,
            ..Self::default()
        };
        if let Some(held) = held {
            backlog.merged = Arc::unwrap_or_clone(held.demand);
            backlog.merged_cascade = Arc::unwrap_or_clone(held.cascade);
            backlog.merged_count = held.count;
            backlog.widened = held.widened;
            backlog.first_seq = held.first_seq;
            backlog.oldest_at_ms = held.oldest_at_ms;
        }
        backlog
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.merged.is_empty()
    }

    /// Everything in it as one demand, the cascades left out.
    pub fn demand(&self) -> Demand {
        let mut whole = self.merged.clone();
        self.events.iter().for_each(|event| whole.join(&event.demand));
        whole
    }
}

/// What was taken under the lock, still shared.
pub(super) struct SharedBacklog {
    pub held: Option<Folded>,
    pub events: Vec<Arc<Event>>,
    pub through: u64,
}

/// The size of a backlog, for people and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BacklogSize {
    /// Events owed, merged ones included.
    pub events: u64,
    /// When the oldest of them was accepted, milliseconds since 1970.
    pub oldest_at_ms: Option<u64>,
    /// Whether it became `all` by widening.
    pub widened: bool,
}

/// Some events of the ring, oldest first.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Arc<Event>>,
    /// Whether events after the asked place are gone, or the place was never given here.
    pub gap: bool,
}

/// The counters of `GET /api/cache/versions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// One more for every event applied here.
    pub version: u64,
    /// When anything was last cleared, milliseconds since 1970.
    pub last_clear_ms: Option<u64>,
    /// One more for every event that touches the type.
    pub types: BTreeMap<TypeName, u64>,
    /// The version of every type that is not among them: events that cleared everything.
    pub others: u64,
}
