//! What is remembered of each schedule: how far it came, whether it is held, its last run.
//!
//! Pure: times come in as numbers. A time is passed once and never again, so a restart or a small
//! step back of the clock repeats nothing; of the times that nobody could run, the latest is run
//! once. A clock that was far ahead is another matter: to wait for it would be silence where others
//! count on being told, so the schedule goes on from the corrected clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Schedule;

/// A clock that goes back further than this was wrong before. Smaller steps, which corrections and
/// leap seconds make, are waited out.
const STEP_BACK_MS_MAX: u64 = 3_600_000;

/// All schedules, by id: the content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    pub(super) schedules: BTreeMap<String, Progress>,
}

/// One schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Times up to here are settled, milliseconds since 1970.
    pub through_ms: u64,
    /// Whether an operator holds it.
    #[serde(default)]
    pub is_paused: bool,
    /// How often it ran.
    #[serde(default)]
    pub runs: u64,
    #[serde(default)]
    pub last: Option<RunRecord>,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The time it was for; `None` where somebody asked for it.
    pub due_ms: Option<u64>,
    /// When it was done.
    pub at_ms: u64,
    /// The event that came of it.
    pub event_id: Option<String>,
    /// `applied`, `degraded` or `failed`.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
}

/// A time that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The schedule.
    pub id: String,
    /// Its latest time that was not run, milliseconds since 1970.
    pub due_ms: u64,
}

impl Book {
    /// Makes these the schedules: what is new begins now, what is gone is forgotten.
    pub(super) fn adopt(&mut self, schedules: &[Schedule], now_ms: u64) {
        self.schedules.retain(|id, _| schedules.iter().any(|schedule| schedule.id == *id));
        for schedule in schedules {
            let begin = || Progress { through_ms: now_ms, ..Progress::default() };
            self.schedules.entry(schedule.id.clone()).or_insert_with(begin);
        }
    }

    /// The journal knows of a run that the file may not.
    pub(super) fn ran_before(&mut self, id: &str, due_ms: u64, now_ms: u64) {
        if let Some(entry) = self.schedules.get_mut(id)
            && due_ms <= now_ms.saturating_add(STEP_BACK_MS_MAX)
        {
            entry.through_ms = entry.through_ms.max(due_ms);
        }
    }

    /// Lets schedules that are ahead of a clock which was wrong go on from now. Gives their ids.
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

    /// What is to be run now: of each schedule at most one time.
    pub(super) fn due(&self, schedules: &[Schedule], now_ms: u64) -> Vec<Due> {
        let due = schedules.iter().filter_map(|schedule| {
            let entry = self.schedules.get(&schedule.id).filter(|entry| !entry.is_paused)?;
            let due_ms = schedule.when.latest_until(now_ms)?;
            (due_ms > entry.through_ms).then(|| Due { id: schedule.id.clone(), due_ms })
        });
        due.collect()
    }

    /// When the next one is due.
    pub(super) fn next(&self, schedules: &[Schedule]) -> Option<u64> {
        let next = schedules.iter().filter_map(|schedule| {
            let entry = self.schedules.get(&schedule.id).filter(|entry| !entry.is_paused)?;
            schedule.when.next_after(entry.through_ms)
        });
        next.min()
    }

    /// Notes a run; the time it was for is settled.
    pub(super) fn ran(&mut self, id: &str, run: RunRecord) {
        let Some(entry) = self.schedules.get_mut(id) else { return };
        entry.through_ms = entry.through_ms.max(run.due_ms.unwrap_or(0));
        entry.runs += 1;
        entry.last = Some(run);
    }

    /// Notes an attempt that is made again: nothing is settled by it.
    pub(super) fn failed(&mut self, id: &str, run: RunRecord) {
        if let Some(entry) = self.schedules.get_mut(id) {
            entry.last = Some(run);
        }
    }

    /// Holds one back, or lets it go on; times that passed meanwhile are not made up for. False for
    /// an unknown one.
    pub(super) fn hold(&mut self, id: &str, is_paused: bool, now_ms: u64) -> bool {
        let Some(entry) = self.schedules.get_mut(id) else { return false };
        if entry.is_paused && !is_paused {
            entry.through_ms = entry.through_ms.max(now_ms);
        }
        entry.is_paused = is_paused;
        true
    }
}
