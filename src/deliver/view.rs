//! A mirror as an operator sees it: `GET /api/mirrors`, `status`, `mirrors`.
//! A snapshot: it holds no lock and promises nothing about the next moment.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::Shared;
use super::log;
use super::partial::PendingRequest;
use super::peer::{Peer, PeerKind, PeerState};
use crate::journal::{BacklogSize, Journal, Removed};
use crate::support::clock;

/// Refused requests that are shown of one mirror.
const PARKED_SHOWN_MAX: usize = 100;

/// One mirror. Every text is safe to show: no token, no password.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Mirror")]
pub struct PeerView {
    /// What operators call it.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// `unknown`, `legacy`, `cache-mirror` or `self`; of what is beside this instance, what it is:
    /// `revalidate`, `purge`, ...
    pub kind: &'static str,
    /// `ok`, `failing`, `throttled`, `paused`, `self`; `held` where something waits until its kind
    /// is known, `parked` where it refuses something for what it is.
    pub state: &'static str,
    /// `operator` or `auth`, where it is paused.
    pub paused: Option<&'static str>,
    /// Its `instance.name`, where it said one.
    pub instance: Option<String>,
    /// Whether its graph is ours, where it said.
    pub graph: Option<String>,
    /// Requests a second.
    pub rate_per_second: f64,
    /// Requests at once after a pause.
    pub burst: u32,
    /// `closed` or `open`.
    pub breaker: &'static str,
    /// Failures in a row.
    pub failures: u32,
    /// The last failure, until the next success.
    pub last_error: Option<String>,
    /// Milliseconds until the next attempt, where one is scheduled.
    pub next_attempt_ms: Option<u64>,
    /// Until when it asked to be left alone (429, or `Retry-After`), as RFC 3339.
    pub throttled_until: Option<String>,
    /// Whether it calls back with what it is sent, so that copies of what goes round wait.
    pub echoing: bool,
    /// Events of which something is held until its kind is known (`state` is `held`).
    pub held_events: u64,
    /// What it refuses, with the reason, at most the first hundred: tried once an hour, and never
    /// counted as delivered.
    pub parked: Vec<Parked>,
    /// How many it refuses.
    pub parked_count: usize,
    /// Events waiting.
    pub backlog_events: u64,
    /// Acceptance of the oldest of them, milliseconds since 1970.
    pub backlog_oldest_ms: Option<u64>,
    /// How long it has waited, by the clock of this instance.
    pub backlog_age_ms: Option<u64>,
    /// Whether the backlog had to be widened.
    pub backlog_widened: bool,
    /// Requests made since the start.
    pub requests: u64,
    /// Events acknowledged since the start.
    pub delivered: u64,
    /// Events since the start that it has no words for, so that nothing was sent of them.
    pub skipped: u64,
}

/// A destination that the settings name no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "RemovedMirror")]
pub struct RemovedView {
    /// What operators called it.
    pub name: String,
    /// Events that are kept for it.
    pub backlog_events: u64,
    /// Acceptance of the oldest of them, milliseconds since 1970.
    pub backlog_oldest_ms: Option<u64>,
    /// Whether the backlog had to be widened.
    pub backlog_widened: bool,
    /// When it was removed, milliseconds since 1970.
    pub removed_ms: u64,
    /// When what is kept is dropped, milliseconds since 1970.
    pub forgotten_ms: u64,
}

impl RemovedView {
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

/// What a mirror refuses.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ParkedRequest")]
pub struct Parked {
    /// The type, or one entity of it; of a site or a cache the paths and tags, or the name.
    pub what: String,
    /// Why, in words.
    pub error: Option<String>,
    /// How often it was refused in a row.
    pub attempts: u32,
    /// Events that wait for it.
    pub events: u64,
    /// Milliseconds until it is tried again.
    pub next_attempt_ms: u64,
}

impl Parked {
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

impl PeerView {
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
                Parked::of((what, word), now)
            });
            let wait = state.not_before.filter(|at| *at > now).map(|at| at - now);
            Self {
                name: peer.config.name.clone(),
                url: peer.config.base.to_string(),
                kind: match (&state.kind, peer.config.class.target()) {
                    (PeerKind::Oneself, _) | (_, None) => state.kind.as_str(),
                    (_, Some(target)) => target.kind(),
                },
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
                },
                held_events: state.partial.held().map_or(0, |held| held.events),
                parked: parked.take(PARKED_SHOWN_MAX).collect(),
                parked_count,
                paused: state.pause.map(super::peer::PauseReason::as_str),
                instance: identity.map(|identity| identity.instance.clone()),
                graph: identity.map(|identity| identity.graph.clone()),
                rate_per_second,
                burst,
                breaker: if state.is_broken { "open" } else { "closed" },
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
