//! The end of an attempt at a target: records which calls wait and which events are settled, and
//! logs the failures.
//!
//! The cursor in the journal never passes a waiting call, so nothing counts as delivered before it
//! was acknowledged.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::TargetAttempt;
use super::failure::CallFailure;
use super::log::{CallResult, Retry};
use super::owed::{EventIndex, OwedCall};
use super::send::Round;
use crate::deliver::log as delivery_log;
use crate::deliver::partial::{PARKED_RETRY, PENDING_MAX, Span};
use crate::deliver::verdict::AnswerVerdict;
use crate::deliver::worker::Worker;
use crate::journal::Backlog;
use crate::net::Failure as Problem;
use crate::support::backoff::chance;

/// New calls that a target may refuse in a row, over several attempts, before the target waits as a
/// whole.
const REFUSALS_MAX: usize = 10;

impl Worker {
    /// Records the calls that were not acknowledged. Returns whether the backlog is settled apart
    /// from them. It is not if the target acknowledged nothing: then all its calls are made again.
    pub(super) fn keep_unacknowledged(
        &self,
        round: &Round<'_>,
        index: &EventIndex<'_>,
        it: &mut TargetAttempt,
    ) -> bool {
        if self.refuses_every_call(it) {
            it.has_settled = false;
            let (fresh, again) = std::mem::take(&mut it.parked)
                .into_iter()
                .partition(|refused| it.fresh.contains(&refused.owed));
            it.failures.extend::<Vec<CallFailure>>(fresh);
            it.parked = again;
        }
        let is_left = it.unsent.iter().any(|owed| it.fresh.contains(owed));
        if !it.has_settled && it.failures.is_empty() && is_left {
            // All parts that were sent so far were refused.
            it.failures.extend(it.last_split.take());
        }
        let is_target_failure = !it.has_settled && !it.failures.is_empty();
        if is_target_failure {
            self.fail_target(round, it);
            self.suspect(it);
        }
        let failed = std::mem::take(&mut it.failures);
        let is_fresh = |owed: &OwedCall| it.fresh.contains(owed);
        let is_left = failed.iter().map(|it| &it.owed).chain(&it.unsent).any(is_fresh);
        let is_settled = it.has_settled || !is_left;
        let mut fits = true;
        for failure in &it.parked {
            fits &= self.record_failure(round, it.span(index, &failure.owed), failure, true);
        }
        for failure in failed.iter().filter(|_| !is_target_failure) {
            fits &= self.record_failure(round, it.span(index, &failure.owed), failure, false);
        }
        let unsent =
            it.unsent.iter().chain(failed.iter().filter(|_| is_target_failure).map(|it| &it.owed));
        for owed in unsent.filter(|owed| is_settled || !is_fresh(owed)) {
            let span = it.span(index, owed);
            self.peer.with(|state| {
                match state.calls.pending().contains_key(owed) && span.is_none() {
                    true => {}
                    false => fits &= state.calls.keep_pending(owed, span, None, (false, None)),
                }
            });
        }
        if !fits {
            self.fail(round.backlog, "the target refuses too many calls", None, None);
        }
        is_settled && fits
    }

    /// Whether the target refused several new calls, in this and previous attempts, without an
    /// acknowledgement in between. Then it waits as a whole.
    fn refuses_every_call(&self, it: &TargetAttempt) -> bool {
        if it.has_acknowledged {
            return false;
        }
        let refused = it.fresh_refused();
        let in_a_row = self.peer.with(|state| {
            state.calls_refused = state.calls_refused.saturating_add(refused);
            state.calls_refused
        });
        it.is_refused_altogether() || (refused > 0 && in_a_row >= REFUSALS_MAX)
    }

    /// Records the items whose own call failed in an attempt without an acknowledgement.
    fn suspect(&self, it: &mut TargetAttempt) {
        let mut suspects = std::mem::take(&mut it.suspects);
        for CallFailure { owed, error, .. } in &it.failures {
            if it.fresh.contains(owed) && owed.call.items.len() == 1 {
                *suspects.entry(owed.call.items[0].clone()).or_default() += 1;
            }
            let now = (false, Some(Duration::ZERO));
            self.peer.with(|state| match state.calls.pending().contains_key(owed) {
                true => state.calls.keep_pending(owed, None, Some(error), now),
                false => true,
            });
        }
        while suspects.len() > PENDING_MAX {
            suspects.pop_first();
        }
        self.peer.with(|state| state.suspects = suspects);
    }

    /// Records a failed call and when it is retried. Returns whether it fitted into the memory.
    fn record_failure(
        &self,
        round: &Round<'_>,
        span: Option<Span>,
        failure: &CallFailure,
        is_parked: bool,
    ) -> bool {
        let CallFailure { owed, error, .. } = failure;
        let (attempts, was_parked) = self.peer.with(|state| {
            let known = state.calls.pending().get(owed);
            known.map_or((0, false), |known| (known.attempts, known.is_parked))
        });
        let backoff = self.shared.config.get().backoff;
        let own = if is_parked { PARKED_RETRY } else { backoff.wait(attempts + 1, chance()) };
        let wait = own.max(failure.wait.unwrap_or_default());
        let fits = self.peer.with(|state| {
            state.calls.keep_pending(owed, span, Some(error), (is_parked, Some(wait)))
        });
        let is_logged = !was_parked && (is_parked || (attempts + 1).is_power_of_two());
        let again = Retry { attempt: attempts + 1, wait, is_logged };
        self.log_failure(round, failure, again);
        if is_parked && !was_parked {
            delivery_log::call_parked(&self.peer, &owed.to_string(), error, wait);
        }
        fits
    }

    /// Logs a call that was not acknowledged.
    pub(super) fn log_failure(&self, round: &Round<'_>, failure: &CallFailure, again: Retry) {
        let CallFailure { owed, about, tried, .. } = failure;
        self.log_tried(round.target, about, &owed.call, tried, Some(again));
    }

    fn fail_target(&self, round: &Round<'_>, it: &TargetAttempt) {
        let Some(first) = it.failures.first() else { return };
        let is_outage = self.is_outage(&first.tried);
        let failed_attempt =
            self.schedule_retry(round.backlog, &first.error, first.wait, is_outage);
        let (attempt, wait, is_logged) =
            (failed_attempt.attempt, failed_attempt.wait, failed_attempt.is_logged);
        for failure in &it.failures {
            let again = Retry { attempt, wait, is_logged };
            self.log_failure(round, failure, again);
        }
        if failed_attempt.opens {
            delivery_log::opened(&self.peer);
        }
    }

    /// Marks the backlog as settled, apart from the calls that wait.
    pub(super) fn advance_calls(&self, round: &Round<'_>, index: &EventIndex<'_>) {
        let backlog = round.backlog;
        let waiting: Vec<OwedCall> = self.peer.with(|state| {
            state.calls.through = state.calls.through.max(backlog.through);
            // Calls that waited before this backlog contain none of its events.
            let pending = state.calls.pending().iter();
            let of_it = pending.filter(|(_, request)| request.span.last == backlog.through);
            of_it.map(|(owed, _)| owed.clone()).collect()
        });
        self.shared.journal.let_go(&self.peer.destination, &backlog.events);
        self.log_skipped(backlog, round.target);
        let skipped = self.skipped_count(backlog);
        let all = backlog.events.len() as u64 + backlog.merged_count;
        let waiting = index.count_waiting(&waiting);
        self.peer.settled(all.saturating_sub(skipped + waiting), skipped);
    }

    /// Moves the cursor up to the first event that still waits for a call.
    pub(super) fn settle_calls(&self, delivered: u64) {
        self.peer.settled(delivered, 0);
        let through = self.peer.with(|state| {
            let floor = state.calls.floor();
            if state.calls.is_whole() {
                state.calls.clear();
            }
            floor
        });
        let settled = Backlog { through, ..Backlog::default() };
        self.shared.journal.ack(&self.peer.destination, &settled);
        self.shared.journal.wake_waiters();
    }

    /// Records that the identity of the target could not be checked, as if its first call had
    /// failed. A backlog with nothing for this target is settled anyway.
    pub(in crate::deliver) fn not_reached(&self, backlog: &Backlog, why: &Problem) {
        let Some(target) = self.peer.config.class.target() else {
            return self.fail(backlog, &why.to_string(), None, None);
        };
        let round = Round::of(target, backlog, self.reader());
        let Some(call) = target.calls(backlog, false, round.reader).into_iter().next() else {
            self.advance_calls(&round, &EventIndex::new(target, backlog));
            return self.settle_calls(0);
        };
        let verdict = AnswerVerdict::Refused(why.to_string(), None);
        let tried = CallResult { address: None, answer: None, verdict, took: Duration::ZERO };
        let failure = CallFailure::of(OwedCall::new(call), Arc::clone(&round.about), vec![tried]);
        let it = TargetAttempt { failures: vec![failure], ..TargetAttempt::default() };
        self.fail_target(&round, &it);
    }
}
