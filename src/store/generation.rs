//! The memory-order core of the cache: a counter, stamps, and what an entry remembers.
//!
//! The invariant: a lookup that starts after an invalidation was published never calls an entry
//! fresh whose ticket is older than that invalidation. It holds because stamps land *before* the
//! generation is published (Release), and a lookup reads the generation (Acquire) *before* it reads
//! stamps; so whoever notes "checked at g" has seen every stamp up to g.
//!
//! This file knows nothing else of the crate: `tests/loom/` includes it with loom's atomics and
//! tries every order that the memory model allows.

use super::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// The store's counter, one more for every invalidation.
pub struct Generation(AtomicU64);

impl Generation {
    /// Begins at 1, so that a stamp of 0 means "never".
    pub fn new() -> Self {
        Self(AtomicU64::new(1))
    }

    /// The newest published generation.
    pub fn current(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Makes `generation` visible; every stamp of it must have landed.
    pub fn publish(&self, generation: u64) {
        self.0.store(generation, Release);
    }
}

/// When something was last invalidated: generations, 0 for never.
pub struct Stamps {
    hard: AtomicU64,
    soft: AtomicU64,
    soft_at_ms: AtomicU64,
}

impl Stamps {
    /// Never invalidated.
    pub fn new() -> Self {
        Self { hard: AtomicU64::new(0), soft: AtomicU64::new(0), soft_at_ms: AtomicU64::new(0) }
    }

    /// What is older than `generation` is gone.
    pub fn stamp_hard(&self, generation: u64) {
        self.hard.fetch_max(generation, AcqRel);
    }

    /// What is older than `generation` is stale since `at_ms`.
    pub fn stamp_soft(&self, generation: u64, at_ms: u64) {
        // The time first: who sees the stamp sees a time at least as new.
        self.soft_at_ms.fetch_max(at_ms, AcqRel);
        self.soft.fetch_max(generation, AcqRel);
    }

    /// The newest stamp of either mode.
    pub fn newest(&self) -> u64 {
        self.hard.load(Acquire).max(self.soft.load(Acquire))
    }

    fn verdict(&self, ticket: u64) -> Freshness {
        if self.hard.load(Acquire) > ticket {
            return Freshness::Gone;
        }
        if self.soft.load(Acquire) > ticket {
            return Freshness::Stale { since_ms: self.soft_at_ms.load(Acquire) };
        }
        Freshness::Fresh
    }
}

/// What invalidations say of an entry; time limits are not looked at here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing newer than its ticket.
    Fresh,
    /// Softly invalidated at this time of the store's clock.
    Stale {
        /// Milliseconds.
        since_ms: u64,
    },
    /// Never to be served again.
    Gone,
}

impl Freshness {
    /// The worse of both; of two stale ones the longer stale.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Gone, _) | (_, Self::Gone) => Self::Gone,
            (Self::Stale { since_ms: a }, Self::Stale { since_ms: b }) => {
                Self::Stale { since_ms: a.min(b) }
            }
            (Self::Fresh, worse) | (worse, Self::Fresh) => worse,
        }
    }
}

/// An entry's side: the ticket of its fill and what was found out since.
pub struct Watch {
    ticket: u64,
    checked: AtomicU64,
    is_cleared: AtomicBool,
    /// Milliseconds plus one; 0 for not stale.
    stale_at: AtomicU64,
}

impl Watch {
    /// For a fill begun at `ticket`.
    pub fn new(ticket: u64) -> Self {
        Self {
            ticket,
            checked: AtomicU64::new(ticket),
            is_cleared: AtomicBool::new(false),
            stale_at: AtomicU64::new(0),
        }
    }

    /// The generation that was read before the fill began.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// The newest generation at which the entry was found fresh.
    pub fn checked(&self) -> u64 {
        self.checked.load(Relaxed)
    }

    /// Notes that nothing up to `generation` speaks against the entry.
    pub fn confirm(&self, generation: u64) {
        self.checked.fetch_max(generation, Relaxed);
    }

    /// Condemns the entry; says whether this call was the first to do so.
    pub fn clear(&self) -> bool {
        !self.is_cleared.swap(true, AcqRel)
    }

    /// Marks the entry stale since `at_ms`; says whether this call was the first. A later mark
    /// never moves the time, so repeated soft invalidations cannot prolong a stale life.
    pub fn mark_stale(&self, at_ms: u64) -> bool {
        self.stale_at.compare_exchange(0, at_ms.saturating_add(1), AcqRel, Acquire).is_ok()
    }

    /// What was found out about the entry itself.
    pub fn own_verdict(&self) -> Freshness {
        if self.is_cleared.load(Acquire) {
            return Freshness::Gone;
        }
        match self.stale_at.load(Acquire) {
            0 => Freshness::Fresh,
            at => Freshness::Stale { since_ms: at - 1 },
        }
    }

    /// Judges the entry by everything published so far. One comparison where nothing was
    /// published since it was last found fresh.
    ///
    /// `bans` is asked before the entry's own marks are read: whoever retires a ban marks first.
    pub fn judge<'a>(
        &self,
        generation: &Generation,
        bans: impl FnOnce() -> Freshness,
        stamps: impl Iterator<Item = &'a Stamps>,
    ) -> Freshness {
        let now = generation.current();
        if self.checked() >= now {
            return Freshness::Fresh;
        }
        let banned = bans();
        let stamped = stamps.fold(banned, |sum, one| sum.worse(one.verdict(self.ticket)));
        let verdict = stamped.worse(self.own_verdict());
        if verdict == Freshness::Fresh {
            self.confirm(now);
        }
        verdict
    }
}

/// The newest ban that is not yet enforced on every entry; 0 where there is none.
pub struct NewestBan(AtomicU64);

impl NewestBan {
    /// No ban.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Its generation.
    pub fn get(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Raised before its generation is published; lowered after its entries are marked.
    pub fn set(&self, generation: u64) {
        self.0.store(generation, Release);
    }
}
