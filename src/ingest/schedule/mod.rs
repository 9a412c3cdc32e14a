//! Invalidations by the clock: `[[schedules]]`, each a cron pattern and what it clears.
//!
//! Invariant: each time runs once, across restarts. The journal's event and the book's file are two
//! writes, so the start also reads the journal, in case of a crash between them. A run whose event
//! is not durable is retried. Several instances with the same schedule each run it: an extra run
//! costs misses, but relying on another instance's clock could leave old entries.

mod book;
mod file;
mod grammar;
mod run;
mod view;
mod when;

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use crate::domain::{Source, Submission};
use crate::journal::Journal;
use crate::support::{Live, clock};
use crate::wire::ScheduleView;

pub use book::{Book, RunRecord};
pub use run::ManualRun;
pub use when::{BadSchedule, When};

use file::BookFile;

/// The name of the book's file in the data directory.
pub const FILE: &str = "schedules.json";

/// Prefix of the principal of a run; the schedule's id follows.
const PRINCIPAL: &str = "schedule:";
/// Prefix of an event's reason; the time of the run follows.
const DUE: &str = "due ";

/// The configured schedules.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// In the order of the settings; ids differ.
    pub schedules: Vec<Schedule>,
    /// The file with the progress of each schedule.
    pub file: PathBuf,
}

/// One schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its permanent name: with another pattern under the same id it is still the same schedule.
    pub id: String,
    /// When it fires.
    pub when: When,
    /// What it clears.
    pub asks: Asks,
}

/// What a run submits.
#[derive(Debug, Clone, PartialEq)]
pub struct Asks {
    /// The submission; each run sets its own reason.
    pub submission: Submission,
    /// The same as the operator wrote it.
    pub shown: Value,
}

/// What the file holds, and why a later write failed.
#[derive(Default)]
struct SavedBook {
    book: Book,
    problem: Option<String>,
    /// The file disappeared with its directory.
    is_lost: bool,
}

/// The running schedules.
pub struct Schedules {
    config: Live<Config>,
    book: Mutex<Book>,
    /// Held while the file is written, so that an older book never replaces a newer one.
    written: tokio::sync::Mutex<SavedBook>,
    changed: Notify,
    /// What was wrong with the file. Every schedule runs once because of it.
    pub damage: Option<String>,
}

impl Schedules {
    /// Continues from the file and the events in the journal.
    pub fn open(config: Config, journal: &Journal) -> Self {
        let now_ms = clock::wall_ms();
        let (found, damage) = match file::read(&config.file) {
            BookFile::Whole(found) => (found, None),
            BookFile::Damaged(problem) => (None, Some(problem)),
        };
        let written = SavedBook { book: found.unwrap_or_default(), ..SavedBook::default() };
        let mut book = written.book.clone();
        // If nothing is known, any time before now may have been missed.
        book.adopt(&config.schedules, if damage.is_some() { 0 } else { now_ms });
        for event in journal.after(0, usize::MAX).events {
            let is_run = event.source == Source::Schedule;
            if let Some(id) = event.principal.strip_prefix(PRINCIPAL).filter(|_| is_run)
                && let Some(due_ms) = event.reason.as_deref().and_then(due_of)
            {
                book.ran_before(id, due_ms, now_ms);
            }
        }
        Self {
            config: Live::new(config),
            book: Mutex::new(book),
            written: written.into(),
            changed: Notify::new(),
            damage,
        }
    }

    /// Exchanges the schedules. One that keeps its id keeps its progress.
    pub fn adopt(&self, config: Config) {
        self.book.lock().adopt(&config.schedules, clock::wall_ms());
        self.config.set(config);
        self.changed.notify_one();
    }

    /// The ids of all schedules.
    pub fn ids(&self) -> Vec<String> {
        self.config.get().schedules.iter().map(|schedule| schedule.id.clone()).collect()
    }

    /// All schedules with their state.
    pub fn view(&self) -> Vec<ScheduleView> {
        let (config, book) = (self.config.get(), self.book.lock().clone());
        let now_ms = clock::wall_ms();
        let view = |schedule: &Schedule| {
            let entry = book.schedules.get(&schedule.id)?;
            Some(ScheduleView::of(schedule, entry, now_ms))
        };
        config.schedules.iter().filter_map(view).collect()
    }

    /// Pauses or resumes a schedule, also across restarts. False for an unknown one.
    pub async fn hold(&self, id: &str, is_paused: bool) -> bool {
        let is_known = self.book.lock().hold(id, is_paused, clock::wall_ms());
        if is_known {
            self.save().await;
            self.changed.notify_one();
        }
        is_known
    }

    fn find(&self, id: &str) -> Option<Schedule> {
        let config = self.config.get();
        config.schedules.iter().find(|schedule| schedule.id == id).cloned()
    }

    /// Writes the file again if it disappeared. Whether it did. Call it when the directory exists.
    pub async fn write_back(&self) -> bool {
        let path = self.config.get().file.clone();
        if tokio::fs::try_exists(&path).await.unwrap_or(true) {
            return false;
        }
        {
            let mut written = self.written.lock().await;
            written.is_lost = written.book != Book::default();
        }
        self.save().await;
        tokio::fs::try_exists(&path).await.unwrap_or(false)
    }

    /// Writes the book if it changed. If the disk refuses, a restart may repeat runs.
    async fn save(&self) {
        let mut written = self.written.lock().await;
        let (path, book) = (self.config.get().file.clone(), self.book.lock().clone());
        if book == written.book && !written.is_lost {
            return;
        }
        let writing = tokio::task::spawn_blocking(move || {
            file::write(&path, &book)?;
            Ok::<_, io::Error>(book)
        });
        let problem = match writing.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(book) => return *written = SavedBook { book, ..SavedBook::default() },
            Err(error) => Some(error.to_string()),
        };
        if written.problem != problem {
            run::log_unwritten(problem.as_deref());
            written.problem = problem;
        }
    }
}

/// The time of a run, from its event's reason.
fn due_of(reason: &str) -> Option<u64> {
    let at: Timestamp = reason.strip_prefix(DUE)?.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests;
