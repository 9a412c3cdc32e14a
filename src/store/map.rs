//! The map from key to entry, bounded in bytes; it evicts the least useful entries (`quick_cache`:
//! S3-FIFO with ghosts).
//!
//! `quick_cache` divides its capacity among shards and silently drops an entry that exceeds the hot
//! part of one. So the number of shards is chosen such that a body of [`BODY_FITS_BYTES`] fits if
//! the whole capacity allows it, and the caller checks [`Map::entry_bytes_max`] first.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher, RandomState};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::entry::StoredEntry;
use super::expiry::Expiry;
use crate::domain::Label;

/// The largest body that the control API accepts (1 MiB), and its names and tags.
const BODY_FITS_BYTES: u64 = (1 << 20) + (64 << 10);

/// Part of a shard for entries that were used again; `quick_cache` accepts no larger entry.
const HOT_PART: f64 = 0.97;

/// Assumed mean weight, for the size of the ghost list. An error of a factor of ten is harmless.
const ENTRY_BYTES_MEAN: u64 = 2048;

/// Shards per core, so that lookups rarely contend. A fill locks one shard for microseconds.
const SHARDS_PER_CORE: usize = 4;

/// A key that can be looked up by its text.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct MapKey(Label);

impl Borrow<str> for MapKey {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

impl Hash for MapKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<MapKey, Arc<StoredEntry>> for ByWeight {
    fn weight(&self, _: &MapKey, entry: &Arc<StoredEntry>) -> u64 {
        entry.weight()
    }
}

/// Collects what an insertion evicts, a replaced entry included.
#[derive(Clone)]
struct CollectEvicted;

impl Lifecycle<MapKey, Arc<StoredEntry>> for CollectEvicted {
    type RequestState = Vec<Arc<StoredEntry>>;

    fn on_evict(&self, out: &mut Self::RequestState, _: MapKey, entry: Arc<StoredEntry>) {
        out.push(entry);
    }
}

/// The map from key to entry.
pub(super) struct Map {
    cache: Cache<MapKey, Arc<StoredEntry>, ByWeight, RandomState, CollectEvicted>,
    expiry: Expiry,
}

/// What an insertion evicted.
pub(super) struct Inserted {
    /// Whether it replaced an entry with the same key.
    pub replaced: bool,
    /// The number of other entries that were evicted.
    pub evicted: u64,
}

impl Map {
    /// A map for about `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        let shards = shards_for(bytes_max);
        let items = bytes_max / ENTRY_BYTES_MEAN;
        // Otherwise quick_cache halves the shards until each expects 32 items.
        let items = usize::try_from(items).unwrap_or(usize::MAX).max(shards * 32);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(items)
            .weight_capacity(bytes_max)
            .hot_allocation(HOT_PART)
            .build()
            .expect("both capacities are set");
        let cache = Cache::with_options(options, ByWeight, RandomState::new(), CollectEvicted);
        Self { cache, expiry: Expiry::default() }
    }

    /// The largest entry that fits.
    pub fn entry_bytes_max(&self) -> u64 {
        hot_bytes(self.cache.shard_capacity())
    }

    /// The entry of a key; counts as a use.
    pub fn get(&self, key: &str) -> Option<Arc<StoredEntry>> {
        self.cache.get(key)
    }

    /// The entry of a key; does not count as a use.
    pub fn peek(&self, key: &str) -> Option<Arc<StoredEntry>> {
        self.cache.peek(key)
    }

    /// Inserts an entry. What it evicts is marked, so that it is not counted as cleared later.
    pub fn insert(&self, entry: Arc<StoredEntry>) -> Inserted {
        let mut out = Vec::new();
        let key = entry.key.clone();
        // Before another thread can remove it.
        self.expiry.enter(entry.fresh_until_ms());
        self.cache.insert_with_lifecycle(MapKey(key.clone()), entry, &mut out);
        let mut inserted = Inserted { replaced: false, evicted: 0 };
        for gone in &out {
            gone.watch.clear();
            self.expiry.leave(gone.fresh_until_ms());
            if gone.key == key {
                inserted.replaced = true;
            } else {
                inserted.evicted += 1;
            }
        }
        inserted
    }

    /// Removes exactly this entry, not one that replaced it.
    pub fn remove(&self, entry: &Arc<StoredEntry>) -> bool {
        let is_it = |held: &Arc<StoredEntry>| Arc::ptr_eq(held, entry);
        let is_removed = self.cache.remove_if(entry.key.as_str(), is_it).is_some();
        if is_removed {
            self.expiry.leave(entry.fresh_until_ms());
        }
        is_removed
    }

    /// All entries. Those that are inserted or removed meanwhile may be missing.
    pub fn iter(&self) -> impl Iterator<Item = Arc<StoredEntry>> + '_ {
        self.cache.iter().map(|(_, entry)| entry)
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// The number of expired entries; an entry is counted at most 0.1 s late.
    pub fn expired(&self, now_ms: u64) -> u64 {
        self.expiry.expired(now_ms)
    }

    /// The number of entries that the expiry counts; equal to `len`.
    #[cfg(test)]
    pub fn counted(&self) -> u64 {
        self.expiry.len()
    }

    /// Bytes of all entries.
    pub fn bytes(&self) -> u64 {
        self.cache.weight()
    }
}

fn hot_bytes(shard_bytes: u64) -> u64 {
    // Exactly the rounding of quick_cache; a test checks it.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let hot = (shard_bytes as f64 * HOT_PART) as u64;
    hot
}

/// The largest number of shards, a power of two, such that each fits [`BODY_FITS_BYTES`].
fn shards_for(bytes_max: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut shards = (cores * SHARDS_PER_CORE).next_power_of_two();
    while shards > 1 && hot_bytes(bytes_max / shards as u64) < BODY_FITS_BYTES {
        shards /= 2;
    }
    shards
}
