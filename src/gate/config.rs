//! The settings of the gate. `config` has validated them before anything binds.
//! Secrets stay masked in `Debug`.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::SigningKey;
use crate::support::Secret;

/// Credentials, roles and limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tokens that may do everything: the current one first, then one in rotation. Never empty.
    pub admin_tokens: Vec<Secret>,
    /// HS256 keys, the signing one first; each at least 32 bytes. Empty only with signing keys.
    pub jwt_secrets: Vec<Secret>,
    /// Private keys: the one that signs first, then one in rotation. They sign before any secret.
    pub signing_keys: Vec<SigningKey>,
    /// Secrets that the revalidation routes accept instead of a token. May be empty.
    pub revalidate_secrets: Vec<Secret>,
    /// Another issuer's keys.
    pub jwks: Option<JwksConfig>,
    /// `iss` of tokens.
    pub issuer: String,
    /// `aud` of tokens.
    pub audience: String,
    /// JSON pointer to the role claim.
    pub role_claim: String,
    /// Roles that may do everything.
    pub admin_roles: Vec<String>,
    /// Roles that may invalidate and read.
    pub editor_roles: Vec<String>,
    /// Life of the tokens we issue.
    pub token_life: Duration,
    /// Tolerated clock difference.
    pub leeway: Duration,
    /// The directory with the list of application tokens; `None`: no such token is accepted.
    pub data_dir: Option<PathBuf>,
    /// Networks that may connect; empty means all.
    pub allow: Vec<IpNet>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Failed logins a minute after which failures answer 429.
    pub login_failures_per_minute: u32,
    /// Invalid tokens a minute after which failures answer 429.
    pub token_failures_per_minute: u32,
    /// Accounts that may log in.
    pub service_accounts: Vec<ServiceAccount>,
    /// The account of a person that may log in (`TEST_EMAIL`); it gets an editor's token.
    pub person: Option<Person>,
    /// Further emails that mark a verified token as a peer's (our own SERVICE_EMAIL).
    pub service_emails: Vec<String>,
    /// Requests a second for each principal at each address.
    pub requests_per_second: u32,
    /// Burst of these requests.
    pub burst: u32,
    /// Requests a second for each principal at all its addresses. A service account has no such
    /// limit, because many instances share it.
    pub requests_per_second_total: u32,
    /// Selectors in one request.
    pub selectors_max: usize,
    /// Nesting of a JSON body.
    pub json_depth_max: usize,
    /// Answers remembered for `Idempotency-Key`.
    pub idempotency_keys_max: usize,
}

/// Where another issuer publishes its keys, and which tokens it may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksConfig {
    /// https, or http to loopback.
    pub url: Url,
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of its tokens.
    pub audience: String,
    /// How long keys are kept before they are fetched again.
    pub ttl: Duration,
    /// Least time between two fetches.
    pub refresh_min: Duration,
    /// Most age of keys while fetches fail.
    pub stale_max: Duration,
}

/// An account that peers log in with.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Its name.
    pub email: String,
    /// How its password is checked.
    pub password: Password,
}

/// An account of a person, not of a peer.
#[derive(Debug, Clone)]
pub struct Person {
    /// Its name.
    pub email: String,
    /// In plain text, as the environment gives it.
    pub password: Secret,
    /// The role of its tokens.
    pub role: String,
}

/// A password to compare with.
#[derive(Debug, Clone)]
pub enum Password {
    /// An argon2id hash in PHC form.
    Hash(String),
    /// The plain text, which only the environment gives (`SERVICE_PASSWORD`).
    Plain(Secret),
}
