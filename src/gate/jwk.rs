//! One published key (RFC 7517, RFC 7518, RFC 8037), parsed strictly.
//!
//! Type and curve decide the algorithm. A key with a different `alg`, or for another use than
//! verifying signatures, is ignored. So is a symmetric key (`oct`): published, it is not a secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// Bytes of an RSA modulus: 2,048 to 8,192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Bytes of a coordinate of P-256 and of an Ed25519 key.
const POINT_BYTES: usize = 32;

/// The `kid`, the algorithm and the key, if it can verify signatures.
pub(super) fn read(jwk: &Value) -> Option<(Option<String>, Algorithm, DecodingKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let (algorithm, key) = match (text("kty")?, text("crv")) {
        ("RSA", None) => (Algorithm::RS256, rsa(text("n")?, text("e")?)?),
        ("EC", Some("P-256")) => (Algorithm::ES256, ec(text("x")?, text("y")?)?),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, ed(text("x")?)?),
        _ => return None,
    };
    // RFC 9864 names EdDSA with this curve "Ed25519".
    let is_named = |name: &str| {
        name == format!("{algorithm:?}") || (algorithm == Algorithm::EdDSA && name == "Ed25519")
    };
    let fits = match jwk.get("alg") {
        None => true,
        Some(name) => name.as_str().is_some_and(is_named),
    };
    let verifies = jwk.get("use").is_none_or(|it| it == "sig")
        && jwk.get("key_ops").is_none_or(|ops| {
            ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"))
        });
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    (fits && verifies).then_some((kid, algorithm, key))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let (n, e) = (bytes(n)?, bytes(e)?);
    let leading = n.iter().take_while(|byte| **byte == 0).count();
    let n = &n[leading..];
    let is_usable = RSA_BYTES.contains(&n.len()) && (1..=8).contains(&e.len());
    is_usable.then(|| DecodingKey::from_rsa_raw_components(n, &e))
}

fn ec(x: &str, y: &str) -> Option<DecodingKey> {
    let is_whole = bytes(x)?.len() == POINT_BYTES && bytes(y)?.len() == POINT_BYTES;
    is_whole.then(|| DecodingKey::from_ec_components(x, y).ok()).flatten()
}

fn ed(x: &str) -> Option<DecodingKey> {
    let is_whole = bytes(x)?.len() == POINT_BYTES;
    is_whole.then(|| DecodingKey::from_ed_components(x).ok()).flatten()
}
