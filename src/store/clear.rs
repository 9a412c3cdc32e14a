//! Invalidations: first the stamp, whose cost is the number of selectors; then the counting, which
//! also frees memory and stops at its time limit.
//!
//! The invariant: when [`Memory::apply`] returns, no later lookup serves what it cleared, counted
//! or not. Each entry is counted once, by the invalidation that first marked it. A single key needs
//! no cell, because the map finds its entry: the entry is marked under the fence before the
//! generation is published, and only a stamp against running fills remains.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Memory;
use super::bans::{Ban, BanMatcher};
use super::cells::{Cell, Cells, name};
use super::entry::StoredEntry;
use super::generation::{Freshness, Stamps};
use super::memory::{Inner, members};
use crate::domain::{Applied, Demand, Label, Mode, Selector, Selectors, TypeName};

/// Work between two checks of the time, in bytes compared: about 10 microseconds.
const WORK_PER_LOOK: usize = 4096;
/// The work of one entry apart from comparing, in the same unit.
const WORK_PER_ENTRY: usize = 64;

/// Members of hard-stamped cells that are still to be removed from the map. Bounded by the number
/// of memberships, because each list was taken out of its cell.
#[derive(Default)]
pub(super) struct Reclaim {
    pub lists: Vec<Vec<Weak<StoredEntry>>>,
}

/// What the selectors of one mode clear, resolved to cells, keys and bans.
#[derive(Default)]
struct ClearSet {
    all: bool,
    cells: Vec<Arc<Cell>>,
    keys: Vec<Label>,
    bans: Vec<BanMatcher>,
    /// Bytes of the matchers in `bans`.
    ban_bytes: usize,
}

impl ClearSet {
    fn new(selectors: &Selectors, find: impl Fn(&str) -> Option<Arc<Cell>>) -> Self {
        let mut set = Self::default();
        // A list of a type may show any of its entities: one stamp for each type with ids.
        set.cells.extend(selectors.ids().keys().filter_map(|name| find(&name::of_lists(name))));
        for selector in selectors.iter() {
            let found = match selector {
                Selector::All => {
                    set.all = true;
                    continue;
                }
                Selector::PathPrefix(prefix) => {
                    set.bans.push(BanMatcher::Prefix(prefix));
                    continue;
                }
                Selector::Pattern(glob) => {
                    set.bans.push(BanMatcher::Pattern(glob));
                    continue;
                }
                Selector::Type(type_name) => find(&name::of_type(&type_name)),
                Selector::Entity(type_name, id) => find(&name::of_entity(&type_name, &id)),
                Selector::Tag(tag) => find(&name::of_tag(&tag)),
                // The map finds an entry whose key is this path. One whose key is another spelling
                // of it is a member of the cell of the path.
                Selector::Path(path) => {
                    let found = find(&name::of_path(path.as_str()));
                    set.keys.push(path.label().clone());
                    found
                }
                Selector::Key(key) => {
                    let found = find(&name::of_key(key.as_str()));
                    set.keys.push(key);
                    found
                }
            };
            set.cells.extend(found);
        }
        set.ban_bytes = set.bans.iter().map(BanMatcher::bytes).sum();
        set
    }

    /// Whether all entries must be checked.
    fn is_wide(&self) -> bool {
        self.all || !self.bans.is_empty()
    }

    /// The work of [`ClearSet::sweeps`], in bytes compared.
    fn work(&self, entry: &StoredEntry) -> usize {
        let paths: usize = entry.paths().into_iter().flatten().map(str::len).sum();
        self.ban_bytes + self.bans.len() * paths
    }

    /// Replaces bans by everything, if there are too many to keep them one by one.
    fn widen_bans(&mut self) {
        self.all |= !self.bans.is_empty();
        self.bans.clear();
        self.ban_bytes = 0;
    }

    /// Whether it covers an entry by `all` or by a ban.
    fn sweeps(&self, entry: &StoredEntry) -> bool {
        self.all || self.bans.iter().any(|matcher| matcher.matches(entry))
    }
}

struct ClearPlan {
    hard: ClearSet,
    soft: ClearSet,
    is_widened: bool,
}

impl ClearPlan {
    /// If there are more than `bans_max` bans, they become one stamp on everything in each mode.
    fn new(demand: &Demand, bans_max: usize, find: impl Fn(&str) -> Option<Arc<Cell>>) -> Self {
        let (mut hard, mut soft) =
            (ClearSet::new(&demand.hard, &find), ClearSet::new(&demand.soft, &find));
        let is_widened = hard.bans.len() + soft.bans.len() > bans_max;
        if is_widened {
            hard.widen_bans();
            soft.widen_bans();
        }
        Self { hard, soft, is_widened }
    }

    fn is_wide(&self) -> bool {
        self.hard.is_wide() || self.soft.is_wide()
    }

    fn modes(&self) -> [(Mode, &ClearSet); 2] {
        [(Mode::Hard, &self.hard), (Mode::Soft, &self.soft)]
    }
}

/// What the stamp leaves for the counting.
struct Stamped {
    generation: u64,
    at_ms: u64,
    /// Entries cleared by key, and whether they are counted.
    keyed: Vec<(Arc<StoredEntry>, bool)>,
    /// Entries made stale by key.
    softened: Vec<Arc<StoredEntry>>,
    /// Members of hard-stamped cells.
    lists: Vec<Vec<Weak<StoredEntry>>>,
    is_collapsed: bool,
}

/// Counts cleared entries within a time limit.
struct ClearCount {
    entries: u64,
    bytes: u64,
    types: BTreeMap<String, u64>,
    begun: Instant,
    limit: Duration,
    /// Work since the last check of the time.
    work: usize,
    is_over: bool,
}

impl ClearCount {
    fn new(limit: Duration) -> Self {
        let begun = Instant::now();
        Self {
            entries: 0,
            bytes: 0,
            types: BTreeMap::new(),
            begun,
            limit,
            // The first check is before any work.
            work: WORK_PER_LOOK,
            is_over: false,
        }
    }

    fn add(&mut self, entry: &StoredEntry) {
        self.entries += 1;
        self.bytes += entry.body_bytes() as u64;
        let Some(name) = entry.type_name.as_ref().map(TypeName::as_str) else { return };
        match self.types.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.types.insert(name.to_owned(), 1)),
        }
    }

    /// Whether time is left for one more entry.
    fn goes_on(&mut self) -> bool {
        self.goes_on_with(0)
    }

    /// Whether time is left for one more entry that needs so many bytes compared.
    fn goes_on_with(&mut self, bytes: usize) -> bool {
        if self.work >= WORK_PER_LOOK {
            self.work = 0;
            self.is_over |= self.begun.elapsed() >= self.limit;
        }
        self.work += WORK_PER_ENTRY + bytes;
        !self.is_over
    }

    fn applied(self, generation: u64) -> Applied {
        Applied {
            generation,
            entries: self.entries,
            types: self.types,
            bytes: self.bytes,
            count_complete: !self.is_over,
        }
    }
}

impl Memory {
    /// Clears what is demanded and counts it within the configured time. When it returns, no lookup
    /// serves what was cleared hard, and no fill of it that began before is stored.
    pub fn apply(&self, demand: &Demand) -> Applied {
        if demand.is_empty() {
            return ClearCount::new(Duration::MAX).applied(self.inner.generation.current());
        }
        let bans_max = self.inner.config.bans_max;
        let plan = ClearPlan::new(demand, bans_max, |name| Some(self.inner.cells.intern(name)));
        let stamped = self.inner.stamp(&plan);
        let applied = self.inner.count(&plan, stamped);
        self.inner.counts.clears.one();
        self.inner.counts.entries_cleared.add(applied.entries);
        applied
    }

    /// What [`Memory::apply`] would count now; changes nothing.
    pub fn estimate(&self, demand: &Demand) -> Applied {
        let cells: &Cells = &self.inner.cells;
        let plan = ClearPlan::new(demand, self.inner.config.bans_max, |name| cells.get(name));
        let mut count = ClearCount::new(self.inner.config.count_time_max);
        let mut seen = HashSet::new();
        let now_ms = self.inner.now_ms();
        for (mode, set) in plan.modes() {
            let keyed = set.keys.iter().filter_map(|key| self.inner.map.peek(key.as_str()));
            let tagged = set.cells.iter().flat_map(|cell| members(cell));
            let wide = set.is_wide().then(|| self.inner.map.iter()).into_iter().flatten();
            let named = keyed.chain(tagged).map(|entry| (entry, true));
            for (entry, is_named) in named.chain(wide.map(|entry| (entry, false))) {
                let bytes = if is_named { 0 } else { set.work(&entry) };
                if !count.goes_on_with(bytes) {
                    break;
                }
                if !is_named && !set.sweeps(&entry) {
                    continue;
                }
                if self.inner.would_count(&entry, mode, now_ms) && seen.insert(Arc::as_ptr(&entry))
                {
                    count.add(&entry);
                }
            }
        }
        count.applied(self.inner.generation.current())
    }

    /// Clears one key here, hard.
    pub fn remove(&self, key: &str) -> Applied {
        let one = Label::parse(key).map(|key| Selectors::one(Selector::Key(key)));
        // Only a label can be a key: with any other text nothing is demanded.
        self.apply(&Demand::new(Mode::Hard, one.unwrap_or_default()))
    }
}

impl Inner {
    fn would_count(&self, entry: &StoredEntry, mode: Mode, now_ms: u64) -> bool {
        let freshness = self.freshness(entry, now_ms).worse(entry.watch.own_freshness());
        match mode {
            Mode::Hard => freshness != Freshness::Gone,
            Mode::Soft => freshness == Freshness::Fresh,
        }
    }

    /// Writes stamps and bans, and only then publishes the generation.
    fn stamp(&self, plan: &ClearPlan) -> Stamped {
        let mut bans = self.fence.write();
        let generation = self.generation.current() + 1;
        let at_ms = self.now_ms();
        self.recent.lock().note(at_ms, generation - 1);
        self.counting.fetch_add(1, Ordering::AcqRel);
        let mut stamped = Stamped {
            generation,
            at_ms,
            keyed: Vec::new(),
            softened: Vec::new(),
            lists: Vec::new(),
            is_collapsed: false,
        };
        for (mode, set) in plan.modes() {
            if set.all {
                mark(&self.all, mode, generation, at_ms);
            }
            for cell in &set.cells {
                mark(&cell.stamps, mode, generation, at_ms);
                if mode == Mode::Hard {
                    stamped.lists.push(cell.take());
                }
            }
            self.clear_keys(set, mode, &mut stamped);
            let ban =
                |matcher: &BanMatcher| Ban { generation, mode, at_ms, matcher: matcher.clone() };
            bans.add(set.bans.iter().map(ban).collect());
        }
        if plan.is_widened {
            self.counts.bans_collapsed.one();
        }
        if bans.live() > self.config.bans_max {
            mark(&self.all, bans.collapse(), generation, at_ms);
            self.counts.bans_collapsed.one();
            stamped.is_collapsed = true;
        }
        self.newest_ban.set(bans.newest_live());
        self.generation.publish(generation);
        stamped
    }

    /// Marks the entries of single keys, after checking whether there was something to clear.
    fn clear_keys(&self, set: &ClearSet, mode: Mode, stamped: &mut Stamped) {
        for key in &set.keys {
            let Some(entry) = self.map.peek(key.as_str()) else { continue };
            let is_alive = self.is_alive(&entry, mode, stamped.at_ms);
            match mode {
                Mode::Hard => {
                    let counts = entry.watch.clear() && is_alive;
                    stamped.keyed.push((entry, counts));
                }
                Mode::Soft if entry.watch.mark_stale(stamped.at_ms) && is_alive => {
                    stamped.softened.push(entry);
                }
                Mode::Soft => {}
            }
        }
    }

    /// Whether an entry is still to be cleared, by time and its own marks: for `soft`, a fresh one.
    fn is_alive(&self, entry: &StoredEntry, mode: Mode, now_ms: u64) -> bool {
        let soft_ms_max = super::clock::millis(self.config.soft_time_max);
        match entry.with_time(entry.watch.own_freshness(), now_ms, soft_ms_max) {
            Freshness::Fresh => true,
            Freshness::Stale { .. } => mode == Mode::Hard,
            Freshness::Gone => false,
        }
    }

    fn count(&self, plan: &ClearPlan, mut stamped: Stamped) -> Applied {
        let mut count = ClearCount::new(self.config.count_time_max);
        for (entry, counts) in std::mem::take(&mut stamped.keyed) {
            self.map.remove(&entry);
            if counts {
                count.add(&entry);
            }
        }
        self.count_lists(&mut stamped, &mut count);
        if plan.is_wide() {
            self.count_wide(plan, &stamped, &mut count);
        }
        self.count_soft(plan, &stamped, &mut count);
        if count.is_over || stamped.is_collapsed {
            self.is_walk_due.store(true, Ordering::Release);
            self.wake.notify_one();
        }
        self.counting.fetch_sub(1, Ordering::AcqRel);
        count.applied(stamped.generation)
    }

    /// Counts the members of hard-stamped cells. If time runs out, the sweep removes the others.
    fn count_lists(&self, stamped: &mut Stamped, count: &mut ClearCount) {
        let mut left = Vec::new();
        for mut list in std::mem::take(&mut stamped.lists) {
            while !list.is_empty() && count.goes_on() {
                if let Some(entry) = list.pop().and_then(|weak| weak.upgrade()) {
                    self.take_out(&entry, stamped.at_ms, count);
                }
            }
            if !list.is_empty() {
                left.push(list);
            }
        }
        if !left.is_empty() {
            self.reclaim.lock().lists.append(&mut left);
        }
    }

    fn take_out(&self, entry: &Arc<StoredEntry>, now_ms: u64, count: &mut ClearCount) {
        let is_alive = self.is_alive(entry, Mode::Hard, now_ms);
        if entry.watch.clear() {
            self.map.remove(entry);
            if is_alive {
                count.add(entry);
            }
        }
    }

    fn make_stale(&self, entry: &StoredEntry, now_ms: u64, count: &mut ClearCount) {
        let is_alive = self.is_alive(entry, Mode::Soft, now_ms);
        if entry.watch.mark_stale(now_ms) && is_alive {
            count.add(entry);
        }
    }

    /// Walks the map for `all`, patterns and prefixes. A complete walk has enforced its bans.
    fn count_wide(&self, plan: &ClearPlan, stamped: &Stamped, count: &mut ClearCount) {
        for entry in self.map.iter() {
            if !count.goes_on_with(plan.hard.work(&entry) + plan.soft.work(&entry)) {
                return;
            }
            if entry.watch.ticket() >= stamped.generation {
                continue;
            }
            if plan.hard.sweeps(&entry) {
                self.take_out(&entry, stamped.at_ms, count);
            } else if plan.soft.sweeps(&entry) {
                self.make_stale(&entry, stamped.at_ms, count);
            }
        }
        self.retire(|ban| ban.generation == stamped.generation);
    }

    /// Counts soft invalidations. Last, so that an entry cleared hard is not counted twice.
    fn count_soft(&self, plan: &ClearPlan, stamped: &Stamped, count: &mut ClearCount) {
        let is_left = |entry: &&Arc<StoredEntry>| entry.watch.own_freshness() != Freshness::Gone;
        stamped.softened.iter().filter(is_left).for_each(|entry| count.add(entry));
        for entry in plan.soft.cells.iter().flat_map(|cell| members(cell)) {
            if !count.goes_on() {
                return;
            }
            if entry.watch.ticket() < stamped.generation {
                self.make_stale(&entry, stamped.at_ms, count);
            }
        }
    }

    /// Turns enforced bans into fences; returns how many live ones are left.
    pub fn retire(&self, is_enforced: impl Fn(&Ban) -> bool) -> usize {
        let mut bans = self.fence.write();
        if let Some(floor) = bans.retire(is_enforced, self.config.bans_max) {
            self.cells.raise_floor(floor);
            bans.forget(self.cells.floor());
        }
        self.newest_ban.set(bans.newest_live());
        bans.live()
    }
}

fn mark(stamps: &Stamps, mode: Mode, generation: u64, at_ms: u64) {
    match mode {
        Mode::Hard => stamps.stamp_hard(generation),
        Mode::Soft => stamps.stamp_soft(generation, at_ms),
    }
}
