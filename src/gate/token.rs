//! JWTs: issued for service accounts, verified strictly.
//!
//! The library's defaults are too kind for a gate (an unknown `crit`, a future `nbf`, a token
//! without `aud` would pass), so the header is checked here first and every claim that matters is
//! required and typed. The algorithm is pinned by configuration, never taken from the token; `kid`
//! only chooses among our own keys (RFC 8725).

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Config;
use crate::support::{Secret, clock};

/// Longest token looked at. Ours are under 400 bytes; decoding megabytes would be work for nothing.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// What a verified token says.
#[derive(Debug, Clone)]
pub struct Claims {
    /// `sub`.
    pub subject: String,
    /// `email`, where there is one.
    pub email: Option<String>,
    /// Every role named at the configured pointer.
    pub roles: Vec<String>,
}

/// Why a token is none. The text is for the log; the caller is told only that it is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadToken(pub String);

/// Signs and verifies HS256 tokens.
pub struct Tokens {
    keys: Vec<Key>,
    validation: Validation,
    issuer: String,
    audience: String,
    role_claim: String,
    life: Duration,
    leeway: Duration,
}

struct Key {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    fn new(secret: &Secret) -> Self {
        let bytes = secret.expose().as_bytes();
        let digest = digest::digest(&digest::SHA256, bytes);
        let id = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self {
            id,
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        }
    }
}

/// The claims that we issue.
#[derive(Serialize)]
struct Issued<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    role: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// The claims that must be there, in the only types accepted. A number outside `u64`, a text or a
/// list in the wrong place fails here.
#[derive(Deserialize)]
struct Required {
    #[allow(dead_code, reason = "its type is the check: the library would accept a list")]
    iss: String,
    sub: String,
    #[serde(default)]
    email: Option<String>,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    #[serde(default)]
    iat: Option<u64>,
}

impl Tokens {
    /// Takes keys and claims from the gate's configuration.
    pub fn new(config: &Config) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.algorithms = vec![Algorithm::HS256];
        validation.leeway = config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_audience(&[&config.audience]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        Self {
            keys: config.jwt_secrets.iter().map(Key::new).collect(),
            validation,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            role_claim: config.role_claim.clone(),
            life: config.token_life,
            leeway: config.leeway,
        }
    }

    /// A token for a service account, and its life in seconds.
    pub fn issue(&self, email: &str) -> (String, u64) {
        let now = clock::wall_ms() / 1000;
        let life = self.life.as_secs();
        let claims = Issued {
            iss: &self.issuer,
            aud: &self.audience,
            sub: email,
            role: "service",
            iat: now,
            nbf: now,
            exp: now + life,
        };
        let key = &self.keys[0];
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding)
            .expect("serialising plain claims and an HMAC cannot fail");
        (token, life)
    }

    /// Checks everything about a token.
    ///
    /// # Errors
    /// [`BadToken`] with the reason, for the log only.
    pub fn verify(&self, token: &str) -> Result<Claims, BadToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(BadToken("longer than 8 KiB".into()));
        }
        let kid = check_header(token)?;
        let named = self.keys.iter().filter(|key| Some(&key.id) == kid.as_ref());
        let others = self.keys.iter().filter(|key| Some(&key.id) != kid.as_ref());
        let mut last = BadToken("no key".into());
        for key in named.chain(others) {
            match jsonwebtoken::decode::<Value>(token, &key.decoding, &self.validation) {
                Ok(data) => return self.claims(data.claims),
                Err(error) => last = BadToken(error.to_string()),
            }
        }
        Err(last)
    }

    fn claims(&self, claims: Value) -> Result<Claims, BadToken> {
        let roles = match claims.pointer(&self.role_claim) {
            Some(Value::String(role)) => vec![role.clone()],
            Some(Value::Array(roles)) => {
                roles.iter().filter_map(|role| role.as_str().map(ToOwned::to_owned)).collect()
            }
            _ => vec![],
        };
        let required: Required =
            serde_json::from_value(claims).map_err(|error| BadToken(error.to_string()))?;
        let latest = clock::wall_ms() / 1000 + self.leeway.as_secs();
        if required.nbf.is_some_and(|nbf| nbf > latest)
            || required.iat.is_some_and(|iat| iat > latest)
        {
            return Err(BadToken("from the future".into()));
        }
        if required.exp.saturating_add(self.leeway.as_secs()) < clock::wall_ms() / 1000 {
            return Err(BadToken("expired".into()));
        }
        if required.sub.is_empty() {
            return Err(BadToken("an empty sub".into()));
        }
        Ok(Claims { subject: required.sub, email: required.email, roles })
    }
}

/// Refuses every header but the plain one, and gives its `kid`.
fn check_header(token: &str) -> Result<Option<String>, BadToken> {
    #[derive(Deserialize)]
    struct Plain {
        alg: String,
        #[serde(default)]
        typ: Option<String>,
        #[serde(default)]
        kid: Option<String>,
        // `null` is a value too: an absent `crit` is the only one that asks for nothing.
        #[serde(default, deserialize_with = "present")]
        crit: Option<Value>,
    }
    fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(from).map(Some)
    }
    let head = token.split('.').next().unwrap_or_default();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(head)
        .map_err(|_| BadToken("a header that is not base64url".into()))?;
    let header: Plain = serde_json::from_slice(&bytes)
        .map_err(|error| BadToken(format!("a header that cannot be read: {error}")))?;
    if header.alg != "HS256" {
        return Err(BadToken("another algorithm than HS256".into()));
    }
    if header.crit.is_some() {
        return Err(BadToken("a crit header".into()));
    }
    if header.typ.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(BadToken("another typ than JWT".into()));
    }
    Ok(header.kid)
}
