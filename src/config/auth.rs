//! Who may do what: `[auth]`, `[limits]` and `[compat]`.
//!
//! Weak secrets are refused, not warned about: a gateway that anybody can command is worse than one
//! that does not start. Secrets that are not given stay away here; [`super::generated`] makes them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};
use url::Url;

use super::generated::Needs;
use super::reader::Reader;
use super::sections::Sections;
use super::types::*;
use super::{Instance, accounts, peers};
use crate::gate::{Config, JwksConfig, SigningKey};
use crate::support::Secret;

/// HS256 keys shorter than its output are refused (RFC 7518, 3.2).
pub(super) const JWT_SECRET_BYTES_MIN: usize = 32;

/// Shorter ones can be guessed over a network within reach of patience.
pub(super) const ADMIN_TOKEN_BYTES_MIN: usize = 16;

/// Who may do what.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Auth {
    admin_token: Strong<ADMIN_TOKEN_BYTES_MIN>,
    admin_token_previous: Strong<ADMIN_TOKEN_BYTES_MIN>,
    jwt_secret: Strong<JWT_SECRET_BYTES_MIN>,
    jwt_secret_previous: Strong<JWT_SECRET_BYTES_MIN>,
    signing_key: Pem,
    signing_key_previous: Pem,
    // The client that fetches keys is made at a start.
    #[schemars(extend("x-restart" = true))]
    pub(super) jwks_url: Parsed<Option<JwksUrl>>,
    jwks_issuer: String,
    jwks_audience: String,
    jwks_s: Seconds<1, DAY_S>,
    jwks_refresh_s_min: Seconds<1, 3600>,
    jwks_stale_s_max: Seconds<0, YEAR_S>,
    issuer: String,
    pub(super) audience: Parsed<Filled>,
    role_claim: Parsed<Pointer>,
    pub(super) admin_roles: Vec<String>,
    pub(super) editor_roles: Vec<String>,
    token_s: Seconds<1, YEAR_S>,
    leeway_s: Seconds<0, 300>,
    allow: Vec<Parsed<Network>>,
    login_failures_per_minute: Int<1, 1_000_000>,
    token_failures_per_minute: Int<1, 1_000_000>,
    pub(super) service_accounts: Vec<accounts::Account>,
}

/// How much callers may ask for.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Limits {
    requests_per_second: Int<1, MANY>,
    burst: Int<1, MANY>,
    requests_per_second_total: Int<1, MANY>,
    pub(super) selectors_max: Int<1, 100_000>,
    // serde_json itself goes no deeper than 128.
    json_depth_max: Int<2, 128>,
    pub(super) wait_ms_max: Ms<0, HOUR_MS>,
    idempotency_keys_max: Int<0, MANY>,
}

/// What callers of the older revalidation routes send.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Compat {
    pub(super) revalidate_token: Strong<1>,
    pub(super) revalidate_token_previous: Strong<1>,
    pub(super) revalidate_secret: Strong<1>,
    pub(super) revalidate_secret_previous: Strong<1>,
}

/// A private key in PEM.
#[derive(Default)]
struct Pem(Option<SigningKey>);

impl<'de> Deserialize<'de> for Pem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let pem = Secret::deserialize(from)?;
        let key = (!pem.is_empty()).then(|| SigningKey::from_pem(pem.expose()));
        key.transpose().map(Self).map_err(D::Error::custom)
    }
}

secret!([] Pem);

/// Where another issuer publishes its keys.
#[derive(Clone)]
pub(super) struct JwksUrl(Url);

impl Text for JwksUrl {
    const IS_URL: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        // Plain http is never enough for keys, whatever mirrors may do.
        let hint = " unless mirrors.allow_http is true";
        peers::whole(text, false).map(Self).map_err(|expected| expected.replace(hint, ""))
    }
}

/// A text that is not empty.
pub(super) struct Filled(pub(super) String);

impl Text for Filled {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a text that is not empty".to_owned();
        (!text.is_empty()).then(|| Self(text.to_owned())).ok_or_else(expected)
    }
}

/// A JSON pointer (RFC 6901) that leads into an object.
struct Pointer(String);

impl Text for Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a JSON pointer, such as /role".to_owned();
        text.starts_with('/').then(|| Self(text.to_owned())).ok_or_else(expected)
    }
}

/// A network, or an address as a network of one. Mapped IPv4 networks become plain ones, for that
/// is the form in which addresses are compared.
#[derive(Clone, Copy)]
pub(super) struct Network(IpNet);

impl Text for Network {
    fn parse(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse()).map_err(|_| match text.contains('%') {
            true => "expected networks without a zone (%), for zones are not compared",
            false => "expected networks or addresses, such as 10.0.0.0/8 or ::1",
        })?;
        let mapped = |six: ipnet::Ipv6Net| {
            let four = six.addr().to_ipv4_mapped().filter(|_| six.prefix_len() >= 96)?;
            Ipv4Net::new(four, six.prefix_len() - 96).ok().map(IpNet::V4)
        };
        Ok(Self(match network {
            IpNet::V6(six) => mapped(six).unwrap_or(network),
            IpNet::V4(_) => network,
        }))
    }
}

pub(super) fn gate(from: &mut Reader, all: &Sections, instance: &Instance) -> Config {
    let (auth, limits) = (&all.auth, &all.limits);
    let or = |text: &String, other: &String| if text.is_empty() { other } else { text }.clone();
    let networks = |list: &[Parsed<Network>]| list.iter().map(|network| network.0.0).collect();
    let issuer = or(&auth.issuer, &instance.name);
    let service_accounts = accounts::configured(from, all);
    let jwks = |url: JwksUrl| JwksConfig {
        url: url.0,
        issuer: or(&auth.jwks_issuer, &issuer),
        audience: or(&auth.jwks_audience, &auth.audience.0.0),
        ttl: *auth.jwks_s,
        refresh_min: *auth.jwks_refresh_s_min,
        stale_max: *auth.jwks_stale_s_max,
    };
    Config {
        admin_tokens: given([&*auth.admin_token, &auth.admin_token_previous]),
        jwt_secrets: given([&*auth.jwt_secret, &auth.jwt_secret_previous]),
        signing_keys: signing_keys(from, auth),
        revalidate_secrets: revalidate_secrets(from, &all.compat),
        jwks: auth.jwks_url.0.clone().map(jwks),
        issuer,
        audience: auth.audience.0.0.clone(),
        role_claim: auth.role_claim.0.0.clone(),
        admin_roles: auth.admin_roles.clone(),
        editor_roles: auth.editor_roles.clone(),
        token_life: *auth.token_s,
        leeway: *auth.leeway_s,
        data_dir: Some(instance.data_dir.clone()),
        allow: networks(&auth.allow),
        trusted_proxies: networks(&all.control.trusted_proxies),
        login_failures_per_minute: auth.login_failures_per_minute.to(),
        token_failures_per_minute: auth.token_failures_per_minute.to(),
        person: accounts::person(from, all, &service_accounts),
        service_emails: accounts::emails(from, all, &service_accounts),
        service_accounts,
        requests_per_second: limits.requests_per_second.to(),
        burst: limits.burst.to(),
        requests_per_second_total: limits.requests_per_second_total.to(),
        selectors_max: limits.selectors_max.to(),
        json_depth_max: limits.json_depth_max.to(),
        idempotency_keys_max: limits.idempotency_keys_max.to(),
    }
}

/// Which of our secrets are not configured.
pub(super) fn needs(auth: &Auth) -> Needs {
    Needs {
        admin_token: auth.admin_token.is_empty(),
        jwt_secret: auth.jwt_secret.is_empty() && auth.signing_key.0.is_none(),
    }
}

/// Their own guides ask for longer ones than we need, so that a short one is a warning only. The
/// advised lengths are those that `openssl rand -base64` gives for 32 and for 48 bytes.
fn revalidate_secrets(from: &mut Reader, compat: &Compat) -> Vec<Secret> {
    let tokens = given([&*compat.revalidate_token, &compat.revalidate_token_previous]);
    let secrets = given([&*compat.revalidate_secret, &compat.revalidate_secret_previous]);
    for (key, secrets, advised) in
        [("compat.revalidate_token", &tokens, 44), ("compat.revalidate_secret", &secrets, 64)]
    {
        if secrets.iter().any(|secret| secret.expose().len() < advised) {
            from.warn(format!(
                "{key} is shorter than {advised} bytes and may be guessed (make one: cache-mirror \
                 secret generate)"
            ));
        }
    }
    [tokens, secrets].concat()
}

/// The private key that signs and the one in rotation, as far as they are given.
fn signing_keys(from: &mut Reader, auth: &Auth) -> Vec<SigningKey> {
    let previous = "auth.signing_key_previous";
    match (&auth.signing_key.0, &auth.signing_key_previous.0) {
        (None, Some(_)) => from.refuse(previous, "expected only beside auth.signing_key"),
        (Some(key), Some(other)) if key.id() == other.id() => {
            from.refuse(previous, "the same key as auth.signing_key");
        }
        _ => {}
    }
    [&auth.signing_key, &auth.signing_key_previous]
        .into_iter()
        .flat_map(|it| it.0.clone())
        .collect()
}
