//! An invalidation after this instance's graph was applied.
//! It is the step between admission and application; a dry run stops here.

use super::scope::LocalReason;
use super::{Demand, Event, Invalidation, Selectors};

/// An invalidation in canonical spelling with its cascade.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The invalidation with canonical names and with warnings.
    pub invalidation: Invalidation,
    /// What the graph adds for the hard part.
    pub cascade_hard: Selectors,
    /// What the graph adds for the soft part.
    pub cascade_soft: Selectors,
    /// What was already applied under the same ids, cascade included: only the store clears it
    /// again.
    pub again: Demand,
}

impl Plan {
    /// The cascade of both modes as one union.
    pub fn cascade(&self) -> Selectors {
        let mut union = self.cascade_hard.clone();
        union.join(&self.cascade_soft);
        union
    }

    /// The event to record, without its sequence number, and the data that only the answer needs:
    /// why it stays local, and the warnings.
    pub fn into_event(self, at_ms: u64) -> (Event, Option<LocalReason>, Vec<String>) {
        let cascade = self.cascade();
        let asked = self.invalidation;
        let event = Event {
            id: asked.id,
            seq: 0,
            epoch: 0,
            version: 0,
            at_ms,
            origin: asked.origin,
            principal: asked.principal.name,
            source: asked.source,
            scope: asked.scope,
            demand: asked.demand,
            cascade,
            action: asked.action,
            reason: asked.reason,
            changed: asked.changed,
            fields: asked.fields,
            routes: asked.routes,
            covers: asked.covers,
            ends_here: asked.ends_here,
            quenched_for: None,
        };
        (event, asked.wall, asked.warnings)
    }
}
