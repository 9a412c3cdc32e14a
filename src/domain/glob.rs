//! Globs over cache keys: `*` is any run of characters, `?` is one, `\` takes the next literally.
//!
//! Matching is linear in the text times the number of stars and never recurses, so no pattern can
//! stall a lookup. Runs of wildcards are put into one normal form, so that equal patterns are equal
//! values.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::label::{self, Malformed};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Piece {
    Char(char),
    One,
    Run,
}

/// A pattern over keys in normal form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob {
    pieces: Arc<[Piece]>,
}

impl Glob {
    /// Parses a pattern; every text that is a label is also a pattern.
    ///
    /// # Errors
    /// [`Malformed`] as for a label.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        label::check(text)?;
        let mut pieces = Vec::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '*' => pieces.push(Piece::Run),
                '?' => pieces.push(Piece::One),
                // A backslash at the very end stands for itself.
                '\\' => pieces.push(Piece::Char(chars.next().unwrap_or('\\'))),
                other => pieces.push(Piece::Char(other)),
            }
        }
        Ok(Self { pieces: normal(&pieces).into() })
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t) = (0, 0);
        // Where to resume when the run last seen has to swallow one more character.
        let mut resume: Option<(usize, usize)> = None;
        while t < text.len() {
            match self.pieces.get(p) {
                Some(Piece::Char(c)) if *c == text[t] => (p, t) = (p + 1, t + 1),
                Some(Piece::One) => (p, t) = (p + 1, t + 1),
                Some(Piece::Run) => {
                    resume = Some((p + 1, t));
                    p += 1;
                }
                _ => match resume {
                    Some((after, from)) => {
                        resume = Some((after, from + 1));
                        (p, t) = (after, from + 1);
                    }
                    None => return false,
                },
            }
        }
        self.pieces[p..].iter().all(|piece| *piece == Piece::Run)
    }

    /// Whether every key that `other` matches is surely matched by `self`. Sound, not complete: it
    /// knows equal patterns and `literal*` over anything that begins with that literal.
    pub fn covers(&self, other: &Glob) -> bool {
        if self == other {
            return true;
        }
        match self.pieces.split_last() {
            Some((Piece::Run, head)) if head.iter().all(|p| matches!(p, Piece::Char(_))) => {
                other.pieces.starts_with(head)
            }
            _ => false,
        }
    }
}

/// In a run of wildcards the single ones come first and one star, if any, last.
fn normal(pieces: &[Piece]) -> Vec<Piece> {
    let mut out = Vec::with_capacity(pieces.len());
    let mut star = false;
    for piece in pieces {
        match piece {
            Piece::Run => star = true,
            Piece::One => out.push(Piece::One),
            Piece::Char(_) => {
                if std::mem::take(&mut star) {
                    out.push(Piece::Run);
                }
                out.push(*piece);
            }
        }
    }
    if star {
        out.push(Piece::Run);
    }
    out
}

impl fmt::Display for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Run => out.write_char('*'),
            Piece::One => out.write_char('?'),
            Piece::Char(c @ ('*' | '?' | '\\')) => write!(out, "\\{c}"),
            Piece::Char(c) => out.write_char(*c),
        })
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).expect(text)
    }

    #[test]
    fn matches_as_told() {
        for (pattern, text, expected) in [
            ("posts:*", "posts:42", true),
            ("posts:*", "posts:", true),
            ("posts:*", "post:42", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "a--b--b--c", true),
            ("a*b*c", "a--c", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("*?x", "éx", true),
            ("*?x", "x", false),
        ] {
            assert_eq!(glob(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_still_linear() {
        let pattern = glob(&"*a".repeat(500));
        assert!(!pattern.matches(&"a".repeat(499)));
        assert!(pattern.matches(&"a".repeat(500)));
    }

    #[test]
    fn covering_is_by_literal_prefix() {
        assert!(glob("*").covers(&glob("a?b")));
        assert!(glob("a*").covers(&glob("ab*c")));
        assert!(!glob("ab*").covers(&glob("a*")));
        assert!(glob("**?").covers(&glob("?*")));
    }

    proptest! {
        #[test]
        fn text_form_reads_back(text in "[ab*?\\\\]{1,8}") {
            let first = glob(&text);
            prop_assert_eq!(glob(&first.to_string()), first);
        }

        #[test]
        fn covers_means_matches(a in "[ab*?]{1,5}", b in "[ab*?]{1,5}", key in "[ab]{0,6}") {
            let (a, b) = (glob(&a), glob(&b));
            prop_assert!(!(a.covers(&b) && b.matches(&key)) || a.matches(&key));
        }
    }
}
