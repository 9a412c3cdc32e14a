//! The invalidation algebra: what is to be cleared, as a join-semilattice.
//!
//! [`Selectors`] is a finite union of [`Selector`]s kept in normal form: nothing in it is covered
//! by something else in it. `join` is union, `covers` is its order (`a.covers(b)` exactly when
//! `a.join(b) == a`), and widening only goes up. The order is by text alone, so that each question
//! is one look into an ordered set: `posts:*` covers `posts:42`, while what `*:42` matches is known
//! to [`Selectors::reaches`] and to the store. Coalescing events, batching them and bounding a
//! backlog are all joins here, and that is the whole argument why merging never loses anything.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::{Glob, Label, Pairs, TypeName, UrlPath, label::Malformed};

/// One thing to clear.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// Everything.
    All,
    /// Every entity of a type, and the lists of it.
    Type(TypeName),
    /// One entity of a type, and the lists of that type: a list may show any entity.
    Entity(TypeName, Label),
    /// What carries a custom tag.
    Tag(Label),
    /// One path.
    Path(UrlPath),
    /// Every path that begins so. The empty prefix is written `/`.
    PathPrefix(UrlPath),
    /// One cache key.
    Key(Label),
    /// Every cache key that matches.
    Pattern(Glob),
}

impl Selector {
    /// A path in any spelling; a trailing `*`, or several, makes it a prefix. Patterns of routes
    /// are read by [`super::route::selectors`].
    ///
    /// # Errors
    /// [`Malformed`] where it is no path.
    pub fn path(text: &str) -> Result<Self, Malformed> {
        // `/docs/**` means the same in other tools; nobody means a path that ends in a star.
        let body = text.trim_end_matches('*');
        Ok(if body.len() < text.len() {
            Self::PathPrefix(UrlPath::prefix(body)?)
        } else {
            Self::Path(UrlPath::parse(text)?)
        })
    }

    /// The order on single selectors: whether clearing `self` surely clears all that `other` would.
    pub fn covers(&self, other: &Selector) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Type(a), Self::Type(b) | Self::Entity(b, _)) => a == b,
            (Self::PathPrefix(a), Self::Path(b) | Self::PathPrefix(b)) => b.starts_with(a),
            (Self::Pattern(a), Self::Key(b)) => a.covers_key(b.as_str()),
            (Self::Pattern(a), Self::Pattern(b)) => a.covers(b),
            (a, b) => a == b,
        }
    }
}

impl Selector {
    /// Whether clearing `self` clears an entry that is stored under `place`: a key, a path, a tag,
    /// an entity, or a type alone, which is a list of that type.
    pub fn reaches(&self, place: &Selector) -> bool {
        match (self, place) {
            (Self::Entity(a, _), Self::Type(b)) => a == b,
            (Self::Pattern(a), Self::Key(b)) => a.matches(b.as_str()),
            _ => self.covers(place),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => out.write_str("all"),
            Self::Type(name) => write!(out, "{name}"),
            Self::Entity(name, id) => write!(out, "{name}/{id}"),
            Self::Tag(tag) => write!(out, "tag:{tag}"),
            Self::Path(path) => write!(out, "path:{path}"),
            Self::PathPrefix(path) => write!(out, "path:{path}*"),
            Self::Key(key) => write!(out, "key:{key}"),
            Self::Pattern(glob) => write!(out, "pattern:{glob}"),
        }
    }
}

/// A union of selectors in normal form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Selectors {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    types: BTreeSet<TypeName>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ids: BTreeMap<TypeName, BTreeSet<Label>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<Label>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    paths: BTreeSet<UrlPath>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    prefixes: BTreeSet<UrlPath>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    keys: BTreeSet<Label>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    patterns: BTreeSet<Glob>,
}

impl Selectors {
    /// Everything: the top of the lattice.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// The union of one.
    pub fn one(selector: Selector) -> Self {
        Self::from_iter([selector])
    }

    /// Whether nothing is selected: the bottom of the lattice.
    pub fn is_empty(&self) -> bool {
        !self.all
            && self.types.is_empty()
            && self.ids.is_empty()
            && self.tags.is_empty()
            && self.paths.is_empty()
            && self.prefixes.is_empty()
            && self.keys.is_empty()
            && self.patterns.is_empty()
    }

    /// Whether everything is selected.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// How many single selectors the normal form holds (`all` counts as one).
    pub fn members(&self) -> usize {
        usize::from(self.all)
            + self.types.len()
            + self.ids.values().map(BTreeSet::len).sum::<usize>()
            + self.tags.len()
            + self.paths.len()
            + self.prefixes.len()
            + self.keys.len()
            + self.patterns.len()
    }

    /// The single selectors, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Selector> + '_ {
        let ids = self.ids.iter().flat_map(|(name, ids)| {
            ids.iter().map(move |id| Selector::Entity(name.clone(), id.clone()))
        });
        self.all
            .then_some(Selector::All)
            .into_iter()
            .chain(self.types.iter().cloned().map(Selector::Type))
            .chain(ids)
            .chain(self.tags.iter().cloned().map(Selector::Tag))
            .chain(self.paths.iter().cloned().map(Selector::Path))
            .chain(self.prefixes.iter().cloned().map(Selector::PathPrefix))
            .chain(self.keys.iter().cloned().map(Selector::Key))
            .chain(self.patterns.iter().cloned().map(Selector::Pattern))
    }

    /// Types selected as a whole.
    pub fn types(&self) -> &BTreeSet<TypeName> {
        &self.types
    }

    /// Entities selected one by one; never of a type that is selected as a whole.
    pub fn ids(&self) -> &BTreeMap<TypeName, BTreeSet<Label>> {
        &self.ids
    }

    /// Custom tags.
    pub fn tags(&self) -> &BTreeSet<Label> {
        &self.tags
    }

    /// Single paths.
    pub fn paths(&self) -> &BTreeSet<UrlPath> {
        &self.paths
    }

    /// Path prefixes, without the star.
    pub fn prefixes(&self) -> &BTreeSet<UrlPath> {
        &self.prefixes
    }

    /// Single keys.
    pub fn keys(&self) -> &BTreeSet<Label> {
        &self.keys
    }

    /// Patterns over keys.
    pub fn patterns(&self) -> &BTreeSet<Glob> {
        &self.patterns
    }

    /// Every type named, as a whole or by an id.
    pub fn named_types(&self) -> impl Iterator<Item = &TypeName> {
        self.types.iter().chain(self.ids.keys())
    }

    /// Takes out the types, and the entities of types, that are not to stay.
    pub fn retain_types(&mut self, stays: impl Fn(&TypeName) -> bool) {
        self.types.retain(&stays);
        self.ids.retain(|name, _| stays(name));
    }

    /// Takes out the tags that are not to stay.
    pub fn retain_tags(&mut self, stays: impl Fn(&Label) -> bool) {
        self.tags.retain(stays);
    }

    /// Adds one selector and restores the normal form.
    pub fn insert(&mut self, selector: Selector) {
        if self.all {
            return;
        }
        match selector {
            Selector::All => *self = Self::all(),
            Selector::Type(name) => {
                self.ids.remove(&name);
                self.types.insert(name);
            }
            Selector::Entity(name, id) => {
                if !self.types.contains(&name) {
                    self.ids.entry(name).or_default().insert(id);
                }
            }
            Selector::Tag(tag) => drop(self.tags.insert(tag)),
            Selector::Path(path) => {
                if !self.has_prefix_of(&path) {
                    self.paths.insert(path);
                }
            }
            Selector::PathPrefix(prefix) => {
                if !self.has_prefix_of(&prefix) {
                    take_out(&mut self.paths, prefix.as_str());
                    take_out(&mut self.prefixes, prefix.as_str());
                    self.prefixes.insert(prefix);
                }
            }
            Selector::Key(key) => {
                if !self.has_pattern_over(key.as_str()) {
                    self.keys.insert(key);
                }
            }
            Selector::Pattern(glob) => {
                if !self.has_pattern_over(glob.form()) {
                    match glob.beginning() {
                        Some(beginning) => {
                            take_out(&mut self.keys, beginning);
                            take_out(&mut self.patterns, beginning);
                        }
                        // Without wildcards it is that key.
                        None => drop(self.keys.remove::<str>(glob.form())),
                    }
                    self.patterns.insert(glob);
                }
            }
        }
    }

    /// No prefix is the beginning of another one here, so the only one that can be the beginning of
    /// this path is the last that does not come after it: whatever lies between would begin so too.
    fn has_prefix_of(&self, path: &UrlPath) -> bool {
        let before = self.prefixes.range::<str, _>(until(path.as_str())).next_back();
        before.is_some_and(|prefix| path.starts_with(prefix))
    }

    /// Whether a pattern here covers this key or pattern (a text in the form of patterns). For the
    /// same reason it is one of the two nearest: of all that begins as `posts:*` does, nothing but
    /// that pattern itself is here.
    fn has_pattern_over(&self, form: &str) -> bool {
        let before = self.patterns.range::<str, _>(until(form)).next_back();
        let after = self.patterns.range::<str, _>(from(form)).next();
        [before, after].into_iter().flatten().any(|near| near.covers_form(form))
    }

    /// The least upper bound, in place: the union of both.
    pub fn join(&mut self, other: &Selectors) {
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        other.iter().for_each(|selector| self.insert(selector));
    }

    /// The order of the lattice: whether clearing `self` clears all that `other` would.
    pub fn covers(&self, other: &Selectors) -> bool {
        self.all || other.iter().all(|selector| self.covers_one(&selector))
    }

    /// Whether clearing `self` clears all that one selector would.
    pub fn covers_one(&self, selector: &Selector) -> bool {
        if self.all {
            return true;
        }
        match selector {
            Selector::All => false,
            Selector::Type(name) => self.types.contains(name),
            Selector::Entity(name, id) => {
                self.types.contains(name) || self.ids.get(name).is_some_and(|ids| ids.contains(id))
            }
            Selector::Tag(tag) => self.tags.contains(tag),
            Selector::Path(path) => self.paths.contains(path) || self.has_prefix_of(path),
            Selector::PathPrefix(prefix) => self.has_prefix_of(prefix),
            Selector::Key(key) => self.keys.contains(key) || self.has_pattern_over(key.as_str()),
            Selector::Pattern(glob) => self.has_pattern_over(glob.form()),
        }
    }

    /// Whether clearing `self` clears an entry that is stored under `place`: see
    /// [`Selector::reaches`].
    pub fn reaches(&self, place: &Selector) -> bool {
        self.covers_one(place)
            || match place {
                Selector::Type(name) => self.ids.contains_key(name),
                Selector::Key(key) => self.patterns.iter().any(|glob| glob.matches(key.as_str())),
                _ => false,
            }
    }

    /// Widens every id to its type: one step up.
    pub fn widen_ids(&mut self) {
        for name in std::mem::take(&mut self.ids).into_keys() {
            self.types.insert(name);
        }
    }

    /// Goes up until at most `members_max` selectors are left: ids become their types, and where
    /// that is not enough the whole becomes `all`. Says whether anything was widened.
    pub fn widen_to(&mut self, members_max: usize) -> bool {
        if self.members() <= members_max {
            return false;
        }
        self.widen_ids();
        if self.members() > members_max {
            *self = Self::all();
        }
        true
    }

    /// The same union with every type name replaced.
    #[must_use]
    pub fn map_types(&self, mut to: impl FnMut(&TypeName) -> TypeName) -> Self {
        // Mostly every name stays as it is, its spelling too; then nothing is built anew.
        let mut names = self.types.iter().chain(self.ids.keys());
        if names.all(|name| to(name).as_str() == name.as_str()) {
            return self.clone();
        }
        self.iter()
            .map(|selector| match selector {
                Selector::Type(name) => Selector::Type(to(&name)),
                Selector::Entity(name, id) => Selector::Entity(to(&name), id),
                other => other,
            })
            .collect()
    }
}

/// Everything up to this text, itself included.
fn until(text: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Unbounded, Bound::Included(text))
}

/// Everything from this text on, itself included.
fn from(text: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Included(text), Bound::Unbounded)
}

/// Takes out what begins so: they stand together, and each is taken out once only.
fn take_out<T: Ord + Clone + Borrow<str>>(set: &mut BTreeSet<T>, beginning: &str) {
    let after = set.range::<str, _>(from(beginning));
    let begins = |one: &&T| Borrow::<str>::borrow(*one).starts_with(beginning);
    let gone: Vec<T> = after.take_while(begins).cloned().collect();
    for one in &gone {
        set.remove::<T>(one);
    }
}

impl FromIterator<Selector> for Selectors {
    fn from_iter<I: IntoIterator<Item = Selector>>(selectors: I) -> Self {
        let mut union = Self::default();
        selectors.into_iter().for_each(|selector| union.insert(selector));
        union
    }
}

impl fmt::Display for Selectors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, selector) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(out, "{comma}{selector}")?;
        }
        Ok(())
    }
}

/// Reading is lenient upwards: a kind of selector that this version does not know becomes `all`,
/// because it comes from a newer peer or journal, and ignoring it would leave something stale. So
/// does a path that is none. Older peers and journals have paths in any spelling.
impl<'de> Deserialize<'de> for Selectors {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Wire {
            all: bool,
            types: Vec<TypeName>,
            ids: Pairs<TypeName, Vec<Label>>,
            tags: Vec<Label>,
            paths: Vec<String>,
            prefixes: Vec<String>,
            keys: Vec<Label>,
            patterns: Vec<Glob>,
            #[serde(flatten)]
            unknown: BTreeMap<String, serde::de::IgnoredAny>,
        }
        let wire = Wire::deserialize(from)?;
        if wire.all || !wire.unknown.is_empty() {
            return Ok(Self::all());
        }
        let paths = wire.paths.iter().map(|text| UrlPath::parse(text).map(Selector::Path));
        let prefixes =
            wire.prefixes.iter().map(|text| UrlPath::prefix(text).map(Selector::PathPrefix));
        let Ok(paths) = paths.chain(prefixes).collect::<Result<Vec<_>, _>>() else {
            return Ok(Self::all());
        };
        let entities = wire.ids.0.into_iter().flat_map(|(name, ids)| {
            ids.into_iter().map(move |id| Selector::Entity(name.clone(), id))
        });
        Ok(entities
            .chain(wire.types.into_iter().map(Selector::Type))
            .chain(wire.tags.into_iter().map(Selector::Tag))
            .chain(paths)
            .chain(wire.keys.into_iter().map(Selector::Key))
            .chain(wire.patterns.into_iter().map(Selector::Pattern))
            .collect())
    }
}

#[cfg(test)]
mod growth;
#[cfg(test)]
mod laws;
