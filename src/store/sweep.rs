//! Background work: frees the memory of cleared and expired entries, bans and unused tags.
//!
//! Correctness does not depend on it, because lookups check each entry; without it memory grows
//! and old tickets stay valid. One step works within a time budget, except a walk over the map,
//! which is not interrupted (about 0.1 s for a million entries): run it off the async threads.

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

/// Time between steps when no work is left.
const PERIOD: Duration = Duration::from_secs(1);

/// Time budget of one step; a million cleared entries may stay for a second.
const BUDGET: Duration = Duration::from_millis(50);

/// Time between steps while work is left, so that the sweep never uses a whole core.
const PAUSE: Duration = Duration::from_millis(5);

/// Time between walks for expired entries: 1 % of a core for a million entries.
const WALK_MS: u64 = 10_000;

/// Shards of the tag table checked in an idle step: all of them every 16 s.
const SHARDS_PER_STEP: usize = 4;

/// After so many removed entries, the whole tag table is checked.
const REMOVED_MANY: usize = 1024;

/// Checkpoints per lifetime of a ticket: the floor is late by at most this part of it.
const CHECKPOINTS: u64 = 64;

/// The state of the sweep.
#[derive(Default)]
pub(super) struct Sweeper {
    /// Time in milliseconds and the generation that was current then, oldest first.
    checkpoints: VecDeque<(u64, u64)>,
    walk_at_ms: u64,
    shard: usize,
    shards_due: usize,
}

/// The result of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries removed from the map.
    pub removed: usize,
    /// Tags dropped from the table.
    pub tags_forgotten: usize,
    /// Whether work is left that must not wait for the next period.
    pub more: bool,
}

impl Memory {
    /// Does one step of background work within about `budget`. Does nothing while another step
    /// runs.
    pub fn sweep(&self, budget: Duration) -> Swept {
        let inner = &self.inner;
        let Some(mut sweeper) = inner.sweeper.try_lock() else { return Swept::default() };
        let begun = Instant::now();
        let is_time_left = || begun.elapsed() < budget;
        let now_ms = inner.now_ms();
        inner.move_floor(&mut sweeper, now_ms);
        inner.flights.sweep();
        // Otherwise the first call after a long time would move all passed steps at once.
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

    /// Sweeps until stopped: every second, and at once if an invalidation left work.
    pub async fn run_sweeper(self, stop: CancellationToken) {
        loop {
            let memory = self.clone();
            let step = tokio::task::spawn_blocking(move || memory.sweep(BUDGET)).await;
            // If a step panics, the next one continues its work after the period.
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
    /// Refuses tickets older than `ticket_time_max`, to the precision of the checkpoints.
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

    /// Removes the entries for which a hard invalidation had no time left.
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

    /// Checks every entry as a lookup would, marks or removes it, then retires the bans it saw. It
    /// skips what a running invalidation has yet to count; the walk is then due again.
    fn walk(&self, now_ms: u64) -> usize {
        // Read under the lock, so they are published: every check from here on sees them.
        let bans_up_to = self.fence.read().newest_live();
        let soft_ms_max = millis(self.config.soft_time_max);
        let (mut removed, mut is_whole) = (0, true);
        for entry in self.map.iter() {
            let invalidated = self.invalidated(&entry);
            let freshness = entry.with_time(invalidated, now_ms, soft_ms_max);
            // After the check: a thread that sees a stamp also sees that its invalidation is
            // counting.
            if freshness != Freshness::Fresh && self.counting.load(Ordering::Acquire) > 0 {
                is_whole = false;
                continue;
            }
            match (freshness, invalidated) {
                (Freshness::Gone, _) => removed += usize::from(self.clear_entry(&entry)),
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

    fn clear_entry(&self, entry: &Arc<StoredEntry>) -> bool {
        entry.watch.clear();
        self.map.remove(entry)
    }
}
