//! Which mirrors answered as cache-mirrors once, kept over restarts in a small file of the data
//! directory.
//!
//! A proxy in front of a mirror may answer errors for as long as it likes: what was proved once is
//! never forgotten by itself. A mirror is known by its name and its URL, for another place is
//! another server. The file is written off the send path; one that cannot be read or written is
//! logged, and costs only that the kind is asked for again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::peer::Peer;
use super::{Delivery, PeerConfig, log};
use crate::support::small_file;

/// In the data directory.
pub const KINDS_FILE: &str = "kinds.json";

/// Far above the longest list there can be.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Mirrors remembered. Past it those go first that are not configured.
const REMEMBERED_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct MirrorPlace {
    name: String,
    url: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KnownMirrors {
    cache_mirrors: BTreeSet<MirrorPlace>,
}

#[derive(Default)]
struct KindsMemory {
    known: KnownMirrors,
    configured: BTreeSet<MirrorPlace>,
    path: Option<PathBuf>,
}

impl KindsMemory {
    /// Drops what is past the bound: first what is not configured.
    fn trim(&mut self) {
        let known = &mut self.known.cache_mirrors;
        let excess = known.len().saturating_sub(REMEMBERED_MAX);
        let other: Vec<MirrorPlace> =
            known.difference(&self.configured).take(excess).cloned().collect();
        other.iter().for_each(|place| _ = known.remove(place));
        while known.len() > REMEMBERED_MAX {
            known.pop_first();
        }
    }
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Kinds {
    memory: Mutex<KindsMemory>,
    /// What the last writer complained of; one writer at a time.
    problem: Mutex<Option<String>>,
}

fn place(peer: &PeerConfig) -> MirrorPlace {
    MirrorPlace { name: peer.name.clone(), url: peer.base.to_string() }
}

impl Kinds {
    /// Remembers that this peer answered as a cache-mirror.
    pub(super) fn note(self: &Arc<Self>, peer: &Peer) {
        let mut memory = self.memory.lock();
        if !memory.known.cache_mirrors.insert(place(&peer.config)) {
            return;
        }
        memory.trim();
        if memory.path.is_some() {
            let this = Arc::clone(self);
            drop(tokio::task::spawn_blocking(move || this.write()));
        }
    }

    /// Gives a new peer the kind that is remembered of it.
    pub(super) fn recall(&self, peer: &Peer) {
        if peer.is_mirror() && self.memory.lock().known.cache_mirrors.contains(&place(&peer.config))
        {
            peer.remember_cache_mirror();
        }
    }

    /// These are the configured peers now.
    pub(super) fn configure(&self, peers: &[PeerConfig]) {
        self.memory.lock().configured = peers.iter().map(place).collect();
    }

    fn write(&self) {
        let mut problem = self.problem.lock();
        let (known, path) = {
            let memory = self.memory.lock();
            (memory.known.clone(), memory.path.clone())
        };
        let Some(path) = path else { return };
        let now = small_file::write(&path, &known).err().map(|error| error.to_string());
        if let Some(error) = &now
            && *problem != now
        {
            log::kinds_unwritten(error);
        }
        *problem = now;
    }
}

impl Delivery {
    /// Reads which mirrors answered as cache-mirrors before, and keeps it in this file from now
    /// on. To be called before the start.
    pub async fn remember_kinds(&self, path: PathBuf) {
        let file = path.clone();
        let reading = tokio::task::spawn_blocking(move || small_file::read(&file, BYTES_MAX)).await;
        let found: Result<Option<KnownMirrors>, String> =
            reading.unwrap_or_else(|error| Err(error.to_string()));
        let known = found.unwrap_or_else(|problem| {
            log::kinds_unread(&problem);
            None
        });
        {
            let mut memory = self.shared.kinds.memory.lock();
            memory.known.cache_mirrors.extend(known.unwrap_or_default().cache_mirrors);
            memory.trim();
            memory.path = Some(path);
        }
        self.peers.get().iter().for_each(|peer| self.shared.kinds.recall(peer));
    }

    /// Writes the file again where it is gone and something is remembered; whether it did. To be
    /// called where its directory is there.
    pub async fn write_kinds_back(&self) -> bool {
        let kinds = Arc::clone(&self.shared.kinds);
        let writing = tokio::task::spawn_blocking(move || {
            let is_gone = |path: &PathBuf| !path.try_exists().unwrap_or(true);
            let is_due = {
                let memory = kinds.memory.lock();
                memory.path.clone().filter(|_| !memory.known.cache_mirrors.is_empty())
            };
            let Some(path) = is_due.filter(is_gone) else { return false };
            kinds.write();
            !is_gone(&path)
        });
        writing.await.unwrap_or(false)
    }

    /// Asks a mirror at once who it is, and tries what waits for it: it announced its start. False
    /// where there is none of that name.
    pub fn probe_now(&self, name: &str) -> bool {
        self.find(name).map(|peer| peer.probe_now()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is past the bound goes, but never a mirror that is configured while another is not.
    #[test]
    fn past_the_bound_configured_mirrors_stay() {
        let place = |at: usize| MirrorPlace { name: format!("{at:05}"), url: "http://x/".into() };
        let configured = (0..200).map(place).collect();
        let mut memory = KindsMemory { configured, ..KindsMemory::default() };
        memory.known.cache_mirrors = (0..REMEMBERED_MAX + 500).map(place).collect();
        memory.trim();
        assert_eq!(memory.known.cache_mirrors.len(), REMEMBERED_MAX);
        assert!(memory.configured.is_subset(&memory.known.cache_mirrors));
    }
}
