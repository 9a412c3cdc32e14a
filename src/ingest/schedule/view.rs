//! A schedule as the operator sees it: `GET /api/schedules`, `schedules`.
//! It is a snapshot: a run may be in progress.

use super::Schedule;
use super::book::{Progress, RunRecord};
use crate::support::clock;
use crate::wire::{RunView, ScheduleView};

/// Times shown ahead.
const NEXT_MAX: usize = 5;

impl ScheduleView {
    pub(super) fn of(schedule: &Schedule, entry: &Progress, now_ms: u64) -> Self {
        let first = Some(entry.through_ms.max(now_ms)).filter(|_| !entry.is_paused);
        let times = std::iter::successors(first, |at| schedule.when.next_after(*at));
        Self {
            id: schedule.id.clone(),
            cron: schedule.when.pattern().to_owned(),
            tz: schedule.when.zone().to_owned(),
            invalidate: schedule.asks.shown.clone(),
            state: if entry.is_paused { "paused" } else { "active" }.into(),
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
