//! What one target is told in one mode, in the words of caches instead of selectors.
//! A union: adding keeps all that was in it, and everything swallows the rest.

use std::collections::BTreeSet;

use crate::domain::{Glob, Mode};

/// One selector in a target's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeItem {
    /// Whatever carries this tag.
    Tag(String),
    /// One path, in one spelling.
    Path(String),
    /// Every path that begins so.
    Prefix(String),
    /// Every path that matches.
    Pattern(Glob),
    /// All that it holds.
    All,
    /// It has no words for it.
    Unsupported,
}

/// What is told in one mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeSet {
    /// How.
    pub mode: Mode,
    /// All that the target holds; then nothing else is in here.
    pub is_all: bool,
    /// Whatever carries one of these.
    pub tags: BTreeSet<String>,
    /// Single paths.
    pub paths: BTreeSet<String>,
    /// Beginnings of paths.
    pub prefixes: BTreeSet<String>,
    /// Patterns over paths.
    pub patterns: BTreeSet<Glob>,
    /// Whether each tag and path goes in a call of its own.
    pub is_single: bool,
}

impl PurgeSet {
    /// Nothing yet.
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

    /// Whether nothing is to be told.
    pub fn is_empty(&self) -> bool {
        *self == Self { is_single: self.is_single, ..Self::new(self.mode) }
    }

    /// How many go into one call, where `most` can.
    pub fn at_most(&self, most: usize) -> usize {
        if self.is_single { 1 } else { most }
    }

    /// Adds what one selector is.
    pub fn add(&mut self, place: PurgeItem) {
        match place {
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

    /// Adds all of another, in this one's mode.
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
