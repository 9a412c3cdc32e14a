//! The gate: authentication, roles, rate limits, and requests that come again.
//!
//! Invariant: only a verified credential decides anything. The gate knows nothing of HTTP beyond
//! the text of a header.

mod accounts;
mod advice;
mod apps;
mod config;
mod forwarded;
mod header;
mod idempotency;
mod jwk;
mod jwks;
mod key;
mod known_logins;
mod limit;
mod policy;
mod revalidator;
mod signing;
mod token;
mod turns;
mod unique;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

pub use accounts::{Accounts, HashError, hash_password};
pub use advice::{Advice, Advised};
pub use apps::{APP_TOKENS_MAX, AppToken, AppTokens, is_app_name};
pub use config::{Config, JwksConfig, Password, Person, ServiceAccount};
pub use forwarded::{ClientAddress, PassedOn, elements_of, parameter};
pub use idempotency::{KeptAnswer, KeptAnswers, Lanes, identity};
pub use jwks::{JWKS_BYTES_MAX, JWKS_TIME_MAX};
pub use limit::{KeyedLimit, address_key};
pub use signing::{BadKey, SigningKey};
pub use token::{BadToken, Claims, Tokens};

use crate::domain::{Principal, Role};
use crate::net::Transport;
use crate::support::{Live, Secret};
use header::Header;
use policy::Policy;

/// Longest email and password that are checked, in bytes.
const LOGIN_BYTES_MAX: usize = 1024;

/// A token to be issued.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    /// `sub`.
    pub subject: &'a str,
    /// `role`.
    pub role: &'a str,
    /// `aud`; `None` means as configured.
    pub audience: Option<&'a str>,
    /// How long it is valid; `None` means as configured.
    pub life: Option<Duration>,
    /// Its application. Such a token does not expire and is valid while it is listed.
    pub app: Option<TokenApp<'a>>,
}

/// The application of a token.
#[derive(Debug, Clone, Copy)]
pub struct TokenApp<'a> {
    /// Its name.
    pub name: &'a str,
    /// `jti` of the token.
    pub jti: &'a str,
}

impl<'a> TokenRequest<'a> {
    /// The token that a service account gets when it logs in.
    pub fn service(subject: &'a str) -> Self {
        Self { subject, role: "service", audience: None, life: None, app: None }
    }
}

/// Why a request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// No credential, or one of a kind that is not accepted here.
    #[error("a bearer token is needed")]
    Missing,
    /// A credential that is not valid.
    #[error("the credentials are not valid")]
    Invalid,
    /// A valid credential without the needed role.
    #[error("this needs {0}")]
    Forbidden(&'static str),
    /// An address outside `auth.allow`.
    #[error("this address is not allowed")]
    Address,
    /// Too many requests, or too many failures.
    #[error("too many requests; try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
}

/// Authentication, rate limits, and requests that come again.
pub struct Gate {
    policy: Live<Policy>,
    /// Fetches keys of other issuers; `None` where nothing may be fetched.
    over: Option<Arc<dyn Transport>>,
    /// Answers that were given, by idempotency key.
    pub answers: KeptAnswers,
    /// Runs requests with the same identity one after another.
    pub lanes: Lanes,
    /// Advice to callers.
    pub advice: Advice,
}

impl Gate {
    /// Builds the gate.
    pub fn new(config: Config) -> Self {
        Self {
            answers: KeptAnswers::new(config.idempotency_keys_max),
            lanes: Lanes::default(),
            advice: Advice::default(),
            policy: Live::new(Policy::new(config, None, None)),
            over: None,
        }
    }

    /// Lets the gate fetch keys from `auth.jwks_url`, where one is configured.
    #[must_use]
    pub fn fetching_over(mut self, over: Arc<dyn Transport>) -> Self {
        self.over = Some(over);
        let now = self.policy.get();
        self.policy.set(Policy::new((*now.config).clone(), Some(&now), self.over.as_ref()));
        self
    }

    /// Exchanges the configuration. A limit that did not change keeps its counts, and kept answers
    /// stay.
    pub fn adopt(&self, config: Config) {
        self.answers.set_keys_max(config.idempotency_keys_max);
        let before = self.policy.get();
        self.policy.set(Policy::new(config, Some(&before), self.over.as_ref()));
    }

    /// The limits that parsing needs.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.policy.get().config)
    }

    /// The client's address: the socket's, or what trusted proxies name.
    pub fn client_address(&self, socket: IpAddr, by: &PassedOn<'_>) -> ClientAddress {
        forwarded::client(socket, by, &self.config().trusted_proxies)
    }

    /// Checks that the address may connect at all. One that cannot be read is in no list.
    ///
    /// # Errors
    /// [`Rejected::Address`].
    pub fn check_address(&self, address: impl Into<ClientAddress>) -> Result<(), Rejected> {
        let allow = &self.policy.get().config.allow;
        let is_listed = |address| is_within(address, allow);
        let is_allowed = allow.is_empty() || address.into().known().is_some_and(is_listed);
        if is_allowed { Ok(()) } else { Err(Rejected::Address) }
    }

    /// Fetches the key that a token names, if it is another issuer's and not known. Await it before
    /// [`Gate::authenticate`], which judges by known keys. Usually there is nothing to wait for.
    pub async fn learn_key(&self, authorization: Option<&str>) {
        let policy = self.policy.get();
        let Some(jwks) = &policy.jwks else { return };
        let Some(header) = authorization.and_then(bearer).and_then(|it| Header::read(it).ok())
        else {
            return;
        };
        let is_shared = header.algorithm == jsonwebtoken::Algorithm::HS256;
        if !is_shared && !policy.tokens.has_pair(header.kid.as_deref()) {
            jwks.learn(&header).await;
        }
    }

    /// The principal of a request, by the keys that are known.
    ///
    /// # Errors
    /// [`Rejected::Missing`], [`Rejected::Invalid`], or [`Rejected::TooMany`] once the failures of
    /// this address exceed their limit.
    pub fn authenticate(
        &self,
        authorization: Option<&str>,
        address: impl Into<ClientAddress>,
    ) -> Result<Principal, Rejected> {
        let Some(token) = authorization.and_then(bearer) else {
            return Err(Rejected::Missing);
        };
        let policy = self.policy.get();
        if let Some(admin) = policy.admin(token) {
            return Ok(admin);
        }
        match policy.verify(token) {
            Ok(claims) => policy.principal(&claims),
            Err(_) => Err(self.refuse(address)),
        }
    }

    /// Counts an invalid credential that was checked elsewhere (a webhook's signature) like a bad
    /// token. Returns what to answer.
    pub fn refuse(&self, address: impl Into<ClientAddress>) -> Rejected {
        let key = limit::address_key(address);
        let counted = self.policy.get().token_failures.check(&[&key]);
        counted.map_or_else(Rejected::TooMany, |()| Rejected::Invalid)
    }

    /// The principal of a token, or why it is invalid: for the operator who holds it. Counts
    /// nothing.
    ///
    /// # Errors The reason. It is never sent to callers of the API.
    pub fn explain(&self, token: &str) -> Result<Principal, String> {
        let policy = self.policy.get();
        if let Some(admin) = policy.admin(token) {
            return Ok(admin);
        }
        let claims = policy.verify(token).map_err(|bad| bad.to_string())?;
        policy.principal(&claims).map_err(|rejected| rejected.to_string())
    }

    /// Issues a token with our first key; the number is its life in seconds.
    pub fn issue(&self, order: &TokenRequest<'_>) -> Option<(String, u64)> {
        self.policy.get().tokens.issue(order)
    }

    /// Whether the list of application tokens has disappeared since it was last read. Reads it.
    pub fn lost_app_tokens(&self) -> bool {
        self.policy.get().apps.as_ref().is_some_and(|apps| apps.is_lost())
    }

    /// The public halves of our private keys as a JWK set (RFC 7517 section 5).
    pub fn public_keys(&self) -> Value {
        let keys: Vec<Value> = self.config().signing_keys.iter().map(SigningKey::jwk).collect();
        json!({ "keys": keys })
    }

    /// Counts a request against its principal at this address, so that a flood from one address
    /// does not use up the limit of another under the same account. The admin token is exempt. A
    /// principal also has a limit over all its addresses, except service accounts, which many
    /// instances share.
    ///
    /// # Errors [`Rejected::TooMany`].
    pub fn check_rate(
        &self,
        who: &Principal,
        address: impl Into<ClientAddress>,
    ) -> Result<(), Rejected> {
        if who.role == Role::AdminToken {
            return Ok(());
        }
        let policy = self.policy.get();
        let key = [who.role.as_str(), &who.name, &limit::address_key(address)];
        policy.requests.check(&key).map_err(Rejected::TooMany)?;
        if who.role == Role::Service {
            return Ok(());
        }
        policy.principals.check(&key[..2]).map_err(Rejected::TooMany)
    }

    /// Checks email and password and issues a token.
    ///
    /// # Errors
    /// [`Rejected::Invalid`], or [`Rejected::TooMany`] once the failures of the account or the
    /// address exceed their limit. Valid credentials always pass, but may have to wait for a check.
    pub async fn login(
        &self,
        email: &str,
        password: Secret,
        address: impl Into<ClientAddress>,
    ) -> Result<(String, u64), Rejected> {
        let policy = self.policy.get();
        let address = limit::address_key(address);
        let is_short = email.len().max(password.expose().len()) <= LOGIN_BYTES_MAX;
        let account: String = email.chars().take(128).collect();
        let issue = |order: &TokenRequest<'_>| {
            let issued = policy.tokens.issue(order);
            issued.expect("the configuration of a running gate has a key")
        };
        if is_short && let Some(person) = policy.person(email, &password) {
            return Ok(issue(&TokenRequest { role: &person.role, ..TokenRequest::service(email) }));
        }
        if is_short && policy.knows(email, password, (&address, &account)).await {
            return Ok(issue(&TokenRequest::service(email)));
        }
        policy.login_failures.check(&["address", &address]).map_err(|wait| {
            policy.turns.limit(&address, wait);
            Rejected::TooMany(wait)
        })?;
        policy.login_failures.check(&["account", &account]).map_err(Rejected::TooMany)?;
        Err(Rejected::Invalid)
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

/// Whether an address is in one of the networks. v4-mapped addresses count as v4.
pub fn is_within(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests;
