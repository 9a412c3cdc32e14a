//! What was seen before: event ids of other instances, and idempotency keys of callers.
//!
//! Both need one thing beside a memory: while the first copy is still being made durable, a second
//! must wait for it, because answering "known" would acknowledge what may yet be lost. So work with
//! one identity is done by one at a time, and no two identities ever wait for each other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::domain::EventId;

/// Serialises work that has the same identity. It remembers those at work and nobody else, so it
/// is bounded by the requests that are served at once.
#[derive(Default)]
pub struct Lanes {
    at_work: Arc<Mutex<AtWork>>,
}

type AtWork = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// A turn at one identity; over when it is dropped.
pub struct Turn {
    at_work: Arc<Mutex<AtWork>>,
    identity: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Lanes {
    /// Waits until nobody else with this identity is at work.
    pub async fn enter(&self, identity: &str) -> Turn {
        let lock = Arc::clone(self.at_work.lock().entry(identity.to_owned()).or_default());
        let mut turn =
            Turn { at_work: Arc::clone(&self.at_work), identity: identity.to_owned(), guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    /// Identities at work.
    #[cfg(test)]
    pub fn at_work(&self) -> usize {
        self.at_work.lock().len()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut at_work = self.at_work.lock();
        // Whoever waits, or is about to, holds the lock as well; the last one clears up.
        if at_work.get(&self.identity).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            at_work.remove(&self.identity);
        }
    }
}

/// Event ids that had their effect here; the oldest are forgotten past the bound, and an id that
/// comes after that is applied again, which only costs misses.
pub struct SeenEvents {
    ids: Mutex<(HashSet<EventId>, VecDeque<EventId>)>,
    ids_max: usize,
}

impl SeenEvents {
    /// Starts with what the journal remembers.
    pub fn new(ids_max: usize, known: impl IntoIterator<Item = EventId>) -> Self {
        let seen = Self { ids: Mutex::default(), ids_max: ids_max.max(1) };
        seen.remember(known);
        seen
    }

    /// Whether this id had its effect.
    pub fn contains(&self, id: EventId) -> bool {
        self.ids.lock().0.contains(&id)
    }

    /// Notes that these had their effect; only once that is durable.
    pub fn remember(&self, ids: impl IntoIterator<Item = EventId>) {
        let mut guard = self.ids.lock();
        let (set, order) = &mut *guard;
        for id in ids {
            if set.insert(id) {
                order.push_back(id);
            }
        }
        while order.len() > self.ids_max {
            if let Some(oldest) = order.pop_front() {
                set.remove(&oldest);
            }
        }
    }
}

/// An answer given before.
#[derive(Debug, Clone)]
pub struct Answer {
    /// SHA-256 of the request body it belongs to.
    pub fingerprint: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Bytes,
}

/// Answers by principal and `Idempotency-Key`.
pub struct Answers {
    kept: Mutex<KeptAnswers>,
    keys_max: AtomicUsize,
}

/// By key, and the keys in the order they came.
type KeptAnswers = (HashMap<String, Arc<Answer>>, VecDeque<String>);

impl Answers {
    /// Keeps so many; the oldest go first.
    pub fn new(keys_max: usize) -> Self {
        Self { kept: Mutex::default(), keys_max: AtomicUsize::new(keys_max.max(1)) }
    }

    /// Keeps so many from now on.
    pub fn keep(&self, keys_max: usize) {
        self.keys_max.store(keys_max.max(1), Relaxed);
    }

    /// The answer given to this key before.
    pub fn get(&self, key: &str) -> Option<Arc<Answer>> {
        self.kept.lock().0.get(key).cloned()
    }

    /// Keeps an answer.
    pub fn put(&self, key: String, answer: Answer) {
        let mut guard = self.kept.lock();
        let (map, order) = &mut *guard;
        if map.insert(key.clone(), Arc::new(answer)).is_none() {
            order.push_back(key);
        }
        while order.len() > self.keys_max.load(Relaxed) {
            if let Some(oldest) = order.pop_front() {
                map.remove(&oldest);
            }
        }
    }
}
