//! Which recent events touched something: the question of `why`.
//!
//! It walks the ring backwards in pieces, so that the book's lock is held for one piece at a time
//! and never while selectors are compared. Events past the ring are not found, and the answer says
//! so.

use std::sync::Arc;

use crate::domain::{Demand, Event, EventId, Selector};

use super::Journal;

/// Events taken under one lock.
const PIECE_EVENTS: u64 = 256;

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Searched {
    /// The newest events that touched it, newest first.
    pub events: Vec<Arc<Event>>,
    /// Whether every event of this journal was looked at; false where older ones are gone, or
    /// where enough were found before the oldest.
    pub is_complete: bool,
}

impl Journal {
    /// What was cleared here under these ids, cascades included; `None` where nothing is known of
    /// one of them.
    pub fn effect_of(&self, ids: &[EventId]) -> Option<Demand> {
        let mut effect = Demand::default();
        for id in ids {
            let events = self.events_of(*id);
            if events.is_empty() {
                return None;
            }
            for event in events {
                effect.join(&event.demand);
                effect.join(&Demand::new(event.mode(), event.cascade.clone()));
            }
        }
        Some(effect)
    }

    /// The newest `limit` events that clear any of these selectors, cascades included.
    pub fn touching(&self, selectors: &[Selector], limit: usize) -> Searched {
        let mut found = Searched::default();
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
