//! A destination as an operator sees it: `GET /api/mirrors`, `cache-mirror status` and `mirrors`.
//! It is a snapshot: it holds no lock, and the state may change at any time.

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

/// Parked requests shown for one destination.
const PARKED_SHOWN_MAX: usize = 100;

impl RemovedDestination {
    pub(super) fn of(removed: &Removed, forget_after: Duration) -> Self {
        let after_ms = u64::try_from(forget_after.as_millis()).unwrap_or(u64::MAX);
        Self {
            name: log::configured_name(&removed.name).to_owned(),
            backlog_events: removed.backlog.events,
            backlog_oldest_ms: removed.backlog.oldest_at_ms,
            backlog_widened: removed.backlog.widened,
            removed_ms: removed.removed_at_ms,
            forgotten_ms: removed.removed_at_ms.saturating_add(after_ms),
        }
    }
}

impl ParkedRequest {
    fn of((what, request): (String, &PendingRequest), now: Instant) -> Self {
        let wait =
            request.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        Self {
            what,
            error: request.error.clone(),
            attempts: request.attempts,
            events: request.span.events,
            next_attempt_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl PeerState {
    /// The requests that are pending separately.
    fn pending(&self) -> impl Iterator<Item = (&dyn Display, &PendingRequest)> {
        let legacy = self.partial.pending().iter().map(|(what, one)| (what as &dyn Display, one));
        legacy.chain(self.calls.pending().iter().map(|(what, one)| (what as &dyn Display, one)))
    }

    /// The events with a request that is pending separately, and when the oldest was accepted.
    fn pending_events(&self) -> (u64, Option<u64>) {
        let ((requests, request_at), (calls, call_at)) =
            (self.partial.pending_events(), self.calls.pending_events());
        (requests + calls, request_at.into_iter().chain(call_at).min())
    }
}

impl Peer {
    /// The waiting events, without those that are settled although the cursor cannot move.
    pub(super) fn backlog_size(&self, journal: &Journal) -> BacklogSize {
        let (through, (pending, oldest)) =
            self.with(|state| (state.settled_through(), state.pending_events()));
        let mut size = journal.backlog_size_after(&self.destination, through);
        size.events += pending;
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
            let parked_count = state.pending().filter(|(_, request)| request.is_parked).count();
            let failing =
                state.pending().find(|(_, request)| request.error.is_some() && !request.is_parked);
            let parked =
                state.pending().filter(|(_, request)| request.is_parked).map(|(what, request)| {
                    let what = what.to_string();
                    ParkedRequest::of((what, request), now)
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

/// The end of a wait, as wall-clock time.
fn until(wait: Duration) -> String {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    clock::rfc3339(clock::wall_ms().saturating_add(ms))
}
