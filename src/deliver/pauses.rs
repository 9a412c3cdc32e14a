//! Operators' pauses, kept over restarts in a small file of the data directory.
//!
//! Whoever paused a destination had a reason that no restart takes away. The file names what is
//! paused and nothing else; names that are gone are forgotten with their backlogs. A damaged one
//! counts as no pause and is told: sending what should wait is seen, holding back what should go is
//! not.

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

/// In the data directory.
pub const PAUSES_FILE: &str = "pauses.json";

/// Far above the longest list there can be: so many destinations, each with a short name.
const BYTES_MAX: u64 = 1024 * 1024;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PausedNames {
    /// As the journal calls them.
    paused: BTreeSet<String>,
}

/// What the file is known to hold; nothing is known of one that is damaged, or was not written.
#[derive(Default)]
struct LastWrite {
    known: Option<PausedNames>,
    problem: Option<String>,
    /// The file is gone.
    is_lost: bool,
}

/// The file.
#[derive(Default)]
pub(super) struct Pauses {
    path: OnceLock<PathBuf>,
    /// One writer at a time, so that an older list never replaces a newer one.
    written: Mutex<LastWrite>,
}

impl Delivery {
    /// Pauses again what an operator had paused before the last restart, and keeps in this file
    /// what is paused from now on. To be called before the start.
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
        self.shared.pauses.written.lock().await.known = known;
        // Said once: there is one file for the life of this process.
        drop(self.shared.pauses.path.set(path));
        self.keep_pauses().await;
    }

    /// Writes the file again where it is gone and something is paused; whether it did. To be called
    /// where its directory is there.
    pub async fn write_pauses_back(&self) -> bool {
        let Some(path) = self.shared.pauses.path.get() else { return false };
        if tokio::fs::try_exists(path).await.unwrap_or(true) {
            return false;
        }
        {
            let mut written = self.shared.pauses.written.lock().await;
            written.is_lost = written.known.as_ref().is_some_and(|it| !it.paused.is_empty());
        }
        self.keep_pauses().await;
        tokio::fs::try_exists(path).await.unwrap_or(false)
    }

    /// Writes the file where something else is paused now. Where the disk refuses, a restart goes
    /// by what it held before; that is told.
    pub async fn keep_pauses(&self) {
        let pauses = &self.shared.pauses;
        let Some(path) = pauses.path.get().cloned() else { return };
        let mut written = pauses.written.lock().await;
        let now = self.paused(written.known.as_ref());
        let is_known = written.known.as_ref().unwrap_or(&PausedNames::default()) == &now;
        if is_known && !written.is_lost {
            return;
        }
        let list = now.clone();
        let writing = tokio::task::spawn_blocking(move || small_file::write(&path, &list));
        let problem = match writing.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => return *written = LastWrite { known: Some(now), ..LastWrite::default() },
            Err(error) => Some(error.to_string()),
        };
        if written.problem != problem {
            log::pauses_unwritten(problem.as_deref());
            written.problem = problem;
        }
    }

    /// Pauses again what came back, under its name or another, and was paused when it went.
    pub(super) async fn pause_returned(&self, reconciled: &Reconciled) {
        let written = self.shared.pauses.written.lock().await;
        let Some(known) = &written.known else { return };
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

    /// What is paused, and what was paused when the settings stopped to name it.
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
