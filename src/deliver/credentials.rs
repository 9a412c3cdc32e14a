//! The service account at one peer: logs in, keeps the token for 80 % of its life, and logs in
//! again. A self-signed token is kept the same way; a configured token does not expire.
//!
//! Only one login runs at a time. Other requests that need the token wait for its result. The token
//! is never shown. Failures contain the peer's status and never its text, which might repeat the
//! password.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::verdict::RETRY_AFTER_MAX;
use super::{Credentials, Login, LoginMethod, LoginRequest, Mint};
use crate::net::{Failure, Outgoing, Transport};
use crate::support::boot::{Deadline, Moment};
use crate::support::{Live, Secret};

/// The assumed life if the answer names none. It is short, because a 401 costs only one more login.
const LIFE_UNKNOWN: Duration = Duration::from_secs(300);
/// The longest accepted life.
const LIFE_MAX: Duration = Duration::from_secs(86_400);

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFailure {
    /// No account is configured for this peer.
    #[error("no credentials: set SERVICE_EMAIL and SERVICE_PASSWORD")]
    NoCredentials,
    /// The token must be self-signed, and no key is configured.
    #[error("no key of ours to sign a token with")]
    NoKey,
    /// The peer refused the login.
    #[error("login refused with http {0}")]
    Refused(u16),
    /// The peer asked us to wait.
    #[error("login throttled")]
    Throttled(Option<Duration>),
    /// The peer answered without a token. Holds the least time to wait, if the answer names one.
    #[error("login answered {0}")]
    NoToken(String, Option<Duration>),
    /// The peer did not answer.
    #[error("login failed: {0}")]
    Unreachable(#[from] Failure),
}

/// The account at one peer, with its token.
pub struct Account {
    login: Live<Login>,
    mint: Live<Mint>,
    timeout: Live<Duration>,
    token: Mutex<Option<CachedToken>>,
}

struct CachedToken {
    /// The login that returned it. It is not used for another account.
    login: Arc<Login>,
    token: Secret,
    refresh: Deadline,
}

impl CachedToken {
    fn is_good(&self, login: &Arc<Login>) -> bool {
        !self.refresh.is_over() && Arc::ptr_eq(&self.login, login)
    }
}

/// A token.
pub struct ObtainedToken {
    /// The bearer token.
    pub token: Secret,
    /// Whether this call logged in for it.
    pub is_fresh: bool,
    /// The address that answered the login.
    pub address: Option<IpAddr>,
}

impl Account {
    /// An account. Nothing is sent yet.
    pub fn new(login: Login, mint: Mint, timeout: Duration) -> Self {
        Self {
            login: Live::new(login),
            mint: Live::new(mint),
            timeout: Live::new(timeout),
            token: Mutex::new(None),
        }
    }

    /// The email of the account.
    pub fn email(&self) -> Option<String> {
        let login = self.login.get();
        login.credentials.as_ref().map(|credentials| credentials.email.clone())
    }

    /// The login settings.
    pub fn login(&self) -> Login {
        (*self.login.get()).clone()
    }

    /// Uses this login from now on. Returns whether it differs from the previous one, whose token
    /// is then no longer used.
    pub fn adopt(&self, login: Login, mint: Mint, timeout: Duration) -> bool {
        self.timeout.set(timeout);
        self.mint.set(mint);
        let is_other = *self.login.get() != login;
        if is_other {
            self.login.set(login);
        }
        is_other
    }

    /// Whether the peer may name the login path. It may not if the settings do.
    pub fn takes_login_path(&self) -> bool {
        let login = self.login.get();
        matches!(&login.means, LoginMethod::Request(request) if request.url == super::LOGIN_PATH)
    }

    /// Returns the token. Logs in if there is none, or if it is past 80 % of its life.
    ///
    /// # Errors
    /// [`LoginFailure`].
    pub async fn token(
        &self,
        base: &Url,
        login_path: Option<&str>,
        over: &dyn Transport,
    ) -> Result<ObtainedToken, LoginFailure> {
        let mut kept = self.token.lock().await;
        let login = self.login.get();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_good(&login)) {
            return Ok(ObtainedToken { token: kept.token.clone(), is_fresh: false, address: None });
        }
        *kept = None;
        // The life counts from the request: the peer may have made the token when the request
        // arrived.
        let asked = Moment::now();
        let (token, life, address) = match &login.means {
            LoginMethod::Bearer(token) => (token.clone(), LIFE_MAX, None),
            LoginMethod::SelfSigned { audience } => {
                let email = self.email().ok_or(LoginFailure::NoCredentials)?;
                let made = self.mint.get().make(&email, audience).ok_or(LoginFailure::NoKey)?;
                (made.0, made.1, None)
            }
            LoginMethod::Request(request) => {
                let credentials = login.credentials.as_ref().ok_or(LoginFailure::NoCredentials)?;
                let mut outgoing = outgoing(request, base, login_path, credentials)?;
                outgoing.timeout = *self.timeout.get();
                let answer = over.send(outgoing).await?;
                let (token, life) = read(request, &answer)?;
                (token, life, answer.address)
            }
        };
        let is_fresh = !matches!(login.means, LoginMethod::Bearer(_));
        let obtained = ObtainedToken { token: token.clone(), is_fresh, address };
        let refresh = Deadline::of(asked, life.mul_f64(0.8));
        *kept = Some(CachedToken { login, token, refresh });
        Ok(obtained)
    }

    /// The token, if one is kept and still good.
    pub async fn cached_token(&self) -> Option<Secret> {
        let kept = self.token.lock().await;
        let login = self.login.get();
        let kept = kept.as_ref().filter(|kept| kept.is_good(&login));
        kept.map(|kept| kept.token.clone())
    }

    /// Forgets the token after a 401, unless a newer one has replaced it.
    pub async fn forget(&self, token: &Secret) {
        let mut kept = self.token.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.token.matches(token.expose())) {
            *kept = None;
        }
    }
}

/// The login request. The caller sets its time limit.
fn outgoing(
    request: &LoginRequest,
    base: &Url,
    login_path: Option<&str>,
    credentials: &Credentials,
) -> Result<Outgoing, LoginFailure> {
    let url = match login_path {
        Some(path) => below(base, path),
        None => login_url(base, &request.url),
    };
    let url = url.ok_or_else(|| LoginFailure::NoToken("no usable login URL".into(), None))?;
    let media = match request.is_form {
        true => "application/x-www-form-urlencoded",
        false => "application/json",
    };
    let mut headers = vec![(CONTENT_TYPE, media.to_owned()), (ACCEPT, "application/json".into())];
    let own = request.headers.iter();
    headers.extend(own.map(|(name, value)| (name.clone(), value.expose().to_owned())));
    let body = Bytes::from(body(request, credentials));
    Ok(Outgoing { method: Method::POST, url, headers, body, timeout: LIFE_UNKNOWN })
}

/// The body with the account filled in. Each value is encoded, so a password cannot end it and
/// begin another member.
fn body(request: &LoginRequest, credentials: &Credentials) -> String {
    let filled = |text: &str| match request.is_form {
        true => url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        false => Value::String(text.to_owned()).to_string(),
    };
    let (email, password) = (filled(&credentials.email), filled(credentials.password.expose()));
    // Each piece is filled separately, because an email may contain the text "{password}".
    let pieces = request.body.split("{email}").map(|piece| piece.replace("{password}", &password));
    pieces.collect::<Vec<_>>().join(&email)
}

fn read(
    request: &LoginRequest,
    answer: &crate::net::HttpAnswer,
) -> Result<(Secret, Duration), LoginFailure> {
    match answer.status {
        200..=299 => {}
        429 => return Err(LoginFailure::Throttled(answer.retry_after)),
        500..=599 | 300..=399 | 408 => {
            let wait = answer.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
            return Err(LoginFailure::NoToken(format!("http {}", answer.status), wait));
        }
        status => return Err(LoginFailure::Refused(status)),
    }
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| LoginFailure::NoToken("no JSON".into(), None))?;
    let token = body
        .pointer(&request.token_pointer)
        .and_then(Value::as_str)
        .filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or_else(|| {
            LoginFailure::NoToken(format!("no token at {}", request.token_pointer), None)
        })?;
    let life = body
        .pointer(&request.expires_pointer)
        .and_then(Value::as_f64)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or(LIFE_UNKNOWN, |life| life.min(LIFE_MAX));
    Ok((Secret::new(token), life))
}

/// The login URL: a path below the peer's base, or a whole URL from the settings.
fn login_url(base: &Url, path_or_url: &str) -> Option<Url> {
    if path_or_url.starts_with('/') || !path_or_url.contains("://") {
        return below(base, path_or_url);
    }
    let url = Url::parse(path_or_url).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// A path below a peer's base: `/a` stays below the base's prefix. `None` if it would lead to
/// another scheme, host, port or prefix.
pub fn below(base: &Url, path: &str) -> Option<Url> {
    let url = base.join(path.trim_start_matches('/')).ok()?;
    let is_below = url.origin() == base.origin()
        && url.path().starts_with(base.path())
        && (url.username(), url.password()) == (base.username(), base.password());
    is_below.then_some(url)
}
