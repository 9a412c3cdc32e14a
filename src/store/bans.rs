//! Bans: invalidations by pattern and path prefix, which have no cell.
//!
//! A *live* ban is not yet enforced on every entry, so lookups test it. After a walk over the map
//! has enforced it, it is a *fence*: it only refuses fills that began before it, until the floor
//! has passed it. Too many live bans become one stamp on everything; too many fences raise the
//! floor. Neither ever loses an invalidation.

use std::collections::{HashSet, VecDeque};

use super::entry::StoredEntry;
use super::generation::Freshness;
use crate::domain::{Glob, Mode, UrlPath};

/// Which entries a ban covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum BanMatcher {
    /// Paths with this prefix.
    Prefix(UrlPath),
    /// Keys that match this pattern.
    Pattern(Glob),
}

impl BanMatcher {
    /// Whether it covers an entry.
    pub fn matches(&self, entry: &StoredEntry) -> bool {
        match self {
            Self::Pattern(glob) => glob.matches(entry.key.as_str()),
            // A prefix begins with a slash, so a key that matches is its own path.
            Self::Prefix(prefix) => {
                let begins_so = |path: &str| path.starts_with(prefix.as_str());
                entry.paths().into_iter().flatten().any(begins_so)
            }
        }
    }

    /// The most bytes that a match compares, apart from those of the entry.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Prefix(prefix) => prefix.as_str().len(),
            Self::Pattern(glob) => glob.bytes(),
        }
    }
}

/// An invalidation by pattern or prefix.
#[derive(Debug, Clone)]
pub(super) struct Ban {
    pub generation: u64,
    pub mode: Mode,
    pub at_ms: u64,
    pub matcher: BanMatcher,
}

impl Ban {
    /// Matcher and hardness: the newest ban with the same name replaces older ones.
    fn name(&self) -> (&BanMatcher, bool) {
        (&self.matcher, self.mode == Mode::Hard)
    }
}

/// Every ban that is still needed.
#[derive(Default)]
pub(super) struct Bans {
    live: Vec<Ban>,
    fences: VecDeque<Ban>,
}

impl Bans {
    /// Adds live bans, each of them different; each replaces an older equal one.
    pub fn add(&mut self, bans: Vec<Ban>) {
        let same: HashSet<(&BanMatcher, bool)> = bans.iter().map(Ban::name).collect();
        let is_other = |old: &Ban| !same.contains(&old.name());
        self.live.retain(is_other);
        self.fences.retain(is_other);
        drop(same);
        self.live.extend(bans);
    }

    /// The number of live bans.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// The number of all bans.
    pub fn len(&self) -> usize {
        self.live.len() + self.fences.len()
    }

    /// The generation of the newest live ban; 0 if there is none.
    pub fn newest_live(&self) -> u64 {
        self.live.iter().map(|ban| ban.generation).max().unwrap_or(0)
    }

    /// Drops all bans, because everything is stamped instead. Returns the hardest mode of the live
    /// ones.
    pub fn collapse(&mut self) -> Mode {
        let is_hard = self.live.iter().any(|ban| ban.mode == Mode::Hard);
        self.live.clear();
        self.fences.clear();
        if is_hard { Mode::Hard } else { Mode::Soft }
    }

    /// Checks an entry, fresh at its `checked` generation, against the live bans.
    pub fn freshness(&self, entry: &StoredEntry) -> Freshness {
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

    /// Whether a ban is newer than a fill that began at `ticket`.
    pub fn overtook(&self, ticket: u64, entry: &StoredEntry) -> bool {
        self.live
            .iter()
            .chain(&self.fences)
            .any(|ban| ban.generation > ticket && ban.matcher.matches(entry))
    }

    /// Turns live bans that a walk has enforced into fences. If there are more than `fences_max`,
    /// returns a generation: the caller raises the floor to it and calls [`Bans::forget`].
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

    /// Drops the fences that the floor has passed; returns how many.
    pub fn forget(&mut self, floor: u64) -> usize {
        let before = self.fences.len();
        self.fences.retain(|ban| ban.generation > floor);
        before - self.fences.len()
    }
}
