//! One attempt to deliver a backlog to a target. Every call settles on its own.
//!
//! A call that is refused as malformed is parked and retried after an hour. A call that fails
//! otherwise waits on its own, as long as the target acknowledges others; only if it acknowledges
//! none does the target wait as a whole. A refused call with several items is split, so that each
//! item settles on its own; for a cache, wider calls are tried at once instead. The cursor never
//! passes a waiting call, so nothing counts as delivered before it was acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::{CallFailure, throttle_wait};
use super::log::{CallResult, Retry};
use super::owed::{EventIndex, OwedCall};
use super::send::{CallEvents, Round};
use super::{Reach, Target, TargetCall};
use crate::deliver::echo::keys_of;
use crate::deliver::legacy::FAILURES_MAX;
use crate::deliver::log as delivery_log;
use crate::deliver::partial::{RequestKey, Span};
use crate::deliver::verdict::AnswerVerdict;
use crate::deliver::worker::Worker;
use crate::domain::Event;
use crate::journal::Backlog;
use crate::support::backoff::chance;

/// Calls in one attempt once the target refuses some. Splitting still finds the valid items of a
/// large call within a few attempts, and a target that refuses everything is not flooded.
const CALLS_MAX: usize = 64;
/// A call that failed before is abandoned after this time if new events wait.
const ABANDON_AFTER: Duration = Duration::from_secs(1);
/// Every n-th attempt at such a call keeps its full time limit.
const FULL_TIME_EVERY: u32 = 4;

/// The state of one attempt.
#[derive(Default)]
pub(super) struct TargetAttempt {
    /// Calls of this backlog; the others in the queue waited since an earlier one.
    pub(super) fresh: BTreeSet<OwedCall>,
    /// Items whose own call failed in attempts without an acknowledgement, and how often.
    pub(super) suspects: BTreeMap<String, u32>,
    /// The spans of calls that waited before and are split now.
    pub(super) spans: BTreeMap<OwedCall, Span>,
    pub(super) has_settled: bool,
    pub(super) has_acknowledged: bool,
    pub(super) failures: Vec<CallFailure>,
    pub(super) parked: Vec<CallFailure>,
    /// The last call that was refused and then split.
    pub(super) last_split: Option<CallFailure>,
    /// Refused as malformed; to be replaced by wider calls after all others were made.
    pub(super) to_widen: Vec<CallFailure>,
    /// The wider calls, once they were queued.
    pub(super) wider: Option<BTreeSet<OwedCall>>,
    /// Whether the wider calls were refused too, so that they do not replace the refused calls.
    pub(super) is_wider_refused: bool,
    pub(super) unsent: Vec<OwedCall>,
    pub(super) delivered: u64,
}

impl Worker {
    /// Makes every call that is new or due for a retry.
    pub(in crate::deliver) async fn call(&self, backlog: &Backlog, target: &Target) {
        let index = EventIndex::new(target, backlog);
        let (suspects, waiting, failures) = self.peer.with(|state| {
            let waiting = state.calls.pending().keys().filter(|owed| owed.call.items.len() == 1);
            let waiting = waiting.map(|owed| owed.call.items[0].clone());
            let waiting: BTreeSet<String> = waiting.collect();
            (std::mem::take(&mut state.suspects), waiting, state.failures)
        });
        // An item that failed alone must not make a call with other items fail.
        let is_separate = |it: &String| suspects.contains_key(it) || waiting.contains(it);
        let mut calls = target.calls(backlog, false, self.reader());
        if !suspects.is_empty() {
            calls.extend(self.covered_calls(backlog, target, &suspects));
        }
        if !(suspects.is_empty() && waiting.is_empty()) {
            calls = target.separate(calls, is_separate);
        }
        let mut fresh: Vec<OwedCall> = calls.into_iter().map(OwedCall::new).collect();
        let mut it = TargetAttempt {
            fresh: fresh.iter().cloned().collect(),
            suspects,
            ..TargetAttempt::default()
        };
        let mut seen = BTreeSet::new();
        fresh.retain(|owed| seen.insert(owed.clone()));
        let queue = self
            .peer
            .with(|state| state.calls.begin(fresh, |owed| index.span(owed), Instant::now()));
        let (mut queue, again): (Vec<_>, Vec<_>) =
            queue.into_iter().partition(|owed| it.fresh.contains(owed));
        self.sort_by_failures(&mut queue, &it.suspects);
        self.try_one_item_first(target, &mut it, &mut queue, failures);
        it.has_settled = queue.is_empty();
        let round = Round::of(target, backlog, self.reader());
        self.shared.echo.sending(&self.peer.destination, &keys_of(backlog));
        self.make_calls(&round, &mut it, queue.into()).await;
        self.shared.echo.sent(&self.peer.destination);
        if self.keep_unacknowledged(&round, &index, &mut it) && backlog.through > 0 {
            self.advance_calls(&round, &index);
        }
        self.settle_calls(it.delivered);
        let now = Instant::now();
        let has_to_wait = self.peer.with(|state| state.not_before.is_some_and(|at| at > now));
        if !(again.is_empty() || has_to_wait || self.stop.is_cancelled()) {
            self.retry_waiting(target, again, it.has_acknowledged).await;
        }
    }

    /// Retries the waiting calls, after the new ones, which need not wait for them. Each failure
    /// only affects its own call: whether the target works is decided by new calls.
    async fn retry_waiting(&self, target: &Target, mut queue: Vec<OwedCall>, is_available: bool) {
        let nothing = Backlog::default();
        let round = Round::of(target, &nothing, self.reader());
        let mut it = TargetAttempt {
            has_settled: true,
            has_acknowledged: is_available,
            ..TargetAttempt::default()
        };
        self.sort_by_failures(&mut queue, &it.suspects);
        self.make_calls(&round, &mut it, queue.into()).await;
        let is_down = it.failures.iter().any(CallFailure::is_down);
        self.keep_unacknowledged(&round, &EventIndex::new(target, &nothing), &mut it);
        if is_down {
            // From now on one call at a time probes whether the target is available.
            let wait = self.shared.config.get().backoff.wait(1, chance());
            self.peer.with(|state| state.calls.postpone(Instant::now() + wait));
        }
        self.settle_calls(it.delivered);
    }

    /// The calls for events with items that did not fail. A wide call, such as one for everything,
    /// covers their calls; without this they would never be made if the target refuses the wide
    /// one.
    fn covered_calls(
        &self,
        backlog: &Backlog,
        target: &Target,
        suspects: &BTreeMap<String, u32>,
    ) -> Vec<TargetCall> {
        let reader = self.reader();
        let has_others = |event: &&Arc<Event>| {
            let one = Backlog { events: vec![Arc::clone(event)], ..Backlog::default() };
            let calls = target.calls(&one, false, reader);
            calls.iter().flat_map(|call| &call.items).any(|item| !suspects.contains_key(item))
        };
        let events: Vec<_> = backlog.events.iter().filter(has_others).cloned().collect();
        target.calls(&Backlog { events, ..Backlog::default() }, false, reader)
    }

    /// Sorts by number of failures, so that no call waits behind a failing one for ever.
    fn sort_by_failures(&self, queue: &mut [OwedCall], suspects: &BTreeMap<String, u32>) {
        self.peer.with(|state| {
            queue.sort_by_key(|owed| {
                let attempts = state.calls.pending().get(owed).map_or(0, |known| known.attempts);
                let suspected = owed.call.items.iter().filter_map(|it| suspects.get(it)).copied();
                attempts.max(suspected.max().unwrap_or_default())
            });
        });
    }

    /// After several failures one item goes first in its own call, a different one each time. If it
    /// is acknowledged, the target works and only the rest of the call is refused.
    fn try_one_item_first(
        &self,
        target: &Target,
        it: &mut TargetAttempt,
        queue: &mut Vec<OwedCall>,
        failures: u32,
    ) {
        let Some(first) = queue.first().filter(|_| failures > 1).cloned() else { return };
        let items = &first.call.items;
        if items.len() < 2 {
            return;
        }
        let first_item = &items[failures as usize % items.len()];
        let mut parts = target.separate(vec![(*first.call).clone()], |item| item == first_item);
        parts.reverse();
        queue.splice(..1, self.divide(it, &first, parts));
    }

    /// Replaces a call by its parts, which share its span of events.
    fn divide(
        &self,
        it: &mut TargetAttempt,
        whole: &OwedCall,
        parts: Vec<TargetCall>,
    ) -> Vec<OwedCall> {
        let before = self.peer.with(|state| state.calls.take_out(whole));
        let span = before.or_else(|| it.spans.get(whole).copied());
        let is_fresh = it.fresh.contains(whole);
        let parts: Vec<OwedCall> = parts.into_iter().map(OwedCall::new).collect();
        let item_count = whole.call.items.len().max(1) as u64;
        let mut left = span.map_or(0, |span| span.events);
        for (at, part) in parts.iter().enumerate() {
            if is_fresh {
                it.fresh.insert(part.clone());
            }
            if let Some(span) = span {
                // Assumes that each item has about the same number of events.
                let share = span.events * part.call.items.len() as u64 / item_count;
                let events = if at + 1 == parts.len() { left } else { share };
                left = left.saturating_sub(events);
                it.spans.insert(part.clone(), Span { events, ..span });
            }
        }
        parts
    }

    async fn make_calls(
        &self,
        round: &Round<'_>,
        it: &mut TargetAttempt,
        mut queue: VecDeque<OwedCall>,
    ) {
        let mut made = 0;
        loop {
            if queue.is_empty() {
                queue = self.after_refusals(round, it);
            }
            let Some(owed) = queue.pop_front() else { break };
            let is_enough = made >= CALLS_MAX && it.to_widen.is_empty() && it.has_refusals();
            if is_enough || !self.may_go_on(made).await {
                it.unsent.push(owed);
                break;
            }
            made += 1;
            let about = self.about(round, it, &owed);
            let tried = self.make_unless_newer(round, it, &owed, &about).await;
            if tried.iter().all(|one| one.verdict == AnswerVerdict::Acknowledged) {
                self.log_tried(round.target, &about, &owed.call, &tried, None);
                self.call_acknowledged(it, &owed);
                continue;
            }
            if let Some(wait) = throttle_wait(&tried) {
                let wait = self.peer.throttled(Some(wait));
                delivery_log::throttled(&self.peer, round.backlog, wait);
                it.unsent.push(owed);
                break;
            }
            if self.is_over(round, it, &mut queue, CallFailure::of(owed, about, tried)) {
                it.unsent.extend(queue.drain(..));
                if !it.may_widen() {
                    break;
                }
            }
        }
        it.unsent.extend(queue);
        // If the target acknowledged others, a refused call without wider calls waits on its own.
        // Otherwise it is made again with the whole backlog.
        it.has_settled &= it.to_widen.is_empty() || it.has_acknowledged;
        it.unsent.extend(it.to_widen.drain(..).map(|refused| refused.owed));
    }

    /// Makes one call. A call that failed before is abandoned once new events wait, so that a
    /// hanging call does not delay the others by its time limit; but not every time, because the
    /// target may only be slow.
    async fn make_unless_newer(
        &self,
        round: &Round<'_>,
        it: &TargetAttempt,
        owed: &OwedCall,
        about: &CallEvents,
    ) -> Vec<CallResult> {
        let begun = Instant::now();
        let known = self.peer.with(|state| state.calls.pending().get(owed).map(|it| it.attempts));
        let suspected = owed.call.items.first().filter(|_| owed.call.items.len() == 1);
        let suspected = suspected.and_then(|item| it.suspects.get(item)).copied();
        let failed = known.max(suspected).unwrap_or_default();
        let is_abandonable = failed > 0 && !failed.is_multiple_of(FULL_TIME_EVERY);
        tokio::select! {
            tried = self.make(round.target, about, &owed.call) => tried,
            () = self.news_after(round.backlog.through), if is_abandonable => {
                let error = "no answer yet, and new events wait".to_owned();
                let verdict = AnswerVerdict::Refused(error, None);
                vec![CallResult { address: None, answer: None, verdict, took: begun.elapsed() }]
            }
        }
    }

    /// Returns once new events wait, but not before [`ABANDON_AFTER`].
    async fn news_after(&self, through: u64) {
        let mut due = self.shared.journal.due();
        tokio::time::sleep(ABANDON_AFTER).await;
        let through = through.max(self.peer.with(|state| state.settled_through()));
        loop {
            due.borrow_and_update();
            if self.has_pending_after(through) {
                return;
            }
            if due.changed().await.is_err() {
                // The journal is closed: no new event will come.
                return std::future::pending().await;
            }
        }
    }

    fn about(&self, round: &Round<'_>, it: &TargetAttempt, owed: &OwedCall) -> Arc<CallEvents> {
        if it.fresh.contains(owed) {
            return Arc::clone(&round.about);
        }
        let span = it.spans.get(owed).copied();
        match span.or_else(|| self.peer.with(|state| state.calls.span_of(owed))) {
            Some(span) => Arc::new(self.events_of_waiting(round.target, owed, span)),
            None => Arc::clone(&round.about),
        }
    }

    /// Waits for the rate limit; the first call has already waited.
    async fn may_go_on(&self, made: usize) -> bool {
        if made == 0 {
            return true;
        }
        tokio::select! {
            () = self.stop.cancelled() => false,
            _ = self.peer.limiter.turn() => true,
        }
    }

    /// The next calls once the queue is empty: wider calls for the refused ones, or, if those were
    /// refused too, the parts of the refused calls.
    fn after_refusals(&self, round: &Round<'_>, it: &mut TargetAttempt) -> VecDeque<OwedCall> {
        let mut queue = VecDeque::new();
        if it.to_widen.is_empty() {
            return queue;
        }
        if it.wider.is_none() {
            let wider = round.target.calls(round.backlog, true, round.reader);
            let mut wider: Vec<OwedCall> = wider.into_iter().map(OwedCall::new).collect();
            self.sort_by_failures(&mut wider, &it.suspects);
            it.fresh.extend(wider.iter().cloned());
            it.wider = Some(wider.iter().cloned().collect());
            let is_wider = |refused: &CallFailure| !wider.contains(&refused.owed);
            if !wider.is_empty() && it.to_widen.iter().all(is_wider) {
                return wider.into();
            }
            it.is_wider_refused = true;
        }
        for refused in std::mem::take(&mut it.to_widen) {
            if !it.is_wider_refused {
                // Each wider call settles on its own.
                let again = Retry { attempt: 1, wait: Duration::ZERO, is_logged: true };
                self.log_failure(round, &refused, again);
                continue;
            }
            match round.target.halves(&refused.owed.call) {
                halves if halves.is_empty() => {
                    it.has_settled = true;
                    it.parked.push(refused);
                }
                halves => self.split(round, it, refused, halves, &mut queue),
            }
        }
        queue
    }

    /// Records a failure and decides what follows. Returns whether the attempt is over.
    fn is_over(
        &self,
        round: &Round<'_>,
        it: &mut TargetAttempt,
        queue: &mut VecDeque<OwedCall>,
        failure: CallFailure,
    ) -> bool {
        if it.is_widest_refused(&failure, self.peer.with(|state| state.failures)) {
            // The calls that it should have replaced are split instead.
            it.is_wider_refused = true;
            let again = Retry { attempt: 1, wait: Duration::ZERO, is_logged: true };
            self.log_failure(round, &failure, again);
            return false;
        }
        let can_be_wider = round.target.can_widen() && it.wider.is_none();
        if failure.is_malformed() && can_be_wider && it.fresh.contains(&failure.owed) {
            it.to_widen.push(failure);
            return false;
        }
        let failed_before = self.peer.with(|state| state.failures > 0);
        let is_due_to_call = it.has_settled
            || failure.is_malformed()
            || (failed_before && !failure.is_unauthorized() && !failure.is_down());
        let halves = if is_due_to_call { round.target.halves(&failure.owed.call) } else { vec![] };
        if !halves.is_empty() {
            let is_down = failure.is_down();
            self.split(round, it, failure, halves, queue);
            return is_down;
        }
        if failure.is_down() {
            it.failures.insert(0, failure);
            return true;
        }
        if failure.is_malformed() {
            it.has_settled = true;
            it.parked.push(failure);
            return it.is_refused_altogether();
        }
        let is_unauthorized = failure.is_unauthorized();
        it.failures.push(failure);
        !it.has_settled && (is_unauthorized || it.failures.len() >= FAILURES_MAX)
    }

    fn split(
        &self,
        round: &Round<'_>,
        it: &mut TargetAttempt,
        failure: CallFailure,
        halves: Vec<TargetCall>,
        queue: &mut VecDeque<OwedCall>,
    ) {
        let attempt = self.peer.with(|state| state.failures) + 1;
        let again = Retry { attempt, wait: Duration::ZERO, is_logged: false };
        self.log_failure(round, &failure, again);
        queue.extend(self.divide(it, &failure.owed, halves));
        it.last_split = Some(failure);
    }

    fn call_acknowledged(&self, it: &mut TargetAttempt, owed: &OwedCall) {
        (it.has_settled, it.has_acknowledged) = (true, true);
        let (failures, lasted) = self.peer.with(|state| (state.failures, state.streak.end()));
        if self.peer.succeeded() {
            delivery_log::closed(&self.peer, failures, lasted);
        }
        let (events, was_parked) = self.peer.with(|state| state.calls.acknowledge(owed));
        it.delivered += events;
        // Failed calls that it covers are settled too.
        let is_left = |failure: &CallFailure| !owed.covers(&failure.owed);
        it.failures.retain(is_left);
        it.parked.retain(is_left);
        it.to_widen.retain(is_left);
        if was_parked {
            delivery_log::call_unparked(&self.peer, &owed.to_string());
        }
    }
}

impl TargetAttempt {
    /// Whether wider calls may still be made although the target just failed to answer: it
    /// acknowledged others in this attempt.
    fn may_widen(&self) -> bool {
        self.has_acknowledged && !self.to_widen.is_empty()
    }

    /// Whether a wider call failed that should have replaced all refused calls. If the target
    /// acknowledged nothing and does not answer, the target waits as a whole instead, but only
    /// twice: this call may be the one at which it hangs.
    fn is_widest_refused(&self, failure: &CallFailure, failures: u32) -> bool {
        let is_wider = self.wider.as_ref().is_some_and(|wider| wider.contains(&failure.owed));
        let is_everything = failure.owed.call.reach != Reach::Itself;
        let is_whole = failure.is_down() && !self.has_acknowledged && failures < 2;
        is_wider && is_everything && !self.to_widen.is_empty() && !is_whole
    }

    /// Whether the target acknowledged nothing and refused several new calls, so that it is at
    /// fault rather than the calls.
    pub(super) fn is_refused_altogether(&self) -> bool {
        !self.has_acknowledged && self.fresh_refused() >= FAILURES_MAX
    }

    /// How many new calls were refused as malformed.
    pub(super) fn fresh_refused(&self) -> usize {
        self.parked.iter().filter(|refused| self.fresh.contains(&refused.owed)).count()
    }

    pub(super) fn has_refusals(&self) -> bool {
        !(self.failures.is_empty() && self.parked.is_empty()) || self.last_split.is_some()
    }

    /// The events of a call: computed if it is new, remembered if it waited before.
    pub(super) fn span(&self, index: &EventIndex<'_>, owed: &OwedCall) -> Option<Span> {
        match self.fresh.contains(owed) {
            true => Some(index.span(owed)),
            false => self.spans.get(owed).copied(),
        }
    }
}
