//! The log lines of the pipeline, one function for each thing that can happen.

use crate::activity::{Activity, ActivityKind, Level, Touched, joined};
use crate::domain::scope::LocalReason;
use crate::domain::{Applied, Event, Invalidation, Source};
use crate::journal::Journal;

/// An invalidation was applied. A second line names the wall that kept it local, if there is one.
pub(super) fn applied(
    event: &Event,
    wall: Option<LocalReason>,
    applied: &Applied,
    is_degraded: bool,
) {
    let touched = Touched::of(&event.demand.selectors());
    let id = event.id.to_string();
    let covers = joined(&event.covers);
    let cascade = joined(event.cascade.types());
    let wall = wall.filter(|wall| *wall != LocalReason::Asked);
    let line = Activity {
        level: if is_degraded { Level::Error } else { Level::Info },
        event: ActivityKind::Invalidate,
        msg: "invalidated",
        event_id: Some(&id),
        event_ids: (event.covers.len() > 1).then_some(&covers),
        events: (event.covers.len() > 1).then_some(event.covers.len() as u64),
        origin: Some(&event.origin),
        principal: Some(&event.principal),
        source: Some(event.source.as_str()),
        scope: Some(event.scope.as_str()),
        mode: Some(event.mode().as_str()),
        action: Some(event.action.as_str()),
        cascade: (!cascade.is_empty()).then_some(&cascade),
        entries: Some(applied.entries),
        seq: Some(event.seq),
        version: Some(event.version),
        reason: event.reason.as_deref(),
        status: is_degraded.then_some("degraded"),
        ..Activity::default()
    };
    touched.name_in(line).emit();
    if let Some(wall) = wall
        && event.source != Source::Mirror
    {
        kept_local(&id, &event.principal, wall);
    }
}

/// A known event came again. The store was cleared again; nothing is sent a second time.
pub(super) fn repeated(known: &Invalidation, applied: &Applied) {
    Activity {
        level: Level::Debug,
        event: ActivityKind::Server,
        msg: "a known event came again: cleared here again, not sent again",
        origin: Some(&known.origin),
        principal: Some(&known.principal.name),
        source: Some(known.source.as_str()),
        entries: Some(applied.entries),
        status: Some("duplicate"),
        ..Activity::default()
    }
    .emit();
}

/// The disk refuses an event; the slot records that for the next start.
pub(super) fn degraded(journal: &Journal) {
    let msg = "the disk refuses events: they are sent from memory; if the process ended now, the \
               next start would clear all at every mirror";
    refused(msg, journal);
}

/// The disk refuses the slot as well.
pub(super) fn lost(journal: &Journal) {
    refused("the disk refuses everything: the event is not durable", journal);
}

fn refused(msg: &str, journal: &Journal) {
    let health = journal.health();
    Activity {
        level: Level::Error,
        event: ActivityKind::Journal,
        msg,
        status: Some("degraded"),
        error: health.last_error.as_deref(),
        ..Activity::default()
    }
    .emit();
}

/// A peer has another graph than we have.
pub(super) fn other_graph(origin: &str) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Cascade,
        msg: "the sender has another graph: its cascade is joined to ours",
        origin: Some(origin),
        status: Some("graph_differs"),
        ..Activity::default()
    }
    .emit();
}

/// Types that the strict graph does not know were taken out of a webhook's selectors.
pub(super) fn unknown(text: &str, principal: &str) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Webhook,
        msg: "types that the graph does not know were left out, the rest was cleared",
        principal: Some(principal),
        status: Some("unknown_type"),
        reason: Some(text),
        ..Activity::default()
    }
    .emit();
}

/// The versions were reset.
pub(super) fn reset(by: &str) {
    Activity {
        event: ActivityKind::Journal,
        msg: "versions reset by an operator",
        principal: Some(by),
        status: Some("reset"),
        version: Some(0),
        ..Activity::default()
    }
    .emit();
}

/// Advice to a caller.
pub(super) fn advised(text: &str, principal: &str) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Server,
        msg: text,
        principal: Some(principal),
        status: Some("advice"),
        ..Activity::default()
    }
    .emit();
}

/// A wall kept an event local: the credential of a peer, or a mark.
fn kept_local(event_id: &str, principal: &str, wall: LocalReason) {
    Activity {
        event: ActivityKind::Loop,
        msg: "from a peer: applied here, not mirrored onwards",
        event_id: Some(event_id),
        principal: Some(principal),
        reason: Some(wall.as_str()),
        ..Activity::default()
    }
    .emit();
}
