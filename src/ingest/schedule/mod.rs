//! Invalidations by the clock: `[[schedules]]`, each a cron pattern and what it clears.
//!
//! Kept: a time is run once, whatever is restarted in between. The journal's event and the book's
//! file are two writes, so after a crash between them the journal is asked as well. A run whose
//! event is not durable is tried again. Several instances with the same schedule each run it: a
//! clear too many costs misses, and one that relied on another's clock could leave old entries.

mod book;
mod file;
mod grammar;
mod run;
mod view;
mod when;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use crate::domain::{Action, Label, Mode, Selectors, Source};
use crate::journal::Journal;
use crate::support::{Live, clock};
use crate::wire::ScheduleView;

pub use book::{Book, RunRecord};
pub use run::ManualRun;
pub use when::{BadSchedule, When};

use file::BookFile;

/// In the data directory.
pub const FILE: &str = "schedules.json";

/// What the log and the journal call the principal of a run, in front of the schedule's id.
const PRINCIPAL: &str = "schedule:";
/// In front of the time that a run was for, in an event's reason.
const DUE: &str = "due ";

/// The schedules.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// In the order of the settings; ids differ.
    pub schedules: Vec<Schedule>,
    /// Where it is remembered how far each came.
    pub file: PathBuf,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its name for good: another pattern under the same id is the same schedule.
    pub id: String,
    /// When it fires.
    pub when: When,
    /// What it clears.
    pub asks: Asks,
}

/// What a run submits.
#[derive(Debug, Clone, PartialEq)]
pub struct Asks {
    /// What to clear, as it was written.
    pub selectors: Selectors,
    /// How.
    pub mode: Mode,
    /// What happened.
    pub action: Action,
    /// Names of changed fields.
    pub changed: Vec<String>,
    /// What else is said of the entity.
    pub fields: BTreeMap<String, String>,
    /// Routes that its paths name.
    pub routes: Vec<Label>,
    /// Whether to mirror, where it was said.
    pub mirror: Option<bool>,
    /// The same for people.
    pub shown: Value,
}

/// What the file holds, and why it does not hold more.
#[derive(Default)]
struct SavedBook {
    book: Book,
    problem: Option<String>,
    /// The file went with its directory.
    is_lost: bool,
}

/// The schedules at work.
pub struct Schedules {
    config: Live<Config>,
    book: Mutex<Book>,
    /// One writer of the file at a time, so that an older book never replaces a newer one.
    written: tokio::sync::Mutex<SavedBook>,
    changed: Notify,
    /// What was wrong with the file; every schedule runs once for it.
    pub damage: Option<String>,
}

impl Schedules {
    /// Goes on from the file and from what the journal remembers.
    pub fn open(config: Config, journal: &Journal) -> Self {
        let now_ms = clock::wall_ms();
        let (found, damage) = match file::read(&config.file) {
            BookFile::Whole(found) => (found, None),
            BookFile::Damaged(problem) => (None, Some(problem)),
        };
        let written = SavedBook { book: found.unwrap_or_default(), ..SavedBook::default() };
        let mut book = written.book.clone();
        // With nothing known of them, all their times so far may have been missed.
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

    /// Goes on with these: one that keeps its id keeps how far it came.
    pub fn adopt(&self, config: Config) {
        self.book.lock().adopt(&config.schedules, clock::wall_ms());
        self.config.set(config);
        self.changed.notify_one();
    }

    /// Their ids.
    pub fn ids(&self) -> Vec<String> {
        self.config.get().schedules.iter().map(|schedule| schedule.id.clone()).collect()
    }

    /// How they do.
    pub fn view(&self) -> Vec<ScheduleView> {
        let (config, book) = (self.config.get(), self.book.lock().clone());
        let now_ms = clock::wall_ms();
        let view = |schedule: &Schedule| {
            let entry = book.schedules.get(&schedule.id)?;
            Some(ScheduleView::of(schedule, entry, now_ms))
        };
        config.schedules.iter().filter_map(view).collect()
    }

    /// Holds one back, or lets it go on; over a restart too. False for an unknown one.
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

    /// Writes the file again where it is gone and something is remembered; whether it did. To be
    /// called where its directory is there.
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

    /// Writes the book where it changed. Where the disk refuses, a restart may repeat runs.
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

/// The time that a run was for, from its event's reason.
fn due_of(reason: &str) -> Option<u64> {
    let at: Timestamp = reason.strip_prefix(DUE)?.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests;
