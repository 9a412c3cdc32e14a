//! Which recent events touched something: the question of `why`.
//!
//! It walks the ring backwards in pieces, so that the book's lock is held for one piece at a time
//! and never while selectors are compared. Events past the ring are not found, and the answer says
//! so.

use std::sync::Arc;

use crate::domain::{Demand, Event, EventId, Mode, Selector};

use super::Journal;

/// Events taken under one lock.
const PIECE_EVENTS: u64 = 256;

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct SearchResult {
    /// The newest events that touched it, newest first.
    pub events: Vec<Arc<Event>>,
    /// Whether every event of this journal was looked at; false where older ones are gone, or
    /// where enough were found before the oldest.
    pub is_complete: bool,
}

impl Journal {
    /// Whether all of these ids are known, and what was done here under them covers the demand, in
    /// canonical spelling, in the same mode. Nothing is known of what the journal has no more.
    pub fn has_done(&self, ids: &[EventId], asked: &Demand) -> bool {
        let Some(events) = self.events_under(ids) else { return false };
        // The newest first: it is the one that answered the last repetition.
        // Of one that ended here, the destinations were not told.
        let told = || events.iter().rev().filter(|event| !event.ends_here);
        let is_done = |one: &Selector, mode| told().any(|event| event.has_cleared(one, mode));
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
