//! What the journal returns: the backlog of a destination, a page of events, the version counters.
//! These are copies; none of them keeps the book locked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Demand, Event, Selectors, TypeName};

use super::state::Folded;

/// Limits of one send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events that are sent one by one.
    pub events_max: usize,
    /// Bytes of these events, as records.
    pub bytes_max: usize,
    /// Selectors of these events.
    pub members_max: usize,
}

/// What one send covers. Events that arrive later belong to the next send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// An acknowledgement settles everything up to and including this sequence number.
    pub through: u64,
    /// Events sent one by one, oldest first.
    pub events: Vec<Arc<Event>>,
    /// Older events, merged because they are no longer in memory one by one.
    pub merged: Demand,
    /// The cascade of the merged events, for a destination with another graph.
    pub merged_cascade: Selectors,
    /// How many events were merged; 0 if the merged demand comes from a gap.
    pub merged_count: u64,
    /// Whether the merged demand became `all` by widening, not by request.
    pub widened: bool,
    /// The oldest sequence number; 0 if the backlog comes from a gap.
    pub first_seq: u64,
    /// When the oldest event was accepted, in milliseconds since 1970.
    pub oldest_at_ms: u64,
}

impl Backlog {
    /// Copies the merged part; call it without holding the lock.
    pub(super) fn new(shared: SharedBacklog) -> Self {
        let SharedBacklog { folded, events, through } = shared;
        let first = events.first();
        let mut backlog = Self {
            through,
            first_seq: first.map_or(0, |event| event.seq),
            oldest_at_ms: first.map_or(0, |event| event.at_ms),
            events,
            ..Self::default()
        };
        if let Some(folded) = folded {
            backlog.merged = Arc::unwrap_or_clone(folded.demand);
            backlog.merged_cascade = Arc::unwrap_or_clone(folded.cascade);
            backlog.merged_count = folded.count;
            backlog.widened = folded.widened;
            backlog.first_seq = folded.first_seq;
            backlog.oldest_at_ms = folded.oldest_at_ms;
        }
        backlog
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.merged.is_empty()
    }

    /// Everything in it as one demand, without the cascades.
    pub fn demand(&self) -> Demand {
        let mut whole = self.merged.clone();
        self.events.iter().for_each(|event| whole.join(&event.demand));
        whole
    }
}

/// A backlog as it leaves the lock, still shared with the book.
pub(super) struct SharedBacklog {
    pub folded: Option<Folded>,
    pub events: Vec<Arc<Event>>,
    pub through: u64,
}

/// The size of a backlog, for status and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BacklogSize {
    /// Pending events, merged ones included.
    pub events: u64,
    /// When the oldest of them was accepted, in milliseconds since 1970.
    pub oldest_at_ms: Option<u64>,
    /// Whether it became `all` by widening.
    pub widened: bool,
}

/// Some events of the ring, oldest first.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Arc<Event>>,
    /// Whether events after the requested number are gone, or that number was never used here.
    pub gap: bool,
}

/// The counters of `GET /api/cache/versions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Incremented by every event that is applied here.
    pub version: u64,
    /// When anything was last cleared, in milliseconds since 1970.
    pub last_clear_ms: Option<u64>,
    /// By type: incremented by every event that touches the type.
    pub types: BTreeMap<TypeName, u64>,
    /// The version of every other type: the events that cleared everything.
    pub others: u64,
}
