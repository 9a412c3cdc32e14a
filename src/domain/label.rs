//! Text that names something to clear: an id, a tag, a key.
//!
//! Compared byte by byte, never normalised: `é` written in two Unicode forms is two labels. Paths
//! have a canonical form, see `url_path`. Control characters are refused because labels travel in
//! headers, log lines and SSE frames.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest label in bytes: long enough for any URL path in use, short enough that a thousand of
/// them still fit in one request body.
pub const LABEL_BYTES_MAX: usize = 1024;

/// Why a text is not a label, type or pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing at all was given.
    #[error("must not be empty")]
    Empty,
    /// Over the limit, in bytes.
    #[error("is {len} bytes long; at most {max} are allowed")]
    TooLong {
        /// Length found, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// A C0, C1 or DEL control character.
    #[error("contains a control character")]
    Control,
    /// A type name outside its alphabet.
    #[error("{0:?} is not a type: 1 to 128 characters of A-Z a-z 0-9 _ . : - are")]
    TypeAlphabet(String),
    /// An id with a `*`; the type is named.
    #[error("an id has no wildcards; {0:?} alone is the whole type")]
    Wildcard(String),
    /// A path that does not begin with a slash.
    #[error("{0:?} is not a path: it must begin with '/'")]
    PathStart(String),
}

/// Opaque text of 1 to 1,024 bytes without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// Checks and takes the text.
    ///
    /// # Errors
    /// [`Malformed`] where it is empty, too long or holds a control character.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        check(text)?;
        Ok(Self(Arc::from(text)))
    }

    /// Takes text that was checked already, by a limit of its own.
    pub(super) fn of_checked(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The checks every label shares.
pub(super) fn check(text: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::Empty);
    }
    if text.len() > LABEL_BYTES_MAX {
        return Err(Malformed::TooLong { len: text.len(), max: LABEL_BYTES_MAX });
    }
    check_characters(text)
}

/// The checks every label shares, apart from its length.
pub(super) fn check_characters(text: &str) -> Result<(), Malformed> {
    if text.chars().any(char::is_control) { Err(Malformed::Control) } else { Ok(()) }
}

/// Ordered and compared as its text.
impl std::borrow::Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact() {
        assert_eq!(Label::parse(""), Err(Malformed::Empty));
        assert!(Label::parse(&"x".repeat(LABEL_BYTES_MAX)).is_ok());
        assert!(matches!(
            Label::parse(&"x".repeat(LABEL_BYTES_MAX + 1)),
            Err(Malformed::TooLong { len: 1025, max: 1024 })
        ));
        for text in ["a\nb", "a\r", "\u{0}", "\u{7f}", "\u{85}"] {
            assert_eq!(Label::parse(text), Err(Malformed::Control), "{text:?}");
        }
        assert_eq!(Label::parse("ключ/é 1").map(|l| l.to_string()), Ok("ключ/é 1".to_owned()));
    }
}
