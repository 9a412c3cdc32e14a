//! One attempt at a site or a cache: every call settles alone.
//!
//! A call that is refused for what it says is parked and made again after an hour; one that failed
//! otherwise waits on its own, as long as the target takes others. Only a target that takes nothing
//! waits as a whole. A refused call of several words is split, so that each word settles alone; a
//! cache is told the same wider at once. The cursor stays in front of what waits, so nothing counts
//! as delivered that was not acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::owed::{Asks, Owed};
use super::send::Round;
use super::tell::{Again, Tried};
use super::{Call, Neighbour};
use crate::deliver::legacy::{FAILURES_MAX, MALFORMED};
use crate::deliver::partial::{PARKED_RETRY, Span, WORDS_MAX};
use crate::deliver::tell as lines;
use crate::deliver::verdict::Verdict;
use crate::deliver::worker::Worker;
use crate::journal::Backlog;
use crate::net::Failure as Problem;
use crate::support::backoff::chance;

/// Calls of one attempt, once the target refuses some: the good words of a large call are found
/// within a few attempts, and a target that refuses everything is not flooded.
const CALLS_MAX: usize = 64;

/// A call that was not acknowledged.
struct Failure {
    owed: Owed,
    tried: Vec<Tried>,
    /// What it was answered with; of several addresses the one that is least about the call.
    status: Option<u16>,
    error: String,
    wait: Option<Duration>,
}

impl Failure {
    fn of(owed: Owed, tried: Vec<Tried>) -> Self {
        let failed = || tried.iter().filter(|one| one.error().is_some());
        let errors = failed().map(|one| {
            let place = one.address.map(|address| format!("{}: ", address.ip()));
            format!("{}{}", place.unwrap_or_default(), one.error().unwrap_or_default())
        });
        let error = errors.collect::<Vec<_>>().join("; ");
        let wait = tried.iter().filter_map(|one| match &one.verdict {
            Verdict::Refused(_, wait) | Verdict::Throttled(wait) => *wait,
            _ => None,
        });
        let wait = wait.max();
        let status = |one: &Tried| one.answer.as_ref().map(|answer| answer.status);
        let mut statuses: Vec<Option<u16>> = failed().map(status).collect();
        statuses.sort_by_key(|status| status.map(|status| (is_of_the_moment(status), status)));
        // `None`, nobody answered, sorts first; a status of the moment is last.
        let status = match statuses.first() {
            Some(Some(_)) => statuses.last().copied().flatten(),
            _ => None,
        };
        Self { owed, tried, status, error, wait }
    }

    fn is_malformed(&self) -> bool {
        self.status.is_some_and(|status| MALFORMED.contains(&status))
    }

    /// Whether the answer is about the credentials.
    fn is_unwelcome(&self) -> bool {
        matches!(self.status, Some(401 | 403))
    }

    /// Whether the target as a whole is not well.
    fn is_down(&self) -> bool {
        self.status.is_none_or(is_of_the_moment)
    }
}

/// Whether a status is about the moment and not about what was said.
fn is_of_the_moment(status: u16) -> bool {
    matches!(status, 407 | 408 | 425 | 429 | 502..=504)
}

/// What an attempt has come to.
#[derive(Default)]
struct Attempt {
    fresh: BTreeSet<Owed>,
    /// Words that failed in attempts that came to nothing, and how often.
    suspects: BTreeMap<String, u32>,
    /// Of what was owed before and is split now.
    spans: BTreeMap<Owed, Span>,
    has_settled: bool,
    has_acknowledged: bool,
    failures: Vec<Failure>,
    parked: Vec<Failure>,
    /// The last call that was refused and split.
    divided: Option<Failure>,
    /// Refused, and told wider after all others.
    narrow: Vec<Failure>,
    is_wider: bool,
    unsent: Vec<Owed>,
    delivered: u64,
}

impl Worker {
    /// Makes every call that is new or due again.
    pub(in crate::deliver) async fn call(&self, backlog: &Backlog, neighbour: &Neighbour) {
        let asks = Asks::new(neighbour, backlog);
        let (suspects, waiting, failures) = self.peer.with(|state| {
            let waiting = state.calls.words().keys().filter(|owed| owed.call.says.len() == 1);
            let waiting = waiting.map(|owed| owed.call.says[0].clone());
            let waiting: BTreeSet<String> = waiting.collect();
            (std::mem::take(&mut state.suspects), waiting, state.failures)
        });
        // What failed by itself must not make a call of others fail.
        let is_apart = |it: &String| suspects.contains_key(it) || waiting.contains(it);
        let calls = neighbour.apart(neighbour.calls(backlog, false, self.reader()), is_apart);
        let fresh: Vec<Owed> = calls.into_iter().map(Owed::new).collect();
        let mut attempt =
            Attempt { fresh: fresh.iter().cloned().collect(), suspects, ..Attempt::default() };
        let mut queue = self
            .peer
            .with(|state| state.calls.begin(fresh, |owed| asks.span(owed), Instant::now()));
        self.put_what_failed_last(&mut queue, &attempt.suspects);
        self.put_a_word_first(neighbour, &mut attempt, &mut queue, failures);
        attempt.has_settled = queue.is_empty();
        let round = Round::of(neighbour, backlog, self.reader());
        self.make_calls(&round, &mut attempt, queue.into()).await;
        if self.keep_calls(&round, &asks, &mut attempt) && backlog.through > 0 {
            self.advance_calls(&round, &asks);
        }
        self.settle_calls(attempt.delivered);
    }

    /// Whatever failed most goes last, so that nothing stays behind it for ever.
    fn put_what_failed_last(&self, queue: &mut [Owed], suspects: &BTreeMap<String, u32>) {
        self.peer.with(|state| {
            queue.sort_by_key(|owed| {
                let attempts = state.calls.words().get(owed).map_or(0, |known| known.attempts);
                let says = owed.call.says.iter().filter_map(|it| suspects.get(it)).copied();
                attempts.max(says.max().unwrap_or_default())
            });
        });
    }

    /// After several failures one word goes first, another each time: where it is taken, the target
    /// is well, and it is the rest that it cannot take.
    fn put_a_word_first(
        &self,
        neighbour: &Neighbour,
        it: &mut Attempt,
        queue: &mut Vec<Owed>,
        failures: u32,
    ) {
        let Some(first) = queue.first().filter(|_| failures > 1).cloned() else { return };
        let says = &first.call.says;
        if says.len() < 2 {
            return;
        }
        let word = &says[failures as usize % says.len()];
        let mut parts = neighbour.apart(vec![(*first.call).clone()], |it| it == word);
        parts.reverse();
        queue.splice(..1, self.divide(it, &first, parts));
    }

    /// The parts of a call, each owed for what the whole is.
    fn divide(&self, it: &mut Attempt, whole: &Owed, parts: Vec<Call>) -> Vec<Owed> {
        let before = self.peer.with(|state| state.calls.take_out(whole));
        let span = before.or_else(|| it.spans.get(whole).copied());
        let is_fresh = it.fresh.contains(whole);
        let parts: Vec<Owed> = parts.into_iter().map(Owed::new).collect();
        let words = whole.call.says.len().max(1) as u64;
        let mut left = span.map_or(0, |span| span.events);
        for (at, part) in parts.iter().enumerate() {
            if is_fresh {
                it.fresh.insert(part.clone());
            }
            if let Some(span) = span {
                // Each word has about as many events as the others.
                let share = span.events * part.call.says.len() as u64 / words;
                let events = if at + 1 == parts.len() { left } else { share };
                left = left.saturating_sub(events);
                it.spans.insert(part.clone(), Span { events, ..span });
            }
        }
        parts
    }

    async fn make_calls(&self, round: &Round<'_>, it: &mut Attempt, mut queue: VecDeque<Owed>) {
        let mut made = 0;
        loop {
            if queue.is_empty() {
                queue = self.wider_calls(round, it);
            }
            let Some(owed) = queue.pop_front() else { return };
            let is_enough = made >= CALLS_MAX && it.narrow.is_empty() && it.has_refusals();
            if is_enough || !self.may_go_on(made).await {
                it.unsent.push(owed);
                break;
            }
            made += 1;
            let tried = self.make(round, &owed.call).await;
            if tried.iter().all(|one| one.verdict == Verdict::Acknowledged) {
                self.tell_tried(round, &owed.call, &tried, None);
                self.call_acknowledged(it, &owed);
                continue;
            }
            if let Some(wait) = throttled(&tried) {
                let wait = self.peer.throttled(Some(wait));
                lines::throttled(&self.peer, round.backlog, wait);
                it.unsent.push(owed);
                break;
            }
            if self.is_over(round, it, &mut queue, Failure::of(owed, tried)) {
                break;
            }
        }
        it.unsent.extend(queue);
        // What was refused and not told wider yet is called for again, with the whole backlog.
        if !it.narrow.is_empty() {
            it.has_settled = false;
            it.unsent.extend(it.narrow.drain(..).map(|refused| refused.owed));
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

    /// What was refused for what it says, told wider, once all other calls are made.
    fn wider_calls(&self, round: &Round<'_>, it: &mut Attempt) -> VecDeque<Owed> {
        if it.narrow.is_empty() || it.is_wider {
            return VecDeque::new();
        }
        it.is_wider = true;
        let mut wider: Vec<Owed> = round
            .neighbour
            .calls(round.backlog, true, round.reader)
            .into_iter()
            .map(Owed::new)
            .collect();
        let is_wider = |refused: &Failure| !wider.contains(&refused.owed);
        if wider.is_empty() || !it.narrow.iter().all(is_wider) {
            it.parked.append(&mut it.narrow);
            it.has_settled = true;
            return VecDeque::new();
        }
        for refused in it.narrow.drain(..) {
            let again = Again { attempt: 1, wait: Duration::ZERO, is_told: true };
            self.tell_tried(round, &refused.owed.call, &refused.tried, Some(again));
        }
        self.put_what_failed_last(&mut wider, &it.suspects);
        it.fresh.extend(wider.iter().cloned());
        wider.into()
    }

    /// Sorts a failure in. Says whether the attempt is over.
    fn is_over(
        &self,
        round: &Round<'_>,
        it: &mut Attempt,
        queue: &mut VecDeque<Owed>,
        failure: Failure,
    ) -> bool {
        let failed_before = self.peer.with(|state| state.failures > 0);
        let is_about_it = it.has_settled
            || failure.is_malformed()
            || (failed_before && !failure.is_unwelcome() && !failure.is_down());
        let halves = if is_about_it { round.neighbour.halves(&failure.owed.call) } else { vec![] };
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
            let can_be_wider = round.neighbour.has_wider_calls() && !it.is_wider;
            if can_be_wider && it.fresh.contains(&failure.owed) {
                it.narrow.push(failure);
            } else {
                it.has_settled = true;
                it.parked.push(failure);
            }
            return it.is_refused_altogether();
        }
        let is_unwelcome = failure.is_unwelcome();
        it.failures.push(failure);
        !it.has_settled && (is_unwelcome || it.failures.len() >= FAILURES_MAX)
    }

    fn split(
        &self,
        round: &Round<'_>,
        it: &mut Attempt,
        failure: Failure,
        halves: Vec<Call>,
        queue: &mut VecDeque<Owed>,
    ) {
        let attempt = self.peer.with(|state| state.failures) + 1;
        let again = Again { attempt, wait: Duration::ZERO, is_told: false };
        self.tell_tried(round, &failure.owed.call, &failure.tried, Some(again));
        queue.extend(self.divide(it, &failure.owed, halves));
        it.divided = Some(failure);
    }

    fn call_acknowledged(&self, it: &mut Attempt, owed: &Owed) {
        (it.has_settled, it.has_acknowledged) = (true, true);
        let (failures, lasted) = self.peer.with(|state| (state.failures, state.row.end()));
        if self.peer.succeeded() {
            lines::closed(&self.peer, failures, lasted);
        }
        let (events, was_parked) = self.peer.with(|state| state.calls.acknowledge(owed));
        it.delivered += events;
        if was_parked {
            lines::call_unparked(&self.peer, &owed.to_string());
        }
    }

    /// Keeps what was not acknowledged. Says whether the backlog is settled but for that; where the
    /// target took nothing it is not, and all of it is called for again.
    fn keep_calls(&self, round: &Round<'_>, asks: &Asks<'_>, it: &mut Attempt) -> bool {
        if it.is_refused_altogether() {
            it.has_settled = false;
            it.failures.append(&mut it.parked);
        }
        let is_left = it.unsent.iter().any(|owed| it.fresh.contains(owed));
        if !it.has_settled && it.failures.is_empty() && is_left {
            // Refused in all the parts that it was told in so far.
            it.failures.extend(it.divided.take());
        }
        let is_whole = !it.has_settled && !it.failures.is_empty();
        if is_whole {
            self.fail_as_a_target(round, it);
            self.suspect(it);
        }
        let failed = std::mem::take(&mut it.failures);
        let is_fresh = |owed: &Owed| it.fresh.contains(owed);
        let is_left = failed.iter().map(|it| &it.owed).chain(&it.unsent).any(is_fresh);
        let is_settled = it.has_settled || !is_left;
        let mut has_room = true;
        for failure in &it.parked {
            has_room &= self.owe_call(round, it.span(asks, &failure.owed), failure, true);
        }
        for failure in failed.iter().filter(|_| !is_whole) {
            has_room &= self.owe_call(round, it.span(asks, &failure.owed), failure, false);
        }
        let unsent = it.unsent.iter().chain(failed.iter().filter(|_| is_whole).map(|it| &it.owed));
        for owed in unsent.filter(|owed| is_settled || !is_fresh(owed)) {
            let span = it.span(asks, owed);
            self.peer.with(|state| {
                match state.calls.words().contains_key(owed) && span.is_none() {
                    true => {}
                    false => has_room &= state.calls.owe(owed, span, None, (false, None)),
                }
            });
        }
        if !has_room {
            self.fail(round.backlog, "it refuses too many calls", None, None);
        }
        is_settled && has_room
    }

    /// Notes what failed by itself in an attempt that came to nothing.
    fn suspect(&self, it: &mut Attempt) {
        let mut suspects = std::mem::take(&mut it.suspects);
        for Failure { owed, error, .. } in &it.failures {
            if it.fresh.contains(owed) && owed.call.says.len() == 1 {
                *suspects.entry(owed.call.says[0].clone()).or_default() += 1;
            }
            let now = (false, Some(Duration::ZERO));
            self.peer.with(|state| match state.calls.words().contains_key(owed) {
                true => state.calls.owe(owed, None, Some(error), now),
                false => true,
            });
        }
        while suspects.len() > WORDS_MAX {
            suspects.pop_first();
        }
        self.peer.with(|state| state.suspects = suspects);
    }

    /// Notes a call that failed, and when it is made again.
    fn owe_call(
        &self,
        round: &Round<'_>,
        span: Option<Span>,
        failure: &Failure,
        is_parked: bool,
    ) -> bool {
        let Failure { owed, error, .. } = failure;
        let (attempts, was_parked) = self.peer.with(|state| {
            let known = state.calls.words().get(owed);
            known.map_or((0, false), |known| (known.attempts, known.is_parked))
        });
        let backoff = self.shared.config.get().backoff;
        let own = if is_parked { PARKED_RETRY } else { backoff.wait(attempts + 1, chance()) };
        let wait = own.max(failure.wait.unwrap_or_default());
        let has_room = self
            .peer
            .with(|state| state.calls.owe(owed, span, Some(error), (is_parked, Some(wait))));
        let is_told = !was_parked && (is_parked || (attempts + 1).is_power_of_two());
        let again = Again { attempt: attempts + 1, wait, is_told };
        self.tell_tried(round, &owed.call, &failure.tried, Some(again));
        if is_parked && !was_parked {
            lines::call_parked(&self.peer, &owed.to_string(), error, wait);
        }
        has_room
    }

    fn fail_as_a_target(&self, round: &Round<'_>, it: &Attempt) {
        let Some(first) = it.failures.first() else { return };
        let is_outage = self.is_outage(&first.tried);
        let setback = self.setback(round.backlog, &first.error, first.wait, is_outage);
        let (attempt, wait, is_told) = (setback.attempt, setback.wait, setback.is_told);
        for failure in &it.failures {
            let again = Again { attempt, wait, is_told };
            self.tell_tried(round, &failure.owed.call, &failure.tried, Some(again));
        }
        if setback.opens {
            lines::opened(&self.peer);
        }
    }

    /// The backlog is settled, but for what waits.
    fn advance_calls(&self, round: &Round<'_>, asks: &Asks<'_>) {
        let backlog = round.backlog;
        let waiting: Vec<Owed> = self.peer.with(|state| {
            state.calls.through = state.calls.through.max(backlog.through);
            // Of what was owed before, no event of this backlog waits.
            let words = state.calls.words().iter();
            let of_it = words.filter(|(_, word)| word.span.last == backlog.through);
            of_it.map(|(owed, _)| owed.clone()).collect()
        });
        self.tell_silence(backlog, round.neighbour);
        let skipped = self.untold(backlog);
        let all = backlog.events.len() as u64 + backlog.merged_count;
        let waiting = asks.waiting(&waiting);
        self.peer.settled(all.saturating_sub(skipped + waiting), skipped);
    }

    /// Moves the cursor as far as nothing is owed.
    fn settle_calls(&self, delivered: u64) {
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
        let Some(neighbour) = self.peer.config.errand.neighbour() else {
            return self.fail(backlog, &why.to_string(), None, None);
        };
        let round = Round::of(neighbour, backlog, self.reader());
        let Some(call) = neighbour.calls(backlog, false, round.reader).into_iter().next() else {
            self.advance_calls(&round, &Asks::new(neighbour, backlog));
            return self.settle_calls(0);
        };
        let verdict = Verdict::Refused(why.to_string(), None);
        let tried = Tried { address: None, answer: None, verdict, took: Duration::ZERO };
        let failure = Failure::of(Owed::new(call), vec![tried]);
        let it = Attempt { failures: vec![failure], ..Attempt::default() };
        self.fail_as_a_target(&round, &it);
    }
}

impl Attempt {
    /// Whether the target took nothing and refused several new calls: the fault is hardly theirs.
    fn is_refused_altogether(&self) -> bool {
        let fresh = self.parked.iter().filter(|refused| self.fresh.contains(&refused.owed));
        !self.has_acknowledged && fresh.count() >= FAILURES_MAX
    }

    fn has_refusals(&self) -> bool {
        !(self.failures.is_empty() && self.parked.is_empty()) || self.divided.is_some()
    }

    /// The events of a call: those of one that waited before are known.
    fn span(&self, asks: &Asks<'_>, owed: &Owed) -> Option<Span> {
        match self.fresh.contains(owed) {
            true => Some(asks.span(owed)),
            false => self.spans.get(owed).copied(),
        }
    }
}

/// How long a target asks to be left alone, where none of its addresses says anything worse.
fn throttled(tried: &[Tried]) -> Option<Duration> {
    let mut wait = None;
    for one in tried {
        match &one.verdict {
            Verdict::Acknowledged => {}
            Verdict::Throttled(asked) => wait = wait.max(Some(asked.unwrap_or_default())),
            _ => return None,
        }
    }
    wait
}
