//! Requests that come again, recognised by their idempotency key or by another identity.
//!
//! While the first copy is processed, a second one waits: answering it early would acknowledge what
//! may still be lost. So one call at a time works on one identity, and calls with different
//! identities never wait for each other. Events that come again are the journal's concern.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use aws_lc_rs::digest;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Runs calls with the same identity one after another. It holds the identities in progress only,
/// so its size is bounded by the number of requests that are served at once.
#[derive(Default)]
pub struct Lanes {
    at_work: Arc<Mutex<AtWork>>,
}

type AtWork = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// The right to work on one identity, released when it is dropped.
pub struct Lane {
    at_work: Arc<Mutex<AtWork>>,
    identity: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Lanes {
    /// Waits until no other call with this identity is in progress.
    pub async fn enter(&self, identity: &str) -> Lane {
        let lock = Arc::clone(self.at_work.lock().entry(identity.to_owned()).or_default());
        let mut lane =
            Lane { at_work: Arc::clone(&self.at_work), identity: identity.to_owned(), guard: None };
        lane.guard = Some(lock.lock_owned().await);
        lane
    }

    /// Identities in progress.
    #[cfg(test)]
    pub fn at_work(&self) -> usize {
        self.at_work.lock().len()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.guard = None;
        let mut at_work = self.at_work.lock();
        // Every waiting call holds the lock as well. The last one removes the entry.
        if at_work.get(&self.identity).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            at_work.remove(&self.identity);
        }
    }
}

/// One short text for a list of texts. Two lists get the same one only if they are equal: the hash
/// covers the length of each part.
pub fn identity<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of all kept answers together.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that an answer takes in addition to its key and body: string headers and map slots.
const ANSWER_OVERHEAD: usize = 256;

/// An answer that was given before.
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
    /// The keys in order of arrival.
    order: VecDeque<String>,
    bytes: usize,
}

fn cost(key: &str, answer: &KeptAnswer) -> usize {
    2 * key.len() + answer.body.len() + ANSWER_OVERHEAD
}

impl KeptAnswers {
    /// Keeps at most `keys_max` answers.
    pub fn new(keys_max: usize) -> Self {
        Self { kept: Mutex::default(), keys_max: AtomicUsize::new(keys_max.max(1)) }
    }

    /// Changes how many answers are kept.
    pub fn set_keys_max(&self, keys_max: usize) {
        self.keys_max.store(keys_max.max(1), Relaxed);
    }

    /// The answer that was given to this key before.
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

    /// Bytes of all kept answers.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }
}
