//! Echo detection: stops loops through destinations that call back with what they were sent.
//!
//! A mirror that strips every mark, a site that calls an invalidation route when it is revalidated,
//! or a cache that calls a webhook when it is purged would otherwise loop with us for ever. Only
//! the copy to such a destination is held, and only for the selectors that loop: the arrival is
//! applied at once, and all other destinations get it at once. The held copy stays in the journal,
//! so nothing is dropped. `track` and `slow` collect evidence from timing, `attention` evidence
//! against an echo; `machine` compares destinations. Clock and lock are in this file.

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

pub use arrivals::EchoCaller;
pub use machine::SelectorKey;
use machine::{Arrival, CallerKey, EchoFinding, EchoMachine, EndedEcho};
use track::{CallerMatch, EchoLimits};

/// Maximum of peer addresses for which callers are remembered.
const ADDRESSES_MAX: usize = 4096;

/// The evidence and the holds of all destinations.
pub struct Echo {
    limits: Live<EchoLimits>,
    machine: Mutex<EchoMachine>,
    /// The caller seen at each address of a peer; `None` if there were several.
    seen: Mutex<BTreeMap<IpAddr, Option<String>>>,
    origin: Instant,
}

impl Echo {
    /// Remembers sends for `window`; `waits` are the first and the longest hold.
    pub fn new(window: Duration, waits: Backoff) -> Self {
        Self {
            limits: Live::new(EchoLimits { window, waits }),
            machine: Mutex::default(),
            seen: Mutex::default(),
            origin: Instant::now(),
        }
    }

    /// Replaces the limits. A hold that has begun keeps its end.
    pub fn adopt(&self, window: Duration, waits: Backoff) {
        self.limits.set(EchoLimits { window, waits });
    }

    /// Forgets all destinations but these.
    pub fn keep(&self, names: &[String]) {
        self.machine.lock().keep(names);
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Records that a send of these to a destination begins.
    pub fn sending(&self, to: &str, keys: &[SelectorKey]) {
        self.machine.lock().sending(self.now(), to, keys, &self.limits.get());
    }

    /// Records that the attempt ended.
    pub fn sent(&self, to: &str) {
        self.machine.lock().sent(to);
    }

    /// Whether the same selectors were sent recently, or a caller is watched for them.
    fn knows(&self, what: &Demand) -> bool {
        self.machine.lock().knows(key_of(what))
    }

    /// Judges an arrival.
    fn arrived(
        &self,
        id: EventId,
        caller: &str,
        what: &Demand,
        to: &[(&str, CallerMatch)],
    ) -> Vec<EchoFinding> {
        let arrival = Arrival { id, caller: caller_key(caller), key: key_of(what) };
        self.machine.lock().arrived(self.now(), &arrival, to, &self.limits.get())
    }

    /// Records that a caller learned the delivery state of its event.
    fn learned(&self, id: EventId, caller: &str, what: &Demand) {
        self.machine.lock().learned(caller_key(caller), key_of(what), id);
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

    /// When the next held copy to a destination is released.
    pub fn next_release(&self, to: &str) -> Option<Instant> {
        self.machine.lock().next_release(self.now(), to).map(|at| self.origin + at)
    }

    /// Whether a destination is known to call back.
    pub fn is_echoing(&self, to: &str) -> bool {
        self.machine.lock().is_echoing(to)
    }

    /// Removes what has ended. Returns the destinations that no longer call back.
    pub fn expire(&self) -> Vec<EndedEcho> {
        self.machine.lock().expire(self.now(), &self.limits.get())
    }

    /// Whether this caller is the only one ever seen at an address.
    fn is_alone_at(&self, address: IpAddr, caller: &str) -> bool {
        let mut seen = self.seen.lock();
        if let Some(known) = seen.get_mut(&address) {
            if known.as_deref() != Some(caller) {
                *known = None;
            }
            return known.is_some();
        }
        // An address that cannot be remembered is no evidence.
        let fits = seen.len() < ADDRESSES_MAX;
        if fits {
            seen.insert(address, Some(caller.to_owned()));
        }
        fits
    }
}

fn caller_key(caller: &str) -> CallerKey {
    let mut hasher = DefaultHasher::new();
    caller.hash(&mut hasher);
    hasher.finish()
}

/// The distinct keys of the events in a backlog.
pub fn keys_of(backlog: &Backlog) -> Vec<SelectorKey> {
    let keys: BTreeSet<SelectorKey> =
        backlog.events.iter().map(|event| key_of(&event.demand)).collect();
    keys.into_iter().collect()
}

/// The key of a set of selectors, independent of their order and mode.
fn key_of(demand: &Demand) -> SelectorKey {
    let hash = |selector| {
        let mut hasher = DefaultHasher::new();
        Hash::hash(&selector, &mut hasher);
        hasher.finish()
    };
    let all = demand.hard.iter().chain(demand.soft.iter());
    all.map(hash).fold(0, |sum: u64, one| sum.wrapping_add(one))
}
