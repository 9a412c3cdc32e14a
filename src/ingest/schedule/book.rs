//! The progress of each schedule: how far it came, whether it is paused, its last run.
//!
//! Pure: the caller passes the time. Progress only moves forward, so a restart or a small step back
//! of the clock repeats nothing. Of the times that were missed, the latest runs once. If the clock
//! was far ahead, waiting for it would suppress runs for too long, so the schedule continues from
//! the corrected clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Schedule;

/// A clock that goes back further than this was wrong before. After smaller steps (corrections,
/// leap seconds) the schedule waits.
const STEP_BACK_MS_MAX: u64 = 3_600_000;

/// The progress of all schedules, by id: the content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    pub(super) schedules: BTreeMap<String, Progress>,
}

/// The progress of one schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Times up to here are done, in milliseconds since 1970.
    pub through_ms: u64,
    /// Whether an operator paused it.
    #[serde(default)]
    pub is_paused: bool,
    /// How often it ran.
    #[serde(default)]
    pub runs: u64,
    #[serde(default)]
    pub last: Option<RunRecord>,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its scheduled time; `None` for a manual run.
    pub due_ms: Option<u64>,
    /// When it was done.
    pub at_ms: u64,
    /// Its event.
    pub event_id: Option<String>,
    /// `applied`, `degraded` or `failed`.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
}

/// A run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The schedule.
    pub id: String,
    /// The latest time that did not run yet, in milliseconds since 1970.
    pub due_ms: u64,
}

impl Book {
    /// Exchanges the schedules: new ones start now, removed ones are forgotten.
    pub(super) fn adopt(&mut self, schedules: &[Schedule], now_ms: u64) {
        self.schedules.retain(|id, _| schedules.iter().any(|schedule| schedule.id == *id));
        for schedule in schedules {
            let begin = || Progress { through_ms: now_ms, ..Progress::default() };
            self.schedules.entry(schedule.id.clone()).or_insert_with(begin);
        }
    }

    /// Notes a run from the journal that the file may lack.
    pub(super) fn ran_before(&mut self, id: &str, due_ms: u64, now_ms: u64) {
        if let Some(entry) = self.schedules.get_mut(id)
            && due_ms <= now_ms.saturating_add(STEP_BACK_MS_MAX)
        {
            entry.through_ms = entry.through_ms.max(due_ms);
        }
    }

    /// Sets schedules that are far ahead of a corrected clock back to now. Returns their ids.
    pub(super) fn correct(&mut self, now_ms: u64) -> Vec<String> {
        let is_ahead =
            |entry: &Progress| entry.through_ms > now_ms.saturating_add(STEP_BACK_MS_MAX);
        let ahead = self.schedules.iter_mut().filter(|(_, entry)| is_ahead(entry));
        ahead
            .map(|(id, entry)| {
                entry.through_ms = now_ms;
                id.clone()
            })
            .collect()
    }

    /// The runs that are due now: at most one of each schedule.
    pub(super) fn due(&self, schedules: &[Schedule], now_ms: u64) -> Vec<Due> {
        let due = schedules.iter().filter_map(|schedule| {
            let entry = self.schedules.get(&schedule.id).filter(|entry| !entry.is_paused)?;
            let due_ms = schedule.when.latest_until(now_ms)?;
            (due_ms > entry.through_ms).then(|| Due { id: schedule.id.clone(), due_ms })
        });
        due.collect()
    }

    /// When the next run is due.
    pub(super) fn next(&self, schedules: &[Schedule]) -> Option<u64> {
        let next = schedules.iter().filter_map(|schedule| {
            let entry = self.schedules.get(&schedule.id).filter(|entry| !entry.is_paused)?;
            schedule.when.next_after(entry.through_ms)
        });
        next.min()
    }

    /// Notes a run: its time is done.
    pub(super) fn ran(&mut self, id: &str, run: RunRecord) {
        let Some(entry) = self.schedules.get_mut(id) else { return };
        entry.through_ms = entry.through_ms.max(run.due_ms.unwrap_or(0));
        entry.runs += 1;
        entry.last = Some(run);
    }

    /// Notes a failed attempt that will be retried: its time is not done.
    pub(super) fn failed(&mut self, id: &str, run: RunRecord) {
        if let Some(entry) = self.schedules.get_mut(id) {
            entry.last = Some(run);
        }
    }

    /// Pauses or resumes a schedule. Times that passed during the pause do not run. False for an
    /// unknown one.
    pub(super) fn hold(&mut self, id: &str, is_paused: bool, now_ms: u64) -> bool {
        let Some(entry) = self.schedules.get_mut(id) else { return false };
        if entry.is_paused && !is_paused {
            entry.through_ms = entry.through_ms.max(now_ms);
        }
        entry.is_paused = is_paused;
        true
    }
}
