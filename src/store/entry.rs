//! One cached body, its tags and its time to live.
//!
//! Only its [`Watch`] and its refresh lease change; a refresh replaces the entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::cells::Cell;
use super::clock::millis;
use super::generation::{Freshness, Watch};
use super::{Config, Fill, ListedEntry, ServedEntry};
use crate::domain::{Label, TypeName, UrlPath};

/// Bytes of an entry apart from its texts and body: the struct with its two counts (about 300), its
/// slot in the map with hash and list links (about 100), and rounding of the allocator.
pub(super) const ENTRY_BYTES: u64 = 512;

/// The most bytes of one tag of an entry: the cell, its name in the table, the membership. A shared
/// tag is counted with every entry, so the sum is an upper bound.
pub(super) const TAG_BYTES: u64 = 192;

/// How long a caller may take to refresh before another one is asked: longer than a slow page,
/// short compared with the soft window of 60 s.
pub(super) const LEASE_MS: u64 = 10_000;

/// A cached body.
pub(super) struct StoredEntry {
    pub key: Label,
    body: Bytes,
    content_type: Option<String>,
    pub type_name: Option<TypeName>,
    id: Option<Label>,
    tags: Box<[Label]>,
    path: Option<UrlPath>,
    /// The canonical path of its key, if the key is another spelling of it.
    key_path: Option<UrlPath>,
    pub cells: Box<[Arc<Cell>]>,
    pub watch: Watch,
    life: Lifetime,
    lease_until_ms: AtomicU64,
}

/// The times of an entry on the store's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    born_ms: u64,
    fresh_until_ms: u64,
    stale_until_ms: u64,
}

impl Lifetime {
    /// The times of a fill that is stored now.
    pub fn new(fill: &Fill, config: &Config, now_ms: u64) -> Self {
        let ttl = fill.ttl.filter(|ttl| !ttl.is_zero()).unwrap_or(config.ttl).min(config.ttl_max);
        let swr = fill.swr.unwrap_or_default().min(config.ttl_max);
        // At least one step of the clock, or the entry would expire at once.
        let fresh_until_ms = now_ms.saturating_add(millis(ttl).max(1));
        let stale_until_ms = fresh_until_ms.saturating_add(millis(swr));
        Self { born_ms: now_ms, fresh_until_ms, stale_until_ms }
    }

    /// Its time to live.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.fresh_until_ms - self.born_ms)
    }

    /// How long it may be served stale after that.
    pub fn swr(&self) -> Duration {
        Duration::from_millis(self.stale_until_ms - self.fresh_until_ms)
    }

    /// Combines the freshness by invalidations with the time limits.
    fn with_time(&self, freshness: Freshness, now_ms: u64, soft_ms_max: u64) -> Freshness {
        if now_ms >= self.stale_until_ms {
            return Freshness::Gone;
        }
        match freshness {
            Freshness::Stale { since_ms } if now_ms >= since_ms.saturating_add(soft_ms_max) => {
                Freshness::Gone
            }
            Freshness::Fresh if now_ms >= self.fresh_until_ms => {
                Freshness::Stale { since_ms: self.fresh_until_ms }
            }
            other => other,
        }
    }
}

impl StoredEntry {
    /// The entry of a fill. The body is copied: it may be a slice of a far larger network buffer,
    /// which would stay allocated without being counted.
    pub fn new(fill: Fill, cells: Box<[Arc<Cell>]>, watch: Watch, life: Lifetime) -> Self {
        let key_path = respelt(&fill.key);
        Self {
            key: fill.key,
            body: Bytes::copy_from_slice(&fill.body),
            content_type: fill.content_type,
            type_name: fill.type_name,
            id: fill.id,
            tags: fill.tags.into_boxed_slice(),
            path: fill.path,
            key_path,
            cells,
            watch,
            life,
            lease_until_ms: AtomicU64::new(0),
        }
    }

    /// Bytes of its body.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// When its time to live ends, on the store's clock.
    pub fn fresh_until_ms(&self) -> u64 {
        self.life.fresh_until_ms
    }

    /// Bytes that it counts for.
    pub fn weight(&self) -> u64 {
        let label = |label: &Label| label.as_str().len();
        let texts = label(&self.key)
            + self.content_type.as_ref().map_or(0, String::len)
            + self.type_name.as_ref().map_or(0, |name| name.as_str().len())
            + self.id.as_ref().map_or(0, label)
            + self.path.iter().chain(&self.key_path).map(|path| path.as_str().len()).sum::<usize>()
            + self.tags.iter().map(label).sum::<usize>();
        let bytes = (self.body.len() + texts) as u64;
        bytes + ENTRY_BYTES + self.cells.len() as u64 * TAG_BYTES
    }

    /// Its paths in canonical form: that of the key, and the given one. A prefix compares these.
    pub fn paths(&self) -> [Option<&str>; 2] {
        let by_key = self.key_path.as_ref().map_or(self.key.as_str(), UrlPath::as_str);
        [Some(by_key), self.path.as_ref().map(UrlPath::as_str)]
    }

    /// Whether its key is a path with this prefix.
    pub fn is_keyed_below(&self, prefix: &UrlPath) -> bool {
        self.paths()[0].is_some_and(|path| path.starts_with(prefix.as_str()))
    }

    /// Its freshness by invalidations and time together.
    pub fn with_time(&self, freshness: Freshness, now_ms: u64, soft_ms_max: u64) -> Freshness {
        self.life.with_time(freshness, now_ms, soft_ms_max)
    }

    /// Elects the caller to refresh, unless another caller has the lease.
    pub fn elect(&self, now_ms: u64) -> bool {
        let until = self.lease_until_ms.load(Ordering::Relaxed);
        now_ms >= until
            && self
                .lease_until_ms
                .compare_exchange(
                    until,
                    now_ms.saturating_add(LEASE_MS),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Ends the lease, because the refresh failed.
    pub fn end_lease(&self) {
        self.lease_until_ms.store(0, Ordering::Relaxed);
    }

    /// The entry as it is served now.
    pub fn served(&self, freshness: Freshness, now_ms: u64) -> ServedEntry {
        ServedEntry {
            body: self.body.clone(),
            content_type: self.content_type.clone(),
            age: self.age(now_ms),
            ttl_left: self.ttl_left(freshness, now_ms),
        }
    }

    /// The entry as it is listed now.
    pub fn listed(&self, freshness: Freshness, now_ms: u64) -> ListedEntry {
        ListedEntry {
            key: self.key.clone(),
            type_name: self.type_name.clone(),
            id: self.id.clone(),
            tags: self.tags.to_vec(),
            path: self.path.clone(),
            body_bytes: self.body.len(),
            age: self.age(now_ms),
            ttl_left: self.ttl_left(freshness, now_ms),
        }
    }

    /// Whether it has a custom tag.
    pub fn has_tag(&self, tag: &Label) -> bool {
        self.tags.contains(tag)
    }

    fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.life.born_ms))
    }

    fn ttl_left(&self, freshness: Freshness, now_ms: u64) -> i64 {
        let end = match freshness {
            Freshness::Stale { since_ms } => since_ms.min(self.life.fresh_until_ms),
            Freshness::Fresh | Freshness::Gone => self.life.fresh_until_ms,
        };
        let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
        if end > now_ms { seconds(end - now_ms) } else { -seconds(now_ms - end) }
    }
}

/// The canonical path of a key, if it differs from the key.
pub(super) fn respelt(key: &Label) -> Option<UrlPath> {
    UrlPath::of_key(key).filter(|path| path.as_str() != key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charged_overhead_covers_the_structs() {
        // Two reference counts and the slot in the map; for a tag, its slot and name in the table.
        assert!(
            size_of::<StoredEntry>() as u64 + 16 + 100 <= ENTRY_BYTES,
            "{}",
            size_of::<StoredEntry>()
        );
        assert!(size_of::<Cell>() as u64 + 16 + 8 + 64 <= TAG_BYTES, "{}", size_of::<Cell>());
    }
}
