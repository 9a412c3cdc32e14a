//! Signatures on outgoing calls, after Standard Webhooks. The receiver can verify that the call is
//! from us, that it was not changed, and that it is not a replay.
//!
//! The specification: <https://www.standardwebhooks.com>, scheme `v1` (HMAC-SHA256).

use std::fmt;
use std::ops::RangeInclusive;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderName;

use crate::support::Secret;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The keys that sign the calls to one target: one, or two during a rotation.
#[derive(Clone)]
pub struct Signer {
    secrets: Vec<Secret>,
    keys: Vec<hmac::Key>,
}

impl PartialEq for Signer {
    fn eq(&self, other: &Self) -> bool {
        self.secrets == other.secrets
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Signer of {} keys", self.keys.len())
    }
}

impl Signer {
    /// The prefix of a secret's text.
    pub const SECRET_PREFIX: &str = "whsec_";
    /// The size of a secret in bytes, as the specification recommends.
    pub const SECRET_BYTES: RangeInclusive<usize> = 24..=64;

    /// Signs with each of these secrets.
    ///
    /// # Errors
    /// The expected form of a secret. The secret is not shown.
    pub fn new(secrets: Vec<Secret>) -> Result<Self, &'static str> {
        let keys = secrets.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Self { secrets, keys })
    }

    /// The three headers of a call.
    pub fn headers(&self, id: &str, unix_s: u64, body: &[u8]) -> [(HeaderName, String); 3] {
        let mut signed = format!("{id}.{unix_s}.").into_bytes();
        signed.extend_from_slice(body);
        let sign = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, &signed)));
        let signatures: Vec<String> = self.keys.iter().map(sign).collect();
        let signatures = signatures.join(" ");
        [(ID, id.to_owned()), (TIMESTAMP, unix_s.to_string()), (SIGNATURE, signatures)]
    }
}

fn key(secret: &Secret) -> Result<hmac::Key, &'static str> {
    const EXPECTED: &str = "expected whsec_ and 24 to 64 bytes in base64 (see: cache-mirror secret \
                            generate --webhook)";
    let text = secret.expose().strip_prefix(Signer::SECRET_PREFIX).ok_or(EXPECTED)?;
    let bytes = STANDARD.decode(text).map_err(|_| EXPECTED)?;
    if !Signer::SECRET_BYTES.contains(&bytes.len()) {
        return Err(EXPECTED);
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signature(secrets: &[&str]) -> String {
        let secrets = secrets.iter().map(|text| Secret::new(*text)).collect();
        let signer = Signer::new(secrets).expect("good secrets");
        let body = br#"{"test": 2432232314}"#;
        let [_, _, (_, signature)] =
            signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        signature
    }

    /// The example from the reference libraries of the specification.
    #[test]
    fn the_example_of_the_specification_gives_its_signature() {
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(&[SECRET]), expected);
    }

    #[test]
    fn two_secrets_are_two_signatures() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let both = signature(&[&other, SECRET]);
        let (first, second) = both.split_once(' ').expect("two");
        assert_eq!((first, second), (&*signature(&[&other]), &*signature(&[SECRET])));
        assert_ne!(first, second);
    }

    #[test]
    fn a_malformed_secret_is_refused_and_not_shown() {
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for text in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", &long] {
            let refused = Signer::new(vec![Secret::new(text)]).expect_err(text);
            assert!(!refused.contains("MfKQ"), "{refused}");
        }
    }
}
