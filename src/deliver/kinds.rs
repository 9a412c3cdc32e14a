//! The mirrors that answered as cache-mirrors, kept over restarts in a small file of the data
//! directory.
//!
//! A proxy in front of a mirror may answer errors for any time, so a proved kind is never
//! forgotten. A mirror is identified by its name and its URL, because another URL is another
//! server. The file is written outside the send path. If it cannot be read or written, that is
//! logged and the mirrors are probed again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::peer::Peer;
use super::{Delivery, PeerConfig, log};
use crate::support::small_file;

/// The file's name in the data directory.
pub const KINDS_FILE: &str = "kinds.json";

/// The maximum size of the file, far above the longest possible list.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The maximum number of mirrors in the file. Beyond it, mirrors that are not configured are
/// dropped first.
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
    /// Drops the mirrors beyond the limit: first those that are not configured.
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

/// The known cache-mirrors and their file.
#[derive(Default)]
pub(super) struct Kinds {
    memory: Mutex<KindsMemory>,
    /// The problem of the last write, so that it is logged once. Only one write at a time.
    problem: Mutex<Option<String>>,
}

fn place(peer: &PeerConfig) -> MirrorPlace {
    MirrorPlace { name: peer.name.clone(), url: peer.base.to_string() }
}

impl Kinds {
    /// Records that this peer answered as a cache-mirror.
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

    /// Sets the kind of a new peer from the file.
    pub(super) fn recall(&self, peer: &Peer) {
        if peer.is_mirror() && self.memory.lock().known.cache_mirrors.contains(&place(&peer.config))
        {
            peer.remember_cache_mirror();
        }
    }

    /// Sets the configured peers.
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
    /// Reads the known cache-mirrors, and keeps them in this file from now on. Call this before the
    /// start.
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

    /// Writes the file again if it was deleted and mirrors are known. Returns whether it did. Call
    /// this only if its directory exists.
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

    /// Probes a mirror at once and retries what waits for it, because it announced its start.
    /// Returns false if no destination has this name.
    pub fn probe_now(&self, name: &str) -> bool {
        self.find(name).map(|peer| peer.probe_now()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mirrors beyond the limit are dropped, but a configured mirror never before another.
    #[test]
    fn configured_mirrors_stay_beyond_the_limit() {
        let place = |at: usize| MirrorPlace { name: format!("{at:05}"), url: "http://x/".into() };
        let configured = (0..200).map(place).collect();
        let mut memory = KindsMemory { configured, ..KindsMemory::default() };
        memory.known.cache_mirrors = (0..REMEMBERED_MAX + 500).map(place).collect();
        memory.trim();
        assert_eq!(memory.known.cache_mirrors.len(), REMEMBERED_MAX);
        assert!(memory.configured.is_subset(&memory.known.cache_mirrors));
    }
}
