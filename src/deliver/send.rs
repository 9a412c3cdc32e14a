//! One send to a mirror: the request, and the verdict on its answer. An acknowledgement is logged
//! here; the worker moves the cursor.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use tokio::time::Instant;

use super::credentials::{LoginFailure, below};
use super::encoded::EncodedBacklog;
use super::legacy::MALFORMED;
use super::log;
use super::partial::PARKED_RETRY;
use super::peer::{PauseReason, PeerKind};
use super::targets::{EVENT_IDS, event_ids};
use super::verdict::{AnswerVerdict, judge};
use super::worker::{BatchOutcome, VIA, Worker};
use crate::journal::Backlog;
use crate::net::{HttpAnswer, Outgoing};
use crate::support::Secret;

/// A refused login is retried after this time: often enough to notice a repaired account, rarely
/// enough not to look like an attack.
pub(super) const AUTH_RETRY: Duration = Duration::from_secs(60);

/// The verdict on the answer to one request.
pub(super) struct JudgedAnswer {
    pub(super) verdict: AnswerVerdict,
    pub(super) http_status: Option<u64>,
    pub(super) took: Duration,
}

/// The outcome of a request.
pub(super) enum RequestOutcome {
    /// It was answered, possibly after one more login.
    Answered { answer: JudgedAnswer, has_logged_in: bool },
    /// There is no token. The reason was recorded for the peer.
    NotLoggedIn,
}

impl Worker {
    /// Sends one batch, with one more login after a 401.
    pub(super) async fn send(
        &self,
        backlog: &Backlog,
        path: &str,
        body: bytes::Bytes,
        encoded: &EncodedBacklog,
    ) -> BatchOutcome {
        match self.request(backlog, path, body, true).await {
            RequestOutcome::Answered { answer, .. } => self.conclude(backlog, encoded, &answer),
            RequestOutcome::NotLoggedIn => BatchOutcome::RetryLater,
        }
    }

    /// Sends one request, with one more login after a 401 if it `may_log_in`.
    pub(super) async fn request(
        &self,
        backlog: &Backlog,
        path: &str,
        body: bytes::Bytes,
        may_log_in: bool,
    ) -> RequestOutcome {
        let mut has_logged_in = false;
        loop {
            let token = match self.token().await {
                Ok(token) => token,
                Err(failure) => {
                    self.login_failed(backlog, &failure);
                    return RequestOutcome::NotLoggedIn;
                }
            };
            let answer = self.post(path, body.clone(), &token, backlog).await;
            if answer.verdict == AnswerVerdict::Unauthorized && may_log_in && !has_logged_in {
                self.peer.account.forget(&token).await;
                has_logged_in = true;
                continue;
            }
            return RequestOutcome::Answered { answer, has_logged_in };
        }
    }

    async fn post(
        &self,
        path: &str,
        body: bytes::Bytes,
        token: &Secret,
        backlog: &Backlog,
    ) -> JudgedAnswer {
        let started = Instant::now();
        let Some(url) = below(&self.peer.config.base, path) else {
            let verdict = AnswerVerdict::Refused(format!("no usable path: {path}"), None);
            return JudgedAnswer { verdict, http_status: None, took: Duration::ZERO };
        };
        self.peer.with(|state| state.requests += 1);
        let mut headers = vec![
            (CONTENT_TYPE, "application/json".into()),
            (ACCEPT, "application/json".into()),
            (AUTHORIZATION, format!("Bearer {}", token.expose())),
            (VIA, self.shared.sender.instance.clone()),
        ];
        if !matches!(self.peer.kind(), PeerKind::CacheMirror(_)) {
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
                self.peer.note_address(answer.address);
                let HttpAnswer { status, .. } = answer;
                JudgedAnswer { verdict: judge(&answer), http_status: Some(u64::from(status)), took }
            }
            Err(failure) => {
                let verdict = AnswerVerdict::Refused(failure.to_string(), None);
                JudgedAnswer { verdict, http_status: None, took }
            }
        }
    }

    /// Acts on a verdict: logs it, and waits if it is no acknowledgement.
    fn conclude(
        &self,
        backlog: &Backlog,
        encoded: &EncodedBacklog,
        answer: &JudgedAnswer,
    ) -> BatchOutcome {
        match &answer.verdict {
            AnswerVerdict::Acknowledged => {
                let attempt = self.peer.with(|state| state.failures) + 1;
                let (status, took) = (answer.http_status, answer.took);
                log::delivered(&self.peer, backlog, encoded, attempt, status, took);
                return BatchOutcome::Acknowledged;
            }
            AnswerVerdict::Unauthorized => {
                let error = self.with_clock_difference("401 with a fresh token");
                if self.peer.refused_credentials(PauseReason::Auth, &error, Some(AUTH_RETRY)) {
                    log::paused(&self.peer, backlog, &error);
                }
            }
            AnswerVerdict::Throttled(wait) => {
                let wait = self.peer.throttled(*wait);
                log::throttled(&self.peer, backlog, wait);
            }
            AnswerVerdict::Refused(reason, wait) => {
                let is_refusing_all = self.count_refusal(answer.http_status);
                self.fail(backlog, reason, *wait, answer.http_status);
                if is_refusing_all {
                    // No wider form exists, so it is parked.
                    let (now, through) = (Instant::now(), *self.shared.journal.head().borrow());
                    self.peer.with(|state| {
                        state.not_before = Some(now + PARKED_RETRY);
                        state.refused_all = Some((now, through));
                    });
                }
            }
        }
        BatchOutcome::RetryLater
    }

    /// Counts a refusal as malformed. Returns whether even `all` was refused often.
    fn count_refusal(&self, http_status: Option<u64>) -> bool {
        let status = http_status.and_then(|status| u16::try_from(status).ok());
        if !status.is_some_and(|status| MALFORMED.contains(&status)) {
            return false;
        }
        self.peer.with(|state| {
            state.refusals = state.refusals.saturating_add(1);
            state.is_refusing_all()
        })
    }

    pub(super) async fn token(&self) -> Result<Secret, LoginFailure> {
        let login_path = match self.peer.kind() {
            PeerKind::CacheMirror(Some(identity)) => Some(identity.paths.login.clone()),
            _ => None,
        };
        // A login URL in the settings wins over the path that the peer names.
        let path = login_path.filter(|_| self.peer.account.takes_login_path());
        let started = Instant::now();
        let over = self.transport();
        let obtained = self
            .peer
            .account
            .token(&self.peer.config.base, path.as_deref(), over)
            .await
            .inspect_err(|failure| log::not_logged_in(&self.peer, failure, started.elapsed()))?;
        if obtained.is_fresh {
            // The server at this address may echo the first event before it has acknowledged it.
            self.peer.note_address(obtained.address);
            log::logged_in(&self.peer, started.elapsed());
        }
        Ok(obtained.token)
    }

    /// Adds the difference of the clocks to an error, because a token that is not yet or no longer
    /// valid is refused like a forged one.
    pub(super) fn with_clock_difference(&self, error: &str) -> String {
        let clock = self.peer.with(|state| state.skew.description());
        clock.map_or_else(|| error.to_owned(), |clock| format!("{error}; {clock}"))
    }

    fn login_failed(&self, backlog: &Backlog, failure: &LoginFailure) {
        let error = failure.to_string();
        match failure {
            LoginFailure::NoCredentials | LoginFailure::NoKey => {
                if self.peer.refused_credentials(PauseReason::NoCredentials, &error, None) {
                    log::paused(&self.peer, backlog, &error);
                }
            }
            LoginFailure::Refused(_) => {
                let error = self.with_clock_difference(&error);
                if self.peer.refused_credentials(PauseReason::Auth, &error, Some(AUTH_RETRY)) {
                    log::paused(&self.peer, backlog, &error);
                }
            }
            LoginFailure::Throttled(wait) => {
                let wait = self.peer.throttled(*wait);
                log::throttled(&self.peer, backlog, wait);
            }
            LoginFailure::NoToken(_, wait) => self.fail(backlog, &error, *wait, None),
            LoginFailure::Unreachable(_) => self.fail(backlog, &error, None, None),
        }
    }
}
