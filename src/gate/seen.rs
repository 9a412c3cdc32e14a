//! What is recognised when it comes again: events by their ids, requests by their idempotency keys.
//!
//! While the first copy is still being made durable, a second must wait for it, because answering
//! "known" would acknowledge what may yet be lost. So one call at a time works on one identity, and
//! calls with different identities never wait for each other. What an event did is in the journal.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use aws_lc_rs::digest;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::domain::EventId;

/// Serialises work that has the same identity. It remembers those at work and nobody else, so it
/// is bounded by the requests that are served at once.
#[derive(Default)]
pub struct Lanes {
    at_work: Arc<Mutex<AtWork>>,
}

type AtWork = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// A turn at one identity; over when it is dropped.
pub struct Lane {
    at_work: Arc<Mutex<AtWork>>,
    identity: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Lanes {
    /// Waits until nobody else with this identity is at work.
    pub async fn enter(&self, identity: &str) -> Lane {
        let lock = Arc::clone(self.at_work.lock().entry(identity.to_owned()).or_default());
        let mut turn =
            Lane { at_work: Arc::clone(&self.at_work), identity: identity.to_owned(), guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    /// Identities at work.
    #[cfg(test)]
    pub fn at_work(&self) -> usize {
        self.at_work.lock().len()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.guard = None;
        let mut at_work = self.at_work.lock();
        // Whoever waits, or is about to, holds the lock as well; the last one clears up.
        if at_work.get(&self.identity).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            at_work.remove(&self.identity);
        }
    }
}

/// The events that are being applied and made durable, by each of their ids. A second copy of an
/// event waits until the first one is durable, and then finds it in the journal.
#[derive(Default)]
pub struct Flights {
    shared: Arc<Mutex<Airborne>>,
}

#[derive(Default)]
struct Airborne {
    at_work: HashMap<EventId, CancellationToken>,
    /// Events that no disk took, since the last one that a disk took. The journal shows them to
    /// readers, but they are not durable, so they do not count as known.
    lost: HashSet<EventId>,
}

/// The events of one call; over when it is dropped.
pub struct Flight {
    shared: Arc<Mutex<Airborne>>,
    ids: Vec<EventId>,
    done: CancellationToken,
}

impl Flights {
    /// Waits until no other call works on any of these events. It takes all of them at once or
    /// none, so two calls never wait for each other.
    pub async fn enter(&self, ids: impl IntoIterator<Item = EventId>) -> Flight {
        let ids: BTreeSet<EventId> = ids.into_iter().collect();
        let done = CancellationToken::new();
        loop {
            let busy = {
                let mut airborne = self.shared.lock();
                let busy = ids.iter().find_map(|id| airborne.at_work.get(id).cloned());
                if busy.is_none() {
                    airborne.at_work.extend(ids.iter().map(|id| (*id, done.clone())));
                }
                busy
            };
            match busy {
                Some(busy) => busy.cancelled().await,
                None => break,
            }
        }
        Flight { shared: Arc::clone(&self.shared), ids: ids.into_iter().collect(), done }
    }

    /// Whether no disk took this event, although the journal shows it.
    pub fn is_lost(&self, id: EventId) -> bool {
        let airborne = self.shared.lock();
        !airborne.lost.is_empty() && airborne.lost.contains(&id)
    }

    /// A disk took an event. What it refused before is in the checkpoint that this one follows.
    pub fn landed(&self) {
        self.shared.lock().lost.clear();
    }

    /// No disk took these events.
    pub fn lost(&self, ids: impl IntoIterator<Item = EventId>) {
        self.shared.lock().lost.extend(ids);
    }

    /// Ids at work.
    #[cfg(test)]
    pub fn at_work(&self) -> usize {
        self.shared.lock().at_work.len()
    }
}

impl Flight {
    /// Adds the id that the event was given here. It is fresh, or one of this call's own.
    pub fn add(&mut self, id: EventId) {
        let mut airborne = self.shared.lock();
        if airborne.at_work.insert(id, self.done.clone()).is_none() {
            self.ids.push(id);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut airborne = self.shared.lock();
        for id in &self.ids {
            airborne.at_work.remove(id);
        }
        drop(airborne);
        self.done.cancel();
    }
}

/// Several texts as one short one, the same only where all of them are the same: each is hashed
/// behind its length, so that no two lists of texts look alike.
pub fn identity<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of kept answers, whatever their number.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What an answer takes beside its key and its body: two copies of the key's head, the maps' share.
const ANSWER_OVERHEAD: usize = 256;

/// An answer given before.
#[derive(Debug, Clone)]
pub struct KeptAnswer {
    /// SHA-256 of the request body it belongs to.
    pub fingerprint: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Bytes,
}

/// Answers by identity, bounded by number and by bytes; the oldest go first.
pub struct KeptAnswers {
    kept: Mutex<AnswerMap>,
    keys_max: AtomicUsize,
}

#[derive(Default)]
struct AnswerMap {
    map: HashMap<String, Arc<KeptAnswer>>,
    /// The keys in the order they came.
    order: VecDeque<String>,
    bytes: usize,
}

fn cost(key: &str, answer: &KeptAnswer) -> usize {
    2 * key.len() + answer.body.len() + ANSWER_OVERHEAD
}

impl KeptAnswers {
    /// Keeps so many; the oldest go first.
    pub fn new(keys_max: usize) -> Self {
        Self { kept: Mutex::default(), keys_max: AtomicUsize::new(keys_max.max(1)) }
    }

    /// Keeps so many from now on.
    pub fn keep(&self, keys_max: usize) {
        self.keys_max.store(keys_max.max(1), Relaxed);
    }

    /// The answer given to this key before.
    pub fn get(&self, key: &str) -> Option<Arc<KeptAnswer>> {
        self.kept.lock().map.get(key).cloned()
    }

    /// Keeps an answer.
    pub fn put(&self, key: String, answer: KeptAnswer) {
        let mut kept = self.kept.lock();
        kept.bytes += cost(&key, &answer);
        match kept.map.insert(key.clone(), Arc::new(answer)) {
            Some(before) => kept.bytes -= cost(&key, &before),
            None => kept.order.push_back(key),
        }
        let keys_max = self.keys_max.load(Relaxed);
        while kept.order.len() > keys_max || kept.bytes > ANSWER_BYTES_MAX {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(gone) = kept.map.remove(&oldest) {
                kept.bytes -= cost(&oldest, &gone);
            }
        }
    }

    /// Bytes of what is kept.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }
}
