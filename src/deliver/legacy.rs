//! The legacy form: one request for each type, each of which settles alone.
//!
//! A refused request is parked and sent again after an hour; one that failed otherwise waits on its
//! own, as long as the mirror takes others. Only a mirror that takes nothing waits as a whole.
//! While a mirror's kind is unknown it gets the same requests, for both kinds understand them; what
//! they cannot say is held, and the cursor stays in front of everything, so that a cache-mirror
//! gets it all as a batch once it has said what it is.

use std::time::Duration;

use tokio::time::Instant;

use super::echo::keys_of;
use super::encoded::EncodedBacklog;
use super::log;
use super::mirror::{legacy_body, legacy_form};
use super::partial::{EventPlace, EventsByType, PARKED_RETRY, Span, is_asked_for};
use super::peer::{PauseReason, PeerKind, PeerState};
use super::send::{AUTH_RETRY, JudgedAnswer, RequestOutcome};
use super::verdict::AnswerVerdict;
use super::worker::{INVALIDATE_PATH, Worker};
use crate::domain::{Demand, Mode, Selector, Selectors};
use crate::journal::Backlog;
use crate::support::backoff::chance;

/// Statuses of a server that does not take what it was sent, however often it is sent.
pub(super) const MALFORMED: [u16; 6] = [400, 413, 414, 415, 422, 431];
/// Statuses that are about one request only where the server takes others.
const ABOUT_ONE: [u16; 6] = [401, 403, 404, 405, 409, 410];
/// Failures in a row, with nothing acknowledged before, after which a server is left alone.
pub(super) const FAILURES_MAX: usize = 3;

/// A request that was answered with something else than an acknowledgement.
struct FailedRequest {
    word: Selector,
    status: Option<u16>,
    error: String,
    wait: Option<Duration>,
}

/// One attempt at one mirror.
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
    /// Whether something waits for this mirror that can be sent now.
    pub(super) fn has_due_words(&self) -> bool {
        let now = Instant::now();
        self.peer.with(|state| state.next_due(now).is_some_and(|at| at <= now))
    }

    /// Sends what is new and what is due again.
    pub(super) async fn send_legacy(&self) {
        let is_legacy = matches!(self.peer.kind(), PeerKind::Legacy);
        if is_legacy {
            self.release_held();
        }
        let backlog = self.take().unwrap_or_default();
        let encoded = self.encoded(&backlog);
        let form = legacy_form(&encoded.selectors, &self.shared.sender.known_types());
        let spread = EventsByType::of(&backlog);
        let words = self.peer.with(|state| {
            state.partial.begin(form.words.clone(), |word| spread.span(word), Instant::now())
        });
        let mut attempt = LegacyAttempt {
            backlog: &backlog,
            encoded: &encoded,
            fresh: &form.words,
            has_settled: words.is_empty(),
            failures: vec![],
            unsent: vec![],
            parked: vec![],
            delivered: 0,
        };
        self.shared.echo.sending(&self.peer.destination, &keys_of(&backlog));
        self.send_words(&mut attempt, words).await;
        self.shared.echo.sent(&self.peer.destination);
        if !self.keep(&attempt, &spread) {
            return;
        }
        if backlog.through > 0 {
            self.advance(&backlog, &spread, is_legacy, &form.unsupported);
        }
        self.settle_what_is_whole(is_legacy, attempt.delivered);
    }

    async fn send_words(&self, attempt: &mut LegacyAttempt<'_>, words: Vec<Selector>) {
        let mut words = words.into_iter();
        let mut has_logged_in = false;
        for at in 0.. {
            let Some(word) = words.next() else { return };
            if at > 0 {
                tokio::select! {
                    () = self.stop.cancelled() => {
                        attempt.unsent.push(word);
                        break;
                    }
                    _ = self.peer.limiter.turn() => {}
                }
            }
            let is_over = self.send_word(attempt, word, &mut has_logged_in).await
                || (!attempt.has_settled && attempt.failures.len() >= FAILURES_MAX);
            if is_over {
                break;
            }
        }
        attempt.unsent.extend(words);
    }

    /// One request. Says whether the attempt is over.
    async fn send_word(
        &self,
        attempt: &mut LegacyAttempt<'_>,
        word: Selector,
        has_logged_in: &mut bool,
    ) -> bool {
        let own;
        let (backlog, encoded) = match attempt.fresh.contains(&word) {
            true => (attempt.backlog, attempt.encoded),
            false => {
                own = self.again(&word);
                (&own.0, &own.1)
            }
        };
        let body = legacy_body(&word).into();
        let may_log_in = !*has_logged_in;
        let answered = self.request(backlog, INVALIDATE_PATH, body, may_log_in).await;
        let answer = match answered {
            RequestOutcome::Answered { answer, has_logged_in: did } => {
                *has_logged_in |= did;
                answer
            }
            RequestOutcome::NotLoggedIn => {
                attempt.unsent.push(word);
                return true;
            }
        };
        self.judge_word(attempt, word, (backlog, encoded), &answer)
    }

    fn judge_word(
        &self,
        attempt: &mut LegacyAttempt<'_>,
        word: Selector,
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
                self.word_acknowledged(attempt, &word);
                return false;
            }
            AnswerVerdict::Throttled(wait) => {
                let wait = self.peer.throttled(*wait);
                log::throttled(&self.peer, backlog, wait);
                attempt.unsent.push(word);
                return true;
            }
            AnswerVerdict::Unauthorized => {
                let error = self.naming_the_clock("401 with a fresh token");
                attempt.failures.push(FailedRequest { word, status, error, wait: None });
            }
            AnswerVerdict::Refused(reason, wait) => {
                let failure = FailedRequest { word, status, error: reason.clone(), wait: *wait };
                match status {
                    Some(status) if MALFORMED.contains(&status) => {
                        attempt.has_settled = true;
                        attempt.parked.push(failure);
                    }
                    Some(_) => attempt.failures.push(failure),
                    // Nobody answered: the mirror as a whole is not well.
                    None => {
                        attempt.failures.insert(0, failure);
                        return true;
                    }
                }
            }
        }
        false
    }

    fn word_acknowledged(&self, attempt: &mut LegacyAttempt<'_>, word: &Selector) {
        attempt.has_settled = true;
        let (failures, lasted) = self.peer.with(|state| (state.failures, state.streak.end()));
        if self.peer.succeeded() {
            log::closed(&self.peer, failures, lasted);
        }
        let (events, was_parked) = self.peer.with(|state| {
            state.took_legacy_form();
            state.partial.acknowledge(word)
        });
        attempt.delivered += events;
        if was_parked {
            log::unparked(&self.peer, word);
        }
    }

    /// Keeps what was not acknowledged. Says whether the backlog is settled but for that; where the
    /// mirror took nothing it is not, and all of it is sent again.
    fn keep(&self, attempt: &LegacyAttempt<'_>, spread: &EventsByType) -> bool {
        let is_old = |word: &Selector| !attempt.fresh.contains(word);
        if !self.fails_by_word(attempt) {
            self.fail_as_a_whole(attempt);
            if let Some(first) = attempt.failures.first() {
                self.peer.with(|state| state.partial.suspect = Some(first.word.clone()));
            }
            let failed = attempt.failures.iter().map(|failure| &failure.word);
            return failed.chain(&attempt.unsent).all(is_old);
        }
        if !attempt.has_settled && !attempt.unsent.iter().all(is_old) {
            return false;
        }
        let mut has_room = true;
        let mut owe = |failure: &FailedRequest, is_parked: bool| {
            has_room &= self.owe(failure, spread_of(attempt, &failure.word, spread), is_parked);
        };
        attempt.parked.iter().for_each(|failure| owe(failure, true));
        for failure in &attempt.failures {
            let is_refused = failure.status.is_some_and(|status| ABOUT_ONE.contains(&status));
            owe(failure, is_refused && attempt.has_settled);
        }
        self.peer.with(|state| {
            for word in attempt.unsent.iter().filter(|word| !is_old(word)) {
                has_room &= state.partial.owe(word, Some(spread.span(word)), None, (false, None));
            }
        });
        if !has_room {
            self.fail(attempt.backlog, "the mirror refuses too many types", None, None);
        }
        has_room
    }

    /// Whether each word that failed waits on its own: the mirror takes others, or did.
    fn fails_by_word(&self, attempt: &LegacyAttempt<'_>) -> bool {
        let Some(first) = attempt.failures.first() else { return true };
        let is_dead = first.status.is_none();
        let failed_before = self.peer.with(|state| {
            let words = state.partial.pending();
            let has_failed = |failure: &FailedRequest| {
                words.get(&failure.word).is_some_and(|word| word.attempts > 0)
            };
            attempt.failures.iter().all(has_failed)
        });
        attempt.has_settled || (failed_before && (!is_dead || attempt.unsent.is_empty()))
    }

    /// Notes a word that failed, and when it is sent again.
    fn owe(&self, failure: &FailedRequest, spread: Option<&EventsByType>, is_parked: bool) -> bool {
        let FailedRequest { word, status, error, wait } = failure;
        let (attempts, was_parked) = self.peer.with(|state| {
            let known = state.partial.pending().get(word);
            known.map_or((0, false), |known| (known.attempts, known.is_parked))
        });
        let backoff = self.shared.config.get().backoff;
        let own = if is_parked { PARKED_RETRY } else { backoff.wait(attempts + 1, chance()) };
        let next = own.max(wait.unwrap_or_default());
        let fresh = spread.map(|spread| spread.span(word));
        let has_room = self
            .peer
            .with(|state| state.partial.owe(word, fresh, Some(error), (is_parked, Some(next))));
        if is_parked && !was_parked {
            log::parked(&self.peer, word, status.map(u64::from), error, own);
        } else if !is_parked {
            log::word_failed(&self.peer, word, attempts + 1, status.map(u64::from), error, next);
        }
        has_room
    }

    fn fail_as_a_whole(&self, attempt: &LegacyAttempt<'_>) {
        let Some(first) = attempt.failures.first() else { return };
        let own;
        let backlog = match attempt.fresh.contains(&first.word) {
            true => attempt.backlog,
            false => {
                own = self.again(&first.word).0;
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

    /// The backlog is settled, but for what waits and what is held.
    fn advance(
        &self,
        backlog: &Backlog,
        spread: &EventsByType,
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
                state.partial.hold(spread.part(held));
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
            let is_sayable = || is_legacy || self.is_wholly_sayable(&selectors);
            let is_asked = |word: &Selector| is_asked_for(word, &selectors);
            let place =
                self.peer.with(|state| state.partial.place(event.seq, is_asked, is_sayable));
            place != EventPlace::Settled
        });
        let waiting = waiting.count() as u64;
        let all = backlog.events.len() as u64 + backlog.merged_count;
        self.peer.settled(all.saturating_sub(skipped + waiting), skipped);
    }

    /// Moves the cursor as far as nothing is owed. It waits in front of everything while the kind
    /// is unknown.
    fn settle_what_is_whole(&self, is_legacy: bool, delivered: u64) {
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

    /// It is a legacy server: what was held for the case that it is none is skipped.
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

    /// Events of which the legacy form does not say all, or that it says without their names.
    fn held_events(&self, backlog: &Backlog) -> u64 {
        let is_held = |selectors: &Selectors| !self.is_wholly_sayable(selectors);
        let events = backlog.events.iter().filter(|event| is_held(&event.demand.selectors()));
        let merged = if backlog.merged.is_empty() { 0 } else { backlog.merged_count.max(1) };
        events.count() as u64 + merged
    }

    fn is_wholly_sayable(&self, selectors: &Selectors) -> bool {
        self.shared.is_wholly_sayable(selectors)
    }

    /// A word that is sent again, as a backlog of its own.
    fn again(&self, word: &Selector) -> (Backlog, EncodedBacklog) {
        let span = self.peer.with(|state| state.partial.pending().get(word).map(|it| it.span));
        let Span { first, last, events, oldest_at_ms } =
            span.unwrap_or(Span { first: 0, last: 0, events: 1, oldest_at_ms: 0 });
        let backlog = Backlog {
            through: last,
            merged: Demand::new(Mode::Hard, Selectors::one(word.clone())),
            merged_count: events,
            first_seq: first,
            oldest_at_ms,
            ..Backlog::default()
        };
        let encoded = EncodedBacklog::of(&backlog);
        (backlog, encoded)
    }
}

/// The events of a word that is new; those of one that waited are known.
fn spread_of<'a>(
    attempt: &LegacyAttempt<'_>,
    word: &Selector,
    spread: &'a EventsByType,
) -> Option<&'a EventsByType> {
    attempt.fresh.contains(word).then_some(spread)
}
