//! Finds the recent events that touched an entry, for `why`, and recognises repetitions.
//!
//! The ring is searched backwards in pieces, so that the book is locked for one piece at a time and
//! never while selectors are compared. Events that left the ring are not found; the result states
//! whether there may be any.

use std::sync::Arc;

use crate::domain::{Demand, Event, EventId, Mode, Selector};

use super::Journal;

/// Events read under one lock.
const PIECE_EVENTS: u64 = 256;

/// The result of a search.
#[derive(Debug, Clone, Default)]
pub struct SearchResult {
    /// The newest matching events, newest first.
    pub events: Vec<Arc<Event>>,
    /// Whether every event of this journal was searched; false if older ones are gone, or if the
    /// limit was reached before the oldest.
    pub is_complete: bool,
}

impl Journal {
    /// Whether all of these ids are known, and their events here cover the demand (in canonical
    /// spelling) in the same mode. Ids whose events left the ring are not known.
    pub fn has_done(&self, ids: &[EventId], asked: &Demand) -> bool {
        let Some(events) = self.events_under(ids) else { return false };
        // The newest first, as it answered the last repetition. An event that ended here does not
        // count: the destinations did not receive it.
        let sent = || events.iter().rev().filter(|event| !event.ends_here);
        let is_done = |one: &Selector, mode| sent().any(|event| event.has_cleared(one, mode));
        asked.hard.iter().all(|one| is_done(&one, Mode::Hard))
            && asked.soft.iter().all(|one| is_done(&one, Mode::Soft))
    }

    /// The newest `limit` events that clear any of these selectors, cascades included.
    pub fn touching(&self, selectors: &[Selector], limit: usize) -> SearchResult {
        let mut found = SearchResult::default();
        let mut until = *self.head().borrow();
        while until > 0 && found.events.len() < limit {
            let from = until.saturating_sub(PIECE_EVENTS);
            let page = self.after(from, usize::try_from(PIECE_EVENTS).unwrap_or(usize::MAX));
            let piece = page.events.iter().rev().filter(|event| event.seq <= until);
            let touching = piece.filter(|event| selectors.iter().any(|one| event.touches(one)));
            found.events.extend(touching.cloned());
            if page.gap {
                found.events.truncate(limit);
                return found;
            }
            until = from;
        }
        found.is_complete = until == 0;
        found.events.truncate(limit);
        found
    }
}
