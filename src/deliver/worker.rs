//! One worker for one mirror: take what gathered, send it, move the cursor, or wait and try again.
//!
//! Nothing is given up: an attempt ends in an acknowledgement or in a later attempt. Nothing is
//! waited for in order to merge: events are sent at once, and what gathers while the limiter, a
//! back-off or a send in flight holds the worker goes out together next. What is in flight is
//! closed. A worker touches its own peer only, so a dead mirror delays nobody.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::beside::{EVENT_IDS, event_ids};
use super::credentials::{LoginFailure, below};
use super::identity::{self, Answered};
use super::mirror::{LegacyForm, batch_body, legacy_form};
use super::peer::{Kind, ONESELF_AFTER, Pause, Peer};
use super::telling::Telling;
use super::verdict::{Verdict, judge};
use super::{Shared, tell};
use crate::domain::{Demand, Mode, Selectors};
use crate::journal::{Backlog, Limits};
use crate::net::{Answer, FailureKind, Outgoing, Transport};
use crate::support::Secret;
use crate::support::backoff::chance;

/// The mark on every outgoing call.
pub const VIA: HeaderName = HeaderName::from_static("cache-mirror-via");
/// Where a legacy peer takes invalidations, and every cache-mirror by default.
pub const INVALIDATE_PATH: &str = "/api/cache/invalidate";
/// A probe is a small question: it may not hold deliveries as long as a delivery may.
const PROBE_TIME_MAX: Duration = Duration::from_secs(3);
/// A refused login is tried again after this: often enough to notice a repaired account, seldom
/// enough not to look like an attack.
const AUTH_RETRY: Duration = Duration::from_secs(60);
/// A 429 without `Retry-After`.
const THROTTLE_DEFAULT: Duration = Duration::from_secs(1);

/// A worker and what it works with.
pub struct Worker {
    pub(super) peer: Arc<Peer>,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
}

/// How an attempt ended, for the loop.
pub(super) enum Ended {
    Acknowledged,
    Later,
}

/// A failed attempt, and when the next one comes.
pub(super) struct Setback {
    pub(super) attempt: u32,
    pub(super) wait: Duration,
    pub(super) opens: bool,
}

/// One request and the judgement on its answer.
struct Reply {
    verdict: Verdict,
    http_status: Option<u64>,
    took: Duration,
}

impl Worker {
    /// Works until it is told to stop. A send in flight is finished first.
    pub async fn run(self) {
        self.introduce().await;
        while self.wait_for_work().await {
            self.attempt().await;
        }
    }

    /// Asks who the peer is and logs in ahead of the first event, so that it need not wait for
    /// either. Failures count for nothing here: the first attempt repeats them and tells.
    async fn introduce(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = async {
                if !self.peer.config.errand.is_probed() {
                    return;
                }
                let is_known = self.probe().await.is_ok();
                let is_other = !matches!(self.peer.kind(), Kind::Oneself);
                if is_known && is_other && self.peer.is_mirror() {
                    drop(self.token().await);
                }
            } => {}
        }
    }

    /// Sleeps until something is due; false once it is time to stop.
    async fn wait_for_work(&self) -> bool {
        let mut due = self.shared.journal.due();
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            due.borrow_and_update();
            let now = Instant::now();
            let (pause, not_before) = self.peer.with(|state| (state.pause, state.not_before));
            let is_held = matches!(pause, Some(Pause::Operator | Pause::NoCredentials));
            let until = not_before.filter(|at| *at > now);
            if self.is_probe_due() && until.is_none() && !is_held {
                drop(self.probe().await);
                continue;
            }
            if !is_held && until.is_none() && self.has_pending() {
                return true;
            }
            let probe_at = self.peer.with(|state| state.probed_at).unwrap_or(now)
                + self.shared.config.get().probe_every;
            // A peer that is held is not probed, so the time of its next probe wakes nobody.
            let is_probed = !is_held && self.peer.config.errand.is_probed();
            let wake_at = until.or(is_probed.then_some(probe_at));
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = self.peer.wake.notified() => {}
                () = tokio::time::sleep_until(wake_at.unwrap_or(now)), if wake_at.is_some() => {}
                _ = due.changed(), if !is_held && until.is_none() => {}
            }
        }
    }

    fn is_probe_due(&self) -> bool {
        let every = self.shared.config.get().probe_every;
        self.peer.config.errand.is_probed() && self.peer.is_probe_due(every)
    }

    fn has_pending(&self) -> bool {
        let one = Limits { events_max: 1, bytes_max: 1 };
        self.shared.journal.pending(&self.peer.destination, one).is_some()
    }

    /// One attempt to empty the backlog, or its first batch.
    async fn attempt(&self) {
        let is_unknown = matches!(self.peer.kind(), Kind::Unknown);
        if is_unknown && self.peer.config.errand.is_probed() && !self.probe_before_sending().await {
            return;
        }
        if matches!(self.peer.kind(), Kind::Oneself) {
            self.shared.journal.skip_to_head(&self.peer.destination);
            return;
        }
        let waited = tokio::select! {
            () = self.stop.cancelled() => return,
            waited = self.peer.limiter.turn() => waited,
        };
        if self.peer.with(|state| state.pause == Some(Pause::Operator)) {
            return;
        }
        let Some(backlog) = self.take() else { return };
        if waited >= Duration::from_millis(100) {
            tell::limited(&self.peer, &backlog, waited);
        }
        let ended = match (self.peer.kind(), self.peer.config.errand.neighbour()) {
            (Kind::Oneself, _) => return,
            (_, Some(neighbour)) => self.call(&backlog, neighbour).await,
            (Kind::CacheMirror(identity), None) => {
                let path = identity.paths.invalidate.clone();
                let telling = self.telling(&backlog);
                let body = self.batch(&backlog, &telling);
                self.send(&backlog, &path, body, &telling).await
            }
            (Kind::Legacy, None) => self.send_legacy(&backlog, true).await,
            (Kind::Unknown, None) => self.send_legacy(&backlog, false).await,
        };
        if matches!(ended, Ended::Acknowledged) {
            self.shared.journal.ack(&self.peer.destination, &backlog);
            let events = backlog.events.len() as u64 + backlog.merged_count;
            if self.peer.succeeded(events) {
                tell::breaker(&self.peer, "closed");
            }
        }
    }

    /// Takes what one send is to cover. A legacy peer is told types, so everything goes at once.
    fn take(&self) -> Option<Backlog> {
        let config = self.shared.config.get();
        let limits = match (self.peer.kind(), self.peer.is_mirror()) {
            (Kind::CacheMirror(_), false) => return self.take_nameable(),
            (Kind::CacheMirror(_), true) => {
                Limits { events_max: config.batch_events_max, bytes_max: config.batch_bytes_max }
            }
            _ => Limits { events_max: usize::MAX, bytes_max: usize::MAX },
        };
        self.shared.journal.pending(&self.peer.destination, limits)
    }

    fn telling(&self, backlog: &Backlog) -> Arc<Telling> {
        let graph = || self.shared.sender.rules.with(|rules| rules.graph().hash().to_owned());
        self.shared.tellings.get(backlog, graph)
    }

    fn batch(&self, backlog: &Backlog, telling: &Telling) -> bytes::Bytes {
        let mut merged = backlog.merged.clone();
        if backlog.widened
            && merged.hard.is_all()
            && self.shared.config.get().widened_all == Mode::Soft
        {
            merged = Demand::new(Mode::Soft, Selectors::all());
        }
        if self.peer.with(|state| state.is_poisoned) {
            // It refused the batch as it was: say the same more simply, one step wider.
            for event in &backlog.events {
                merged.join(&event.demand);
            }
            merged.hard.widen_ids();
            merged.soft.widen_ids();
            let nothing = std::iter::empty();
            let cascade = &backlog.merged_cascade;
            return batch_body(&self.shared.sender, backlog.through, nothing, merged, cascade);
        }
        telling.body(|| {
            let events = backlog.events.iter().map(|event| &**event);
            let cascade = &backlog.merged_cascade;
            batch_body(&self.shared.sender, backlog.through, events, merged, cascade)
        })
    }

    /// The old form, one request per type. What the peer has no words for is skipped once it is
    /// known to be a legacy server; until then it is held, because it might be a cache-mirror. One
    /// that takes the rest and never says who it is shows by that that it is none.
    async fn send_legacy(&self, backlog: &Backlog, is_known: bool) -> Ended {
        let telling = self.telling(backlog);
        let types = self.shared.sender.known_types();
        let LegacyForm { bodies, unsupported } = legacy_form(&telling.selectors, &types);
        let is_judged = is_known || (self.peer.is_silent() && !bodies.is_empty());
        if !unsupported.is_empty() && !is_judged {
            self.fail(backlog, "the peer has not said who it is", None, None);
            return Ended::Later;
        }
        for (at, body) in bodies.into_iter().enumerate() {
            if at > 0 {
                tokio::select! {
                    () = self.stop.cancelled() => return Ended::Later,
                    _ = self.peer.limiter.turn() => {}
                }
            }
            let ended = self.send(backlog, INVALIDATE_PATH, body.into(), &telling).await;
            if matches!(ended, Ended::Later) {
                return Ended::Later;
            }
        }
        if !unsupported.is_empty() {
            tell::skipped(&self.peer, backlog, &unsupported);
        }
        Ended::Acknowledged
    }

    /// One request, with one more login after a 401.
    async fn send(
        &self,
        backlog: &Backlog,
        path: &str,
        body: bytes::Bytes,
        telling: &Telling,
    ) -> Ended {
        self.shared.echo.sent(&self.peer.config.name, &telling.selectors);
        for is_last in [false, true] {
            let token = match self.token().await {
                Ok(token) => token,
                Err(failure) => {
                    self.login_failed(backlog, &failure);
                    return Ended::Later;
                }
            };
            let reply = self.post(path, body.clone(), &token, backlog).await;
            if reply.verdict == Verdict::Unauthorized && !is_last {
                self.peer.account.forget(&token).await;
                continue;
            }
            return self.conclude(backlog, telling, &reply);
        }
        Ended::Later
    }

    async fn post(
        &self,
        path: &str,
        body: bytes::Bytes,
        token: &Secret,
        backlog: &Backlog,
    ) -> Reply {
        let started = Instant::now();
        let Some(url) = below(&self.peer.config.base, path) else {
            let verdict = Verdict::Refused(format!("no usable path: {path}"), None);
            return Reply { verdict, http_status: None, took: Duration::ZERO };
        };
        self.peer.with(|state| state.requests += 1);
        let mut headers = vec![
            (CONTENT_TYPE, "application/json".into()),
            (ACCEPT, "application/json".into()),
            (AUTHORIZATION, format!("Bearer {}", token.expose())),
            (VIA, self.shared.sender.instance.clone()),
        ];
        if !matches!(self.peer.kind(), Kind::CacheMirror(_)) {
            headers.extend(event_ids(backlog).map(|ids| (EVENT_IDS, ids)));
        }
        let request = Outgoing {
            method: Method::POST,
            url,
            headers,
            body,
            timeout: self.shared.config.get().timeout,
        };
        let answered = self.transport().send(request).await;
        let took = started.elapsed();
        match answered {
            Ok(answer) => {
                self.peer.met(answer.address);
                let Answer { status, .. } = answer;
                Reply { verdict: judge(&answer), http_status: Some(u64::from(status)), took }
            }
            Err(failure) => {
                let verdict = Verdict::Refused(failure.to_string(), None);
                Reply { verdict, http_status: None, took }
            }
        }
    }

    /// Turns a judgement into a line, a wait, or the good news.
    fn conclude(&self, backlog: &Backlog, telling: &Telling, reply: &Reply) -> Ended {
        match &reply.verdict {
            Verdict::Acknowledged => {
                let attempt = self.peer.with(|state| state.failures) + 1;
                let (status, took) = (reply.http_status, reply.took);
                tell::delivered(&self.peer, backlog, telling, attempt, status, took);
                return Ended::Acknowledged;
            }
            Verdict::Unauthorized => {
                let error = "401 with a fresh token";
                if self.peer.refused_credentials(Pause::Auth, error, Some(AUTH_RETRY)) {
                    tell::paused(&self.peer, backlog, error);
                }
            }
            Verdict::Throttled(wait) => {
                let wait = wait.unwrap_or(THROTTLE_DEFAULT);
                self.peer.throttled(wait);
                tell::throttled(&self.peer, backlog, wait);
            }
            Verdict::Refused(reason, wait) => {
                if matches!(reply.http_status, Some(400 | 413 | 415 | 422)) {
                    self.peer.with(|state| state.is_poisoned = true);
                }
                self.fail(backlog, reason, *wait, reply.http_status);
            }
        }
        Ended::Later
    }

    /// Counts a failed attempt and plans the next one.
    pub(super) fn fail(
        &self,
        backlog: &Backlog,
        error: &str,
        least: Option<Duration>,
        status: Option<u64>,
    ) {
        let Setback { attempt, wait, opens } = self.setback(error, least);
        tell::failed(&self.peer, backlog, attempt, status, error, wait);
        if opens {
            tell::breaker(&self.peer, "open");
        }
    }

    /// The same, told by somebody else.
    pub(super) fn setback(&self, error: &str, least: Option<Duration>) -> Setback {
        let config = self.shared.config.get();
        let failures = self.peer.with(|state| state.failures) + 1;
        let wait = config.backoff.wait(failures, chance()).max(least.unwrap_or_default());
        let (attempt, opens) = self.peer.failed(error, wait, config.breaker_failures);
        Setback { attempt, wait, opens }
    }

    /// The way to this peer.
    pub(super) fn transport(&self) -> &dyn Transport {
        self.shared.transport_to(&self.peer)
    }

    async fn token(&self) -> Result<Secret, LoginFailure> {
        let login_path = match self.peer.kind() {
            Kind::CacheMirror(identity) => Some(identity.paths.login.clone()),
            _ => None,
        };
        // A login URL of the operator's wins over what the peer says of itself.
        let path = login_path.filter(|_| self.peer.account.takes_login_path());
        let started = Instant::now();
        let over = self.transport();
        let obtained = self
            .peer
            .account
            .token(&self.peer.config.base, path.as_deref(), over)
            .await
            .inspect_err(|failure| tell::not_logged_in(&self.peer, failure, started.elapsed()))?;
        if obtained.is_fresh {
            // Whom we meet here may echo the first event before it has acknowledged it.
            self.peer.met(obtained.address);
            tell::logged_in(&self.peer, started.elapsed());
        }
        Ok(obtained.token)
    }

    fn login_failed(&self, backlog: &Backlog, failure: &LoginFailure) {
        let error = failure.to_string();
        match failure {
            LoginFailure::NoCredentials | LoginFailure::NoKey => {
                if self.peer.refused_credentials(Pause::NoCredentials, &error, None) {
                    tell::paused(&self.peer, backlog, &error);
                }
            }
            LoginFailure::Refused(_) => {
                if self.peer.refused_credentials(Pause::Auth, &error, Some(AUTH_RETRY)) {
                    tell::paused(&self.peer, backlog, &error);
                }
            }
            LoginFailure::Throttled(wait) => {
                let wait = wait.unwrap_or(THROTTLE_DEFAULT).min(super::verdict::RETRY_AFTER_MAX);
                self.peer.throttled(wait);
                tell::throttled(&self.peer, backlog, wait);
            }
            LoginFailure::NoToken(_) | LoginFailure::Unreachable(_) => {
                self.fail(backlog, &error, None, None);
            }
        }
    }

    /// Asks before the first send; false where the peer cannot be reached at all, which counts as
    /// the failed attempt that it is.
    async fn probe_before_sending(&self) -> bool {
        match self.probe().await {
            Err(failure) if matches!(failure.kind, FailureKind::Connect | FailureKind::Address) => {
                if let Some(backlog) = self.take() {
                    self.not_reached(&backlog, &failure);
                }
                false
            }
            _ => true,
        }
    }

    /// Asks who the peer is. Where ourselves answer, asks again at once: behind a balanced name
    /// somebody else may.
    async fn probe(&self) -> Result<(), crate::net::Failure> {
        for _ in 0..ONESELF_AFTER {
            let timeout = self.shared.config.get().timeout.min(PROBE_TIME_MAX);
            let base = &self.peer.config.base;
            let over = self.transport();
            let probed = identity::probe(base, &self.shared.own, timeout, over).await;
            let (answered, address) = match probed {
                Ok(probed) => probed,
                // An endless answer is an answer, and not a cache-mirror's.
                Err(failure) if failure.kind == FailureKind::TooLarge => (Answered::Legacy, None),
                Err(failure) => {
                    self.peer.not_identified(failure.kind == FailureKind::Timeout);
                    return Err(failure);
                }
            };
            self.peer.met(address);
            let is_oneself = matches!(answered, Answered::Oneself);
            if self.peer.identified(answered) {
                tell::identified(&self.peer);
            }
            if !is_oneself {
                break;
            }
        }
        Ok(())
    }
}
