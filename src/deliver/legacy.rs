//! The legacy form: one request for each type. Each request settles separately.
//!
//! A request that is refused as malformed is parked and retried after an hour. A request that
//! failed otherwise waits separately, as long as the mirror accepts others. Only a mirror that
//! accepts nothing waits as a whole. While a mirror's kind is unknown it gets the same requests,
//! because both kinds understand them. What they cannot express is held, and the cursor does not
//! move, so that a cache-mirror gets everything as a batch once its kind is known.

use std::time::Duration;

use tokio::time::Instant;

use super::echo::keys_of;
use super::encoded::EncodedBacklog;
use super::log;
use super::mirror::{legacy_body, legacy_form};
use super::partial::{EventProgress, EventsByType, PARKED_RETRY, Span, is_asked_for};
use super::peer::{PauseReason, PeerKind, PeerState};
use super::send::{AUTH_RETRY, JudgedAnswer, RequestOutcome};
use super::verdict::AnswerVerdict;
use super::worker::{INVALIDATE_PATH, Worker};
use crate::domain::{Demand, Mode, Selector, Selectors};
use crate::journal::Backlog;
use crate::support::backoff::chance;

/// Statuses that mean: malformed. The same request will be refused again.
pub(super) const MALFORMED: [u16; 6] = [400, 413, 414, 415, 422, 431];
/// Statuses that concern one request only if the server accepts others.
const ABOUT_ONE: [u16; 6] = [401, 403, 404, 405, 409, 410];
/// Failures in a row without any acknowledgement after which an attempt ends.
pub(super) const FAILURES_MAX: usize = 3;

/// A request that was not acknowledged.
struct FailedRequest {
    request: Selector,
    status: Option<u16>,
    error: String,
    wait: Option<Duration>,
}

/// The state of one attempt at one mirror.
struct LegacyAttempt<'a> {
    backlog: &'a Backlog,
    encoded: &'a EncodedBacklog,
    fresh: &'a [Selector],
    has_settled: bool,
    failures: Vec<FailedRequest>,
    unsent: Vec<Selector>,
    parked: Vec<FailedRequest>,
    delivered: u64,
}

impl Worker {
    /// Whether a pending request is due.
    pub(super) fn has_due_requests(&self) -> bool {
        let now = Instant::now();
        self.peer.with(|state| state.next_due(now).is_some_and(|at| at <= now))
    }

    /// Sends the new requests and those that are due again.
    pub(super) async fn send_legacy(&self) {
        let is_legacy = matches!(self.peer.kind(), PeerKind::Legacy);
        if is_legacy {
            self.release_held();
        }
        let backlog = self.take().unwrap_or_default();
        let encoded = self.encoded(&backlog);
        let form = legacy_form(&encoded.selectors, &self.shared.sender.known_types());
        let by_type = EventsByType::of(&backlog);
        let requests = self.peer.with(|state| {
            state.partial.begin(
                form.requests.clone(),
                |request| by_type.span(request),
                Instant::now(),
            )
        });
        let mut attempt = LegacyAttempt {
            backlog: &backlog,
            encoded: &encoded,
            fresh: &form.requests,
            has_settled: requests.is_empty(),
            failures: vec![],
            unsent: vec![],
            parked: vec![],
            delivered: 0,
        };
        self.shared.echo.sending(&self.peer.destination, &keys_of(&backlog));
        self.send_requests(&mut attempt, requests).await;
        self.shared.echo.sent(&self.peer.destination);
        if !self.keep_unsettled(&attempt, &by_type) {
            return;
        }
        if backlog.through > 0 {
            self.advance(&backlog, &by_type, is_legacy, &form.unsupported);
        }
        self.settle_through(is_legacy, attempt.delivered);
    }

    async fn send_requests(&self, attempt: &mut LegacyAttempt<'_>, requests: Vec<Selector>) {
        let mut requests = requests.into_iter();
        let mut has_logged_in = false;
        for at in 0.. {
            let Some(request) = requests.next() else { return };
            if at > 0 {
                tokio::select! {
                    () = self.stop.cancelled() => {
                        attempt.unsent.push(request);
                        break;
                    }
                    _ = self.peer.limiter.turn() => {}
                }
            }
            let is_finished = self.send_one(attempt, request, &mut has_logged_in).await
                || (!attempt.has_settled && attempt.failures.len() >= FAILURES_MAX);
            if is_finished {
                break;
            }
        }
        attempt.unsent.extend(requests);
    }

    /// Sends one request. Returns whether the attempt is finished.
    async fn send_one(
        &self,
        attempt: &mut LegacyAttempt<'_>,
        request: Selector,
        has_logged_in: &mut bool,
    ) -> bool {
        let own;
        let (backlog, encoded) = match attempt.fresh.contains(&request) {
            true => (attempt.backlog, attempt.encoded),
            false => {
                own = self.pending_backlog(&request);
                (&own.0, &own.1)
            }
        };
        let body = legacy_body(&request).into();
        let may_log_in = !*has_logged_in;
        let answered = self.request(backlog, INVALIDATE_PATH, body, may_log_in).await;
        let answer = match answered {
            RequestOutcome::Answered { answer, has_logged_in: did } => {
                *has_logged_in |= did;
                answer
            }
            RequestOutcome::NotLoggedIn => {
                attempt.unsent.push(request);
                return true;
            }
        };
        self.judge_one(attempt, request, (backlog, encoded), &answer)
    }

    fn judge_one(
        &self,
        attempt: &mut LegacyAttempt<'_>,
        request: Selector,
        (backlog, encoded): (&Backlog, &EncodedBacklog),
        answer: &JudgedAnswer,
    ) -> bool {
        let status = answer.http_status.and_then(|status| u16::try_from(status).ok());
        match &answer.verdict {
            AnswerVerdict::Acknowledged => {
                let attempts = self.peer.with(|state| state.failures) + 1;
                log::delivered(
                    &self.peer,
                    backlog,
                    encoded,
                    attempts,
                    answer.http_status,
                    answer.took,
                );
                self.request_acknowledged(attempt, &request);
                return false;
            }
            AnswerVerdict::Throttled(wait) => {
                let wait = self.peer.throttled(*wait);
                log::throttled(&self.peer, backlog, wait);
                attempt.unsent.push(request);
                return true;
            }
            AnswerVerdict::Unauthorized => {
                let error = self.with_clock_difference("401 with a fresh token");
                attempt.failures.push(FailedRequest { request, status, error, wait: None });
            }
            AnswerVerdict::Refused(reason, wait) => {
                let failure = FailedRequest { request, status, error: reason.clone(), wait: *wait };
                match status {
                    Some(status) if MALFORMED.contains(&status) => {
                        attempt.has_settled = true;
                        attempt.parked.push(failure);
                    }
                    Some(_) => attempt.failures.push(failure),
                    // No answer: the mirror as a whole is not reachable.
                    None => {
                        attempt.failures.insert(0, failure);
                        return true;
                    }
                }
            }
        }
        false
    }

    fn request_acknowledged(&self, attempt: &mut LegacyAttempt<'_>, request: &Selector) {
        attempt.has_settled = true;
        let (failures, lasted) = self.peer.with(|state| (state.failures, state.streak.end()));
        if self.peer.succeeded() {
            log::closed(&self.peer, failures, lasted);
        }
        let (events, was_parked) = self.peer.with(|state| {
            state.note_legacy_ack();
            state.partial.acknowledge(request)
        });
        attempt.delivered += events;
        if was_parked {
            log::unparked(&self.peer, request);
        }
    }

    /// Keeps the requests that were not acknowledged. Returns whether the backlog is settled except
    /// for those. If the mirror acknowledged nothing it is not, and all of it is sent again.
    fn keep_unsettled(&self, attempt: &LegacyAttempt<'_>, by_type: &EventsByType) -> bool {
        let was_pending = |request: &Selector| !attempt.fresh.contains(request);
        if !self.fails_by_request(attempt) {
            self.fail_as_a_whole(attempt);
            if let Some(first) = attempt.failures.first() {
                self.peer.with(|state| state.partial.suspect = Some(first.request.clone()));
            }
            let failed = attempt.failures.iter().map(|failure| &failure.request);
            return failed.chain(&attempt.unsent).all(was_pending);
        }
        if !attempt.has_settled && !attempt.unsent.iter().all(was_pending) {
            return false;
        }
        let mut has_capacity = true;
        let mut keep = |failure: &FailedRequest, is_parked: bool| {
            has_capacity &=
                self.keep_failed(failure, events_of(attempt, &failure.request, by_type), is_parked);
        };
        attempt.parked.iter().for_each(|failure| keep(failure, true));
        for failure in &attempt.failures {
            let is_refused = failure.status.is_some_and(|status| ABOUT_ONE.contains(&status));
            keep(failure, is_refused && attempt.has_settled);
        }
        self.peer.with(|state| {
            for request in attempt.unsent.iter().filter(|request| !was_pending(request)) {
                has_capacity &= state.partial.keep_pending(
                    request,
                    Some(by_type.span(request)),
                    None,
                    (false, None),
                );
            }
        });
        if !has_capacity {
            self.fail(attempt.backlog, "the mirror refuses too many types", None, None);
        }
        has_capacity
    }

    /// Whether each failed request waits separately, because the mirror accepts others or accepted
    /// some before.
    fn fails_by_request(&self, attempt: &LegacyAttempt<'_>) -> bool {
        let Some(first) = attempt.failures.first() else { return true };
        let is_dead = first.status.is_none();
        let failed_before = self.peer.with(|state| {
            let requests = state.partial.pending();
            let has_failed = |failure: &FailedRequest| {
                requests.get(&failure.request).is_some_and(|request| request.attempts > 0)
            };
            attempt.failures.iter().all(has_failed)
        });
        attempt.has_settled || (failed_before && (!is_dead || attempt.unsent.is_empty()))
    }

    /// Records a failed request and schedules its retry. Returns false if there are too many.
    fn keep_failed(
        &self,
        failure: &FailedRequest,
        by_type: Option<&EventsByType>,
        is_parked: bool,
    ) -> bool {
        let FailedRequest { request, status, error, wait } = failure;
        let (attempts, was_parked) = self.peer.with(|state| {
            let known = state.partial.pending().get(request);
            known.map_or((0, false), |known| (known.attempts, known.is_parked))
        });
        let backoff = self.shared.config.get().backoff;
        let own = if is_parked { PARKED_RETRY } else { backoff.wait(attempts + 1, chance()) };
        let next = own.max(wait.unwrap_or_default());
        let fresh = by_type.map(|known| known.span(request));
        let has_capacity = self.peer.with(|state| {
            state.partial.keep_pending(request, fresh, Some(error), (is_parked, Some(next)))
        });
        if is_parked && !was_parked {
            log::parked(&self.peer, request, status.map(u64::from), error, own);
        } else if !is_parked {
            log::request_failed(
                &self.peer,
                request,
                attempts + 1,
                status.map(u64::from),
                error,
                next,
            );
        }
        has_capacity
    }

    fn fail_as_a_whole(&self, attempt: &LegacyAttempt<'_>) {
        let Some(first) = attempt.failures.first() else { return };
        let own;
        let backlog = match attempt.fresh.contains(&first.request) {
            true => attempt.backlog,
            false => {
                own = self.pending_backlog(&first.request).0;
                &own
            }
        };
        if first.status == Some(401) {
            if self.peer.refused_credentials(PauseReason::Auth, &first.error, Some(AUTH_RETRY)) {
                log::paused(&self.peer, backlog, &first.error);
            }
            return;
        }
        self.fail(backlog, &first.error, first.wait, first.status.map(u64::from));
    }

    /// Settles the backlog, except for the pending and held parts.
    fn advance(
        &self,
        backlog: &Backlog,
        by_type: &EventsByType,
        is_legacy: bool,
        unsupported: &[Selector],
    ) {
        let held = if is_legacy { 0 } else { self.held_events(backlog) };
        if is_legacy && !unsupported.is_empty() {
            log::skipped(&self.peer, backlog, unsupported);
        }
        let is_news = self.peer.with(|state| {
            state.partial.through = state.partial.through.max(backlog.through);
            let was_holding = state.partial.is_holding();
            if held > 0 {
                state.partial.hold(by_type.part(held));
            }
            held > 0 && !was_holding
        });
        if is_news {
            log::held(&self.peer, backlog);
        }
        self.shared.journal.let_go(&self.peer.destination, &backlog.events);
        let skipped = if is_legacy { self.skipped_count(backlog) } else { 0 };
        let waiting = backlog.events.iter().filter(|event| {
            let selectors = event.demand.selectors();
            let is_expressible = || is_legacy || self.fits_legacy_form(&selectors);
            let needs = |request: &Selector| is_asked_for(request, &selectors);
            let progress =
                self.peer.with(|state| state.partial.progress(event.seq, needs, is_expressible));
            progress != EventProgress::Settled
        });
        let waiting = waiting.count() as u64;
        let all = backlog.events.len() as u64 + backlog.merged_count;
        self.peer.settled(all.saturating_sub(skipped + waiting), skipped);
    }

    /// Moves the cursor up to the oldest pending request. It does not move while the kind is
    /// unknown.
    fn settle_through(&self, is_legacy: bool, delivered: u64) {
        self.peer.settled(delivered, 0);
        if !is_legacy {
            return self.shared.journal.wake_waiters();
        }
        let through = self.peer.with(|state| {
            let floor = state.partial.floor();
            if state.partial.is_whole() {
                state.partial.clear();
            }
            floor
        });
        let settled = Backlog { through, ..Backlog::default() };
        self.shared.journal.ack(&self.peer.destination, &settled);
        self.shared.journal.wake_waiters();
    }

    /// Skips the held events, because the mirror is now known to be a legacy server.
    fn release_held(&self) {
        let Some(held) = self.peer.with(|state: &mut PeerState| state.partial.release()) else {
            return;
        };
        self.peer.settled(0, held.events);
        let Some(backlog) = self.take_from(0) else { return };
        let types = self.shared.sender.known_types();
        let unsupported = legacy_form(&EncodedBacklog::of(&backlog).selectors, &types).unsupported;
        if !unsupported.is_empty() {
            log::skipped(&self.peer, &backlog, &unsupported);
        }
    }

    /// The number of events that the legacy form cannot express in full, or only without their ids.
    fn held_events(&self, backlog: &Backlog) -> u64 {
        let is_held = |selectors: &Selectors| !self.fits_legacy_form(selectors);
        let events = backlog.events.iter().filter(|event| is_held(&event.demand.selectors()));
        let merged = if backlog.merged.is_empty() { 0 } else { backlog.merged_count.max(1) };
        events.count() as u64 + merged
    }

    fn fits_legacy_form(&self, selectors: &Selectors) -> bool {
        self.shared.fits_legacy_form(selectors)
    }

    /// The backlog of a pending request that is sent again.
    fn pending_backlog(&self, request: &Selector) -> (Backlog, EncodedBacklog) {
        let span = self.peer.with(|state| state.partial.pending().get(request).map(|it| it.span));
        let Span { first, last, events, oldest_at_ms } =
            span.unwrap_or(Span { first: 0, last: 0, events: 1, oldest_at_ms: 0 });
        let backlog = Backlog {
            through: last,
            merged: Demand::new(Mode::Hard, Selectors::one(request.clone())),
            merged_count: events,
            first_seq: first,
            oldest_at_ms,
            ..Backlog::default()
        };
        let encoded = EncodedBacklog::of(&backlog);
        (backlog, encoded)
    }
}

/// The events of a new request; `None` for a pending one, whose events are recorded.
fn events_of<'a>(
    attempt: &LegacyAttempt<'_>,
    request: &Selector,
    by_type: &'a EventsByType,
) -> Option<&'a EventsByType> {
    attempt.fresh.contains(request).then_some(by_type)
}
