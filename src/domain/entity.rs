//! Ids of entities as callers write them.
//!
//! White space around an id is a slip: `"1 "` means `1`. The id as it was written is cleared too,
//! so nothing that was stored under it stays. An id knows no wildcards: one with a `*` means the
//! whole type, because a literal reading would clear nothing.

use super::label::Malformed;
use super::{Label, Selector, TypeName};

/// Whether an id was probably meant as a wildcard.
pub fn is_wildcard(id: &str) -> bool {
    id.contains('*')
}

/// An id without what no id has around it: white space, and marks without width.
pub fn trimmed(id: &str) -> &str {
    id.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}'))
}

/// What an id of a type selects.
///
/// # Errors
/// [`Malformed`] where it can be no id.
pub fn selectors(name: &TypeName, id: &str) -> Result<Vec<Selector>, Malformed> {
    if is_wildcard(id) {
        return Ok(vec![Selector::Type(name.clone())]);
    }
    let entity = |id: &str| Label::parse(id).map(|id| Selector::Entity(name.clone(), id));
    match trimmed(id) {
        "" => Err(Malformed::Empty),
        plain if plain == id => Ok(vec![entity(id)?]),
        plain => Ok(vec![entity(plain)?, entity(id)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Selectors;

    #[test]
    fn an_id_is_read_without_its_margins_and_a_wildcard_as_the_type() {
        let name = TypeName::parse("posts").expect("a type");
        for (id, expected) in [
            ("1", "posts/1"),
            ("1 ", "posts/1,posts/1 "),
            (" a b", "posts/ a b,posts/a b"),
            ("1\u{feff}", "posts/1,posts/1\u{feff}"),
            ("\u{a0}7", "posts/7,posts/\u{a0}7"),
            ("*", "posts"),
            ("4*", "posts"),
        ] {
            let read: Selectors = selectors(&name, id).expect(id).into_iter().collect();
            assert_eq!(read.to_string(), expected, "{id:?}");
        }
        for id in ["", " ", "1\n", "a\u{7}b"] {
            assert!(selectors(&name, id).is_err(), "{id:?}");
        }
    }
}
