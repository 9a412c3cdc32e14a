//! What an invalidation means under this instance's graph.
//! The step between deciding and doing; a dry run stops here.

use super::scope::LocalReason;
use super::{Demand, Event, Invalidation, Selectors};

/// An invalidation in canonical spelling with its cascade.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What was asked for, canonical; warnings added.
    pub invalidation: Invalidation,
    /// What the graph adds for the hard part.
    pub cascade_hard: Selectors,
    /// What the graph adds for the soft part.
    pub cascade_soft: Selectors,
    /// What was done before under the same ids, cascade included: for the store alone.
    pub again: Demand,
}

impl Plan {
    /// The cascade of both modes as one union.
    pub fn cascade(&self) -> Selectors {
        let mut union = self.cascade_hard.clone();
        union.join(&self.cascade_soft);
        union
    }

    /// The event that it is to become; the journal gives it its place. Beside it what is told of
    /// this application alone: the wall that kept it local, and the warnings.
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
