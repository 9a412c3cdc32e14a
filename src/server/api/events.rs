//! `GET /api/cache/events/{id}` and `GET /api/cache/journal`: what happened, and how far it got.
//! Read from what the journal keeps in memory; what has left it is 404 or a gap, never a guess.

use std::sync::Arc;

use hyper::StatusCode;

use crate::domain::{Event, EventId, Scope};
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::support::clock;
use crate::wire::{EventAnswer, JournalPage};

/// Events in one page of the journal.
const PAGE_MAX: usize = 1000;

/// One event with its outcome at every mirror.
pub async fn get(control: Arc<Control>, call: ControlCall) -> Handled {
    let id = EventId::parse(&call.param)
        .ok_or_else(|| Problem::bad_request("bad_id", "an event id is a UUID"))?;
    let event = control
        .pipeline
        .journal
        .event(id)
        .ok_or_else(|| Problem::not_found("no such event, or no longer kept"))?;
    let mut body = event_answer(&event);
    let outcomes = match event.scope {
        Scope::Mirrored => control.pipeline.delivery.outcomes(&event),
        Scope::Local => vec![],
    };
    control.pipeline.delivery.attended(&call.principal(), &event);
    body.mirrors = Some(outcomes);
    body.beside = Some(control.pipeline.delivery.target_outcomes(&event));
    Ok(json_answer(StatusCode::OK, &body))
}

/// A page of the journal: `?after=SEQ`, or the newest `?last=N`.
pub async fn journal(control: Arc<Control>, call: ControlCall) -> Handled {
    call.takes_only(&["after", "limit", "last"])?;
    let number = |name: &str, default: u64| match call.query(name) {
        None => Ok(default),
        Some(text) => text
            .parse::<u64>()
            .map_err(|_| Problem::unprocessable("bad_value", format!("{name}: a whole number"))),
    };
    let after = number("after", 0)?;
    let mut limit = usize::try_from(number("limit", 100)?).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let head = *control.pipeline.journal.head().borrow();
    let after = match call.query("last") {
        None => after,
        Some(_) => {
            let last = number("last", 0)?.min(PAGE_MAX as u64);
            limit = PAGE_MAX;
            head.saturating_sub(last)
        }
    };
    let page = control.pipeline.journal.after(after, limit);
    let events = page.events.iter().map(|event| event_answer(event)).collect();
    let epoch = control.pipeline.journal.epoch();
    let body = JournalPage { epoch, head, gap: page.gap, events };
    Ok(json_answer(StatusCode::OK, &body))
}

/// An event as every answer shows it.
pub fn event_answer(event: &Event) -> EventAnswer {
    EventAnswer {
        id: event.id,
        seq: event.seq,
        epoch: event.epoch,
        version: event.version,
        at: clock::rfc3339(event.at_ms),
        origin: event.origin.clone(),
        principal: event.principal.clone(),
        source: event.source.as_str().into(),
        scope: event.scope.as_str().into(),
        action: event.action.as_str().into(),
        selectors: event.demand.selectors().iter().map(|s| s.to_string()).collect(),
        cascade: event.cascade.types().iter().map(ToString::to_string).collect(),
        covers: event.covers.clone(),
        reason: event.reason.clone(),
        changed: event.changed.clone(),
        fields: event.fields.clone(),
        mirrors: None,
        beside: None,
    }
}
