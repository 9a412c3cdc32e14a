//! Tags as cells: each has its stamps and the entries with that tag.
//!
//! Entries point to their cells, so checking an entry needs no hashing. The table only finds cells
//! by name. A stamped cell without entries is kept as long as a fill with an older ticket may
//! arrive. Tickets below the *floor* are refused, so a cell stamped at or below it may be dropped.
//! The floor is raised before anything is dropped, never after.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::entry::StoredEntry;
use super::generation::Stamps;
use crate::domain::{Label, TypeName};

/// Locks of the table: enough that fills on all cores rarely contend.
const SHARDS: usize = 64;

/// A shard is first searched for droppable cells at this size, then whenever it has doubled.
const SHARD_CELLS_MIN: usize = 1024;

/// Bytes of the names that are kept without an entry: about a million of usual length. A caller
/// that sends a thousand tags of a kilobyte in each request must not fill the memory.
const NAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Members that each push checks and drops if dead. With more than one, dead members stay the
/// minority however fast entries are evicted, and no push checks the whole list.
const PRUNED_PER_PUSH: usize = 4;

/// Members read under one lock, so that no caller waits for a list of a million.
pub(super) const SLICE: usize = 256;

/// A tag.
pub(super) struct Cell {
    pub stamps: Stamps,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    list: Vec<Weak<StoredEntry>>,
    cursor: usize,
}

impl Members {
    /// Checks the next `count` members, cyclically, and drops the dead ones.
    fn prune(&mut self, count: usize) {
        for _ in 0..count.min(self.list.len()) {
            if self.cursor >= self.list.len() {
                self.cursor = 0;
            }
            if self.list[self.cursor].strong_count() == 0 {
                self.list.swap_remove(self.cursor);
            } else {
                self.cursor += 1;
            }
        }
    }
}

impl Cell {
    fn new() -> Self {
        Self { stamps: Stamps::new(), members: Mutex::default() }
    }

    /// Adds a member.
    pub fn push(&self, entry: Weak<StoredEntry>) {
        let mut members = self.members.lock();
        members.prune(PRUNED_PER_PUSH);
        members.list.push(entry);
    }

    /// Takes all members: O(1).
    pub fn take(&self) -> Vec<Weak<StoredEntry>> {
        std::mem::take(&mut *self.members.lock()).list
    }

    /// The existing entries among the `SLICE` members from `from` on; `None` past the end. Entries
    /// that are added or removed meanwhile may be missing.
    pub fn slice(&self, from: usize) -> Option<Vec<Arc<StoredEntry>>> {
        let members = self.members.lock();
        let end = members.list.len().min(from + SLICE);
        let slice = members.list.get(from..end).filter(|slice| !slice.is_empty())?;
        Some(slice.iter().filter_map(Weak::upgrade).collect())
    }

    /// The number of members, dead ones included.
    pub fn len(&self) -> usize {
        self.members.lock().list.len()
    }

    /// Drops the dead members, slice by slice.
    fn prune(&self) {
        for _ in 0..self.len().div_ceil(SLICE) {
            self.members.lock().prune(SLICE);
        }
    }
}

/// The names of cells. They begin with a letter for the kind, so that a tag never equals a type.
pub(super) mod name {
    use super::{Label, TypeName};

    pub fn of_type(name: &TypeName) -> String {
        format!("t{}", name.stem())
    }

    /// The lists of a type: its entries without an id, which may show any entity of the type.
    pub fn of_lists(name: &TypeName) -> String {
        format!("l{}", name.stem())
    }

    /// A stem has no control character, so the name is unambiguous.
    pub fn of_entity(name: &TypeName, id: &Label) -> String {
        format!("e{}\0{id}", name.stem())
    }

    pub fn of_tag(tag: &Label) -> String {
        format!("c{tag}")
    }

    pub fn of_path(path: &str) -> String {
        format!("p{path}")
    }

    pub fn of_key(key: &str) -> String {
        format!("k{key}")
    }
}

/// All cells by name.
pub(super) struct Cells {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    floor: AtomicU64,
    idle_max: usize,
}

struct Shard {
    cells: HashMap<Box<str>, Arc<Cell>>,
    collect_at: usize,
}

impl Cells {
    /// Keeps at most about `stamps_max` cells without an entry.
    pub fn new(stamps_max: usize) -> Self {
        let shard = || Mutex::new(Shard { cells: HashMap::new(), collect_at: SHARD_CELLS_MIN });
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::new(),
            floor: AtomicU64::new(0),
            idle_max: stamps_max.div_ceil(SHARDS),
        }
    }

    /// The cell of a name; created if there is none.
    pub fn intern(&self, name: &str) -> Arc<Cell> {
        let mut shard = self.shard(name).lock();
        if let Some(cell) = shard.cells.get(name) {
            return Arc::clone(cell);
        }
        if shard.cells.len() >= shard.collect_at {
            self.collect(&mut shard);
        }
        let cell = Arc::new(Cell::new());
        shard.cells.insert(Box::from(name), Arc::clone(&cell));
        cell
    }

    /// The cell of a name, if there is one.
    pub fn get(&self, name: &str) -> Option<Arc<Cell>> {
        self.shard(name).lock().cells.get(name).map(Arc::clone)
    }

    /// Whether a name was stamped after `ticket`. Valid only for a ticket above the floor.
    pub fn is_stamped_after(&self, name: &str, ticket: u64) -> bool {
        self.get(name).is_some_and(|cell| cell.stamps.newest() > ticket)
    }

    /// The oldest ticket that can still be checked.
    pub fn floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    /// Refuses tickets below `generation` from now on.
    pub fn raise_floor(&self, generation: u64) {
        self.floor.fetch_max(generation, Ordering::AcqRel);
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().cells.len()).sum()
    }

    /// The number of shards, for [`Cells::sweep`].
    pub const fn shards() -> usize {
        SHARDS
    }

    /// Drops the droppable cells of one shard, and dead members of the others. Returns how many
    /// cells were dropped.
    pub fn sweep(&self, shard: usize) -> usize {
        let (dropped, long) = {
            let mut shard = self.shards[shard].lock();
            let before = shard.cells.len();
            self.collect(&mut shard);
            let is_long = |cell: &&Arc<Cell>| cell.len() > SLICE;
            let long: Vec<_> = shard.cells.values().filter(is_long).cloned().collect();
            (before - shard.cells.len(), long)
        };
        long.iter().for_each(|cell| cell.prune());
        dropped
    }

    fn collect(&self, shard: &mut Shard) {
        self.drop_idle(shard);
        // The remaining idle cells are needed to check running fills. If there are too many, drop
        // the older half and refuse the fills that needed it.
        let cells = shard.cells.iter_mut();
        let mut idle: Vec<(u64, usize)> = cells
            .filter_map(|(name, cell)| idle_stamp(cell).map(|stamp| (stamp, name.len())))
            .collect();
        let bytes: usize = idle.iter().map(|(_, bytes)| bytes).sum();
        if idle.len() > self.idle_max || bytes > NAME_BYTES_MAX / SHARDS {
            idle.sort_unstable_by(|one, other| other.cmp(one));
            let mut bytes_left = NAME_BYTES_MAX / SHARDS / 2;
            let half = idle.len() / 2;
            let first_dropped = idle.iter().enumerate().find(|(at, (_, bytes))| {
                let fits = bytes_left >= *bytes;
                bytes_left = bytes_left.saturating_sub(*bytes);
                *at >= half || !fits
            });
            if let Some((_, (stamp, _))) = first_dropped {
                self.raise_floor(*stamp);
                self.drop_idle(shard);
            }
        }
        shard.collect_at = SHARD_CELLS_MIN.max(shard.cells.len().saturating_mul(2));
        if shard.cells.capacity() > shard.collect_at * 2 {
            shard.cells.shrink_to(shard.collect_at);
        }
    }

    fn drop_idle(&self, shard: &mut Shard) {
        let floor = self.floor();
        shard.cells.retain(|_, cell| idle_stamp(cell).is_none_or(|stamp| stamp > floor));
    }

    fn shard(&self, name: &str) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(name);
        // The high bits; the map inside the shard uses its own hash state.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

/// The newest stamp of a cell to which no entry points. `get_mut` also orders memory: a stamp that
/// was written before the last other pointer was dropped is visible.
fn idle_stamp(cell: &mut Arc<Cell>) -> Option<u64> {
    Arc::get_mut(cell).map(|idle| idle.stamps.newest())
}
