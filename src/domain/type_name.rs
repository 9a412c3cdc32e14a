//! The name of an entity type, in which singular and plural are one, and `-` and `_` too.
//!
//! `post` and `posts` must be equal: a mirror sends the plural where a CRUD route has the singular,
//! and a mismatch would be a stale page. So two names are equal when their *stems* are. The stem
//! rule errs on one side only: it may fold two unrelated rare words together (which clears too
//! much), never split a regular plural from its singular (which would clear too little). Configured
//! aliases win over it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::label::Malformed;

/// Longest type name in bytes (the contract's figure).
pub const TYPE_BYTES_MAX: usize = 128;

/// Plurals no rule of endings finds; both forms fold to the right-hand side.
const IRREGULAR: &[(&str, &str)] = &[
    ("people", "person"),
    ("children", "child"),
    ("men", "man"),
    ("women", "woman"),
    ("mice", "mouse"),
    ("geese", "goose"),
    ("feet", "foot"),
    ("teeth", "tooth"),
    ("data", "datum"),
    ("media", "medium"),
    ("criteria", "criterion"),
    ("phenomena", "phenomenon"),
    ("indices", "index"),
    ("matrices", "matrix"),
    ("vertices", "vertex"),
    ("appendices", "appendix"),
    ("analyses", "analysis"),
    ("bases", "base"),
    ("crises", "crisis"),
    ("theses", "thesis"),
    ("hypotheses", "hypothesis"),
    ("diagnoses", "diagnosis"),
    ("axes", "axis"),
];

/// A type name: shown as it was written, compared by its stem.
#[derive(Clone)]
pub struct TypeName {
    shown: Arc<str>,
    stem: Arc<str>,
}

impl TypeName {
    /// Checks the alphabet (`[A-Za-z0-9_.:-]{1,128}`) and folds the number.
    ///
    /// # Errors
    /// [`Malformed::Empty`], [`Malformed::TooLong`] or [`Malformed::TypeAlphabet`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        check(text)?;
        Ok(Self { shown: Arc::from(text), stem: Arc::from(stem(text)) })
    }

    /// A name that folds with nothing but itself: what `[aliases] news = "news"` asks for.
    ///
    /// # Errors
    /// As [`TypeName::parse`].
    pub fn exact(text: &str) -> Result<Self, Malformed> {
        check(text)?;
        Ok(Self { shown: Arc::from(text), stem: Arc::from(format!("={text}")) })
    }

    /// The spelling to show and to send.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// What equality, order and hash look at; stable for one version of the rule.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// Whether it folds with nothing but itself.
    pub fn is_exact(&self) -> bool {
        self.stem.starts_with('=')
    }
}

fn check(text: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::Empty);
    }
    if text.len() > TYPE_BYTES_MAX {
        return Err(Malformed::TooLong { len: text.len(), max: TYPE_BYTES_MAX });
    }
    let in_alphabet = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
    if text.bytes().all(in_alphabet) {
        Ok(())
    } else {
        Err(Malformed::TypeAlphabet(text.to_owned()))
    }
}

/// Folds the last word of a name: `blog_categories`, `blog-category` and `blog_category` meet.
fn stem(text: &str) -> String {
    let cut = last_word(text);
    let (head, word) = text.split_at(cut);
    let lower = word.to_ascii_lowercase();
    let singular = IRREGULAR.iter().find(|(plural, _)| *plural == lower).map(|(_, one)| *one);
    let folded = match singular {
        // Keep the case of the first letter, so that `People` and `people` stay two types.
        Some(one) if word.starts_with(|c: char| c.is_ascii_uppercase()) => {
            let mut letters = one.to_owned();
            letters[..1].make_ascii_uppercase();
            Cow::Owned(letters)
        }
        Some(one) => Cow::Borrowed(one),
        None => Cow::Borrowed(word),
    };
    format!("{}{}", head.replace('-', "_"), fold_ending(&folded).replace('-', "_"))
}

/// The same for a name as another system may write it: in any case, with any separators
/// (`BlogPost`, `blog post`, `blog.posts`). It folds more than types do, so it may only add to what
/// is cleared.
pub fn loose_stem(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + 4);
    let mut is_after_small = false;
    for letter in text.chars() {
        if !letter.is_alphanumeric() {
            words.push('_');
        } else {
            if is_after_small && letter.is_ascii_uppercase() {
                words.push('_');
            }
            words.push(letter.to_ascii_lowercase());
        }
        is_after_small = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    match words.trim_matches('_') {
        "" => String::new(),
        words => stem(words).replace('_', ""),
    }
}

/// Where the last word begins: after a separator, or at a capital that follows a small letter.
fn last_word(text: &str) -> usize {
    let bytes = text.as_bytes();
    (1..bytes.len())
        .rev()
        .find(|&at| {
            let before = bytes[at - 1];
            b"_.:-".contains(&before)
                || (bytes[at].is_ascii_uppercase() && before.is_ascii_lowercase())
        })
        .unwrap_or(0)
}

/// Cuts what English plurals add or change: trailing `s` and `e`, `y`/`i`, `f`/`v`, a doubled `z`.
fn fold_ending(word: &str) -> String {
    let trimmed = word.trim_end_matches(['s', 'e', 'S', 'E']);
    // A word of nothing but s and e ("see") keeps its first letter: a stem is never empty.
    let mut kept = if trimmed.is_empty() { word[..1].to_owned() } else { trimmed.to_owned() };
    if kept.len() > 1 && (kept.ends_with("zz") || kept.ends_with("ZZ")) {
        kept.pop();
    }
    let replacement = match kept.as_bytes().last() {
        Some(b'y') => 'i',
        Some(b'Y') => 'I',
        Some(b'v') => 'f',
        Some(b'V') => 'F',
        _ => return kept,
    };
    kept.pop();
    kept.push(replacement);
    kept
}

impl PartialEq for TypeName {
    fn eq(&self, other: &Self) -> bool {
        self.stem == other.stem
    }
}

impl Eq for TypeName {}

impl PartialOrd for TypeName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TypeName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.stem.cmp(&other.stem)
    }
}

impl Hash for TypeName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.stem.hash(state);
    }
}

impl fmt::Debug for TypeName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.shown)
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

/// Written as shown; an exact name carries `=` in front, a character no type may hold.
impl Serialize for TypeName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.is_exact() { to.serialize_str(&self.stem) } else { to.serialize_str(&self.shown) }
    }
}

impl<'de> Deserialize<'de> for TypeName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        match text.strip_prefix('=') {
            Some(exact) => Self::exact(exact),
            None => Self::parse(&text),
        }
        .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> TypeName {
        TypeName::parse(text).expect(text)
    }

    #[test]
    fn singular_meets_plural() {
        for (one, many) in [
            ("post", "posts"),
            ("category", "categories"),
            ("movie", "movies"),
            ("cache", "caches"),
            ("box", "boxes"),
            ("house", "houses"),
            ("status", "statuses"),
            ("menu", "menus"),
            ("address", "addresses"),
            ("bus", "buses"),
            ("quiz", "quizzes"),
            ("key", "keys"),
            ("leaf", "leaves"),
            ("knife", "knives"),
            ("archive", "archives"),
            ("hero", "heroes"),
            ("cookie", "cookies"),
            ("person", "people"),
            ("child", "children"),
            ("index", "indices"),
            ("index", "indexes"),
            ("analysis", "analyses"),
            ("datum", "data"),
            ("use", "uses"),
            ("gas", "gases"),
            ("id", "ids"),
            ("feed", "feed"),
            ("training_day", "training_days"),
            ("blogPost", "blogPosts"),
            ("blog.person", "blog.people"),
            ("JobReadinessProduct", "JobReadinessProducts"),
            ("CatalogTerm", "CatalogTerms"),
            ("expert_session", "expert_sessions"),
            ("blog-post", "blog_posts"),
            ("blog_person", "blog-people"),
            ("a-b_c", "a_b-c"),
            ("x-", "x_"),
        ] {
            assert_eq!(name(one), name(many), "{one} / {many}");
        }
    }

    #[test]
    fn different_things_stay_apart() {
        let names = [
            "posts",
            "pages",
            "feed",
            "categories",
            "pictures",
            "types",
            "translations",
            "auth",
            "products",
            "modules",
            "clients",
            "courses",
            "Posts",
            "menus",
            "images",
            "articles",
        ];
        for (i, a) in names.iter().enumerate() {
            for b in &names[i + 1..] {
                assert_ne!(name(a), name(b), "{a} / {b}");
            }
        }
    }

    #[test]
    fn names_of_other_systems_meet_by_their_words() {
        for text in ["BlogPost", "blogPosts", "blog post", "Blog-Posts", "blog.post", "BLOG_POST"] {
            assert_eq!(loose_stem(text), loose_stem("blog_posts"), "{text}");
        }
        assert_eq!(loose_stem("APIKeys"), loose_stem("api-key"));
        for text in ["", "_", "  ", "é", "日本", "s"] {
            let _ = loose_stem(text);
        }
        assert_ne!(loose_stem("post"), loose_stem("blog_post"));
    }

    #[test]
    fn exact_names_fold_with_themselves_only() {
        let exact = TypeName::exact("news").expect("valid");
        assert_ne!(exact, name("news"));
        assert_ne!(exact, name("new"));
        let json = serde_json::to_string(&exact).expect("serialises");
        assert_eq!(json, "\"=news\"");
        assert_eq!(serde_json::from_str::<TypeName>(&json).expect("reads back"), exact);
        assert!(TypeName::parse("=news").is_err());
    }

    #[test]
    fn the_alphabet_is_enforced() {
        for text in ["", "a b", "a\n", "ſ", "ﬁ", "x\u{202e}", "a/b", &"a".repeat(129)] {
            assert!(TypeName::parse(text).is_err(), "{text:?}");
        }
        assert!(TypeName::parse(&"a".repeat(128)).is_ok());
    }

    proptest! {
        #[test]
        fn regular_plurals_fold(word in "[a-z]{2,12}") {
            let plural = match word.as_bytes() {
                [.., before, b'y'] if !b"aeiou".contains(before) => {
                    format!("{}ies", &word[..word.len() - 1])
                }
                [.., b's' | b'x' | b'z'] => format!("{word}es"),
                [.., b'c' | b's', b'h'] => format!("{word}es"),
                _ => format!("{word}s"),
            };
            let irregular = IRREGULAR.iter().any(|(p, _)| *p == word || *p == plural);
            prop_assume!(!irregular);
            prop_assert_eq!(name(&word), name(&plural));
        }
    }
}
