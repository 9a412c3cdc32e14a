//! One attempt at a site or a cache: every call settles alone.
//!
//! A call that is refused for what it says is parked and made again after an hour; one that failed
//! otherwise waits on its own, as long as the target takes others. Only a target that takes nothing
//! waits as a whole. A refused call of several words is split, so that each word settles alone; a
//! cache is told the same wider at once. The cursor stays in front of what waits, so nothing counts
//! as delivered that was not acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::{CallFailure, throttled};
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

/// Calls of one attempt, once the target refuses some: the good words of a large call are found
/// within a few attempts, and a target that refuses everything is not flooded.
const CALLS_MAX: usize = 64;
/// A call that failed before gives way to news after this time.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(1);
/// Each attempt of so many at such a call has all the time that there is.
const PATIENT_EVERY: u32 = 4;

/// What an attempt has come to.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) fresh: BTreeSet<OwedCall>,
    /// Words that failed in attempts that came to nothing, and how often.
    pub(super) suspects: BTreeMap<String, u32>,
    /// Of what was owed before and is split now.
    pub(super) spans: BTreeMap<OwedCall, Span>,
    pub(super) has_settled: bool,
    pub(super) has_acknowledged: bool,
    pub(super) failures: Vec<CallFailure>,
    pub(super) parked: Vec<CallFailure>,
    /// The last call that was refused and split.
    pub(super) divided: Option<CallFailure>,
    /// Refused for what it says, and told wider after all others.
    pub(super) narrow: Vec<CallFailure>,
    /// The wider calls, once they are made.
    pub(super) wider: Option<BTreeSet<OwedCall>>,
    /// Whether the wider calls do not stand for what was refused.
    pub(super) is_wider_refused: bool,
    pub(super) unsent: Vec<OwedCall>,
    pub(super) delivered: u64,
}

impl Worker {
    /// Makes every call that is new or due again.
    pub(in crate::deliver) async fn call(&self, backlog: &Backlog, target: &Target) {
        let asks = EventIndex::new(target, backlog);
        let (suspects, waiting, failures) = self.peer.with(|state| {
            let waiting = state.calls.pending().keys().filter(|owed| owed.call.items.len() == 1);
            let waiting = waiting.map(|owed| owed.call.items[0].clone());
            let waiting: BTreeSet<String> = waiting.collect();
            (std::mem::take(&mut state.suspects), waiting, state.failures)
        });
        // What failed by itself must not make a call of others fail.
        let is_apart = |it: &String| suspects.contains_key(it) || waiting.contains(it);
        let mut calls = target.calls(backlog, false, self.reader());
        if !suspects.is_empty() {
            calls.extend(self.hidden_calls(backlog, target, &suspects));
        }
        if !(suspects.is_empty() && waiting.is_empty()) {
            calls = target.separate(calls, is_apart);
        }
        let mut fresh: Vec<OwedCall> = calls.into_iter().map(OwedCall::new).collect();
        let mut it =
            Attempt { fresh: fresh.iter().cloned().collect(), suspects, ..Attempt::default() };
        let mut seen = BTreeSet::new();
        fresh.retain(|owed| seen.insert(owed.clone()));
        let queue = self
            .peer
            .with(|state| state.calls.begin(fresh, |owed| asks.span(owed), Instant::now()));
        let (mut queue, again): (Vec<_>, Vec<_>) =
            queue.into_iter().partition(|owed| it.fresh.contains(owed));
        self.sort_by_failures(&mut queue, &it.suspects);
        self.try_one_item_first(target, &mut it, &mut queue, failures);
        it.has_settled = queue.is_empty();
        let round = Round::of(target, backlog, self.reader());
        self.shared.echo.sending(&self.peer.destination, &keys_of(backlog));
        self.make_calls(&round, &mut it, queue.into()).await;
        self.shared.echo.sent(&self.peer.destination);
        if self.keep_unacknowledged(&round, &asks, &mut it) && backlog.through > 0 {
            self.advance_calls(&round, &asks);
        }
        self.settle_calls(it.delivered);
        let now = Instant::now();
        let has_to_wait = self.peer.with(|state| state.not_before.is_some_and(|at| at > now));
        if !(again.is_empty() || has_to_wait || self.stop.is_cancelled()) {
            self.call_again(target, again, it.has_acknowledged).await;
        }
    }

    /// Makes the calls that waited. What is new is settled before, for it need not wait for them.
    /// However they fail, each waits by itself: whether the target is well shows with new calls.
    async fn call_again(&self, target: &Target, mut queue: Vec<OwedCall>, is_well: bool) {
        let nothing = Backlog::default();
        let round = Round::of(target, &nothing, self.reader());
        let mut it = Attempt { has_settled: true, has_acknowledged: is_well, ..Attempt::default() };
        self.sort_by_failures(&mut queue, &it.suspects);
        self.make_calls(&round, &mut it, queue.into()).await;
        let is_down = it.failures.iter().any(CallFailure::is_down);
        self.keep_unacknowledged(&round, &EventIndex::new(target, &nothing), &mut it);
        if is_down {
            // One call a time shows whether it is well again.
            let wait = self.shared.config.get().backoff.wait(1, chance());
            self.peer.with(|state| state.calls.postpone(Instant::now() + wait));
        }
        self.settle_calls(it.delivered);
    }

    /// The calls for events that say more than what failed. A wide call, such as one for
    /// everything, covers theirs, so that they would never be made where the target cannot take it.
    fn hidden_calls(
        &self,
        backlog: &Backlog,
        target: &Target,
        suspects: &BTreeMap<String, u32>,
    ) -> Vec<TargetCall> {
        let reader = self.reader();
        let says_more = |event: &&Arc<Event>| {
            let one = Backlog { events: vec![Arc::clone(event)], ..Backlog::default() };
            let calls = target.calls(&one, false, reader);
            calls.iter().flat_map(|call| &call.items).any(|word| !suspects.contains_key(word))
        };
        let events: Vec<_> = backlog.events.iter().filter(says_more).cloned().collect();
        target.calls(&Backlog { events, ..Backlog::default() }, false, reader)
    }

    /// Whatever failed most goes last, so that nothing stays behind it for ever.
    fn sort_by_failures(&self, queue: &mut [OwedCall], suspects: &BTreeMap<String, u32>) {
        self.peer.with(|state| {
            queue.sort_by_key(|owed| {
                let attempts = state.calls.pending().get(owed).map_or(0, |known| known.attempts);
                let says = owed.call.items.iter().filter_map(|it| suspects.get(it)).copied();
                attempts.max(says.max().unwrap_or_default())
            });
        });
    }

    /// After several failures one word goes first, another each time: where it is taken, the target
    /// is well, and it is the rest that it cannot take.
    fn try_one_item_first(
        &self,
        target: &Target,
        it: &mut Attempt,
        queue: &mut Vec<OwedCall>,
        failures: u32,
    ) {
        let Some(first) = queue.first().filter(|_| failures > 1).cloned() else { return };
        let says = &first.call.items;
        if says.len() < 2 {
            return;
        }
        let word = &says[failures as usize % says.len()];
        let mut parts = target.separate(vec![(*first.call).clone()], |it| it == word);
        parts.reverse();
        queue.splice(..1, self.divide(it, &first, parts));
    }

    /// The parts of a call, each owed for what the whole is.
    fn divide(&self, it: &mut Attempt, whole: &OwedCall, parts: Vec<TargetCall>) -> Vec<OwedCall> {
        let before = self.peer.with(|state| state.calls.take_out(whole));
        let span = before.or_else(|| it.spans.get(whole).copied());
        let is_fresh = it.fresh.contains(whole);
        let parts: Vec<OwedCall> = parts.into_iter().map(OwedCall::new).collect();
        let words = whole.call.items.len().max(1) as u64;
        let mut left = span.map_or(0, |span| span.events);
        for (at, part) in parts.iter().enumerate() {
            if is_fresh {
                it.fresh.insert(part.clone());
            }
            if let Some(span) = span {
                // Each word has about as many events as the others.
                let share = span.events * part.call.items.len() as u64 / words;
                let events = if at + 1 == parts.len() { left } else { share };
                left = left.saturating_sub(events);
                it.spans.insert(part.clone(), Span { events, ..span });
            }
        }
        parts
    }

    async fn make_calls(&self, round: &Round<'_>, it: &mut Attempt, mut queue: VecDeque<OwedCall>) {
        let mut made = 0;
        loop {
            if queue.is_empty() {
                queue = self.after_refusals(round, it);
            }
            let Some(owed) = queue.pop_front() else { break };
            let is_enough = made >= CALLS_MAX && it.narrow.is_empty() && it.has_refusals();
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
            if let Some(wait) = throttled(&tried) {
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
        // What was refused and not told wider yet waits by itself where the target takes others.
        // Else it is called for again, with the whole backlog.
        it.has_settled &= it.narrow.is_empty() || it.has_acknowledged;
        it.unsent.extend(it.narrow.drain(..).map(|refused| refused.owed));
    }

    /// One call. One that failed before gives way to news after a while, so that a call at which
    /// the target hangs does not delay every other by its timeout; but not each time, for the
    /// target may only be slow.
    async fn make_unless_newer(
        &self,
        round: &Round<'_>,
        it: &Attempt,
        owed: &OwedCall,
        about: &CallEvents,
    ) -> Vec<CallResult> {
        let begun = Instant::now();
        let known = self.peer.with(|state| state.calls.pending().get(owed).map(|it| it.attempts));
        let suspected = owed.call.items.first().filter(|_| owed.call.items.len() == 1);
        let suspected = suspected.and_then(|word| it.suspects.get(word)).copied();
        let failed = known.max(suspected).unwrap_or_default();
        let gives_way = failed > 0 && !failed.is_multiple_of(PATIENT_EVERY);
        tokio::select! {
            tried = self.make(round.target, about, &owed.call) => tried,
            () = self.news_after(round.backlog.through), if gives_way => {
                let error = "no answer yet, and something new to send".to_owned();
                let verdict = AnswerVerdict::Refused(error, None);
                vec![CallResult { address: None, answer: None, verdict, took: begun.elapsed() }]
            }
        }
    }

    /// Ends once something new waits, after a while at the earliest.
    async fn news_after(&self, through: u64) {
        let mut due = self.shared.journal.due();
        tokio::time::sleep(GIVES_WAY_AFTER).await;
        let through = through.max(self.peer.with(|state| state.settled_through()));
        loop {
            due.borrow_and_update();
            if self.has_pending_after(through) {
                return;
            }
            if due.changed().await.is_err() {
                // Nothing new will come any more.
                return std::future::pending().await;
            }
        }
    }

    fn about(&self, round: &Round<'_>, it: &Attempt, owed: &OwedCall) -> Arc<CallEvents> {
        if it.fresh.contains(owed) {
            return Arc::clone(&round.about);
        }
        let span = it.spans.get(owed).copied();
        match span.or_else(|| self.peer.with(|state| state.calls.span_of(owed))) {
            Some(span) => Arc::new(self.events_of_waiting(round.target, owed, span)),
            None => Arc::clone(&round.about),
        }
    }

    /// The first call has waited for its turn already.
    async fn may_go_on(&self, made: usize) -> bool {
        if made == 0 {
            return true;
        }
        tokio::select! {
            () = self.stop.cancelled() => false,
            _ = self.peer.limiter.turn() => true,
        }
    }

    /// What was refused for what it says, told wider once all other calls are made; and where even
    /// everything was refused, in parts.
    fn after_refusals(&self, round: &Round<'_>, it: &mut Attempt) -> VecDeque<OwedCall> {
        let mut queue = VecDeque::new();
        if it.narrow.is_empty() {
            return queue;
        }
        if it.wider.is_none() {
            let wider = round.target.calls(round.backlog, true, round.reader);
            let mut wider: Vec<OwedCall> = wider.into_iter().map(OwedCall::new).collect();
            self.sort_by_failures(&mut wider, &it.suspects);
            it.fresh.extend(wider.iter().cloned());
            it.wider = Some(wider.iter().cloned().collect());
            let is_wider = |refused: &CallFailure| !wider.contains(&refused.owed);
            if !wider.is_empty() && it.narrow.iter().all(is_wider) {
                return wider.into();
            }
            it.is_wider_refused = true;
        }
        for refused in std::mem::take(&mut it.narrow) {
            if !it.is_wider_refused {
                // Each of the wider calls settles alone.
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

    /// Sorts a failure in. Says whether the attempt is over.
    fn is_over(
        &self,
        round: &Round<'_>,
        it: &mut Attempt,
        queue: &mut VecDeque<OwedCall>,
        failure: CallFailure,
    ) -> bool {
        if it.is_everything_refused(&failure, self.peer.with(|state| state.failures)) {
            // What it was to stand for is told in parts.
            it.is_wider_refused = true;
            let again = Retry { attempt: 1, wait: Duration::ZERO, is_logged: true };
            self.log_failure(round, &failure, again);
            return false;
        }
        let can_be_wider = round.target.can_widen() && it.wider.is_none();
        if failure.is_malformed() && can_be_wider && it.fresh.contains(&failure.owed) {
            it.narrow.push(failure);
            return false;
        }
        let failed_before = self.peer.with(|state| state.failures > 0);
        let is_about_it = it.has_settled
            || failure.is_malformed()
            || (failed_before && !failure.is_unauthorized() && !failure.is_down());
        let halves = if is_about_it { round.target.halves(&failure.owed.call) } else { vec![] };
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
        it: &mut Attempt,
        failure: CallFailure,
        halves: Vec<TargetCall>,
        queue: &mut VecDeque<OwedCall>,
    ) {
        let attempt = self.peer.with(|state| state.failures) + 1;
        let again = Retry { attempt, wait: Duration::ZERO, is_logged: false };
        self.log_failure(round, &failure, again);
        queue.extend(self.divide(it, &failure.owed, halves));
        it.divided = Some(failure);
    }

    fn call_acknowledged(&self, it: &mut Attempt, owed: &OwedCall) {
        (it.has_settled, it.has_acknowledged) = (true, true);
        let (failures, lasted) = self.peer.with(|state| (state.failures, state.streak.end()));
        if self.peer.succeeded() {
            delivery_log::closed(&self.peer, failures, lasted);
        }
        let (events, was_parked) = self.peer.with(|state| state.calls.acknowledge(owed));
        it.delivered += events;
        // What it covers and failed before it is owed no more.
        let is_left = |failure: &CallFailure| !owed.covers(&failure.owed);
        it.failures.retain(is_left);
        it.parked.retain(is_left);
        it.narrow.retain(is_left);
        if was_parked {
            delivery_log::call_unparked(&self.peer, &owed.to_string());
        }
    }
}

impl Attempt {
    /// Whether a target that takes others and does not answer now may be told wider what it
    /// refused.
    fn may_widen(&self) -> bool {
        self.has_acknowledged && !self.narrow.is_empty()
    }

    /// Whether a wider call failed that was to stand for everything that was refused. Where the
    /// target acknowledged nothing and does not answer, it waits as a whole instead, but not for
    /// ever: it may be that call at which it hangs.
    fn is_everything_refused(&self, failure: &CallFailure, failures: u32) -> bool {
        let is_wider = self.wider.as_ref().is_some_and(|wider| wider.contains(&failure.owed));
        let is_everything = failure.owed.call.reach != Reach::Itself;
        let is_whole = failure.is_down() && !self.has_acknowledged && failures < 2;
        is_wider && is_everything && !self.narrow.is_empty() && !is_whole
    }

    /// Whether the target took nothing and refused several new calls: the fault is hardly theirs.
    pub(super) fn is_refused_altogether(&self) -> bool {
        !self.has_acknowledged && self.fresh_refused() >= FAILURES_MAX
    }

    /// New calls that were refused for what they say.
    pub(super) fn fresh_refused(&self) -> usize {
        self.parked.iter().filter(|refused| self.fresh.contains(&refused.owed)).count()
    }

    pub(super) fn has_refusals(&self) -> bool {
        !(self.failures.is_empty() && self.parked.is_empty()) || self.divided.is_some()
    }

    /// The events of a call: those of one that waited before are known.
    pub(super) fn span(&self, asks: &EventIndex<'_>, owed: &OwedCall) -> Option<Span> {
        match self.fresh.contains(owed) {
            true => Some(asks.span(owed)),
            false => self.spans.get(owed).copied(),
        }
    }
}
