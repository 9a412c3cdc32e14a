//! The API of the store: lookups, fills, listings, statistics.
//!
//! Locks, outermost first: `fence`, the members of a cell, a shard of the map or of the cells. A
//! fill holds `fence` for reading from its check to its insertion, an invalidation for writing
//! while it stamps. So a fill either is in the map when an invalidation stamps, or it sees the
//! stamp. Lookups take `fence` only while a pattern or prefix is not enforced yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::bans::Bans;
use super::cells::{Cell, Cells, name};
use super::clear::Reclaim;
use super::clock::{MonotonicClock, ProcessClock, millis};
use super::entry::{Lifetime, StoredEntry, respelt};
use super::flight::{FlightRole, Flights};
use super::generation::{Freshness, Generation, NewestBan, Stamps, Watch};
use super::map::Map;
use super::recent::Recent;
use super::stats::Counts;
use super::sweep::Sweeper;
use super::ticket::{self, Ticket};
use super::{Admitted, Config, EntryFilter, Fill, FillRefusal, ListedEntry, Lookup};
use crate::domain::{Label, UrlPath};
use crate::wire::StoreStats;

/// The cache. Clones share their entries.
#[derive(Clone)]
pub struct Memory {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub config: Config,
    clock: Arc<dyn MonotonicClock>,
    nonce: u64,
    pub generation: Generation,
    /// The stamps of every entry.
    pub all: Stamps,
    pub cells: Cells,
    pub fence: RwLock<Bans>,
    pub newest_ban: NewestBan,
    /// Locked after `fence`.
    pub recent: Mutex<Recent>,
    pub map: Map,
    pub flights: Flights,
    pub reclaim: Mutex<Reclaim>,
    /// Invalidations between their stamp and the end of their counting. While there are any, the
    /// sweep does not touch what they have yet to count.
    pub counting: AtomicUsize,
    /// The map may contain invalid entries.
    pub is_walk_due: AtomicBool,
    pub wake: Notify,
    pub sweeper: Mutex<Sweeper>,
    pub counts: Counts,
}

impl Memory {
    /// An empty store on the process clock.
    pub fn new(config: Config) -> Self {
        Self::with_clock(config, Arc::new(ProcessClock::default()))
    }

    /// An empty store on the given clock.
    pub fn with_clock(config: Config, clock: Arc<dyn MonotonicClock>) -> Self {
        let inner = Inner {
            clock,
            nonce: ticket::nonce(),
            generation: Generation::new(),
            all: Stamps::new(),
            cells: Cells::new(config.stamps_max),
            fence: RwLock::default(),
            newest_ban: NewestBan::new(),
            recent: Mutex::new(Recent::new(millis(config.fill_time_max))),
            map: Map::new(config.bytes_max),
            flights: Flights::new(),
            reclaim: Mutex::default(),
            counting: AtomicUsize::new(0),
            is_walk_due: AtomicBool::new(false),
            wake: Notify::new(),
            sweeper: Mutex::default(),
            counts: Counts::default(),
            config,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The ticket of a fill that begins now.
    pub fn ticket(&self) -> Ticket {
        self.inner.ticket()
    }

    /// Parses a ticket.
    ///
    /// # Errors
    /// [`FillRefusal::ForeignTicket`] for one of another process start, or any other text.
    pub fn parse_ticket(&self, text: &str) -> Result<Ticket, FillRefusal> {
        Ticket::parse(text, self.inner.nonce)
    }

    /// Looks a key up.
    pub fn lookup(&self, key: &str) -> Lookup {
        self.inner.counted(self.inner.look(key))
    }

    /// Looks a key up. If another caller of this function is filling it, waits for that fill at
    /// most `timeout` and looks again. After a miss, the caller must fill the entry or call
    /// [`Memory::withdraw`].
    pub async fn lookup_or_wait(&self, key: &str, timeout: Duration) -> Lookup {
        let deadline = Instant::now() + timeout;
        loop {
            let answer = self.inner.look(key);
            if answer.found().is_some() {
                return self.inner.counted(answer);
            }
            match self.inner.flights.join(key) {
                FlightRole::Lead => return self.inner.counted(self.lead(key)),
                FlightRole::Wait(_) if Instant::now() >= deadline => {
                    return self.inner.counted(answer);
                }
                FlightRole::Wait(wait) => wait.over(deadline).await,
            }
        }
    }

    /// Looks again: the fill may have arrived between the lookup and taking the lead.
    fn lead(&self, key: &str) -> Lookup {
        let again = self.inner.look(key);
        if again.found().is_some() {
            self.inner.flights.finish(key);
        }
        again
    }

    /// Reports that the caller will not fill `key` after its last miss or refresh, so that another
    /// caller is asked at once.
    pub fn withdraw(&self, key: &str) {
        if let Some(entry) = self.inner.map.peek(key) {
            entry.end_lease();
        }
        self.inner.flights.finish(key);
    }

    /// Stores a fill unless an invalidation has overtaken it since its ticket.
    ///
    /// # Errors
    /// [`FillRefusal`]; nothing is changed then.
    pub fn admit(&self, fill: Fill, ticket: Ticket) -> Result<Admitted, FillRefusal> {
        self.take(fill, ticket, None)
    }

    /// Stores a fill without a ticket: it counts from `ticket`, taken when it arrived.
    /// [`Admitted::is_doubtful`] reports whether an invalidation may have overtaken it before.
    ///
    /// # Errors
    /// [`FillRefusal`]; nothing is changed then.
    pub fn admit_unfenced(&self, fill: Fill, ticket: Ticket) -> Result<Admitted, FillRefusal> {
        let inner = &self.inner;
        let earliest = inner.recent.lock().earliest(inner.now_ms(), ticket.generation);
        self.take(fill, ticket, Some(earliest.min(ticket.generation)))
    }

    fn take(
        &self,
        fill: Fill,
        ticket: Ticket,
        earliest: Option<u64>,
    ) -> Result<Admitted, FillRefusal> {
        let key = fill.key.clone();
        let result = self.inner.admit(fill, ticket, earliest);
        if result.is_ok() {
            self.inner.counts.fills.one();
            self.inner.flights.finish(key.as_str());
        } else {
            self.inner.counts.fills_refused.one();
            self.withdraw(key.as_str());
        }
        result
    }

    /// Lists up to `limit` servable entries that match the filter, in no order.
    pub fn list(&self, filter: &EntryFilter, limit: usize) -> Vec<ListedEntry> {
        let named = match (&filter.tag, &filter.type_name) {
            (Some(tag), _) => Some(name::of_tag(tag)),
            (None, Some(type_name)) => Some(name::of_type(type_name)),
            (None, None) => None,
        };
        let now_ms = self.inner.now_ms();
        let below = filter.prefix.as_deref().and_then(|prefix| UrlPath::prefix(prefix).ok());
        let list = |entry: Arc<StoredEntry>| {
            // A cell may list entries that were just evicted.
            let freshness = self.inner.freshness(&entry, now_ms).worse(entry.watch.own_freshness());
            let is_listed = freshness != Freshness::Gone && filter.passes(&entry, below.as_ref());
            is_listed.then(|| entry.listed(freshness, now_ms))
        };
        match named {
            None => self.inner.map.iter().filter_map(list).take(limit).collect(),
            Some(name) => match self.inner.cells.get(&name) {
                Some(cell) => members(&cell).filter_map(list).take(limit).collect(),
                None => Vec::new(),
            },
        }
    }

    /// The servable entries of a key or path: the entry with that key, and those with that path, in
    /// any spelling.
    pub fn inspect(&self, key: &Label, limit: usize) -> Vec<ListedEntry> {
        let now_ms = self.inner.now_ms();
        let path = UrlPath::of_key(key);
        let path = path.as_ref().map_or(key, UrlPath::label);
        let cell = self.inner.cells.get(&name::of_path(path.as_str()));
        let named = cell.iter().flat_map(|cell| members(cell));
        let keys = [key, path];
        let keys = &keys[..if key == path { 1 } else { 2 }];
        let keyed = keys.iter().filter_map(|key| self.inner.map.peek(key.as_str()));
        let is_other = |entry: &Arc<StoredEntry>| !keys.contains(&&entry.key);
        let list = |entry: Arc<StoredEntry>| {
            let freshness = self.inner.freshness(&entry, now_ms).worse(entry.watch.own_freshness());
            (freshness != Freshness::Gone).then(|| entry.listed(freshness, now_ms))
        };
        keyed.chain(named.filter(is_other)).filter_map(list).take(limit).collect()
    }

    /// The current statistics; each value is read on its own.
    pub fn stats(&self) -> StoreStats {
        let inner = &self.inner;
        let counts = &inner.counts;
        StoreStats {
            entries: inner.map.len() as u64,
            expired_entries: inner.map.expired(inner.now_ms()),
            bytes: inner.map.bytes(),
            bytes_max: inner.config.bytes_max,
            generation: inner.generation.current(),
            floor: inner.cells.floor(),
            hits: counts.hits.get(),
            stale_hits: counts.stale_hits.get(),
            misses: counts.misses.get(),
            fills: counts.fills.get(),
            fills_refused: counts.fills_refused.get(),
            evictions: counts.evictions.get(),
            clears: counts.clears.get(),
            entries_cleared: counts.entries_cleared.get(),
            bans: inner.fence.read().len() as u64,
            bans_collapsed: counts.bans_collapsed.get(),
            stamps: inner.cells.len() as u64,
        }
    }
}

impl Inner {
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn ticket(&self) -> Ticket {
        Ticket { store: self.nonce, generation: self.generation.current() }
    }

    /// The freshness of an entry by invalidations and time.
    pub fn freshness(&self, entry: &StoredEntry, now_ms: u64) -> Freshness {
        let freshness = self.invalidated(entry);
        entry.with_time(freshness, now_ms, millis(self.config.soft_time_max))
    }

    /// The freshness of an entry by invalidations alone.
    pub fn invalidated(&self, entry: &StoredEntry) -> Freshness {
        let bans = || {
            if self.newest_ban.get() <= entry.watch.checked() {
                return Freshness::Fresh;
            }
            self.fence.read().freshness(entry)
        };
        let stamps = entry.cells.iter().map(|cell| &cell.stamps).chain([&self.all]);
        entry.watch.check(&self.generation, bans, stamps)
    }

    fn look(&self, key: &str) -> Lookup {
        let now_ms = self.now_ms();
        if let Some(entry) = self.map.get(key) {
            let freshness = self.freshness(&entry, now_ms);
            let found = || entry.served(freshness, now_ms);
            match freshness {
                Freshness::Fresh => return Lookup::Hit(found()),
                Freshness::Stale { .. } => {
                    let refresh = entry.elect(now_ms).then(|| self.ticket());
                    return Lookup::Stale { found: found(), refresh };
                }
                Freshness::Gone => {}
            }
        }
        Lookup::Miss { ticket: self.ticket() }
    }

    fn counted(&self, answer: Lookup) -> Lookup {
        match answer {
            Lookup::Hit(_) => self.counts.hits.one(),
            Lookup::Stale { .. } => self.counts.stale_hits.one(),
            Lookup::Miss { .. } => self.counts.misses.one(),
        }
        answer
    }

    fn admit(
        &self,
        fill: Fill,
        ticket: Ticket,
        earliest: Option<u64>,
    ) -> Result<Admitted, FillRefusal> {
        // A generation that was never published is forged, and would pass every check.
        if ticket.store != self.nonce || ticket.generation > self.generation.current() {
            return Err(FillRefusal::ForeignTicket);
        }
        self.fits(fill.body.len() as u64)?;
        let life = Lifetime::new(&fill, &self.config, self.now_ms());
        let cells = self.cells_of(&fill);
        let entry = Arc::new(StoredEntry::new(fill, cells, Watch::new(ticket.generation), life));
        self.fits(entry.weight())?;
        let bans = self.fence.read();
        self.check(&entry, ticket.generation, &bans)?;
        let is_doubtful = earliest.is_some_and(|since| self.check(&entry, since, &bans).is_err());
        for cell in &entry.cells {
            cell.push(Arc::downgrade(&entry));
        }
        // While the fence is held for reading, no generation is published.
        entry.watch.confirm(self.generation.current());
        let inserted = self.map.insert(entry);
        drop(bans);
        self.counts.evictions.add(inserted.evicted);
        Ok(Admitted { replaced: inserted.replaced, ttl: life.ttl(), swr: life.swr(), is_doubtful })
    }

    fn fits(&self, bytes: u64) -> Result<(), FillRefusal> {
        let bytes_max = self.map.entry_bytes_max();
        if bytes > bytes_max { Err(FillRefusal::TooLarge { bytes, bytes_max }) } else { Ok(()) }
    }

    /// The cells of an entry. Its key needs none: the map finds it.
    fn cells_of(&self, fill: &Fill) -> Box<[Arc<Cell>]> {
        let mut names: Vec<String> = fill.tags.iter().map(name::of_tag).collect();
        if let Some(type_name) = &fill.type_name {
            names.push(name::of_type(type_name));
            names.push(match &fill.id {
                Some(id) => name::of_entity(type_name, id),
                None => name::of_lists(type_name),
            });
        }
        let key_path = respelt(&fill.key);
        let paths = fill.path.iter().chain(&key_path);
        names.extend(paths.map(|path| name::of_path(path.as_str())));
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| self.cells.intern(name)).collect()
    }

    /// Refuses a fill if an invalidation is newer than its ticket.
    fn check(&self, entry: &StoredEntry, ticket: u64, bans: &Bans) -> Result<(), FillRefusal> {
        let key = entry.key.as_str();
        let is_overtaken = self.all.newest() > ticket
            || entry.cells.iter().any(|cell| cell.stamps.newest() > ticket)
            || self.cells.is_stamped_after(&name::of_key(key), ticket)
            || (key.starts_with('/') && self.cells.is_stamped_after(&name::of_path(key), ticket))
            || bans.overtook(ticket, entry);
        // Last: if a stamp was dropped before it was read, the floor was raised before that.
        if ticket < self.cells.floor() {
            return Err(FillRefusal::TicketExpired);
        }
        if is_overtaken { Err(FillRefusal::Overtaken) } else { Ok(()) }
    }
}

impl EntryFilter {
    fn passes(&self, entry: &StoredEntry, below: Option<&UrlPath>) -> bool {
        self.type_name.as_ref().is_none_or(|name| entry.type_name.as_ref() == Some(name))
            && self.tag.as_ref().is_none_or(|tag| entry.has_tag(tag))
            && self.prefix.as_ref().is_none_or(|prefix| {
                entry.key.as_str().starts_with(prefix)
                    || below.is_some_and(|below| entry.is_keyed_below(below))
            })
    }
}

/// The existing members of a cell, read in slices.
pub(super) fn members(cell: &Cell) -> impl Iterator<Item = Arc<StoredEntry>> + '_ {
    (0..).step_by(super::cells::SLICE).map_while(|from| cell.slice(from)).flatten()
}
