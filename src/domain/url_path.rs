//! URL paths in one canonical form, so that two spellings of a path are one value.
//!
//! RFC 3987 section 3.1: characters outside ASCII become percent-encoded UTF-8. RFC 3986 section
//! 6.2.2: hex digits are upper case, encoded unreserved characters are decoded, dot segments are
//! removed, never above the root. Reserved characters stay as they are (`%2F` is no `/`). What may
//! not stand in a path is encoded, a `%` that begins no byte as `%25`. A query follows the same
//! rules except for dot segments, and its order is kept. Unicode normalisation is not part of these
//! sections: `é` in two Unicode forms is two paths.

use std::fmt;

use serde::{Serialize, Serializer};

use super::label::{self, LABEL_BYTES_MAX, Label, Malformed};

/// Longest canonical form in bytes: each byte of the longest path may become three.
pub const URL_PATH_BYTES_MAX: usize = 3 * LABEL_BYTES_MAX;

/// A path, perhaps with a query, or the beginning of one, in canonical form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UrlPath(Label);

impl UrlPath {
    /// Reads a path in any spelling.
    ///
    /// # Errors
    /// [`Malformed`] where it does not begin with `/`, holds a control character or is longer than
    /// a label. An encoded byte counts as one, so that no spelling is too long while another fits.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        check(text)?;
        Ok(Self(Label::of_checked(&canonical(text, false))))
    }

    /// Reads the beginning of paths. A last segment of dots may be the beginning of a name, so it
    /// stays. An incomplete percent-encoding at the end is cut off: what is left covers each byte
    /// that it may become.
    ///
    /// # Errors
    /// As for [`UrlPath::parse`].
    pub fn prefix(text: &str) -> Result<Self, Malformed> {
        check(text)?;
        let text = match text.rfind('%') {
            Some(at) if is_incomplete(&text.as_bytes()[at + 1..]) => &text[..at],
            _ => text,
        };
        Ok(Self(Label::of_checked(&canonical(text, true))))
    }

    /// The path that a key is, where it begins with `/`.
    pub fn of_key(key: &Label) -> Option<Self> {
        let text = key.as_str();
        match is_plain(text) {
            _ if !text.starts_with('/') => None,
            true => Some(Self(key.clone())),
            false => Self::parse(text).ok(),
        }
    }

    /// The canonical form.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The same as a label, which is longer than others where encoding made it so.
    pub fn label(&self) -> &Label {
        &self.0
    }

    /// Whether it begins so.
    pub fn starts_with(&self, prefix: &UrlPath) -> bool {
        self.as_str().starts_with(prefix.as_str())
    }
}

/// Whether these bytes after a `%` are the beginning of two hex digits, and no more.
fn is_incomplete(rest: &[u8]) -> bool {
    rest.len() < 2 && rest.iter().all(u8::is_ascii_hexdigit)
}

fn check(text: &str) -> Result<(), Malformed> {
    if !text.starts_with('/') {
        return Err(Malformed::PathStart(text.chars().take(64).collect()));
    }
    label::check_characters(text)?;
    let len = Bytes::of(text).count();
    if len > LABEL_BYTES_MAX {
        return Err(Malformed::TooLong { len, max: LABEL_BYTES_MAX });
    }
    Ok(())
}

/// The bytes of a text, and whether each was percent-encoded.
struct Bytes<'a> {
    left: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn of(text: &'a str) -> Self {
        Self { left: text.as_bytes() }
    }
}

impl Iterator for Bytes<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<(u8, bool)> {
        let (first, rest) = self.left.split_first()?;
        let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let encoded = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        self.left = if encoded.is_some() { &rest[2..] } else { rest };
        Some(encoded.map_or((*first, false), |byte| (byte, true)))
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What may stand in a path or query unencoded: RFC 3986 sections 3.3 and 3.4.
fn is_allowed(byte: u8) -> bool {
    is_unreserved(byte) || b"/?:@!$&'()*+,;=".contains(&byte)
}

/// Whether a text is surely canonical.
fn is_plain(text: &str) -> bool {
    text.bytes().all(is_allowed) && !text.contains("/.")
}

fn canonical(text: &str, is_prefix: bool) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    // An encoded `?` belongs to the path.
    match text.split_once('?') {
        Some((path, query)) => {
            format!("{}?{}", without_dots(&encoded(path), false), encoded(query))
        }
        None => without_dots(&encoded(text), is_prefix),
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (byte, was_encoded) in Bytes::of(text) {
        match is_unreserved(byte) || (!was_encoded && is_allowed(byte)) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// RFC 3986 section 5.2.4. The last segment of a prefix is not over, so it is no dot segment yet.
fn without_dots(path: &str, is_prefix: bool) -> String {
    let mut kept: Vec<&str> = vec![];
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." if !(is_last && is_prefix) => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Ordered as its text.
impl std::borrow::Borrow<str> for UrlPath {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for UrlPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl fmt::Display for UrlPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl Serialize for UrlPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

#[cfg(test)]
mod tests;
