//! What one target must purge in one mode, in terms of caches instead of selectors.
//! A set only grows: adding an item removes none, except that everything replaces the rest.

use std::collections::BTreeSet;

use crate::domain::{Glob, Mode};

/// One selector in terms of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeItem {
    /// Every page with this tag.
    Tag(String),
    /// One path, in one spelling.
    Path(String),
    /// Every path with this prefix.
    Prefix(String),
    /// Every path that matches.
    Pattern(Glob),
    /// Everything in the cache.
    All,
    /// The API cannot express it.
    Unsupported,
}

/// What to purge in one mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeSet {
    /// Hard or soft.
    pub mode: Mode,
    /// Whether to purge everything. Then all other fields are empty.
    pub is_all: bool,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Single paths.
    pub paths: BTreeSet<String>,
    /// Prefixes of paths.
    pub prefixes: BTreeSet<String>,
    /// Patterns over paths.
    pub patterns: BTreeSet<Glob>,
    /// Whether each tag and path goes in a call of its own.
    pub is_single: bool,
}

impl PurgeSet {
    /// An empty set.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            is_all: false,
            tags: BTreeSet::new(),
            paths: BTreeSet::new(),
            prefixes: BTreeSet::new(),
            patterns: BTreeSet::new(),
            is_single: false,
        }
    }

    /// Whether there is nothing to purge.
    pub fn is_empty(&self) -> bool {
        *self == Self { is_single: self.is_single, ..Self::new(self.mode) }
    }

    /// How many items go into one call, if the API allows `most`.
    pub fn at_most(&self, most: usize) -> usize {
        if self.is_single { 1 } else { most }
    }

    /// Adds one item.
    pub fn add(&mut self, item: PurgeItem) {
        match item {
            PurgeItem::All => {
                *self = Self { is_all: true, is_single: self.is_single, ..Self::new(self.mode) }
            }
            _ if self.is_all => {}
            PurgeItem::Tag(tag) => drop(self.tags.insert(tag)),
            PurgeItem::Path(path) => drop(self.paths.insert(path)),
            PurgeItem::Prefix(prefix) => drop(self.prefixes.insert(prefix)),
            PurgeItem::Pattern(glob) => drop(self.patterns.insert(glob)),
            PurgeItem::Unsupported => {}
        }
    }

    /// Adds the items of another set, in the mode of this one.
    pub fn join(&mut self, other: Self) {
        if other.is_all {
            self.add(PurgeItem::All);
        }
        other.tags.into_iter().for_each(|tag| self.add(PurgeItem::Tag(tag)));
        other.paths.into_iter().for_each(|path| self.add(PurgeItem::Path(path)));
        other.prefixes.into_iter().for_each(|prefix| self.add(PurgeItem::Prefix(prefix)));
        other.patterns.into_iter().for_each(|glob| self.add(PurgeItem::Pattern(glob)));
    }
}
