//! The atomics of the cache: a counter, stamps, and the state of an entry.
//!
//! The invariant: a lookup that starts after an invalidation was published never finds an entry
//! fresh whose ticket is older than that invalidation. It holds because stamps are written *before*
//! the generation is published (Release), and a lookup reads the generation (Acquire) *before* it
//! reads stamps. So a lookup that notes "checked at g" has seen every stamp up to g.
//!
//! This file uses nothing else of the crate: `tests/loom/` compiles it with loom's atomics and
//! tries every order that the memory model allows.

use super::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// The counter of the store; every invalidation increments it.
pub struct Generation(AtomicU64);

impl Generation {
    /// Starts at 1, so that a stamp of 0 means "never".
    pub fn new() -> Self {
        Self(AtomicU64::new(1))
    }

    /// The newest published generation.
    pub fn current(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Makes `generation` visible. All its stamps must be written before.
    pub fn publish(&self, generation: u64) {
        self.0.store(generation, Release);
    }
}

/// The generations at which a tag was last invalidated; 0 for never.
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

    /// Clears entries whose ticket is older than `generation`.
    pub fn stamp_hard(&self, generation: u64) {
        self.hard.fetch_max(generation, AcqRel);
    }

    /// Makes entries stale since `at_ms` whose ticket is older than `generation`.
    pub fn stamp_soft(&self, generation: u64, at_ms: u64) {
        // The time first: a reader that sees the stamp sees this time or a newer one.
        self.soft_at_ms.fetch_max(at_ms, AcqRel);
        self.soft.fetch_max(generation, AcqRel);
    }

    /// The newest stamp of either mode.
    pub fn newest(&self) -> u64 {
        self.hard.load(Acquire).max(self.soft.load(Acquire))
    }

    fn freshness(&self, ticket: u64) -> Freshness {
        if self.hard.load(Acquire) > ticket {
            return Freshness::Gone;
        }
        if self.soft.load(Acquire) > ticket {
            return Freshness::Stale { since_ms: self.soft_at_ms.load(Acquire) };
        }
        Freshness::Fresh
    }
}

/// Whether invalidations allow an entry to be served. Time limits are not checked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// No invalidation is newer than its ticket.
    Fresh,
    /// Softly invalidated at this time of the store's clock.
    Stale {
        /// In milliseconds.
        since_ms: u64,
    },
    /// Never to be served again.
    Gone,
}

impl Freshness {
    /// The worse of both; of two stale ones, the one that is stale for longer.
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

/// The state of an entry: the ticket of its fill, and the results of later checks.
pub struct Watch {
    ticket: u64,
    checked: AtomicU64,
    is_cleared: AtomicBool,
    /// Time in milliseconds plus one; 0 for not stale.
    stale_at: AtomicU64,
}

impl Watch {
    /// For a fill that began at `ticket`.
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

    /// Notes that the entry is fresh as of `generation`.
    pub fn confirm(&self, generation: u64) {
        self.checked.fetch_max(generation, Relaxed);
    }

    /// Marks the entry as cleared; returns whether this call was the first.
    pub fn clear(&self) -> bool {
        !self.is_cleared.swap(true, AcqRel)
    }

    /// Marks the entry stale since `at_ms`; returns whether this call was the first. A later mark
    /// never changes the time, so repeated soft invalidations cannot prolong the stale time.
    pub fn mark_stale(&self, at_ms: u64) -> bool {
        self.stale_at.compare_exchange(0, at_ms.saturating_add(1), AcqRel, Acquire).is_ok()
    }

    /// The marks on the entry itself, without stamps and bans.
    pub fn own_freshness(&self) -> Freshness {
        if self.is_cleared.load(Acquire) {
            return Freshness::Gone;
        }
        match self.stale_at.load(Acquire) {
            0 => Freshness::Fresh,
            at => Freshness::Stale { since_ms: at - 1 },
        }
    }

    /// Checks the entry against everything published so far: one comparison if nothing was
    /// published since it was last found fresh.
    ///
    /// `bans` is called before the entry's own marks are read, because a ban is retired only after
    /// its entries are marked.
    pub fn check<'a>(
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
        let stamped = stamps.fold(banned, |sum, one| sum.worse(one.freshness(self.ticket)));
        let freshness = stamped.worse(self.own_freshness());
        if freshness == Freshness::Fresh {
            self.confirm(now);
        }
        freshness
    }
}

/// The generation of the newest ban that is not yet enforced on every entry; 0 if there is none.
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
