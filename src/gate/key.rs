//! Keys of tokens, each bound to one algorithm.
//!
//! Invariant: the key decides the algorithm (RFC 8725 section 3.1) and the issuer, never the token.
//! So a public key is never used as an HMAC secret, and a key of another issuer never verifies our
//! tokens. `jwks` fetches keys.

use aws_lc_rs::{digest, hmac};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::unique::Unique;
use super::{BadToken, Config, SigningKey};
use crate::support::Secret;

/// The least specific reason: every key but the right one gives it.
pub(super) const UNSIGNED: &str = "not signed with a key of ours";

/// The issuer and audience that a token must have.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) issuer: String,
    pub(super) audience: String,
}

impl Expected {
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.algorithms = vec![algorithm];
        // The times are checked with the other claims: the library rounds fractions.
        validation.validate_exp = false;
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["aud", "iss", "sub"]);
        validation
    }
}

/// A key that verifies tokens.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    decoding: DecodingKey,
    validation: Validation,
    expected: Expected,
}

impl Key {
    pub(super) fn new(
        id: Option<String>,
        algorithm: Algorithm,
        decoding: DecodingKey,
        expected: &Expected,
    ) -> Self {
        let validation = expected.validation(algorithm);
        Self { id, algorithm, decoding, validation, expected: expected.clone() }
    }

    /// The claims of a token that this key signed.
    pub(super) fn open(&self, token: &str) -> Result<Value, BadToken> {
        jsonwebtoken::decode::<Unique>(token, &self.decoding, &self.validation)
            .map(|data| data.claims.0)
            .map_err(|error| BadToken(self.reason(error.kind())))
    }

    fn reason(&self, kind: &ErrorKind) -> String {
        let Expected { issuer, audience, .. } = &self.expected;
        match kind {
            ErrorKind::InvalidSignature => UNSIGNED.into(),
            ErrorKind::InvalidIssuer => format!("issued by another than {issuer}"),
            ErrorKind::InvalidAudience => format!("for another audience than {audience}"),
            ErrorKind::MissingRequiredClaim(claim) => format!("without {claim}"),
            other => format!("malformed: {other:?}"),
        }
    }
}

/// A shared secret or the private half of a pair.
enum Signer {
    Secret(Box<hmac::Key>),
    Private(SigningKey),
}

/// The `kid` of an HS256 key: the first bytes of its hash.
fn name_of(secret: &Secret) -> String {
    let digest = digest::digest(&digest::SHA256, secret.expose().as_bytes());
    digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

impl Config {
    /// The `kid`s of our own keys, the signing one first.
    pub fn key_names(&self) -> Vec<String> {
        let pairs = self.signing_keys.iter().map(|pair| pair.id().to_owned());
        pairs.chain(self.jwt_secrets.iter().map(name_of)).collect()
    }

    /// Removes the keys that are not named.
    pub fn keep_keys(&mut self, names: &[String]) {
        self.signing_keys.retain(|pair| names.iter().any(|name| name == pair.id()));
        self.jwt_secrets.retain(|secret| names.contains(&name_of(secret)));
    }
}

/// A key of our own. It signs and verifies.
pub(super) struct OwnKey {
    pub(super) key: Key,
    signer: Signer,
}

impl OwnKey {
    /// An HS256 key.
    pub(super) fn of_secret(secret: &Secret, expected: &Expected) -> Self {
        let bytes = secret.expose().as_bytes();
        let decoding = DecodingKey::from_secret(bytes);
        Self {
            key: Key::new(Some(name_of(secret)), Algorithm::HS256, decoding, expected),
            signer: Signer::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes))),
        }
    }

    /// A pair of keys, named by its thumbprint.
    pub(super) fn of_pair(pair: &SigningKey, expected: &Expected) -> Self {
        let id = Some(pair.id().to_owned());
        Self {
            key: Key::new(id, pair.algorithm(), pair.decoding(), expected),
            signer: Signer::Private(pair.clone()),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Signer::Private(pair) => pair.sign(message),
        }
    }
}
