//! JWTs of people, as an application that shares `auth.jwt_secret` would issue them.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::json;

use super::JWT_SECRET;

/// A token for somebody at the instance called `issuer`.
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
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).expect("an HMAC cannot fail")
}
