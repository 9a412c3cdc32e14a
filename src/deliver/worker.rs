//! One worker for one destination. It takes the backlog, sends it, and moves the cursor, or waits
//! and tries again.
//!
//! Nothing is given up: an attempt ends in an acknowledgement or in a later attempt. Events are
//! sent at once, without waiting for more. What arrives while the limiter, a back-off or a send in
//! flight holds the worker is sent together next. A request in flight does not change. A worker
//! uses its own peer only, so a dead destination delays no other.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::encoded::EncodedBacklog;
use super::mirror::batch_body;
use super::partial::PARKED_RETRY_ON_NEWS;
use super::peer::{PauseReason, Peer, PeerKind, WIDEST_AFTER};
use super::skew::WatchedTransport;
use super::{Shared, WidenedAll, log, outage};
use crate::domain::{Demand, Mode, Selectors};
use crate::journal::{Backlog, Limits};
use crate::net::Transport;
use crate::support::backoff::chance;

/// The header that marks every outgoing call.
pub const VIA: HeaderName = HeaderName::from_static("cache-mirror-via");
/// The path for invalidations at a legacy peer, and at a cache-mirror by default.
pub const INVALIDATE_PATH: &str = "/api/cache/invalidate";

/// Selectors of the named events of one batch. Every instance accepts this many by default. Past
/// its limit a receiver widens.
const BATCH_MEMBERS_MAX: usize = 10_000;

/// A worker and its shared state.
pub struct Worker {
    pub(super) peer: Arc<Peer>,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
    pub(super) over: WatchedTransport,
}

/// How the sending of a batch ended.
pub(super) enum BatchOutcome {
    Acknowledged,
    RetryLater,
}

/// A failed attempt and the wait after it.
pub(super) struct FailedAttempt {
    pub(super) attempt: u32,
    pub(super) wait: Duration,
    pub(super) opens: bool,
    /// Whether it is logged as a warning.
    pub(super) is_logged: bool,
}

impl Worker {
    /// Works until `stop` is cancelled. A send in flight is finished first.
    pub async fn run(self) {
        self.probe_and_log_in().await;
        while self.wait_for_work().await {
            self.attempt().await;
        }
    }

    /// Sleeps until something is due. Returns false once the worker must stop.
    async fn wait_for_work(&self) -> bool {
        let mut due = self.shared.journal.due();
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            due.borrow_and_update();
            let is_parked = self.wake_for_new_events();
            let now = Instant::now();
            let (pause, not_before) = self.peer.with(|state| (state.pause, state.not_before));
            let is_held = matches!(pause, Some(PauseReason::Operator | PauseReason::NoCredentials));
            let until = not_before.filter(|at| *at > now);
            let release = self.shared.echo.next_release(&self.peer.destination);
            if self.is_probe_due() && until.is_none() && !is_held {
                drop(self.probe().await);
                continue;
            }
            if !is_held && until.is_none() && self.has_pending() {
                return true;
            }
            // A paused peer is not probed, so the time of its next probe is ignored.
            let is_probed = !is_held && self.peer.config.class.is_probed();
            let probe_at = is_probed.then(|| self.next_probe());
            let pending_at = self.peer.with(|state| state.next_due(now));
            let wake_at =
                until.or(probe_at.into_iter().chain(pending_at.filter(|_| !is_held)).min());
            let wake_at = wake_at.into_iter().chain(release.filter(|_| until.is_none())).min();
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = self.peer.wake.notified() => {}
                () = tokio::time::sleep_until(wake_at.unwrap_or(now)), if wake_at.is_some() => {}
                _ = due.changed(), if !is_held && (is_parked || until.is_none()) => {}
            }
        }
    }

    /// If a mirror refuses even the widest form, a new event brings the next attempt forward to a
    /// minute after the last. Returns whether the worker waits for a new event.
    fn wake_for_new_events(&self) -> bool {
        let Some((refused_at, through)) = self.peer.with(|state| state.refused_all) else {
            return false;
        };
        if !self.has_pending_after(through) {
            return true;
        }
        let soon = refused_at + PARKED_RETRY_ON_NEWS;
        self.peer.with(|state| {
            state.refused_all = None;
            state.not_before = state.not_before.map(|at| at.min(soon));
        });
        false
    }

    fn has_pending(&self) -> bool {
        self.has_pending_after(self.peer.with(|state| state.settled_through()))
            || self.has_due_requests()
            || self.can_settle_held()
    }

    pub(super) fn has_pending_after(&self, after: u64) -> bool {
        let one = Limits { events_max: 1, bytes_max: 1, members_max: usize::MAX };
        self.pending(after, one).is_some()
    }

    /// Whether held events can be settled, because the peer is now known to be a legacy server.
    fn can_settle_held(&self) -> bool {
        self.peer.with(|state| {
            matches!(state.kind, PeerKind::Legacy)
                && state.partial.through > 0
                && state.partial.is_stale()
        })
    }

    /// One attempt to send the backlog, or its first batch.
    async fn attempt(&self) {
        if !self.passes_check().await {
            return;
        }
        let needs_probe = matches!(self.peer.kind(), PeerKind::Unknown)
            && self.peer.config.class.is_probed()
            && self.peer.is_probe_worthwhile();
        if needs_probe && !self.probe_before_sending().await {
            return;
        }
        if matches!(self.peer.kind(), PeerKind::Oneself) {
            self.shared.journal.skip_to_head(&self.peer.destination);
            self.peer.with(|state| {
                state.partial.clear();
                state.calls.clear();
            });
            return;
        }
        let waited = tokio::select! {
            () = self.stop.cancelled() => return,
            waited = self.peer.limiter.turn() => waited,
        };
        if self.peer.with(|state| state.pause == Some(PauseReason::Operator)) {
            return;
        }
        if self.peer.is_mirror() && matches!(self.peer.kind(), PeerKind::Unknown | PeerKind::Legacy)
        {
            return self.send_legacy().await;
        }
        let target = self.peer.config.class.target();
        let backlog = match self.take() {
            Some(backlog) => backlog,
            None if target.is_some() => Backlog::default(),
            None => return,
        };
        if waited >= Duration::from_millis(100) {
            log::limited(&self.peer, &backlog, waited);
        }
        if let Some(target) = target {
            return self.call(&backlog, target).await;
        }
        let ended = self.send_batch(&backlog).await;
        if matches!(ended, BatchOutcome::Acknowledged) {
            self.settle(&backlog);
            let (failures, lasted) = self.peer.with(|state| (state.failures, state.streak.end()));
            if self.peer.succeeded() {
                log::closed(&self.peer, failures, lasted);
            }
        }
    }

    async fn send_batch(&self, backlog: &Backlog) -> BatchOutcome {
        let kind = self.peer.kind();
        let path = match &kind {
            PeerKind::CacheMirror(Some(identity)) => &identity.paths.invalidate,
            _ => INVALIDATE_PATH,
        };
        let encoded = self.encoded(backlog);
        let body = self.batch(backlog, &encoded);
        self.shared.echo.sending(&self.peer.destination, encoded.keys(backlog));
        let ended = self.send(backlog, path, body, &encoded).await;
        self.shared.echo.sent(&self.peer.destination);
        ended
    }

    /// The backlog after a sequence number, without held events.
    pub(super) fn pending(&self, after: u64, limits: Limits) -> Option<Backlog> {
        let held = self.shared.echo.held(&self.peer.destination);
        self.shared.journal.pending_but(&self.peer.destination, after, limits, &held)
    }

    /// Moves the cursor past a backlog that was acknowledged or that needs no request.
    pub(super) fn settle(&self, backlog: &Backlog) {
        self.shared.journal.ack(&self.peer.destination, backlog);
        let skipped = self.skipped_count(backlog);
        let delivered = backlog.events.len() as u64 + backlog.merged_count - skipped;
        self.peer.settled(delivered, skipped);
    }

    /// Takes the backlog for one send. A legacy peer gets types, so it gets the whole backlog at
    /// once.
    pub(super) fn take(&self) -> Option<Backlog> {
        let config = self.shared.config.get();
        let limits = match (self.peer.kind(), self.peer.is_mirror()) {
            (kind, false) => {
                let after = self.peer.with(|state| state.calls.through);
                return match kind {
                    PeerKind::CacheMirror(_) => self.take_identifiable(after),
                    _ => self.take_from(after),
                };
            }
            // It may be a cache-mirror, which forwards only named events to its targets.
            (PeerKind::Unknown, true) => {
                return self.take_identifiable(self.peer.with(|state| state.partial.through));
            }
            (PeerKind::Legacy, true) => {
                return self.take_from(self.peer.with(|state| state.partial.through));
            }
            (PeerKind::CacheMirror(_), true) => Limits {
                events_max: config.batch_events_max,
                bytes_max: config.batch_bytes_max,
                members_max: BATCH_MEMBERS_MAX,
            },
            _ => return self.take_from(0),
        };
        self.pending(0, limits)
    }

    /// The whole backlog after a sequence number.
    pub(super) fn take_from(&self, after: u64) -> Option<Backlog> {
        let limits =
            Limits { events_max: usize::MAX, bytes_max: usize::MAX, members_max: usize::MAX };
        self.pending(after, limits)
    }

    pub(super) fn encoded(&self, backlog: &Backlog) -> Arc<EncodedBacklog> {
        let graph = || self.shared.sender.rules.with(|rules| rules.graph().hash().to_owned());
        self.shared.encoded_backlogs.get(backlog, graph)
    }

    fn batch(&self, backlog: &Backlog, encoded: &EncodedBacklog) -> bytes::Bytes {
        let mut merged = backlog.merged.clone();
        let refusals = self.peer.with(|state| state.refusals);
        if refusals >= WIDEST_AFTER || (backlog.widened && merged.selectors().is_all()) {
            merged = widened_all(backlog, self.shared.config.get().widened_all, refusals);
        }
        if refusals >= WIDEST_AFTER {
            // No wider form exists, and `all` covers every event.
            let (events, cascade) = (std::iter::empty(), Selectors::default());
            return batch_body(&self.shared.sender, backlog.through, events, merged, &cascade);
        }
        if refusals > 0 {
            // It refused the batch. Send the same selectors in a simpler form, one step wider.
            for event in &backlog.events {
                merged.join(&event.demand);
            }
            merged.hard.widen_ids();
            merged.soft.widen_ids();
            let nothing = std::iter::empty();
            let cascade = &backlog.merged_cascade;
            return batch_body(&self.shared.sender, backlog.through, nothing, merged, cascade);
        }
        encoded.body(|| {
            let events = backlog.events.iter().map(|event| &**event);
            let cascade = &backlog.merged_cascade;
            batch_body(&self.shared.sender, backlog.through, events, merged, cascade)
        })
    }

    /// Records a failed attempt, logs it, and schedules the next one.
    pub(super) fn fail(
        &self,
        backlog: &Backlog,
        error: &str,
        least: Option<Duration>,
        status: Option<u64>,
    ) {
        let is_cache_mirror = matches!(self.peer.kind(), PeerKind::CacheMirror(_));
        let is_outage = outage::is_outage(status, is_cache_mirror);
        let failed_attempt = self.schedule_retry(backlog, error, least, is_outage);
        log::failed(&self.peer, backlog, &failed_attempt, status, error);
        if failed_attempt.opens {
            log::opened(&self.peer);
        }
    }

    /// Records a failed attempt and schedules the next one. The caller logs it.
    pub(super) fn schedule_retry(
        &self,
        backlog: &Backlog,
        error: &str,
        least: Option<Duration>,
        is_outage: bool,
    ) -> FailedAttempt {
        let config = self.shared.config.get();
        let wait = self.peer.with(|state| {
            let failures = state.failures.saturating_add(1);
            let wait = state.outage.failed(&config.backoff, failures, is_outage, chance());
            // A `Retry-After` of 0 counts as well.
            let least = least.map(|asked| state.throttle.note(Some(asked), chance()));
            wait.max(least.unwrap_or_default())
        });
        let (attempt, opens) = self.peer.failed(error, wait, config.breaker_failures);
        let is_logged = self.peer.with(|state| state.streak.note(attempt, error, backlog.through));
        FailedAttempt { attempt, wait, opens, is_logged }
    }

    /// The transport to this peer.
    pub(super) fn transport(&self) -> &dyn Transport {
        &self.over
    }
}

/// The merged part of a backlog that is sent as `all`. After too many refusals it includes the
/// named part.
fn widened_all(backlog: &Backlog, how: WidenedAll, refusals: u32) -> Demand {
    let is_everything = refusals >= WIDEST_AFTER;
    let whole = if is_everything { backlog.demand() } else { backlog.merged.clone() };
    let is_asked = (backlog.merged.hard.is_all() && !backlog.widened)
        || (is_everything && backlog.events.iter().any(|event| event.demand.hard.is_all()));
    let all = |mode| Demand::new(mode, Selectors::all());
    match how {
        WidenedAll::Hard => all(Mode::Hard),
        // Each mode widens separately: named hard selectors stay hard next to a soft `all`.
        WidenedAll::Soft if !is_everything && !backlog.merged.hard.is_all() => whole,
        // An `all` that a caller asked for did not come from widening.
        WidenedAll::Soft if !is_asked => all(Mode::Soft),
        WidenedAll::AsMerged if !is_everything => whole,
        _ if whole.hard.is_empty() => all(Mode::Soft),
        _ => all(Mode::Hard),
    }
}
