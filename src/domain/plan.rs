//! What an invalidation means under this instance's graph.
//! The step between deciding and doing; a dry run stops here.

use super::{Invalidation, Selectors};

/// An invalidation in canonical spelling with its cascade.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What was asked for, canonical; warnings added.
    pub invalidation: Invalidation,
    /// What the graph adds for the hard part.
    pub cascade_hard: Selectors,
    /// What the graph adds for the soft part.
    pub cascade_soft: Selectors,
}

impl Plan {
    /// The cascade of both modes as one union.
    pub fn cascade(&self) -> Selectors {
        let mut union = self.cascade_hard.clone();
        union.join(&self.cascade_soft);
        union
    }
}
