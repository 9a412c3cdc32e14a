//! Runs the schedules: one task that wakes up when the next run is due.
//!
//! It checks the wall clock every few seconds, because the clock may be set or the machine may
//! sleep while it waits. A run whose event is not durable is retried, until it succeeds or the
//! schedule's next time replaces it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::book::{Due, RunRecord};
use super::{DUE, PRINCIPAL, Schedule, Schedules};
use crate::activity::{Activity, ActivityKind, Level, joined};
use crate::domain::{EventId, Principal, Role, Source, Submission};
use crate::pipeline::{Pipeline, SubmitError, SubmitOutcome};
use crate::support::backoff::Backoff;
use crate::support::{Finish, clock};

/// Time between two checks of the wall clock: how late a run may be after the clock was set.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Time between two attempts while the disk refuses writes.
const RETRY: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) };
/// A run this long after its time is logged as late.
const LATE_MS: u64 = 60_000;

/// A request to run a schedule now.
pub struct ManualRun {
    /// The principal.
    pub who: Principal,
    /// The client's address, if known.
    pub address: Option<IpAddr>,
    /// Whether a gateway's mark was on the request.
    pub is_marked: bool,
    /// The event ids that a gateway sent with it.
    pub ids: Vec<EventId>,
}

impl Schedules {
    /// Runs due schedules until `stop`.
    pub async fn run(self: Arc<Self>, pipeline: Arc<Pipeline>, stop: CancellationToken) {
        if let Some(problem) = &self.damage {
            log_damage(problem);
        }
        let mut failures = 0;
        loop {
            let is_settled = self.pass(&pipeline).await;
            failures = if is_settled { 0 } else { failures + 1 };
            let wait = self.wait(failures);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                // Until the next run is due or the clock is checked.
                () = tokio::time::sleep(wait.unwrap_or(CHECK_EVERY)), if wait.is_some() => {}
            }
        }
    }

    /// Runs what is due now. False if a run must be retried.
    async fn pass(&self, pipeline: &Arc<Pipeline>) -> bool {
        let (config, now_ms) = (self.config.get(), clock::wall_ms());
        let corrected = self.book.lock().correct(now_ms);
        if !corrected.is_empty() {
            log_corrected(&joined(&corrected));
        }
        let due = self.book.lock().due(&config.schedules, now_ms);
        let mut is_settled = true;
        for due in due {
            let Some(schedule) = config.schedules.iter().find(|it| it.id == due.id) else {
                continue;
            };
            is_settled &= self.fire(pipeline, schedule, &due).await;
        }
        self.save().await;
        is_settled
    }

    /// Time until the next check; `None` if only a change of settings can make a run due.
    fn wait(&self, failures: u32) -> Option<Duration> {
        let next_ms = self.book.lock().next(&self.config.get().schedules)?;
        if failures > 0 {
            return Some(RETRY.bound(failures));
        }
        let until = Duration::from_millis(next_ms.saturating_sub(clock::wall_ms()));
        Some(until.min(CHECK_EVERY))
    }

    /// Runs one schedule for its time. False if it must be retried.
    async fn fire(&self, pipeline: &Arc<Pipeline>, schedule: &Schedule, due: &Due) -> bool {
        let began = Instant::now();
        let principal = format!("{PRINCIPAL}{}", schedule.id);
        // The role of the admin token: a scheduled run is never an echo.
        let who = Principal { name: principal.clone(), role: Role::AdminToken };
        let reason = format!("{DUE}{}", clock::rfc3339(due.due_ms));
        let submission = submission(schedule, reason.clone());
        let done = pipeline.submit(who, submission).await;
        let is_again = matches!(done, Err(SubmitError::NotDurable | SubmitError::Stopping));
        let run = run_of(Some(due.due_ms), &done);
        log(&principal, &reason, &run, due, began);
        let mut book = self.book.lock();
        if is_again {
            book.failed(&schedule.id, run);
        } else {
            book.ran(&schedule.id, run);
        }
        !is_again
    }

    /// Runs a schedule now, on request; `None` for an unknown one. Its times do not change.
    ///
    /// # Errors
    /// [`SubmitError`], as for any invalidation.
    pub async fn run_now(
        self: &Arc<Self>,
        pipeline: &Arc<Pipeline>,
        id: &str,
        asked: ManualRun,
    ) -> Option<Result<SubmitOutcome, SubmitError>> {
        let schedule = self.find(id)?;
        let submission = Submission {
            address: asked.address,
            is_marked: asked.is_marked,
            ids: asked.ids,
            ..submission(&schedule, format!("schedule {id}, run by hand"))
        };
        let (schedules, pipeline) = (Arc::clone(self), Arc::clone(pipeline));
        // Noted even if the caller disconnects.
        let done = Finish::new(async move {
            let done = pipeline.submit(asked.who, submission).await;
            let run = run_of(None, &done);
            match &done {
                Ok(SubmitOutcome::Duplicate(_)) => {}
                Ok(_) => schedules.book.lock().ran(&schedule.id, run),
                Err(_) => schedules.book.lock().failed(&schedule.id, run),
            }
            schedules.save().await;
            done
        });
        Some(done.await)
    }
}

fn submission(schedule: &Schedule, reason: String) -> Submission {
    Submission { reason: Some(reason), ..schedule.asks.submission.clone() }
}

fn run_of(due_ms: Option<u64>, done: &Result<SubmitOutcome, SubmitError>) -> RunRecord {
    let (event_id, outcome, error) = match done {
        Ok(SubmitOutcome::Applied(report)) => {
            let outcome = if report.is_degraded { "degraded" } else { "applied" };
            (Some(report.event.id.to_string()), outcome, None)
        }
        Ok(SubmitOutcome::Duplicate(_)) => (None, "applied", None),
        Ok(SubmitOutcome::Unaffected(why)) => (None, "failed", Some(why.join("; "))),
        Err(rejected) => (None, "failed", Some(rejected.to_string())),
    };
    RunRecord { due_ms, at_ms: clock::wall_ms(), event_id, outcome: outcome.to_owned(), error }
}

fn log(principal: &str, reason: &str, run: &RunRecord, due: &Due, began: Instant) {
    let late_ms = run.at_ms.saturating_sub(due.due_ms);
    let (level, msg) = match (run.outcome.as_str(), late_ms > LATE_MS) {
        ("failed", _) => (Level::Error, "a schedule could not run"),
        (_, true) => (Level::Warn, "a schedule ran late: its time passed while it could not run"),
        (_, false) => (Level::Info, "a schedule ran"),
    };
    Activity {
        level,
        event: ActivityKind::Schedule,
        msg,
        event_id: run.event_id.as_deref(),
        principal: Some(principal),
        source: Some(Source::Schedule.as_str()),
        status: Some(&run.outcome),
        reason: Some(reason),
        duration_ms: Some(began.elapsed().as_secs_f64() * 1e3),
        error: run.error.as_deref(),
        ..Activity::default()
    }
    .emit();
}

fn log_corrected(ids: &str) {
    let msg = "the clock went back by over an hour: schedules go on from the new time";
    log_trouble(Level::Warn, msg, "corrected", Some(ids), None);
}

fn log_damage(problem: &str) {
    let msg = "how far the schedules came cannot be read: each runs once";
    log_trouble(Level::Error, msg, "damaged", None, Some(problem));
}

/// The disk refuses to write the book.
pub(super) fn log_unwritten(problem: Option<&str>) {
    let msg = "how far the schedules came cannot be written: a restart may repeat runs";
    log_trouble(Level::Error, msg, "unwritten", None, problem);
}

fn log_trouble(level: Level, msg: &str, status: &str, reason: Option<&str>, error: Option<&str>) {
    Activity {
        level,
        event: ActivityKind::Schedule,
        msg,
        status: Some(status),
        reason,
        error,
        ..Activity::default()
    }
    .emit();
}
