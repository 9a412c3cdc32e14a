//! The service account at one peer: log in, keep the token to 80 % of its life, log in again. A
//! token that we make ourselves is kept the same way; one that was given to us needs no keeping.
//!
//! One login at a time: whoever else needs the token waits for that login's result. The token is
//! never shown; failures carry the peer's status and never its words, which might echo the
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

/// Life assumed where the answer names none: short, because a 401 costs only one more login.
const LIFE_UNKNOWN: Duration = Duration::from_secs(300);
/// Longest life believed.
const LIFE_MAX: Duration = Duration::from_secs(86_400);

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFailure {
    /// No account is configured for this peer.
    #[error("no credentials: set SERVICE_EMAIL and SERVICE_PASSWORD")]
    NoCredentials,
    /// We are to make the token, and nothing signs.
    #[error("no key of ours to sign a token with")]
    NoKey,
    /// The peer said no.
    #[error("login refused with http {0}")]
    Refused(u16),
    /// The peer asked to wait.
    #[error("login throttled")]
    Throttled(Option<Duration>),
    /// The peer answered, but not with a token; with the least time to wait, where it said one.
    #[error("login answered {0}")]
    NoToken(String, Option<Duration>),
    /// The peer did not answer.
    #[error("login failed: {0}")]
    Unreachable(#[from] Failure),
}

/// A token at one peer.
pub struct Account {
    login: Live<Login>,
    mint: Live<Mint>,
    timeout: Live<Duration>,
    token: Mutex<Option<CachedToken>>,
}

struct CachedToken {
    /// What it was got with: a token of another account is none.
    login: Arc<Login>,
    token: Secret,
    refresh: Deadline,
}

impl CachedToken {
    fn is_good(&self, login: &Arc<Login>) -> bool {
        !self.refresh.is_over() && Arc::ptr_eq(&self.login, login)
    }
}

/// A token and whether this call had to log in for it.
pub struct ObtainedToken {
    /// The bearer token.
    pub token: Secret,
    /// Whether a login was made.
    pub is_fresh: bool,
    /// Who answered that login.
    pub address: Option<IpAddr>,
}

impl Account {
    /// An account; nothing is sent yet.
    pub fn new(login: Login, mint: Mint, timeout: Duration) -> Self {
        Self {
            login: Live::new(login),
            mint: Live::new(mint),
            timeout: Live::new(timeout),
            token: Mutex::new(None),
        }
    }

    /// The email we log in with there.
    pub fn email(&self) -> Option<String> {
        let login = self.login.get();
        login.credentials.as_ref().map(|credentials| credentials.email.clone())
    }

    /// How we log in there.
    pub fn login(&self) -> Login {
        (*self.login.get()).clone()
    }

    /// Logs in like this from now on. Says whether that is another way than before, whose token is
    /// then used no more.
    pub fn adopt(&self, login: Login, mint: Mint, timeout: Duration) -> bool {
        self.timeout.set(timeout);
        self.mint.set(mint);
        let is_other = *self.login.get() != login;
        if is_other {
            self.login.set(login);
        }
        is_other
    }

    /// Whether the peer may say where to log in: not where an operator did.
    pub fn takes_login_path(&self) -> bool {
        let login = self.login.get();
        matches!(&login.means, LoginMethod::Request(request) if request.url == super::LOGIN_PATH)
    }

    /// The token, logging in where there is none or it is past 80 % of its life.
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
        // Lives count from the question: the peer may have made the token when it got that.
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

    /// The token, where there is one that is still good.
    pub async fn cached_token(&self) -> Option<Secret> {
        let kept = self.token.lock().await;
        let login = self.login.get();
        let kept = kept.as_ref().filter(|kept| kept.is_good(&login));
        kept.map(|kept| kept.token.clone())
    }

    /// Forgets the token after a 401, unless a newer one has taken its place.
    pub async fn forget(&self, token: &Secret) {
        let mut kept = self.token.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.token.matches(token.expose())) {
            *kept = None;
        }
    }
}

/// The request; its time limit is the caller's to set.
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

/// The body with the account filled in, each value as one of its kind: nothing in a password can
/// end it and begin another member.
fn body(request: &LoginRequest, credentials: &Credentials) -> String {
    let filled = |text: &str| match request.is_form {
        true => url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        false => Value::String(text.to_owned()).to_string(),
    };
    let (email, password) = (filled(&credentials.email), filled(credentials.password.expose()));
    // Piece by piece, for an email may hold the letters "{password}".
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

/// Where to log in: a path below a peer's base, or a whole URL of an operator's.
fn login_url(base: &Url, path_or_url: &str) -> Option<Url> {
    if path_or_url.starts_with('/') || !path_or_url.contains("://") {
        return below(base, path_or_url);
    }
    let url = Url::parse(path_or_url).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// A path below a peer's base: `/a` stays below the base's prefix. `None` where it would lead to
/// another scheme, host, port or prefix.
pub fn below(base: &Url, path: &str) -> Option<Url> {
    let url = base.join(path.trim_start_matches('/')).ok()?;
    let is_below = url.origin() == base.origin()
        && url.path().starts_with(base.path())
        && (url.username(), url.password()) == (base.username(), base.password());
    is_below.then_some(url)
}
