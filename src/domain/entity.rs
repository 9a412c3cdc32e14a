//! Ids of entities as callers write them.
//!
//! White space around an id is a slip: `"1 "` means `1`. The id as it was written is cleared too,
//! so nothing that was stored under it stays. An id knows no wildcards: one with a `*` means the
//! whole type, because a literal reading would clear nothing.

use super::label::Malformed;
use super::{Label, Selector, Selectors, TypeName};

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

/// Adds what ids with a wildcard or a margin mean to selectors that were read without a look at
/// them: a peer of another version sends ids as its caller wrote them.
pub fn widen(selectors: &mut Selectors) {
    let is_plain = |id: &Label| trimmed(id.as_str()) == id.as_str() && !is_wildcard(id.as_str());
    let ids = selectors.ids().iter();
    let meant: Vec<Selector> = ids
        .flat_map(|(name, ids)| ids.iter().map(move |id| (name, id)))
        .filter(|(_, id)| !is_plain(id))
        .flat_map(|(name, id)| {
            // A blank one is no id.
            let read = self::selectors(name, id.as_str());
            read.unwrap_or_else(|_| vec![Selector::Type(name.clone())])
        })
        .collect();
    meant.into_iter().for_each(|selector| selectors.insert(selector));
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let entity = |id| Selector::Entity(name.clone(), Label::parse(id).expect("a label"));
        for (ids, expected) in [
            (&["1", "2"][..], "posts/1,posts/2"),
            (&["1 ", "2"], "posts/1,posts/1 ,posts/2"),
            (&["1", "*"], "posts"),
            (&[" "], "posts"),
        ] {
            let mut read: Selectors = ids.iter().copied().map(entity).collect();
            widen(&mut read);
            assert_eq!(read.to_string(), expected, "{ids:?}");
        }
        for id in ["", " ", "1\n", "a\u{7}b"] {
            assert!(selectors(&name, id).is_err(), "{id:?}");
        }
    }
}
