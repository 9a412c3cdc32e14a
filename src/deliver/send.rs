//! One send to a mirror, from the words for it to the judgement on its answer.
//! An answer that acknowledges is told here; moving the cursor is the worker's.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use tokio::time::Instant;

use super::beside::{EVENT_IDS, event_ids};
use super::credentials::{LoginFailure, below};
use super::mirror::{LegacyForm, legacy_form};
use super::peer::{Kind, Pause};
use super::tell;
use super::telling::Telling;
use super::verdict::{Verdict, judge};
use super::worker::{Ended, INVALIDATE_PATH, VIA, Worker};
use crate::journal::Backlog;
use crate::net::{Answer, Outgoing};
use crate::support::Secret;

/// A refused login is tried again after this: often enough to notice a repaired account, seldom
/// enough not to look like an attack.
const AUTH_RETRY: Duration = Duration::from_secs(60);

/// One request and the judgement on its answer.
struct Reply {
    verdict: Verdict,
    http_status: Option<u64>,
    took: Duration,
}

impl Worker {
    /// The old form, one request per type. What the peer has no words for is skipped once it is
    /// known to be a legacy server; until then it is held, because it might be a cache-mirror. One
    /// that takes the rest and never says who it is shows by that that it is none.
    pub(super) async fn send_legacy(&self, backlog: &Backlog, is_known: bool) -> Ended {
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
    pub(super) async fn send(
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
                let error = self.naming_the_clock("401 with a fresh token");
                if self.peer.refused_credentials(Pause::Auth, &error, Some(AUTH_RETRY)) {
                    tell::paused(&self.peer, backlog, &error);
                }
            }
            Verdict::Throttled(wait) => {
                let wait = self.peer.throttled(*wait);
                tell::throttled(&self.peer, backlog, wait);
            }
            Verdict::Refused(reason, wait) => {
                if matches!(reply.http_status, Some(400 | 413 | 415 | 422)) {
                    self.peer.with(|state| state.refusals = state.refusals.saturating_add(1));
                }
                self.fail(backlog, reason, *wait, reply.http_status);
            }
        }
        Ended::Later
    }

    pub(super) async fn token(&self) -> Result<Secret, LoginFailure> {
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

    /// Why our credentials are refused: a token that is not valid yet, or no more, is refused like
    /// one that is forged.
    fn naming_the_clock(&self, error: &str) -> String {
        let clock = self.peer.with(|state| state.skew.words());
        clock.map_or_else(|| error.to_owned(), |clock| format!("{error}; {clock}"))
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
                let error = self.naming_the_clock(&error);
                if self.peer.refused_credentials(Pause::Auth, &error, Some(AUTH_RETRY)) {
                    tell::paused(&self.peer, backlog, &error);
                }
            }
            LoginFailure::Throttled(wait) => {
                let wait = self.peer.throttled(*wait);
                tell::throttled(&self.peer, backlog, wait);
            }
            LoginFailure::NoToken(_, wait) => self.fail(backlog, &error, *wait, None),
            LoginFailure::Unreachable(_) => self.fail(backlog, &error, None, None),
        }
    }
}
