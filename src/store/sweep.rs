//! The background work: memory of what was cleared, expired entries, bans, forgotten tags.
//!
//! Nothing here is needed for correctness, lookups judge for themselves; without it memory grows
//! and old tickets stay valid. One step works within a budget, except that a walk over the map is
//! done whole (some 0.1 s for a million entries): run it off the async threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Memory;
use super::cells::Cells;
use super::clock::millis;
use super::entry::StoredEntry;
use super::generation::Freshness;
use super::memory::Inner;

/// Between steps when nothing is waiting.
const PERIOD: Duration = Duration::from_secs(1);

/// One background step: short against the second that a million cleared entries may stay.
const BUDGET: Duration = Duration::from_millis(50);

/// Between steps while work is left, so that the sweep never takes a whole core.
const PAUSE: Duration = Duration::from_millis(5);

/// Between walks for expired entries: 1 % of a core for a million entries.
const WALK_MS: u64 = 10_000;

/// Shards of the tag table looked at in an idle step: all of them every 16 s.
const SHARDS_PER_STEP: usize = 4;

/// Removed entries after which all of the tag table is looked at.
const REMOVED_MANY: usize = 1024;

/// Checkpoints per ticket life: the floor lags behind the exact one by at most this part of it.
const CHECKPOINTS: u64 = 64;

/// Where the sweep stands.
#[derive(Default)]
pub(super) struct Sweeper {
    /// When which generation was current, oldest first.
    checkpoints: VecDeque<(u64, u64)>,
    walk_at_ms: u64,
    shard: usize,
    shards_due: usize,
}

/// What one step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries taken out of the map.
    pub removed: usize,
    /// Tags forgotten.
    pub tags_forgotten: usize,
    /// Whether work is left that should not wait.
    pub more: bool,
}

impl Memory {
    /// One step of background work within about `budget`. A step that meets another one running
    /// does nothing.
    pub fn sweep(&self, budget: Duration) -> Swept {
        let inner = &self.inner;
        let Some(mut sweeper) = inner.sweeper.try_lock() else { return Swept::default() };
        let begun = Instant::now();
        let is_time_left = || begun.elapsed() < budget;
        let now_ms = inner.now_ms();
        inner.move_floor(&mut sweeper, now_ms);
        inner.flights.sweep();
        // Otherwise the first question after a long time would move all that has passed at once.
        inner.map.expired(now_ms);
        let mut swept = Swept { removed: inner.reclaim(is_time_left), ..Swept::default() };
        let is_walk_due = inner.is_walk_due.swap(false, Ordering::AcqRel)
            || inner.newest_ban.get() != 0
            || now_ms >= sweeper.walk_at_ms;
        if is_walk_due {
            swept.removed += inner.walk(now_ms);
            sweeper.walk_at_ms = now_ms.saturating_add(WALK_MS);
        }
        let shards = if swept.removed >= REMOVED_MANY { Cells::shards() } else { SHARDS_PER_STEP };
        sweeper.shards_due = sweeper.shards_due.max(shards);
        while sweeper.shards_due > 0 && is_time_left() {
            swept.tags_forgotten += inner.cells.sweep(sweeper.shard);
            sweeper.shard = (sweeper.shard + 1) % Cells::shards();
            sweeper.shards_due -= 1;
        }
        swept.more = sweeper.shards_due > 0
            || inner.is_walk_due.load(Ordering::Acquire)
            || !inner.reclaim.lock().lists.is_empty();
        swept
    }

    /// Sweeps until stopped: every second, and at once where an invalidation left work.
    pub async fn run_sweeper(self, stop: CancellationToken) {
        loop {
            let memory = self.clone();
            let step = tokio::task::spawn_blocking(move || memory.sweep(BUDGET)).await;
            // A step that panicked has left its work; the next one takes it up after the period.
            let pause = if step.is_ok_and(|swept| swept.more) { PAUSE } else { PERIOD };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.inner.wake.notified(), if pause == PERIOD => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

impl Inner {
    /// Tickets older than `ticket_time_max` are given up, as far as checkpoints tell.
    fn move_floor(&self, sweeper: &mut Sweeper, now_ms: u64) {
        let life_ms = millis(self.config.ticket_time_max);
        let apart_ms = (life_ms / CHECKPOINTS).max(1);
        let is_due = |(at_ms, _): &(u64, u64)| now_ms >= at_ms.saturating_add(apart_ms);
        if sweeper.checkpoints.back().is_none_or(is_due) {
            sweeper.checkpoints.push_back((now_ms, self.generation.current()));
        }
        let is_old = |(at_ms, _): &(u64, u64)| now_ms.saturating_sub(*at_ms) >= life_ms;
        let mut floor = None;
        while let Some((_, generation)) = sweeper.checkpoints.front().copied().filter(is_old) {
            floor = Some(generation);
            sweeper.checkpoints.pop_front();
        }
        if let Some(generation) = floor {
            self.cells.raise_floor(generation);
            self.fence.write().forget(self.cells.floor());
        }
    }

    /// Takes out what the counting of hard invalidations left over.
    fn reclaim(&self, is_time_left: impl Fn() -> bool) -> usize {
        let mut removed = 0;
        while is_time_left() {
            let Some(mut list) = self.reclaim.lock().lists.pop() else { break };
            let kept = list.len().saturating_sub(super::cells::SLICE);
            let gone = list.split_off(kept);
            if !list.is_empty() {
                self.reclaim.lock().lists.push(list);
            }
            for entry in gone.iter().filter_map(std::sync::Weak::upgrade) {
                entry.watch.clear();
                removed += usize::from(self.map.remove(&entry));
            }
        }
        removed
    }

    /// Enforces on every entry what lookups would find out, then retires the bans it saw. What an
    /// application has yet to count is left to it, and the walk is due again.
    fn walk(&self, now_ms: u64) -> usize {
        // Under the lock, hence published: every verdict from here on knows of them.
        let bans_up_to = self.fence.read().newest_live();
        let soft_ms_max = millis(self.config.soft_time_max);
        let (mut removed, mut is_whole) = (0, true);
        for entry in self.map.iter() {
            let invalidated = self.invalidated(&entry);
            let verdict = entry.temper(invalidated, now_ms, soft_ms_max);
            // After the verdict: a stamp is never seen before its application is.
            if verdict != Freshness::Fresh && self.counting.load(Ordering::Acquire) > 0 {
                is_whole = false;
                continue;
            }
            match (verdict, invalidated) {
                (Freshness::Gone, _) => removed += usize::from(self.condemn(&entry)),
                (_, Freshness::Stale { since_ms }) => drop(entry.watch.mark_stale(since_ms)),
                (Freshness::Stale { .. } | Freshness::Fresh, _) => {}
            }
        }
        if is_whole {
            self.retire(|ban| ban.generation <= bans_up_to);
        } else {
            self.is_walk_due.store(true, Ordering::Release);
        }
        removed
    }

    fn condemn(&self, entry: &Arc<StoredEntry>) -> bool {
        entry.watch.clear();
        self.map.remove(entry)
    }
}
