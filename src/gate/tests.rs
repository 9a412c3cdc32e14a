//! Scenes of the gate: what a token, a login, an address and a batch may and may not do.
//!
//! Tokens are made by hand here, byte by byte, because a library that signs refuses to make most of
//! the tokens that an attacker would send.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::support::clock;

mod addresses;
mod headers;
mod identity;
mod jwks;
mod login;
mod pairs;
mod revalidators;
mod roles;
mod tokens;

const KEY: &str = "the key that signs, 32 bytes or more";
const KEY_BEFORE: &str = "the key before it, 32 bytes or more too";
const LEEWAY_S: u64 = 5;

fn config() -> Config {
    Config {
        admin_tokens: vec![Secret::new("admin-now"), Secret::new("admin-before")],
        jwt_secrets: vec![Secret::new(KEY), Secret::new(KEY_BEFORE)],
        signing_keys: vec![],
        revalidate_secrets: vec![],
        jwks: None,
        issuer: "here".into(),
        audience: "cache-mirror".into(),
        role_claim: "/role".into(),
        admin_roles: vec!["ADMIN".into()],
        editor_roles: vec!["TRAINER".into()],
        token_life: Duration::from_secs(3600),
        leeway: Duration::from_secs(LEEWAY_S),
        data_dir: None,
        allow: vec![],
        trusted_proxies: vec![],
        login_failures_per_minute: 5,
        token_failures_per_minute: 20,
        service_accounts: vec![ServiceAccount {
            email: "mirror@b.example".into(),
            password: Password::Plain(Secret::new("correct horse")),
        }],
        person: None,
        service_emails: vec!["own@here.example".into()],
        requests_per_second: 1_000,
        burst: 1_000,
        requests_per_second_total: 10_000,
        selectors_max: 1_000,
        json_depth_max: 64,
        idempotency_keys_max: 10,
    }
}

fn gate() -> Gate {
    Gate::new(config())
}

fn now_s() -> u64 {
    clock::wall_ms() / 1000
}

/// Claims that pass, for changing one at a time.
fn good_claims() -> Value {
    json!({
        "iss": "here", "aud": "cache-mirror", "sub": "ann@x.example", "role": "ADMIN",
        "iat": now_s(), "exp": now_s() + 600,
    })
}

fn good_header() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

/// The good claims with one replaced, or taken out by null.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    let object = claims.as_object_mut().expect("object");
    match value {
        Value::Null => object.remove(name),
        value => object.insert(name.into(), value),
    };
    claims
}

fn header_with(name: &str, value: Value) -> Value {
    let mut header = good_header();
    header[name] = value;
    header
}

fn sign(header: &Value, claims: &Value, key: &str) -> String {
    sign_text(&header.to_string(), &claims.to_string(), key)
}

fn sign_text(header: &str, claims: &str, key: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn client() -> IpAddr {
    address("203.0.113.7")
}

/// How a new gate judges this token.
fn judge(token: &str) -> Result<Principal, Rejected> {
    gate().authenticate(Some(&format!("Bearer {token}")), client())
}

fn who(role: Role) -> Principal {
    Principal { name: "ann@x.example".into(), role }
}
