//! Bans: invalidations by pattern and path prefix, which no cell stands for.
//!
//! A *live* ban is not yet enforced on every entry, so lookups test it. Once a walk over the map
//! has enforced it, it only *fences* fills that began before it, until the floor has passed it.
//! More live bans than allowed become one stamp on everything; more fences raise the floor. Neither
//! ever loses an invalidation.

use std::collections::{HashSet, VecDeque};

use super::entry::StoredEntry;
use super::generation::Freshness;
use crate::domain::{Glob, Mode, UrlPath};

/// What a ban is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum BanMatcher {
    /// Paths that begin so.
    Prefix(UrlPath),
    /// Keys that match.
    Pattern(Glob),
}

impl BanMatcher {
    /// Whether an entry is meant.
    pub fn matches(&self, entry: &StoredEntry) -> bool {
        match self {
            Self::Pattern(glob) => glob.matches(entry.key.as_str()),
            // A prefix begins with a slash, so a key that matches is its own path.
            Self::Prefix(prefix) => {
                let begins_so = |path: &str| path.starts_with(prefix.as_str());
                entry.places().into_iter().flatten().any(begins_so)
            }
        }
    }

    /// Bytes that a match looks at at most, besides those of the entry.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Prefix(prefix) => prefix.as_str().len(),
            Self::Pattern(glob) => glob.bytes(),
        }
    }
}

/// One ban.
#[derive(Debug, Clone)]
pub(super) struct Ban {
    pub generation: u64,
    pub mode: Mode,
    pub at_ms: u64,
    pub matcher: BanMatcher,
}

impl Ban {
    /// What and how hard: the newest of a name counts for all of that name.
    fn name(&self) -> (&BanMatcher, bool) {
        (&self.matcher, self.mode == Mode::Hard)
    }
}

/// Every ban that still matters.
#[derive(Default)]
pub(super) struct Bans {
    live: Vec<Ban>,
    fences: VecDeque<Ban>,
}

impl Bans {
    /// Adds live ones, none of them twice; each takes the place of an older equal one.
    pub fn add(&mut self, bans: Vec<Ban>) {
        let same: HashSet<(&BanMatcher, bool)> = bans.iter().map(Ban::name).collect();
        let is_other = |old: &Ban| !same.contains(&old.name());
        self.live.retain(is_other);
        self.fences.retain(is_other);
        drop(same);
        self.live.extend(bans);
    }

    /// How many are live.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// How many there are in all.
    pub fn len(&self) -> usize {
        self.live.len() + self.fences.len()
    }

    /// The newest live generation, 0 where none is.
    pub fn newest_live(&self) -> u64 {
        self.live.iter().map(|ban| ban.generation).max().unwrap_or(0)
    }

    /// Forgets all of them, because everything is stamped instead. Says how hard they were.
    pub fn collapse(&mut self) -> Mode {
        let is_hard = self.live.iter().any(|ban| ban.mode == Mode::Hard);
        self.live.clear();
        self.fences.clear();
        if is_hard { Mode::Hard } else { Mode::Soft }
    }

    /// What the live ones say of an entry that was fresh at its `checked` generation.
    pub fn verdict(&self, entry: &StoredEntry) -> Freshness {
        let since = entry.watch.ticket().max(entry.watch.checked());
        self.live.iter().filter(|ban| ban.generation > since && ban.matcher.matches(entry)).fold(
            Freshness::Fresh,
            |sum, ban| {
                sum.worse(match ban.mode {
                    Mode::Hard => Freshness::Gone,
                    Mode::Soft => Freshness::Stale { since_ms: ban.at_ms },
                })
            },
        )
    }

    /// Whether a fill begun at `ticket` was overtaken.
    pub fn overtook(&self, ticket: u64, entry: &StoredEntry) -> bool {
        self.live
            .iter()
            .chain(&self.fences)
            .any(|ban| ban.generation > ticket && ban.matcher.matches(entry))
    }

    /// Turns live ones that a walk has enforced into fences. Returns a generation to raise the
    /// floor to where there are more than `fences_max`; those below it are forgotten only by
    /// [`Bans::forget`].
    pub fn retire(&mut self, is_enforced: impl Fn(&Ban) -> bool, fences_max: usize) -> Option<u64> {
        let (enforced, live) = std::mem::take(&mut self.live).into_iter().partition(is_enforced);
        self.live = live;
        self.fences.extend::<Vec<Ban>>(enforced);
        if self.fences.len() <= fences_max {
            return None;
        }
        let mut generations: Vec<u64> = self.fences.iter().map(|ban| ban.generation).collect();
        let middle = generations.len() / 2;
        Some(*generations.select_nth_unstable(middle).1)
    }

    /// Forgets fences that the floor has passed; says how many.
    pub fn forget(&mut self, floor: u64) -> usize {
        let before = self.fences.len();
        self.fences.retain(|ban| ban.generation > floor);
        before - self.fences.len()
    }
}
