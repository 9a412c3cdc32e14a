//! One send to a mirror, from the words for it to the judgement on its answer.
//! An answer that acknowledges is told here; moving the cursor is the worker's.

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

/// A refused login is tried again after this: often enough to notice a repaired account, seldom
/// enough not to look like an attack.
pub(super) const AUTH_RETRY: Duration = Duration::from_secs(60);

/// One request and the judgement on its answer.
pub(super) struct JudgedAnswer {
    pub(super) verdict: AnswerVerdict,
    pub(super) http_status: Option<u64>,
    pub(super) took: Duration,
}

/// What became of a request.
pub(super) enum RequestOutcome {
    /// It was answered, perhaps after one more login.
    Answered { answer: JudgedAnswer, has_logged_in: bool },
    /// There is no token; what that means for the peer was noted.
    NotLoggedIn,
}

impl Worker {
    /// One batch, with one more login after a 401.
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

    /// One request; where it `may_log_in` with one more login after a 401.
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
                self.peer.met(answer.address);
                let HttpAnswer { status, .. } = answer;
                JudgedAnswer { verdict: judge(&answer), http_status: Some(u64::from(status)), took }
            }
            Err(failure) => {
                let verdict = AnswerVerdict::Refused(failure.to_string(), None);
                JudgedAnswer { verdict, http_status: None, took }
            }
        }
    }

    /// Turns a judgement into a line, a wait, or the good news.
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
                let error = self.naming_the_clock("401 with a fresh token");
                if self.peer.refused_credentials(PauseReason::Auth, &error, Some(AUTH_RETRY)) {
                    log::paused(&self.peer, backlog, &error);
                }
            }
            AnswerVerdict::Throttled(wait) => {
                let wait = self.peer.throttled(*wait);
                log::throttled(&self.peer, backlog, wait);
            }
            AnswerVerdict::Refused(reason, wait) => {
                let is_refusing_all = self.refuses(answer.http_status);
                self.fail(backlog, reason, *wait, answer.http_status);
                if is_refusing_all {
                    // There is nothing wider to say: it is tried seldom, and shown.
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

    /// Counts a refusal of what was sent; says whether even `all` was refused often.
    fn refuses(&self, http_status: Option<u64>) -> bool {
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
        // A login URL of the operator's wins over what the peer says of itself.
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
            // Whom we meet here may echo the first event before it has acknowledged it.
            self.peer.met(obtained.address);
            log::logged_in(&self.peer, started.elapsed());
        }
        Ok(obtained.token)
    }

    /// Why our credentials are refused: a token that is not valid yet, or no more, is refused like
    /// one that is forged.
    pub(super) fn naming_the_clock(&self, error: &str) -> String {
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
                let error = self.naming_the_clock(&error);
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
