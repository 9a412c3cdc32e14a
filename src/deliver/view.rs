//! A mirror as an operator sees it: `GET /api/mirrors`, `status`, `mirrors`.
//! A snapshot: it holds no lock and promises nothing about the next moment.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::log;
use super::partial::PendingRequest;
use super::peer::{Peer, PeerKind, PeerState};
use crate::journal::{BacklogSize, Journal, Removed};
use crate::support::clock;
use crate::wire::{DestinationView, ParkedRequest, RemovedDestination};

/// Refused requests that are shown of one mirror.
const PARKED_SHOWN_MAX: usize = 100;

impl RemovedDestination {
    pub(super) fn of(removed: &Removed, forget_after: Duration) -> Self {
        let after_ms = u64::try_from(forget_after.as_millis()).unwrap_or(u64::MAX);
        Self {
            name: log::plain(&removed.name).to_owned(),
            backlog_events: removed.backlog.events,
            backlog_oldest_ms: removed.backlog.oldest_at_ms,
            backlog_widened: removed.backlog.widened,
            removed_ms: removed.removed_at_ms,
            forgotten_ms: removed.removed_at_ms.saturating_add(after_ms),
        }
    }
}

impl ParkedRequest {
    fn of((what, word): (String, &PendingRequest), now: Instant) -> Self {
        let wait = word.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        Self {
            what,
            error: word.error.clone(),
            attempts: word.attempts,
            events: word.span.events,
            next_attempt_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl PeerState {
    /// What waits by itself.
    fn waiting(&self) -> impl Iterator<Item = (&dyn Display, &PendingRequest)> {
        let words = self.partial.pending().iter().map(|(what, word)| (what as &dyn Display, word));
        words.chain(self.calls.pending().iter().map(|(what, word)| (what as &dyn Display, word)))
    }

    /// Events for which something waits by itself, and when the oldest was accepted.
    fn owed(&self) -> (u64, Option<u64>) {
        let ((words, word_at), (calls, call_at)) = (self.partial.owed(), self.calls.owed());
        (words + calls, word_at.into_iter().chain(call_at).min())
    }
}

impl Peer {
    /// What waits, apart from what was settled past a cursor that cannot move.
    pub(super) fn backlog_size(&self, journal: &Journal) -> BacklogSize {
        let (through, (owed, oldest)) = self.with(|state| (state.settled_through(), state.owed()));
        let mut size = journal.backlog_size_after(&self.destination, through);
        size.events += owed;
        size.oldest_at_ms = oldest.into_iter().chain(size.oldest_at_ms).min();
        size
    }
}

impl DestinationView {
    pub(super) fn of(peer: &Peer, shared: &Shared) -> Self {
        let backlog = peer.backlog_size(&shared.journal);
        let (rate_per_second, burst) = peer.limiter.limit();
        let now = Instant::now();
        peer.with(|state| {
            let identity = match &state.kind {
                PeerKind::CacheMirror(identity) => identity.as_ref(),
                _ => None,
            };
            let throttled = state.throttle.left(now);
            let parked_count = state.waiting().filter(|(_, word)| word.is_parked).count();
            let failing = state.waiting().find(|(_, word)| word.error.is_some() && !word.is_parked);
            let parked = state.waiting().filter(|(_, word)| word.is_parked).map(|(what, word)| {
                let what = what.to_string();
                ParkedRequest::of((what, word), now)
            });
            let wait = state.not_before.filter(|at| *at > now).map(|at| at - now);
            Self {
                name: peer.config.name.clone(),
                url: peer.config.base.to_string(),
                kind: match (&state.kind, peer.config.class.target()) {
                    (PeerKind::Oneself, _) | (_, None) => state.kind.as_str(),
                    (_, Some(target)) => target.kind(),
                }
                .into(),
                state: match (&state.kind, state.pause, throttled, state.failures) {
                    (PeerKind::Oneself, ..) => "self",
                    (_, Some(_), ..) => "paused",
                    (_, None, _, 1..) if state.is_refusing_all() => "parked",
                    (_, None, _, 1..) => "failing",
                    (_, None, Some(_), 0) => "throttled",
                    (_, None, None, 0) if state.partial.is_holding() => "held",
                    (_, None, None, 0) if failing.is_some() => "failing",
                    (_, None, None, 0) if parked_count > 0 => "parked",
                    (_, None, None, 0) => "ok",
                }
                .into(),
                held_events: state.partial.held().map_or(0, |held| held.events),
                parked: parked.take(PARKED_SHOWN_MAX).collect(),
                parked_count,
                paused: state.pause.map(|pause| pause.as_str().into()),
                instance: identity.map(|identity| identity.instance.clone()),
                graph: identity.map(|identity| identity.graph.clone()),
                rate_per_second,
                burst,
                breaker: if state.is_broken { "open" } else { "closed" }.into(),
                failures: state.failures,
                last_error: state
                    .last_error
                    .clone()
                    .or_else(|| failing.and_then(|it| it.1.error.clone())),
                next_attempt_ms: wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(0)),
                throttled_until: throttled.map(until),
                echoing: shared.echo.is_echoing(&peer.destination),
                backlog_events: backlog.events,
                backlog_oldest_ms: backlog.oldest_at_ms,
                backlog_age_ms: backlog
                    .oldest_at_ms
                    .map(|accepted| clock::wall_ms().saturating_sub(accepted)),
                backlog_widened: backlog.widened,
                requests: state.requests,
                delivered: state.delivered,
                skipped: state.skipped,
            }
        })
    }
}

/// The end of a wait on the wall clock, for people.
fn until(wait: Duration) -> String {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    clock::rfc3339(clock::wall_ms().saturating_add(ms))
}
