//! A schedule as an operator sees it: `GET /api/schedules`, `schedules`.
//! A snapshot: a run may be under way while it is shown.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Schedule;
use super::book::{Progress, RunRecord};
use crate::support::clock;

/// Times shown ahead.
const NEXT_MAX: usize = 5;

/// One schedule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Schedule")]
pub struct ScheduleView {
    /// Its name for good.
    pub id: String,
    /// Five fields of cron.
    pub cron: String,
    /// The zone that they are read in.
    pub tz: String,
    /// What it clears, as `POST /api/cache/invalidate` takes it.
    pub invalidate: Value,
    /// `active` or `paused`.
    pub state: &'static str,
    /// When it fires next, at most five times; none while it is paused.
    pub next: Vec<String>,
    /// How the last run went.
    pub last_run: Option<RunView>,
    /// How often it ran.
    pub runs: u64,
}

/// A run, or an attempt at one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunView {
    /// The time it was for; `null` where somebody asked for it.
    pub due: Option<String>,
    /// When it was done.
    pub at: String,
    /// The event that came of it.
    pub event_id: Option<String>,
    /// `applied`, `degraded` or `failed`; what failed is tried again.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
}

impl ScheduleView {
    pub(super) fn of(schedule: &Schedule, entry: &Progress, now_ms: u64) -> Self {
        let first = Some(entry.through_ms.max(now_ms)).filter(|_| !entry.is_paused);
        let times = std::iter::successors(first, |at| schedule.when.next_after(*at));
        Self {
            id: schedule.id.clone(),
            cron: schedule.when.pattern().to_owned(),
            tz: schedule.when.zone().to_owned(),
            invalidate: schedule.asks.shown.clone(),
            state: if entry.is_paused { "paused" } else { "active" },
            next: times.skip(1).take(NEXT_MAX).map(clock::rfc3339).collect(),
            last_run: entry.last.as_ref().map(RunView::of),
            runs: entry.runs,
        }
    }
}

impl RunView {
    fn of(run: &RunRecord) -> Self {
        Self {
            due: run.due_ms.map(clock::rfc3339),
            at: clock::rfc3339(run.at_ms),
            event_id: run.event_id.clone(),
            outcome: run.outcome.clone(),
            error: run.error.clone(),
        }
    }
}
