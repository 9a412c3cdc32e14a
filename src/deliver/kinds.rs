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
use super::{Delivery, tell};
use crate::support::small_file;

/// In the data directory.
pub const KINDS_FILE: &str = "kinds.json";

/// Far above the longest list there can be.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Mirrors remembered; past it the first by name among them go.
const REMEMBERED_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    name: String,
    url: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    cache_mirrors: BTreeSet<Place>,
}

#[derive(Default)]
struct Memory {
    known: Remembered,
    path: Option<PathBuf>,
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Kinds {
    memory: Mutex<Memory>,
    /// What the last writer complained of; one writer at a time.
    problem: Mutex<Option<String>>,
}

fn place(peer: &Peer) -> Place {
    Place { name: peer.config.name.clone(), url: peer.config.base.to_string() }
}

impl Kinds {
    /// Remembers that this peer answered as a cache-mirror.
    pub(super) fn note(self: &Arc<Self>, peer: &Peer) {
        let mut memory = self.memory.lock();
        if !memory.known.cache_mirrors.insert(place(peer)) {
            return;
        }
        while memory.known.cache_mirrors.len() > REMEMBERED_MAX {
            memory.known.cache_mirrors.pop_first();
        }
        if memory.path.is_some() {
            let this = Arc::clone(self);
            drop(tokio::task::spawn_blocking(move || this.write()));
        }
    }

    /// Gives a new peer the kind that is remembered of it.
    pub(super) fn recall(&self, peer: &Peer) {
        if peer.is_mirror() && self.memory.lock().known.cache_mirrors.contains(&place(peer)) {
            peer.remember_cache_mirror();
        }
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
            tell::kinds_unwritten(error);
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
        let found: Result<Option<Remembered>, String> =
            reading.unwrap_or_else(|error| Err(error.to_string()));
        let known = found.unwrap_or_else(|problem| {
            tell::kinds_unread(&problem);
            None
        });
        {
            let mut memory = self.shared.kinds.memory.lock();
            memory.known.cache_mirrors.extend(known.unwrap_or_default().cache_mirrors);
            memory.path = Some(path);
        }
        self.peers.get().iter().for_each(|peer| self.shared.kinds.recall(peer));
    }

    /// Asks a mirror at once who it is, and tries what waits for it: it announced its start. False
    /// where there is none of that name.
    pub fn probe_now(&self, name: &str) -> bool {
        self.find(name).map(|peer| peer.probe_now()).is_some()
    }
}
