//! Private keys of our own: parsed from PEM, used to sign; their public halves are published.
//!
//! Ed25519, P-256 and RSA from 2,048 bits, as unencrypted PKCS#8 (what `openssl genpkey` writes).
//! The type of the key decides the algorithm. `Debug` shows the name and nothing else.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

/// Smaller keys can be factored (NIST SP 800-131A).
const RSA_BYTES_MIN: usize = 2048 / 8;

/// The text is not a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an unencrypted private key in PEM (PKCS#8, BEGIN PRIVATE KEY): Ed25519, P-256, or \
     RSA of at least 2048 bits"
)]
pub struct BadKey;

/// A private key that signs tokens.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    pair: Pair,
    id: String,
    /// Its public half without `kid`, `use` and `alg`, members in alphabetical order.
    public: Value,
}

enum Pair {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// Parses a key.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| BadKey)?;
        let pair = Pair::read(der.secret_pkcs8_der()).ok_or(BadKey)?;
        let public = pair.public();
        // RFC 7638: the hash over the required members in alphabetical order, without spaces.
        let hash = digest::digest(&digest::SHA256, public.to_string().as_bytes());
        let id = URL_SAFE_NO_PAD.encode(hash);
        Ok(Self(Arc::new(Inner { pair, id, public })))
    }

    /// Its name in `kid`: the thumbprint of RFC 7638.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> Algorithm {
        match self.0.pair {
            Pair::Ed(_) => Algorithm::EdDSA,
            Pair::Ec(_) => Algorithm::ES256,
            Pair::Rsa(_) => Algorithm::RS256,
        }
    }

    /// Its public half as a JWK (RFC 7517).
    pub fn jwk(&self) -> Value {
        let mut jwk = self.0.public.clone();
        jwk["kid"] = json!(self.0.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(format!("{:?}", self.algorithm()));
        jwk
    }

    /// Its public half, for verifying.
    pub(super) fn decoding(&self) -> DecodingKey {
        let member = |name: &str| self.0.public[name].as_str().unwrap_or_default();
        let key = match self.0.pair {
            Pair::Ed(_) => DecodingKey::from_ed_components(member("x")),
            Pair::Ec(_) => DecodingKey::from_ec_components(member("x"), member("y")),
            Pair::Rsa(_) => DecodingKey::from_rsa_components(member("n"), member("e")),
        };
        key.expect("its parts were encoded above")
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.0.pair {
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Ec(pair) => {
                let signature = pair.sign(&random, message);
                signature.expect("a checked key signs").as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("a checked key signs into a buffer of its own size");
                signature
            }
        }
    }
}

impl Pair {
    fn read(der: &[u8]) -> Option<Self> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Some(Self::Ed(pair));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Some(Self::Ec(pair));
        }
        let pair = RsaKeyPair::from_pkcs8(der).ok()?;
        (pair.public_modulus_len() >= RSA_BYTES_MIN).then_some(Self::Rsa(pair))
    }

    fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed(pair) => {
                json!({ "crv": "Ed25519", "kty": "OKP", "x": text(pair.public_key().as_ref()) })
            }
            Self::Ec(pair) => {
                // An uncompressed point: 4, then two coordinates of 32 bytes (SEC 1, 2.3.3).
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "crv": "P-256", "kty": "EC", "x": text(x), "y": text(y) })
            }
            Self::Rsa(pair) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "e": text(&parts.e), "kty": "RSA", "n": text(&parts.n) })
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({:?} {})", self.algorithm(), self.id())
    }
}
