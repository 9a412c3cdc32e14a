//! The second step: how far a submission may go, under which id, and which part of it is new.
//!
//! `domain::scope` alone decides the scope. An event is a repetition only where everything that is
//! asked was done here under its id before. One event may come in several calls, each with a part
//! of it, so a known id is no reason to drop a part that is not known.

use super::Progress;
use crate::domain::scope::{self, LocalReason};
use crate::domain::submission::PeerBatch;
use crate::domain::{Action, Demand, EventId, Invalidation, Principal, Selectors, Submission};
use crate::journal::KnownPart;

/// Turns a submission into an invalidation. `known` has one entry for each event of a batch, or one
/// for all ids of another submission together. Of a repetition, only `again` is filled: the store
/// is cleared of it once more.
pub(super) fn admit(
    submission: Submission,
    principal: Principal,
    instance: &str,
    known: &[KnownPart],
) -> Progress<Box<Invalidation>> {
    let has_ids = submission.peer.is_some() || !submission.ids.is_empty();
    let is_marked = submission.is_marked || has_ids;
    let (scope, wall) = scope::decide(&principal, is_marked, submission.mirror);
    let mut invalidation = Box::new(Invalidation {
        id: EventId::fresh(),
        origin: instance.to_owned(),
        source: submission.source,
        scope,
        wall,
        demand: Demand::new(submission.mode, submission.selectors),
        again: Demand::default(),
        foreign_cascade: Selectors::default(),
        action: submission.action,
        reason: submission.reason,
        changed: submission.changed,
        fields: submission.fields,
        routes: submission.routes,
        covers: vec![],
        ends_here: submission.is_marked && !has_ids,
        warnings: vec![],
        principal,
    });
    if wall.is_some_and(|wall| wall != LocalReason::Asked) && submission.mirror == Some(true) {
        invalidation
            .warnings
            .push("mirror: true was ignored: what a peer sends is never mirrored onwards".into());
    }
    let is_repetition = match submission.peer {
        Some(batch) => join_batch(&mut invalidation, batch, known),
        None => take_ids(&mut invalidation, submission.ids, known),
    };
    if is_repetition { Progress::Repeated(invalidation) } else { Progress::New(invalidation) }
}

/// Applies the event ids that a gateway sent with its call. Whether it is a repetition.
fn take_ids(invalidation: &mut Invalidation, ids: Vec<EventId>, known: &[KnownPart]) -> bool {
    if known.contains(&KnownPart::All) {
        invalidation.again = std::mem::take(&mut invalidation.demand);
        return true;
    }
    if let ([only], [KnownPart::Nothing]) = (&ids[..], known) {
        invalidation.id = *only;
    }
    invalidation.covers = ids;
    false
}

/// Joins the new events of a peer's batch into one invalidation. Whether nothing of it is new: then
/// it is a repetition.
fn join_batch(invalidation: &mut Invalidation, batch: PeerBatch, known: &[KnownPart]) -> bool {
    let mut is_part = false;
    let mut actions: Vec<Action> = vec![];
    let mut demand = batch.merged;
    // Selectors outside the batch count like those that were merged without their ids.
    demand.join(&invalidation.demand);
    let is_named_whole = demand.is_empty();
    let known = known.iter().copied().chain(std::iter::repeat(KnownPart::Nothing));
    for (event, known) in batch.events.into_iter().zip(known) {
        let asked = Demand::new(event.mode, event.selectors);
        if known == KnownPart::All {
            invalidation.again.join(&asked);
            continue;
        }
        is_part |= known == KnownPart::Part;
        demand.join(&asked);
        invalidation.covers.push(event.id);
        actions.push(event.action);
        (invalidation.changed, invalidation.fields) = (event.changed, event.fields);
        invalidation.routes = event.routes;
    }
    if invalidation.covers.len() != 1 || !is_named_whole {
        // The description of one entity does not hold for the others.
        (invalidation.changed, invalidation.fields) = Default::default();
        invalidation.routes.clear();
    }
    // A single event keeps its id everywhere; the events of a merged batch are listed in `covers`.
    if let ([only], true, false) = (&invalidation.covers[..], is_named_whole, is_part) {
        invalidation.id = *only;
    }
    actions.dedup();
    invalidation.action = if let [one] = actions[..] { one } else { Action::Update };
    invalidation.origin = batch.origin;
    invalidation.foreign_cascade = batch.cascade;
    invalidation.demand = demand;
    invalidation.demand.is_empty()
}

#[cfg(test)]
mod tests;
