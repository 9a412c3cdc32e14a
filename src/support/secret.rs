//! Text that must never be shown.
//!
//! `Debug` masks it, there is no `Display` and no `Serialize`, and comparison takes the same time
//! wherever the texts differ (SHA-256 digests are compared, so lengths do not show either).

use std::fmt;

use aws_lc_rs::digest;
use subtle::ConstantTimeEq;

/// A password, token or key.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: only for where it is used.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Constant-time comparison. An empty secret equals nothing, not even the empty text.
    pub fn matches(&self, candidate: &str) -> bool {
        let ours = digest::digest(&digest::SHA256, self.0.as_bytes());
        let theirs = digest::digest(&digest::SHA256, candidate.as_bytes());
        bool::from(ours.as_ref().ct_eq(theirs.as_ref())) && !self.is_empty()
    }
}

/// Whether two are the same text, in constant time: for noticing that a setting changed. Unlike
/// [`Secret::matches`] two unset ones are equal, so it is no check of a credential.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.expose()) || (self.is_empty() && other.is_empty())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.is_empty() { "(unset)" } else { "***" })
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_and_never_empty() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter"));
        assert!(!Secret::default().matches(""));
    }
}
