//! JWTs: issued for accounts and applications, verified strictly.
//!
//! The library's defaults are too lenient: an unknown `crit`, a future `nbf` or a token without
//! `aud` would pass. So the header is checked first, and every relevant claim is required and
//! typed. A token can only name a key; the key decides algorithm and issuer (RFC 8725).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::header::Header;
use super::jwks::KeySet;
use super::key::{Expected, Key, OwnKey, UNSIGNED};
use super::{Config, TokenRequest};
use crate::support::clock;

/// The claims of a verified token.
#[derive(Debug, Clone)]
pub struct Claims {
    /// `sub`.
    pub subject: String,
    /// `email`, if present.
    pub email: Option<String>,
    /// Every role named at the configured pointer.
    pub roles: Vec<String>,
    /// Its application: the token is valid only while it is listed.
    pub app: Option<AppClaims>,
}

/// The claims that name an application's token.
#[derive(Debug, Clone)]
pub struct AppClaims {
    /// The application.
    pub name: String,
    /// `jti`.
    pub jti: String,
}

/// Why a token is not valid. The text is for the log and is never sent to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadToken(pub String);

/// Signs and verifies tokens with keys of our own, and verifies with those of others.
pub struct Tokens {
    /// The signing key comes first.
    keys: Vec<OwnKey>,
    issuer: String,
    audience: String,
    role_claim: String,
    life: Duration,
    leeway: Duration,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "cache_mirror_app")]
    app: Option<&'a str>,
}

/// The claims that are checked, in the only types that are accepted.
#[derive(Deserialize)]
struct Required {
    #[allow(dead_code, reason = "its type is the check: the library would accept a list")]
    iss: String,
    sub: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    exp: Option<Date>,
    #[serde(default)]
    nbf: Option<Date>,
    #[serde(default)]
    iat: Option<Date>,
    #[serde(default)]
    jti: Option<Value>,
    #[serde(default, rename = "cache_mirror_app")]
    app: Option<Value>,
}

/// Seconds since 1970, which may have a fraction (RFC 7519 section 2).
#[derive(Debug, Clone, Copy)]
struct Date(f64);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(from)?;
        // Dates before 1970 or beyond 64 bits are mistakes.
        let is_date = (0.0..=u64::MAX as f64).contains(&seconds);
        is_date.then_some(Self(seconds)).ok_or_else(|| {
            serde::de::Error::custom(format!("{seconds} is no date in seconds since 1970"))
        })
    }
}

/// Sets a text at a JSON pointer, unless a value is there or blocks the way.
fn put_absent(claims: &mut Value, pointer: &str, text: &str) {
    let names = pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
    let mut place = claims;
    for name in names {
        let Some(object) = place.as_object_mut() else { return };
        place = object.entry(name).or_insert_with(|| json!({}));
    }
    if place.as_object().is_some_and(serde_json::Map::is_empty) {
        *place = json!(text);
    }
}

impl Tokens {
    /// Takes keys and claims from the gate's configuration. A private key signs before a secret.
    pub fn new(config: &Config) -> Self {
        let expected =
            Expected { issuer: config.issuer.clone(), audience: config.audience.clone() };
        let pairs = config.signing_keys.iter().map(|pair| OwnKey::of_pair(pair, &expected));
        let secrets = config.jwt_secrets.iter().map(|key| OwnKey::of_secret(key, &expected));
        Self {
            keys: pairs.chain(secrets).collect(),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            role_claim: config.role_claim.clone(),
            life: config.token_life,
            leeway: config.leeway,
        }
    }

    /// A token and its life in seconds; `None` if there is no signing key.
    pub fn issue(&self, order: &TokenRequest<'_>) -> Option<(String, u64)> {
        let key = self.keys.first()?;
        let now = clock::wall_ms() / 1000;
        let life = order.life.unwrap_or(self.life).as_secs();
        let claims = Issued {
            iss: &self.issuer,
            aud: order.audience.unwrap_or(&self.audience),
            sub: order.subject,
            role: order.role,
            iat: now,
            nbf: now,
            exp: order.app.is_none().then_some(now.saturating_add(life)),
            jti: order.app.map(|app| app.jti),
            app: order.app.map(|app| app.name),
        };
        let algorithm = format!("{:?}", key.key.algorithm);
        let header = json!({ "typ": "JWT", "alg": algorithm, "kid": key.key.id });
        let mut claims = serde_json::to_value(&claims).expect("plain claims are JSON");
        put_absent(&mut claims, &self.role_claim, order.role);
        let claims = claims.to_string();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", part(header.to_string().as_bytes()), part(claims.as_bytes()));
        let signature = part(&key.sign(signed.as_bytes()));
        Some((format!("{signed}.{signature}"), life))
    }

    /// Whether one of our private keys has this `kid`.
    pub(super) fn has_pair(&self, kid: Option<&str>) -> bool {
        let is_it = |key: &Key| key.algorithm != Algorithm::HS256 && key.id.as_deref() == kid;
        self.keys.iter().any(|own| is_it(&own.key))
    }

    /// Verifies a token. `others` are keys that another issuer publishes.
    ///
    /// # Errors
    /// [`BadToken`] with the reason, for the log only.
    pub(super) fn verify(&self, token: &str, others: Option<&KeySet>) -> Result<Claims, BadToken> {
        let header = Header::read(token)?;
        // Our tokens never have the type of access tokens; another issuer's may (RFC 9068).
        let ours = self.candidates(&header).filter(|_| !header.is_access_token);
        let ours = ours.map(|key| (key, true));
        let theirs = others.into_iter().flat_map(|set| set.candidates(&header));
        let theirs = theirs.map(|key| (key, false));
        let mut why = BadToken(format!("no key for {:?} of this name", header.algorithm));
        let mut is_specific = false;
        for (key, is_ours) in ours.chain(theirs) {
            match key.open(token) {
                Ok(claims) => return self.claims(claims, is_ours),
                // An error other than the signature is the more useful reason.
                Err(bad) if !is_specific => {
                    is_specific = bad.0 != UNSIGNED;
                    why = bad;
                }
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// Tokens signed with a secret need no `kid`, because applications that share the secret do not
    /// know one. A pair is found by its `kid` only.
    fn candidates(&self, header: &Header) -> impl Iterator<Item = &Key> {
        let (algorithm, kid) = (header.algorithm, header.kid.clone());
        let fitting =
            self.keys.iter().map(|own| &own.key).filter(move |k| k.algorithm == algorithm);
        let (named, others): (Vec<_>, Vec<_>) =
            fitting.partition(|key| kid.is_some() && key.id == kid);
        let others = if algorithm == Algorithm::HS256 { others } else { vec![] };
        named.into_iter().chain(others)
    }

    fn claims(&self, claims: Value, is_ours: bool) -> Result<Claims, BadToken> {
        let roles = match claims.pointer(&self.role_claim) {
            Some(Value::String(role)) => vec![role.clone()],
            Some(Value::Array(roles)) => {
                roles.iter().filter_map(|role| role.as_str().map(ToOwned::to_owned)).collect()
            }
            _ => vec![],
        };
        let required: Required =
            serde_json::from_value(claims).map_err(|error| BadToken(error.to_string()))?;
        let (now, leeway) = (clock::wall_ms() as f64 / 1000.0, self.leeway.as_secs_f64());
        // Only we issue tokens of applications: another issuer's claim of that name is ignored.
        let app = match (is_ours, required.app, required.jti) {
            (false, ..) | (true, None, _) => None,
            (true, Some(Value::String(name)), Some(Value::String(jti))) => {
                Some(AppClaims { name, jti })
            }
            (true, Some(_), _) => return Err(BadToken("an application token without jti".into())),
        };
        if required.exp.is_none() && app.is_none() {
            return Err(BadToken("without exp".into()));
        }
        if required.exp.is_some_and(|exp| exp.0 + leeway <= now) {
            return Err(BadToken("expired".into()));
        }
        if required.nbf.is_some_and(|nbf| nbf.0 > now + leeway) {
            return Err(BadToken("not valid yet".into()));
        }
        if required.iat.is_some_and(|iat| iat.0 > now + leeway) {
            return Err(BadToken("from the future".into()));
        }
        if required.sub.is_empty() {
            return Err(BadToken("an empty sub".into()));
        }
        Ok(Claims { subject: required.sub, email: required.email, roles, app })
    }
}
