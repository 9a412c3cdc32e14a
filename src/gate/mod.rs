//! The gate: who may, how often, seen before. A submission goes in, an invalidation comes out.
//!
//! Invariants: no credential but a verified one decides anything; the scope is decided by
//! `domain::scope` alone; an event is a repetition only where what was done under its id is known
//! and covers what is asked. The gate knows nothing of HTTP beyond the text of a header, and
//! announces nothing.

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

/// Longest email and password looked at, in bytes.
const LOGIN_BYTES_MAX: usize = 1024;

/// A token to be made.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    /// `sub`.
    pub subject: &'a str,
    /// `role`.
    pub role: &'a str,
    /// `aud`; `None`: as configured.
    pub audience: Option<&'a str>,
    /// How long it is valid; `None`: as configured.
    pub life: Option<Duration>,
    /// The application that it is for: then it does not expire, and is valid while it is listed.
    pub app: Option<TokenApp<'a>>,
}

/// An application that a token is for.
#[derive(Debug, Clone, Copy)]
pub struct TokenApp<'a> {
    /// Its name.
    pub name: &'a str,
    /// `jti` of the token.
    pub jti: &'a str,
}

impl<'a> TokenRequest<'a> {
    /// A service account's, as login gives it out.
    pub fn service(subject: &'a str) -> Self {
        Self { subject, role: "service", audience: None, life: None, app: None }
    }
}

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// No credential, or one of a kind that is not taken here.
    #[error("a bearer token is needed")]
    Missing,
    /// A credential that does not hold.
    #[error("the credentials are not valid")]
    Invalid,
    /// A valid credential that may not do this.
    #[error("this needs {0}")]
    Forbidden(&'static str),
    /// An address outside `auth.allow`.
    #[error("this address is not allowed")]
    Address,
    /// Too many requests, or too many failures.
    #[error("too many requests; try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
}

/// The gate: who may, how often, seen before.
pub struct Gate {
    policy: Live<Policy>,
    /// Over what keys of other issuers are fetched, where anybody may fetch.
    over: Option<Arc<dyn Transport>>,
    /// Answers by idempotency key.
    pub answers: KeptAnswers,
    /// One at a time for one identity.
    pub lanes: Lanes,
    /// What callers could do better.
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

    /// Judges by another configuration from now on. What was counted against a limit stays counted
    /// where the limit stays; what was seen before stays seen.
    pub fn adopt(&self, config: Config) {
        self.answers.set_keys_max(config.idempotency_keys_max);
        let before = self.policy.get();
        self.policy.set(Policy::new(config, Some(&before), self.over.as_ref()));
    }

    /// The limits that parsing needs.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.policy.get().config)
    }

    /// The address to judge by: the socket's, unless a trusted proxy says for whom it speaks.
    pub fn client_address(&self, socket: IpAddr, by: &PassedOn<'_>) -> ClientAddress {
        forwarded::client(socket, by, &self.config().trusted_proxies)
    }

    /// Whether the address may talk to us at all. One that cannot be read is in no list.
    ///
    /// # Errors
    /// [`Rejected::Address`].
    pub fn check_address(&self, address: impl Into<ClientAddress>) -> Result<(), Rejected> {
        let allow = &self.policy.get().config.allow;
        let is_listed = |address| is_within(address, allow);
        let is_allowed = allow.is_empty() || address.into().known().is_some_and(is_listed);
        if is_allowed { Ok(()) } else { Err(Rejected::Address) }
    }

    /// Fetches the key that a token names, where it is another issuer's and we do not have it. To
    /// be awaited before [`Gate::authenticate`], which judges by what is known; mostly there is
    /// nothing to wait for.
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

    /// Who a request comes from, by the keys that are known.
    ///
    /// # Errors
    /// [`Rejected::Missing`], [`Rejected::Invalid`], or [`Rejected::TooMany`] once failures from
    /// this address have passed their limit.
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

    /// Counts a credential that did not hold, which was judged elsewhere (a webhook's signature),
    /// as a bad token, and says what to answer.
    pub fn refuse(&self, address: impl Into<ClientAddress>) -> Rejected {
        let key = limit::address_key(address);
        let counted = self.policy.get().token_failures.check(&[&key]);
        counted.map_or_else(Rejected::TooMany, |()| Rejected::Invalid)
    }

    /// Whom a token stands for, or why it does not: for the operator who holds it. Counts nothing.
    ///
    /// # Errors
    /// The reason, which callers of the API are never told.
    pub fn explain(&self, token: &str) -> Result<Principal, String> {
        let policy = self.policy.get();
        if let Some(admin) = policy.admin(token) {
            return Ok(admin);
        }
        let claims = policy.verify(token).map_err(|bad| bad.to_string())?;
        policy.principal(&claims).map_err(|rejected| rejected.to_string())
    }

    /// Makes a token with our first key, and says how many seconds it is valid.
    pub fn issue(&self, order: &TokenRequest<'_>) -> Option<(String, u64)> {
        self.policy.get().tokens.issue(order)
    }

    /// Whether the list of application tokens is gone since it was last read. It is read here too.
    pub fn lost_app_tokens(&self) -> bool {
        self.policy.get().apps.as_ref().is_some_and(|apps| apps.is_lost())
    }

    /// The public halves of our private keys as a JWK set (RFC 7517 section 5).
    pub fn public_keys(&self) -> Value {
        let keys: Vec<Value> = self.config().signing_keys.iter().map(SigningKey::jwk).collect();
        json!({ "keys": keys })
    }

    /// Counts a request against its principal at this address, so that a flood of one caller takes
    /// nothing from another one under the same account; the admin token is exempt. A principal also
    /// has a limit over all its addresses, but for service accounts: many instances share one.
    ///
    /// # Errors
    /// [`Rejected::TooMany`].
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
    /// [`Rejected::Invalid`], or [`Rejected::TooMany`] once failures for the account or the address
    /// have passed their limit. Valid credentials always pass, though they may have to wait for
    /// their turn.
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
            issued.expect("a gate in service has a key, as its configuration says")
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

/// Whether an address is in one of the networks, v4-mapped addresses unwrapped.
pub fn is_within(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests;
