//! Who may do what: `[auth]` and `[limits]`.
//!
//! Weak secrets are refused, not warned about: a gateway that anybody can command is worse than one
//! that does not start. Secrets that are not given stay away here; [`super::generated`] makes them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::Instance;
use super::generated::Needs;
use super::reader::Reader;
use super::{accounts, peers};
use crate::gate::{Config, JwksConfig, SigningKey};
use crate::support::Secret;

/// HS256 keys shorter than its output are refused (RFC 7518, 3.2).
pub(super) const JWT_SECRET_BYTES_MIN: usize = 32;

/// Shorter ones can be guessed over a network within reach of patience.
pub(super) const ADMIN_TOKEN_BYTES_MIN: usize = 16;

/// The lengths that `openssl rand -base64` gives for 32 and for 48 bytes.
const REVALIDATE_BYTES_ADVISED: [(&str, usize); 2] =
    [("compat.revalidate_token", 44), ("compat.revalidate_secret", 64)];

pub(super) fn gate(from: &mut Reader, instance: &Instance) -> Config {
    let issuer = Some(from.text("auth.issuer")).filter(|issuer| !issuer.is_empty());
    let issuer = issuer.unwrap_or_else(|| instance.name.clone());
    let service_accounts = accounts::configured(from);
    Config {
        admin_tokens: secrets(from, "auth.admin_token", ADMIN_TOKEN_BYTES_MIN),
        jwt_secrets: jwt_secrets(from),
        signing_keys: signing_keys(from),
        revalidate_secrets: revalidate_secrets(from),
        jwks: jwks(from, &issuer),
        issuer,
        audience: given(from, "auth.audience"),
        role_claim: pointer(from, "auth.role_claim"),
        admin_roles: from.list("auth.admin_roles"),
        editor_roles: from.list("auth.editor_roles"),
        token_life: from.seconds("auth.token_s"),
        leeway: from.seconds("auth.leeway_s"),
        data_dir: Some(instance.data_dir.clone()),
        allow: networks(from, "auth.allow"),
        trusted_proxies: networks(from, "control.trusted_proxies"),
        login_failures_per_minute: from.count("auth.login_failures_per_minute"),
        token_failures_per_minute: from.count("auth.token_failures_per_minute"),
        person: accounts::person(from, &service_accounts),
        service_emails: accounts::emails(from, &service_accounts),
        service_accounts,
        requests_per_second: from.count("limits.requests_per_second"),
        burst: from.count("limits.burst"),
        requests_per_second_total: from.count("limits.requests_per_second_total"),
        selectors_max: from.count("limits.selectors_max"),
        json_depth_max: from.count("limits.json_depth_max"),
        idempotency_keys_max: from.count("limits.idempotency_keys_max"),
    }
}

/// Which secrets of ours nobody gave.
pub(super) fn needs(from: &Reader) -> Needs {
    Needs {
        admin_token: from.secret("auth.admin_token").is_empty(),
        jwt_secret: from.secret("auth.jwt_secret").is_empty()
            && from.secret("auth.signing_key").is_empty(),
    }
}

/// The present secret and the one in rotation, as far as they are given.
fn secrets(from: &mut Reader, key: &str, bytes_min: usize) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for key in [key.to_owned(), format!("{key}_previous")] {
        let secret = from.secret(&key);
        if secret.is_empty() {
            continue;
        }
        if secret.expose().len() < bytes_min {
            from.refuse(&key, format!("expected at least {bytes_min} bytes"));
        }
        if secret.expose().chars().any(char::is_control) {
            from.refuse(&key, "expected a text without control characters");
        }
        secrets.push(secret);
    }
    secrets
}

/// What callers of the older revalidation routes send. Their own guides ask for longer ones than we
/// need, so that a short one is a warning only.
fn revalidate_secrets(from: &mut Reader) -> Vec<Secret> {
    let mut all = Vec::new();
    for (key, advised) in REVALIDATE_BYTES_ADVISED {
        let secrets = secrets(from, key, 1);
        if secrets.iter().any(|secret| secret.expose().len() < advised) {
            from.warn(format!(
                "{key} is shorter than {advised} bytes and may be guessed (make one: cache-mirror \
                 secret generate)"
            ));
        }
        all.extend(secrets);
    }
    all
}

/// A key pair in the place of a secret is a mix-up that would make its public half a password.
fn jwt_secrets(from: &mut Reader) -> Vec<Secret> {
    for key in ["auth.jwt_secret", "auth.jwt_secret_previous"] {
        if from.text(key).trim_start().starts_with("-----BEGIN") {
            from.refuse(key, "a PEM is no secret: expected it in auth.signing_key");
            return vec![];
        }
    }
    secrets(from, "auth.jwt_secret", JWT_SECRET_BYTES_MIN)
}

/// The private key that signs and the one in rotation, as far as they are given.
fn signing_keys(from: &mut Reader) -> Vec<SigningKey> {
    let mut keys: Vec<SigningKey> = Vec::new();
    for name in ["auth.signing_key", "auth.signing_key_previous"] {
        let pem = from.secret(name);
        if pem.is_empty() {
            continue;
        }
        match SigningKey::from_pem(pem.expose()) {
            Ok(key) if keys.iter().any(|other| other.id() == key.id()) => {
                from.refuse(name, "the same key as auth.signing_key");
            }
            Ok(key) => keys.push(key),
            Err(bad) => from.refuse(name, bad.to_string()),
        }
    }
    let is_only_previous = from.secret("auth.signing_key").is_empty() && !keys.is_empty();
    if is_only_previous {
        from.refuse("auth.signing_key_previous", "expected only beside auth.signing_key");
    }
    keys
}

fn jwks(from: &mut Reader, issuer: &str) -> Option<JwksConfig> {
    let text = from.text("auth.jwks_url");
    if text.is_empty() {
        return None;
    }
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    let url = match peers::whole(&text, false) {
        Ok(url) => url,
        Err(expected) => {
            // Plain http is never enough for keys, whatever mirrors may do.
            let expected = expected.replace(" unless mirrors.allow_http is true", "");
            from.refuse("auth.jwks_url", expected);
            return None;
        }
    };
    Some(JwksConfig {
        url,
        issuer: or(from.text("auth.jwks_issuer"), issuer),
        audience: or(from.text("auth.jwks_audience"), &from.text("auth.audience")),
        ttl: from.seconds("auth.jwks_s"),
        refresh_min: from.seconds("auth.jwks_refresh_s_min"),
        stale_max: from.seconds("auth.jwks_stale_s_max"),
    })
}

fn given(from: &mut Reader, key: &str) -> String {
    let text = from.text(key);
    if text.is_empty() {
        from.refuse(key, "expected a text that is not empty");
    }
    text
}

/// A JSON pointer (RFC 6901) that leads into an object.
fn pointer(from: &mut Reader, key: &str) -> String {
    let text = from.text(key);
    if !text.starts_with('/') {
        from.refuse(key, "expected a JSON pointer, such as /role");
    }
    text
}

fn networks(from: &mut Reader, key: &str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in from.list(key) {
        match network(&text) {
            Some(network) => networks.push(network),
            None if text.contains('%') => {
                from.refuse(
                    key,
                    "expected networks without a zone (%), for zones are not compared",
                );
            }
            None => from.refuse(key, "expected networks or addresses, such as 10.0.0.0/8 or ::1"),
        }
    }
    networks
}

/// A network, or an address as a network of one. Mapped IPv4 networks become plain ones, for that
/// is the form in which addresses are compared.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().ok()?,
    };
    match network {
        IpNet::V6(six) if six.prefix_len() >= 96 => match six.addr().to_ipv4_mapped() {
            Some(four) => Ipv4Net::new(four, six.prefix_len() - 96).ok().map(IpNet::V4),
            None => Some(network),
        },
        _ => Some(network),
    }
}
