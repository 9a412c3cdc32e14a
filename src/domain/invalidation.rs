//! A submission that passed the gate: who, how far, under which id.
//! Only the gate makes one, and only `resolve` takes it further.

use std::collections::BTreeMap;

use super::{
    Action, Demand, EventId, Label, Principal, Scope, Selectors, Source, scope::LocalReason,
};

/// What the gate made of a [`super::Submission`].
#[derive(Debug, Clone)]
pub struct Invalidation {
    /// Its id here.
    pub id: EventId,
    /// `instance.name` of the instance that accepted it from outside.
    pub origin: String,
    /// Who asked.
    pub principal: Principal,
    /// Through which door.
    pub source: Source,
    /// How far it goes.
    pub scope: Scope,
    /// Why it stays local, where it does.
    pub wall: Option<LocalReason>,
    /// What to clear, in the caller's spelling.
    pub demand: Demand,
    /// What was done here before under the same ids, in the caller's spelling: the store is cleared
    /// of it again, and nobody is told.
    pub again: Demand,
    /// What a peer with another graph cascaded to.
    pub foreign_cascade: Selectors,
    /// What happened to the entity.
    pub action: Action,
    /// Free text.
    pub reason: Option<String>,
    /// Names of the fields that changed.
    pub changed: Vec<String>,
    /// What else was said of the entity.
    pub fields: BTreeMap<String, String>,
    /// Routes that the caller named: see [`super::Event::routes`].
    pub routes: Vec<Label>,
    /// The origin's ids of the events that a batch brought.
    pub covers: Vec<EventId>,
    /// Whether it goes no further than the own cache: see [`super::Event::ends_here`].
    pub ends_here: bool,
    /// What the caller should be told.
    pub warnings: Vec<String>,
}
