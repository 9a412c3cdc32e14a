//! Recipes: names that an application calls, and the selectors that each stands for.
//!
//! A recipe may be narrowed by fields of the call (`products/{id}`). A field that is absent, or
//! that cannot be part of a selector, never makes a recipe clear less: then it clears what it
//! clears without fields. Who may call which recipe is decided above.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::BadRule;
use crate::domain::label::Malformed;
use crate::domain::{Glob, Label, Selector, Selectors, TypeName, entity, route};
use crate::support::nearest;

/// Letters that may differ before a name is no longer called "nearest".
const NEAREST_DISTANCE_MAX: usize = 3;

/// What a caller gave, by name.
pub type Fields = BTreeMap<String, String>;

/// One recipe as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RecipeConfig {
    /// Selectors, as `posts`, `posts/42`, `tag:x`, `path:/x*`, `key:x`, `pattern:x*` or `all`.
    pub clears: Vec<String>,
    /// Selectors with fields in braces, which count instead where the caller gives every field.
    pub narrowed: Vec<String>,
}

/// Recipes of one kind, by name.
#[derive(Debug, Clone, Default)]
pub struct Recipes(BTreeMap<String, Recipe>);

impl Recipes {
    /// Checks every selector; `section` is the table of the settings that they come from.
    ///
    /// # Errors
    /// [`BadRule`] naming the key.
    pub(super) fn new(
        section: &str,
        config: &BTreeMap<String, RecipeConfig>,
    ) -> Result<Self, BadRule> {
        let recipe = |(name, config): (&String, &RecipeConfig)| {
            Ok((name.clone(), Recipe::new(&format!("{section}.{name}"), config)?))
        };
        config.iter().map(recipe).collect::<Result<_, _>>().map(Self)
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<&Recipe> {
        self.0.get(name)
    }

    /// Whether a field of that name narrows one of them.
    pub fn has_field(&self, name: &str) -> bool {
        let mut pieces = self.0.values().flat_map(|recipe| &recipe.narrowed).flat_map(|it| &it.0);
        pieces.any(|piece| matches!(piece, TemplatePiece::Field(field) if field == name))
    }

    /// All that each of them can clear, by name; `x` stands for a field.
    pub(super) fn most(&self) -> impl Iterator<Item = (&str, Selectors)> {
        self.0.iter().map(|(name, recipe)| {
            let narrowed = recipe.narrowed.iter().filter_map(RecipeTemplate::example);
            let mut most = recipe.clears.clone();
            narrowed.for_each(|selectors| most.join(&selectors));
            (name.as_str(), most)
        })
    }

    /// The known name most like this one, if any is.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest::nearest(name, self.0.keys().map(String::as_str), NEAREST_DISTANCE_MAX)
    }
}

/// What one name clears.
#[derive(Debug, Clone)]
pub struct Recipe {
    clears: Selectors,
    narrowed: Vec<RecipeTemplate>,
}

impl Recipe {
    fn new(key: &str, config: &RecipeConfig) -> Result<Self, BadRule> {
        let bad = |value: &str, problem: String| BadRule {
            key: key.to_owned(),
            value: value.to_owned(),
            problem,
        };
        if config.clears.is_empty() {
            return Err(bad("", "clears must name at least one selector".into()));
        }
        if !config.narrowed.is_empty() && !config.narrowed.iter().any(|text| text.contains('{')) {
            return Err(bad("", "narrowed names no {field}: what needs none is in clears".into()));
        }
        let fixed = |text: &String| selectors(text).map_err(|problem| bad(text, problem));
        let template =
            |text: &String| RecipeTemplate::new(text).map_err(|problem| bad(text, problem));
        Ok(Self {
            clears: union(config.clears.iter().map(fixed).collect::<Result<_, _>>()?),
            narrowed: config.narrowed.iter().map(template).collect::<Result<_, _>>()?,
        })
    }

    /// What it clears for a call with these fields.
    pub fn selectors(&self, fields: &Fields) -> Selectors {
        let filled: Option<Vec<_>> = self.narrowed.iter().map(|one| one.fill(fields)).collect();
        filled
            .map(union)
            .filter(|narrowed| !narrowed.is_empty())
            .unwrap_or_else(|| self.clears.clone())
    }
}

/// A selector with fields to be filled in.
#[derive(Debug, Clone)]
struct RecipeTemplate(Vec<TemplatePiece>);

#[derive(Debug, Clone)]
enum TemplatePiece {
    Text(String),
    Field(String),
}

impl RecipeTemplate {
    fn new(text: &str) -> Result<Self, String> {
        let pieces = pieces(text)?;
        if let [TemplatePiece::Text(_)] = &pieces[..] {
            selectors(text)?;
            return Ok(Self(pieces));
        }
        let Some(TemplatePiece::Text(start)) = pieces.first() else {
            return Err(FIELD_PLACE.into());
        };
        let has_kind = ["tag:", "path:/", "key:"].iter().any(|kind| start.starts_with(kind));
        let is_pattern = start.starts_with("pattern:");
        if is_pattern || !(has_kind || start.contains('/')) {
            return Err(FIELD_PLACE.into());
        }
        let template = Self(pieces);
        selectors(&template.text(|_| Some("x")).unwrap_or_default())?;
        Ok(template)
    }

    /// What it is for some field.
    fn example(&self) -> Option<Selectors> {
        selectors(&self.text(|_| Some("x"))?).ok()
    }

    /// What it is, where every field is given and fits. An empty one is none, though `client:`
    /// would be a tag: nothing is stored under it.
    fn fill(&self, fields: &Fields) -> Option<Selectors> {
        let given = |name: &str| fields.get(name).map(String::as_str).filter(|it| !it.is_empty());
        selectors(&self.text(given)?).ok()
    }

    fn text<'a>(&self, given: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        let pieces = self.0.iter().map(|piece| match piece {
            TemplatePiece::Text(text) => Some(text.clone()),
            TemplatePiece::Field(name) => given(name).map(str::to_owned),
        });
        pieces.collect()
    }
}

const FIELD_PLACE: &str = "a {field} may stand in the id, tag, path or key, as in products/{id}";

fn pieces(text: &str) -> Result<Vec<TemplatePiece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a brace is not closed")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!("{name:?} is no field: A-Z a-z 0-9 _ are"));
        }
        if !before.is_empty() {
            pieces.push(TemplatePiece::Text(before.to_owned()));
        }
        pieces.push(TemplatePiece::Field(name.to_owned()));
        rest = after;
    }
    if rest.contains('}') {
        return Err("a brace is closed that was not opened".into());
    }
    if !rest.is_empty() {
        pieces.push(TemplatePiece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// The union of all.
fn union(parts: Vec<Selectors>) -> Selectors {
    parts.iter().flat_map(Selectors::iter).collect()
}

/// A selector as logs and answers show it; a path may be that of a route, which is several.
fn selectors(text: &str) -> Result<Selectors, String> {
    if text == "all" {
        return Ok(Selectors::all());
    }
    if let Some(path) = text.strip_prefix("path:") {
        return route::selectors(path, false).map_err(|malformed| malformed.to_string());
    }
    let label = |text| Label::parse(text);
    let known = match text.split_once(':') {
        Some(("tag", tag)) => label(tag).map(Selector::Tag),
        Some(("key", key)) => label(key).map(Selector::Key),
        Some(("pattern", pattern)) => Glob::parse(pattern).map(Selector::Pattern),
        Some((kind, rest)) if is_slip(kind, rest) => {
            return Err(format!("{kind}: is no kind of selector; known are {}", KINDS.join(", ")));
        }
        _ => of_type(text),
    };
    known.map(Selectors::one).map_err(|malformed| malformed.to_string())
}

fn of_type(text: &str) -> Result<Selector, Malformed> {
    match text.split_once('/') {
        Some((name, id)) if entity::is_wildcard(id) => Err(Malformed::Wildcard(name.to_owned())),
        Some((name, id)) => Ok(Selector::Entity(TypeName::parse(name)?, Label::parse(id)?)),
        None => TypeName::parse(text).map(Selector::Type),
    }
}

/// What may stand before a colon.
const KINDS: [&str; 4] = ["tag:", "path:", "key:", "pattern:"];

/// Whether what was to be a kind would pass for a part of a type, whose name may hold a colon.
fn is_slip(kind: &str, rest: &str) -> bool {
    let folded = kind.to_ascii_lowercase();
    let is_near = |known: &str| {
        let known = known.trim_end_matches(':');
        // Of three letters too many are one away from another word.
        let distance = strsim::damerau_levenshtein(known, &folded);
        distance == 0 || distance == 1 && folded.len() > 3
    };
    !kind.contains('/') && (rest.starts_with(['/', '*']) || KINDS.iter().any(|it| is_near(it)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recipe(clears: &[&str], narrowed: &[&str]) -> Result<Recipe, BadRule> {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Recipe::new("groups.g", &RecipeConfig { clears: owned(clears), narrowed: owned(narrowed) })
    }

    fn fields(given: &[(&str, &str)]) -> Fields {
        given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn fields_narrow_only_where_all_are_given() {
        let narrowed = ["products/{id}", "tag:products:client:{clientId}"];
        let products = recipe(&["products"], &narrowed).expect("a recipe");
        for (given, expected) in [
            (fields(&[]), "products"),
            (fields(&[("id", "7")]), "products"),
            (fields(&[("clientId", "c")]), "products"),
            (fields(&[("id", "7"), ("clientId", "c")]), "products/7,tag:products:client:c"),
            (fields(&[("id", ""), ("clientId", "c")]), "products"),
            (fields(&[("id", "7"), ("clientId", "")]), "products"),
            (fields(&[("id", "a\nb"), ("clientId", "c")]), "products"),
            (fields(&[("id", "a/b"), ("clientId", "é")]), "products/a/b,tag:products:client:é"),
        ] {
            assert_eq!(products.selectors(&given).to_string(), expected, "{given:?}");
        }
    }

    #[test]
    fn every_kind_of_selector_can_be_written() {
        let texts = [
            "posts",
            "posts/42",
            "shop:page",
            "shop:page/4:/2",
            "posts/tags:x",
            "tag:home",
            "path:/a",
            "path:/b*",
            "key:k",
            "pattern:p:*",
        ];
        for text in texts {
            let one = recipe(&[text], &[]).expect("a recipe").selectors(&Fields::new());
            assert_eq!(one.to_string(), text);
        }
        assert!(recipe(&["all"], &[]).expect("a recipe").selectors(&Fields::new()).is_all());
    }

    #[test]
    fn paths_are_read_in_any_spelling_and_routes_as_their_pages() {
        let one = recipe(&["path:/caf%c3%a9", "path:/docs/[[...slug]]"], &["path:/menu/{slug}"]);
        let one = one.expect("a recipe");
        let fixed = one.selectors(&Fields::new()).to_string();
        assert_eq!(fixed, "path:/caf%C3%A9,path:/docs,path:/docs/*");
        let narrowed = one.selectors(&fields(&[("slug", "thé")])).to_string();
        assert_eq!(narrowed, "path:/menu/th%C3%A9");
    }

    #[test]
    fn a_rule_that_cannot_stand_is_named() {
        for (clears, narrowed, problem) in [
            ("", "", "at least one"),
            ("no type", "", "is not a type"),
            ("path:about", "", "must begin with '/'"),
            ("posts/{id}", "posts/{id}{", "not closed"),
            ("posts", "posts", "names no {field}"),
            ("posts", "posts/", "names no {field}"),
            ("posts", "{type}", "may stand in"),
            ("posts", "p{type}", "may stand in"),
            ("posts", "pattern:{key}*", "may stand in"),
            ("posts", "posts/{a b}", "is no field"),
            ("posts", "posts/{id}}", "not opened"),
            ("posts", "no type/{id}", "is not a type"),
            ("paths:/courses*", "", "paths: is no kind"),
            ("tags:home", "", "tags: is no kind"),
            ("Key:home", "", "Key: is no kind"),
            ("url:/courses", "", "url: is no kind"),
            ("posts", "pathes:/a/{id}", "pathes: is no kind"),
        ] {
            let list = |text: &'static str| if text.is_empty() { vec![] } else { vec![text] };
            let bad = recipe(&list(clears), &list(narrowed)).expect_err(problem);
            assert!(bad.problem.contains(problem), "{bad}");
            assert_eq!(bad.key, "groups.g");
        }
    }

    proptest! {
        /// Whatever a caller gives, the field stays in its place: no other type, tag or kind.
        #[test]
        fn a_field_never_leaves_its_place(text in "\\PC{0,40}") {
            let one = recipe(&["products"], &["products/{id}"]).expect("a recipe");
            let selected = one.selectors(&fields(&[("id", &text)]));
            let whole = selectors("products").expect("a type");
            prop_assert!(whole.covers(&selected));
            prop_assert!(!selected.is_empty());
        }
    }
}
