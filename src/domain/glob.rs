//! Globs over cache keys: `*` is any run of characters, `?` is one, `\` takes the next literally.
//!
//! Matching is linear in text and pattern, allocates nothing where no `?` follows a `*`, and never
//! recurses, so no pattern can stall a lookup. Runs of wildcards are put into one normal form, so
//! that equal patterns are equal values.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::label::{self, Malformed};

/// `?` in the stored form. Labels hold no control character, so no literal reads the same.
const ONE: char = '\u{1}';
/// `*` in the stored form.
const RUN: char = '\u{2}';

/// A pattern over keys in normal form.
///
/// The stored form is the literal text with [`ONE`] and [`RUN`] for wildcards. Its order is that of
/// texts, so patterns and keys with a common beginning are neighbours in an ordered set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob {
    form: Arc<str>,
}

impl Glob {
    /// Parses a pattern; every text that is a label is also a pattern.
    ///
    /// # Errors
    /// [`Malformed`] as for a label.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        label::check(text)?;
        let mut form = String::with_capacity(text.len());
        // In a run of wildcards the single ones come first and one star, if any, last.
        let mut is_run = false;
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let literal = match c {
                '*' => {
                    is_run = true;
                    continue;
                }
                '?' => {
                    form.push(ONE);
                    continue;
                }
                // A backslash at the very end stands for itself.
                '\\' => chars.next().unwrap_or('\\'),
                other => other,
            };
            if std::mem::take(&mut is_run) {
                form.push(RUN);
            }
            form.push(literal);
        }
        if is_run {
            form.push(RUN);
        }
        Ok(Self { form: form.into() })
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let mut segments = self.form.split(RUN);
        let head = segments.next().unwrap_or_default();
        let Some(rest) = after_head(text, head) else { return false };
        let Some(tail) = segments.next_back() else { return rest.is_empty() };
        let Some(mut rest) = before_tail(rest, tail) else { return false };
        // Leftmost is best: it leaves the most for the segments to come.
        segments.all(|segment| match after_leftmost(rest, segment) {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        })
    }

    /// Whether every key that `other` matches is surely matched by `self`. Sound, not complete: it
    /// knows equal patterns and `literal*` over anything that begins with that literal.
    pub fn covers(&self, other: &Glob) -> bool {
        self.covers_form(&other.form)
    }

    /// Whether the one key is surely matched, by the same rule as [`Glob::covers`].
    pub fn covers_key(&self, key: &str) -> bool {
        self.covers_form(key)
    }

    /// The literal of `literal*`, if it is such a pattern.
    pub(super) fn beginning(&self) -> Option<&str> {
        self.form.strip_suffix(RUN).filter(|literal| !literal.contains([ONE, RUN]))
    }

    /// The stored form: equal texts are equal patterns, and a key reads as itself.
    pub(super) fn form(&self) -> &str {
        &self.form
    }

    pub(super) fn covers_form(&self, form: &str) -> bool {
        match self.beginning() {
            Some(beginning) => form.starts_with(beginning),
            None => *self.form == *form,
        }
    }

    /// Bytes that a match looks at, besides those of the text.
    pub fn bytes(&self) -> usize {
        self.form.len()
    }
}

/// What follows `head` in `text`, which has to begin with it.
fn after_head<'a>(text: &'a str, head: &str) -> Option<&'a str> {
    if !head.contains(ONE) {
        return text.strip_prefix(head);
    }
    let mut rest = text.chars();
    head.chars()
        .all(|piece| rest.next().is_some_and(|c| piece == ONE || piece == c))
        .then_some(())?;
    Some(rest.as_str())
}

/// What comes before `tail` in `text`, which has to end with it.
fn before_tail<'a>(text: &'a str, tail: &str) -> Option<&'a str> {
    if !tail.contains(ONE) {
        return text.strip_suffix(tail);
    }
    let mut rest = text.chars();
    let is_it = |piece: char, c: char| piece == ONE || piece == c;
    tail.chars()
        .rev()
        .all(|piece| rest.next_back().is_some_and(|c| is_it(piece, c)))
        .then_some(())?;
    Some(rest.as_str())
}

/// What follows the leftmost place of `segment` in `text`.
fn after_leftmost<'a>(text: &'a str, segment: &str) -> Option<&'a str> {
    if !segment.contains(ONE) {
        // The standard search is linear in both.
        let at = text.find(segment)?;
        return Some(&text[at + segment.len()..]);
    }
    // A segment begins with a literal: wildcards of one character come before the star.
    let literal = segment.split(ONE).next().unwrap_or_default();
    let text = &text[text.find(literal)?..];
    let start = leftmost_with_gaps(text, segment)?;
    let end = text.char_indices().nth(start + segment.chars().count());
    Some(end.map_or("", |(end, _)| &text[end..]))
}

/// The leftmost place, in characters, at which a segment with `?` in it lies in `text`.
///
/// One bit for each place, so a piece of the segment costs a sixty-fourth of the text: at most 16
/// words of it, as labels are at most 1,024 bytes long.
fn leftmost_with_gaps(text: &str, segment: &str) -> Option<usize> {
    let places = (text.chars().count() + 1).checked_sub(segment.chars().count())?;
    let mut letters: Vec<char> = segment.chars().filter(|piece| *piece != ONE).collect();
    letters.sort_unstable();
    letters.dedup();
    let words = text.len().div_ceil(64) + 1;
    let mut found = vec![0_u64; letters.len() * words];
    for (at, c) in text.chars().enumerate() {
        if let Ok(letter) = letters.binary_search(&c) {
            found[letter * words + at / 64] |= 1 << (at % 64);
        }
    }
    let mut alive = vec![u64::MAX; places.div_ceil(64)];
    for (at, piece) in segment.chars().enumerate().filter(|(_, piece)| *piece != ONE) {
        let letter = letters.binary_search(&piece).ok()?;
        let own = &found[letter * words..(letter + 1) * words];
        let mut is_any = false;
        for (place, word) in alive.iter_mut().enumerate() {
            *word &= shifted(own, place, at);
            is_any |= *word != 0;
        }
        if !is_any {
            return None;
        }
    }
    let word = alive.iter().position(|word| *word != 0)?;
    let place = word * 64 + alive[word].trailing_zeros() as usize;
    (place < places).then_some(place)
}

/// The word of a row of bits that begins `by` bits after the place of the word at `at`.
fn shifted(row: &[u64], at: usize, by: usize) -> u64 {
    let word = |at: usize| row.get(at).copied().unwrap_or(0);
    let (at, by) = (at + by / 64, by % 64);
    if by == 0 { word(at) } else { (word(at) >> by) | (word(at + 1) << (64 - by)) }
}

/// Ordered and compared as its stored form, in which a key without wildcards is itself.
impl Borrow<str> for Glob {
    fn borrow(&self) -> &str {
        &self.form
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.form.chars().try_for_each(|piece| match piece {
            RUN => out.write_char('*'),
            ONE => out.write_char('?'),
            '*' | '?' | '\\' => write!(out, "\\{piece}"),
            literal => out.write_char(literal),
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
    use super::super::growth::is_not_quadratic;
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).expect(text)
    }

    /// What a pattern means, as plainly as can be and as slowly.
    fn matches_plainly(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|at| matches_plainly(rest, &text[at..])),
            ['?', rest @ ..] => !text.is_empty() && matches_plainly(rest, &text[1..]),
            [c, rest @ ..] => text.first() == Some(c) && matches_plainly(rest, &text[1..]),
        }
    }

    #[test]
    fn a_table_of_patterns_and_texts() {
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
            ("a*ab", "ab", false),
            ("*b?d*", "abxabcd", true),
            ("*b?d*", "abxabcxd", false),
            ("*é?ü?", "aéxüé", true),
        ] {
            assert_eq!(glob(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn matching_grows_with_the_input_and_not_with_its_square() {
        let shapes = [("*", "a", "b"), ("*", "a", "b*"), ("*", "a?", "b*"), ("", "*a", "*b*")];
        for (head, unit, end) in shapes {
            is_not_quadratic(unit, 250, |size| {
                let middle = unit.repeat(size / 2 / unit.len());
                let (pattern, text) = (glob(&format!("{head}{middle}{end}")), "a".repeat(size));
                Box::new(move || (0..200).for_each(|_| assert!(!pattern.matches(&text))))
            });
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
        assert!(glob("a*").covers_key("ab") && glob("a*").covers_key("a"));
        assert!(!glob("a?*").covers_key("ab"), "it matches, but is not known to");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn text_form_reads_back(text in "[ab*?\\\\]{1,8}") {
            let first = glob(&text);
            prop_assert_eq!(glob(&first.to_string()), first);
        }

        #[test]
        fn matching_equals_the_plain_definition(pattern in "[abé*?]{1,9}", text in "[abé]{0,12}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = matches_plainly(&chars(&pattern), &chars(&text));
            prop_assert_eq!(glob(&pattern).matches(&text), expected);
        }

        #[test]
        fn long_segments_are_found_too(
            gap in 1_usize..130, before in 0_usize..130, is_there: bool,
        ) {
            let pattern = glob(&format!("*x{}y*", "?".repeat(gap)));
            let (between, end) = ("é".repeat(gap), if is_there { "y" } else { "z" });
            let text = format!("{}x{between}{end}", "x".repeat(before));
            prop_assert_eq!(pattern.matches(&text), is_there);
        }

        #[test]
        fn covers_means_matches(a in "[ab*?]{1,5}", b in "[ab*?]{1,5}", key in "[ab]{0,6}") {
            let (a, b) = (glob(&a), glob(&b));
            prop_assert!(!(a.covers(&b) && b.matches(&key)) || a.matches(&key));
            prop_assert!(!a.covers_key(&key) || a.matches(&key));
        }
    }
}
