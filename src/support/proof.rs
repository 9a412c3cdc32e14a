//! Whether two sides hold the same secret, without either showing it: both make the same keyed
//! hash.
//!
//! The receiver of a hash could guess a short secret by trying, so short secrets get none. The hash
//! has no other use: its message begins with a text that nothing else signs.

use aws_lc_rs::hmac;

use super::Secret;

/// Characters below which no hash of a secret is given away.
pub const CHARS_MIN: usize = 32;

const PREFIX: &str = "cache-mirror secret check 1";

/// HMAC-SHA256 with the secret as key over prefix, the secret's public name and a nonce, one a
/// line, in hexadecimal; `None` where the secret is short.
pub fn of(secret: &Secret, name: &str, nonce: &str) -> Option<String> {
    if secret.expose().chars().count() < CHARS_MIN {
        return None;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, format!("{PREFIX}\n{name}\n{nonce}").as_bytes());
    Some(tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_have_equal_proofs_and_short_ones_have_none() {
        let secret = |text: &str| Secret::new(text.repeat(8));
        let proof = |text: &str, nonce: &str| of(&secret(text), "revalidate", nonce);
        assert_eq!(proof("abcd", "n"), proof("abcd", "n"));
        assert_ne!(proof("abcd", "n"), proof("abcd", "m"), "a proof cannot be replayed");
        assert_ne!(proof("abcd", "n"), proof("abce", "n"));
        assert_ne!(proof("abcd", "n"), of(&secret("abcd"), "other", "n"));
        assert_eq!(proof("abc", "n"), None, "24 characters can be guessed");
    }
}
