//! The fourth wall: destinations that call back with what they were sent.
//!
//! A mirror that strips every mark, a site that calls an invalidation route when it is revalidated,
//! or a cache that calls a webhook when it is purged would go round with us for ever. Here only the
//! copy to such a destination is held, for the selectors that go round: the arrival was applied at
//! once, and everybody else gets it at once. The journal owes the held copy, so nothing is dropped.
//! `track` and `slow` hold the evidence of timing and `attention` what speaks against it;
//! `machine` compares destinations; clock and lock are here.

mod arrivals;
mod attention;
mod group;
mod link;
mod log;
mod machine;
mod slow;
mod terms;
#[cfg(test)]
mod tests;
mod track;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::{Demand, EventId};
use crate::journal::Backlog;
use crate::support::Live;
use crate::support::backoff::Backoff;

pub use arrivals::Caller;
pub use machine::Key;
use machine::{Arrival, Ended, Finding, Machine, Name};
use track::{Kin, Limits};

/// Addresses of peers for which the callers are remembered.
const ADDRESSES_MAX: usize = 4096;

/// Memory and holds of all destinations.
pub struct Echo {
    limits: Live<Limits>,
    machine: Mutex<Machine>,
    /// Who was seen at the address of a peer: the first caller; `None` where there are several.
    seen: Mutex<BTreeMap<IpAddr, Option<String>>>,
    origin: Instant,
}

impl Echo {
    /// Remembers sends for `window`; holds as told.
    pub fn new(window: Duration, waits: Backoff) -> Self {
        Self {
            limits: Live::new(Limits { window, waits }),
            machine: Mutex::default(),
            seen: Mutex::default(),
            origin: Instant::now(),
        }
    }

    /// Goes on with these. A hold that has begun ends as it was given.
    pub fn adopt(&self, window: Duration, waits: Backoff) {
        self.limits.set(Limits { window, waits });
    }

    /// Keeps what is known of these destinations only.
    pub fn keep(&self, names: &[String]) {
        self.machine.lock().keep(names);
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Notes what a destination is about to be sent.
    pub fn sending(&self, to: &str, keys: &[Key]) {
        self.machine.lock().sending(self.now(), to, keys, &self.limits.get());
    }

    /// Notes that the attempt is over.
    pub fn sent(&self, to: &str) {
        self.machine.lock().sent(to);
    }

    /// Whether anything was sent lately that names the same, or anybody is watched for it.
    fn knows(&self, what: &Demand) -> bool {
        self.machine.lock().knows(key_of(what))
    }

    /// Judges an arrival.
    fn arrived(
        &self,
        id: EventId,
        caller: &str,
        what: &Demand,
        to: &[(&str, Kin)],
    ) -> Vec<Finding> {
        let arrival = Arrival { id, caller: name_of(caller), key: key_of(what) };
        self.machine.lock().arrived(self.now(), &arrival, to, &self.limits.get())
    }

    /// Notes that a caller has learnt how its event fared.
    fn learnt(&self, id: EventId, caller: &str, what: &Demand) {
        self.machine.lock().learnt(name_of(caller), key_of(what), id);
    }

    /// The events whose copy to a destination is held now.
    pub fn held(&self, to: &str) -> BTreeSet<EventId> {
        let mut machine = self.machine.lock();
        machine.settle(self.now(), &self.limits.get());
        machine.held(self.now(), to)
    }

    /// Whether the copy of this event to a destination is held now.
    pub fn is_held(&self, to: &str, id: EventId) -> bool {
        self.machine.lock().is_held(self.now(), to, id)
    }

    /// When the next held copy to a destination may go.
    pub fn next_release(&self, to: &str) -> Option<Instant> {
        self.machine.lock().next_release(self.now(), to).map(|at| self.origin + at)
    }

    /// Whether a destination is known to call back.
    pub fn is_echoing(&self, to: &str) -> bool {
        self.machine.lock().is_echoing(to)
    }

    /// Forgets what is over; gives the destinations that do not call back any more.
    pub fn expire(&self) -> Vec<Ended> {
        self.machine.lock().expire(self.now(), &self.limits.get())
    }

    /// Whether this caller is the only one that was ever seen at an address.
    fn is_alone_at(&self, address: IpAddr, caller: &str) -> bool {
        let mut seen = self.seen.lock();
        if let Some(known) = seen.get_mut(&address) {
            if known.as_deref() != Some(caller) {
                *known = None;
            }
            return known.is_some();
        }
        // Where there are too many to remember, none is evidence.
        let has_room = seen.len() < ADDRESSES_MAX;
        if has_room {
            seen.insert(address, Some(caller.to_owned()));
        }
        has_room
    }
}

fn name_of(caller: &str) -> Name {
    let mut hasher = DefaultHasher::new();
    caller.hash(&mut hasher);
    hasher.finish()
}

/// The keys of the events in a backlog, each once.
pub fn keys_of(backlog: &Backlog) -> Vec<Key> {
    let keys: BTreeSet<Key> = backlog.events.iter().map(|event| key_of(&event.demand)).collect();
    keys.into_iter().collect()
}

/// The same for the same selectors, whatever their order and mode.
fn key_of(demand: &Demand) -> Key {
    let hash = |selector| {
        let mut hasher = DefaultHasher::new();
        Hash::hash(&selector, &mut hasher);
        hasher.finish()
    };
    let all = demand.hard.iter().chain(demand.soft.iter());
    all.map(hash).fold(0, |sum: u64, one| sum.wrapping_add(one))
}
