//! A submission that the gate admitted, with its id, principal and scope.
//! Only the gate creates one, and only `resolve` consumes it.

use std::collections::BTreeMap;

use super::{
    Action, Demand, EventId, Label, Principal, Scope, Selectors, Source, scope::LocalReason,
};

/// A [`super::Submission`] after admission.
#[derive(Debug, Clone)]
pub struct Invalidation {
    /// Its id here.
    pub id: EventId,
    /// `instance.name` of the instance that accepted it from outside.
    pub origin: String,
    /// Who asked.
    pub principal: Principal,
    /// Where it came from.
    pub source: Source,
    /// How far it goes.
    pub scope: Scope,
    /// Why it stays local, if it does.
    pub wall: Option<LocalReason>,
    /// What to clear, in the caller's spelling.
    pub demand: Demand,
    /// What was already applied here under the same ids, in the caller's spelling: the store clears
    /// it again, and it is not sent to any destination.
    pub again: Demand,
    /// The cascade of a peer with another graph.
    pub foreign_cascade: Selectors,
    /// What happened to the entity.
    pub action: Action,
    /// Free text.
    pub reason: Option<String>,
    /// Names of the fields that changed.
    pub changed: Vec<String>,
    /// Other fields of the entity.
    pub fields: BTreeMap<String, String>,
    /// Routes that the caller named: see [`super::Event::routes`].
    pub routes: Vec<Label>,
    /// The origin's ids of the events that a batch brought.
    pub covers: Vec<EventId>,
    /// Whether it goes no further than the own cache: see [`super::Event::ends_here`].
    pub ends_here: bool,
    /// Warnings for the caller.
    pub warnings: Vec<String>,
}
