//! The log lines of the path, one function for each thing that can happen on it, so that the path
//! itself reads as steps.

use crate::activity::{Activity, ActivityKind, Level, Touched, joined};
use crate::domain::scope::LocalReason;
use crate::domain::{Applied, Event, Invalidation, Source};
use crate::journal::Journal;

/// An invalidation that had its effect, and the wall that kept it from going further.
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
        held(&id, &event.principal, wall);
    }
}

/// An event came again. What it names was cleared again here, and nobody is told a second time.
pub(super) fn repeated(known: &Invalidation, applied: &Applied) {
    Activity {
        level: Level::Debug,
        event: ActivityKind::Server,
        msg: "a known event came again: cleared here again, nobody else is told",
        origin: Some(&known.origin),
        principal: Some(&known.principal.name),
        source: Some(known.source.as_str()),
        entries: Some(applied.entries),
        status: Some("duplicate"),
        ..Activity::default()
    }
    .emit();
}

/// The disk refuses an event, and the slot says so instead: for a start that finds the disk so.
pub(super) fn degraded(journal: &Journal) {
    let msg = "the disk refuses events: they are sent from memory; were it to end now, the next \
               start would tell every mirror to clear all";
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

/// A peer walks another graph than we do.
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

/// Types that the graph must know were taken out of what a webhook brought.
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

/// The versions begin anew.
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

/// What a caller could do better.
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

/// A wall against loops that held: a peer's call without a batch, or a mark.
fn held(event_id: &str, principal: &str, wall: LocalReason) {
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
