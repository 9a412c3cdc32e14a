//! Credentials: JWTs of people, as an application that shares `auth.jwt_secret` would issue them,
//! and signatures of calls.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use super::{JWT_SECRET, Seen};

/// A token for a person at the instance called `issuer`.
pub fn mint(issuer: &str, email: &str, role: &str) -> String {
    let now = get_current_timestamp();
    let claims = json!({
        "iss": issuer,
        "aud": "cache-mirror",
        "sub": email,
        "email": email,
        "role": role,
        "iat": now,
        "exp": now + 600,
    });
    sign(&claims)
}

/// A token with these claims.
pub fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("an HMAC cannot fail")
}

/// The signature that a call must have under this key, by Standard Webhooks.
pub fn webhook_signature(key: &[u8], seen: &Seen) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let (id, at) = (seen.header("webhook-id"), seen.header("webhook-timestamp"));
    let tag = hmac::sign(&key, format!("{id}.{at}.{}", seen.text()).as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}
