//! Operators' pauses, kept over restarts in a small file of the data directory.
//!
//! A restart must not end a pause. The file lists the names of the paused destinations. A name that
//! is gone is removed together with its backlog. A damaged file counts as no pause and is logged:
//! an unwanted send is noticed, an unwanted pause is not.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::peer::PauseReason;
use super::{Delivery, log};
use crate::journal::Reconciled;
use crate::support::small_file;

/// The file's name in the data directory.
pub const PAUSES_FILE: &str = "pauses.json";

/// The maximum size of the file, far above the longest possible list.
const BYTES_MAX: u64 = 1024 * 1024;

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PausedNames {
    /// The names in the journal.
    paused: BTreeSet<String>,
}

/// The last known content of the file. It is unknown if the file is damaged or was not last_write.
#[derive(Default)]
struct LastWrite {
    known: Option<PausedNames>,
    problem: Option<String>,
    /// Whether the file was deleted.
    is_lost: bool,
}

/// The file and its last known content.
#[derive(Default)]
pub(super) struct Pauses {
    path: OnceLock<PathBuf>,
    /// Only one write at a time, so that an older list never replaces a newer one.
    last_write: Mutex<LastWrite>,
}

impl Delivery {
    /// Pauses the destinations that were paused before the restart, and keeps changes in this file
    /// from now on. Call this before the start.
    pub async fn remember_pauses(&self, path: PathBuf, reconciled: &Reconciled) {
        let file = path.clone();
        let reading = tokio::task::spawn_blocking(move || small_file::read(&file, BYTES_MAX)).await;
        let found = reading.unwrap_or_else(|error| Err(error.to_string()));
        let known: Option<PausedNames> = match found {
            Ok(found) => Some(found.unwrap_or_default()),
            Err(problem) => {
                log::pauses_unread(&problem);
                None
            }
        };
        let mut again = known.clone().unwrap_or_default().paused;
        let renamed = reconciled.renamed.iter().filter(|(before, _)| again.contains(before));
        let renamed: Vec<_> = renamed.map(|(_, name)| name.clone()).collect();
        again.extend(renamed);
        for peer in self.peers.get().iter().filter(|peer| again.contains(&peer.destination)) {
            peer.pause();
            log::still_paused(peer);
        }
        self.shared.pauses.last_write.lock().await.known = known;
        // Set once: there is one file for the life of this process.
        drop(self.shared.pauses.path.set(path));
        self.keep_pauses().await;
    }

    /// Writes the file again if it was deleted and something is paused. Returns whether it did.
    /// Call this only if its directory exists.
    pub async fn write_pauses_back(&self) -> bool {
        let Some(path) = self.shared.pauses.path.get() else { return false };
        if tokio::fs::try_exists(path).await.unwrap_or(true) {
            return false;
        }
        {
            let mut last_write = self.shared.pauses.last_write.lock().await;
            last_write.is_lost = last_write.known.as_ref().is_some_and(|it| !it.paused.is_empty());
        }
        self.keep_pauses().await;
        tokio::fs::try_exists(path).await.unwrap_or(false)
    }

    /// Writes the file if the pauses changed. A failed write is logged; a restart then uses the old
    /// content.
    pub async fn keep_pauses(&self) {
        let pauses = &self.shared.pauses;
        let Some(path) = pauses.path.get().cloned() else { return };
        let mut last_write = pauses.last_write.lock().await;
        let now = self.paused(last_write.known.as_ref());
        let is_known = last_write.known.as_ref().unwrap_or(&PausedNames::default()) == &now;
        if is_known && !last_write.is_lost {
            return;
        }
        let list = now.clone();
        let writing = tokio::task::spawn_blocking(move || small_file::write(&path, &list));
        let problem = match writing.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => return *last_write = LastWrite { known: Some(now), ..LastWrite::default() },
            Err(error) => Some(error.to_string()),
        };
        if last_write.problem != problem {
            log::pauses_unwritten(problem.as_deref());
            last_write.problem = problem;
        }
    }

    /// Pauses a destination that returned, under its name or another, if it was paused when it was
    /// removed.
    pub(super) async fn pause_returned(&self, reconciled: &Reconciled) {
        let last_write = self.shared.pauses.last_write.lock().await;
        let Some(known) = &last_write.known else { return };
        let returned = reconciled.returned.iter().map(|(name, _)| (name, name));
        let renamed = reconciled.renamed.iter().map(|(before, name)| (before, name));
        let peers = self.peers.get();
        for (_, name) in returned.chain(renamed).filter(|(old, _)| known.paused.contains(*old)) {
            for peer in peers.iter().filter(|peer| peer.destination == *name) {
                peer.pause();
                log::still_paused(peer);
            }
        }
    }

    /// The paused destinations, and the removed ones that were paused when they were removed.
    fn paused(&self, known: Option<&PausedNames>) -> PausedNames {
        let peers = self.peers.get();
        let is_paused = |pause| pause == Some(PauseReason::Operator);
        let paused = peers.iter().filter(|peer| is_paused(peer.with(|state| state.pause)));
        let paused = paused.map(|peer| peer.destination.clone());
        let removed = self.shared.journal.removed().into_iter().map(|removed| removed.name);
        let was_paused = |name: &String| known.is_some_and(|known| known.paused.contains(name));
        PausedNames { paused: paused.chain(removed.filter(was_paused)).collect() }
    }
}
