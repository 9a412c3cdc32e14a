//! The known word that a misspelt one was probably meant to be.
//!
//! The given word comes from outside and may be as long as a body. No two words are fewer edits
//! apart than their lengths differ, so only words of about the same length are compared, and the
//! work is bounded by the known ones.

/// Bytes that one edit may add or take away: one character.
const BYTES_PER_EDIT: usize = 4;
/// Characters of a given word that are shown: enough to find it again.
const SHOWN_CHARS: usize = 64;

/// The nearest of the known words within so many edits; the first of several.
pub fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
    edits_max: usize,
) -> Option<&'a str> {
    let is_near = |word: &&str| word.len().abs_diff(given.len()) <= edits_max * BYTES_PER_EDIT;
    let known = known.into_iter().filter(is_near);
    let near = known.map(|word| (strsim::damerau_levenshtein(word, given), word));
    let near = near.filter(|(edits, _)| *edits <= edits_max).min_by_key(|(edits, _)| *edits);
    near.map(|(_, word)| word)
}

/// A given word as it is named in a message.
pub fn shown(given: &str) -> String {
    match given.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}…", &given[..end]),
        None => format!("{given:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_within_the_distance_is_named() {
        let known = ["mirror", "mode", "type"];
        for (given, expected) in [
            ("miror", Some("mirror")),
            ("mirorr", Some("mirror")),
            ("tipe", Some("type")),
            ("x", None),
            ("mirrör", Some("mirror")),
            ("", None),
        ] {
            assert_eq!(nearest(given, known, 2), expected, "{given}");
        }
    }

    /// A word of a megabyte is compared with nothing; the old way took minutes here.
    #[test]
    fn a_word_of_a_megabyte_costs_nothing() {
        let given = "x".repeat(1 << 20);
        let known: Vec<String> = (0..100_000).map(|at| format!("type{at}")).collect();
        assert_eq!(nearest(&given, known.iter().map(String::as_str), 3), None);
        assert_eq!(shown(&given).chars().count(), SHOWN_CHARS + 3);
    }
}
