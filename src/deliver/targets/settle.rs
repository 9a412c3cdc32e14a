//! What remains of an attempt at a site or a cache: what is owed, what is settled, what is logged.
//!
//! The journal's cursor stays in front of what waits, so nothing counts as delivered that was not
//! acknowledged.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
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

/// New calls that a target may refuse in a row, each in an attempt of its own, before it is left
/// alone as a whole.
const REFUSALS_MAX: usize = 10;

impl Worker {
    /// Keeps what was not acknowledged. Says whether the backlog is settled but for that; where the
    /// target took nothing it is not, and all of it is called for again.
    pub(super) fn keep_unacknowledged(
        &self,
        round: &Round<'_>,
        asks: &EventIndex<'_>,
        it: &mut Attempt,
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
            // Refused in all the parts that it was told in so far.
            it.failures.extend(it.divided.take());
        }
        let is_whole = !it.has_settled && !it.failures.is_empty();
        if is_whole {
            self.fail_target(round, it);
            self.suspect(it);
        }
        let failed = std::mem::take(&mut it.failures);
        let is_fresh = |owed: &OwedCall| it.fresh.contains(owed);
        let is_left = failed.iter().map(|it| &it.owed).chain(&it.unsent).any(is_fresh);
        let is_settled = it.has_settled || !is_left;
        let mut has_room = true;
        for failure in &it.parked {
            has_room &= self.record_failure(round, it.span(asks, &failure.owed), failure, true);
        }
        for failure in failed.iter().filter(|_| !is_whole) {
            has_room &= self.record_failure(round, it.span(asks, &failure.owed), failure, false);
        }
        let unsent = it.unsent.iter().chain(failed.iter().filter(|_| is_whole).map(|it| &it.owed));
        for owed in unsent.filter(|owed| is_settled || !is_fresh(owed)) {
            let span = it.span(asks, owed);
            self.peer.with(|state| {
                match state.calls.pending().contains_key(owed) && span.is_none() {
                    true => {}
                    false => has_room &= state.calls.keep_pending(owed, span, None, (false, None)),
                }
            });
        }
        if !has_room {
            self.fail(round.backlog, "it refuses too many calls", None, None);
        }
        is_settled && has_room
    }

    /// Whether the target refused several new calls, in this attempt or one by one in those before,
    /// and acknowledged nothing between: then it waits as a whole.
    fn refuses_every_call(&self, it: &Attempt) -> bool {
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

    /// Notes what failed by itself in an attempt that came to nothing.
    fn suspect(&self, it: &mut Attempt) {
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

    /// Notes a call that failed, and when it is made again.
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
        let has_room = self.peer.with(|state| {
            state.calls.keep_pending(owed, span, Some(error), (is_parked, Some(wait)))
        });
        let is_logged = !was_parked && (is_parked || (attempts + 1).is_power_of_two());
        let again = Retry { attempt: attempts + 1, wait, is_logged };
        self.log_failure(round, failure, again);
        if is_parked && !was_parked {
            delivery_log::call_parked(&self.peer, &owed.to_string(), error, wait);
        }
        has_room
    }

    /// The lines of a call that was not acknowledged.
    pub(super) fn log_failure(&self, round: &Round<'_>, failure: &CallFailure, again: Retry) {
        let CallFailure { owed, about, tried, .. } = failure;
        self.log_tried(round.target, about, &owed.call, tried, Some(again));
    }

    fn fail_target(&self, round: &Round<'_>, it: &Attempt) {
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

    /// The backlog is settled, but for what waits.
    pub(super) fn advance_calls(&self, round: &Round<'_>, asks: &EventIndex<'_>) {
        let backlog = round.backlog;
        let waiting: Vec<OwedCall> = self.peer.with(|state| {
            state.calls.through = state.calls.through.max(backlog.through);
            // Of what was owed before, no event of this backlog waits.
            let words = state.calls.pending().iter();
            let of_it = words.filter(|(_, word)| word.span.last == backlog.through);
            of_it.map(|(owed, _)| owed.clone()).collect()
        });
        self.shared.journal.let_go(&self.peer.destination, &backlog.events);
        self.log_skipped(backlog, round.target);
        let skipped = self.skipped_count(backlog);
        let all = backlog.events.len() as u64 + backlog.merged_count;
        let waiting = asks.waiting(&waiting);
        self.peer.settled(all.saturating_sub(skipped + waiting), skipped);
    }

    /// Moves the cursor as far as nothing is owed.
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

    /// Nobody could be asked who the target is: as if its first call had failed. A backlog with
    /// nothing for it is settled all the same.
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
        let it = Attempt { failures: vec![failure], ..Attempt::default() };
        self.fail_target(&round, &it);
    }
}
