//! The log lines of the writer: the disk begins to refuse records, the disk accepts them again, a
//! removed destination is dropped.
//!
//! Each refused event also has its own log line, written by the pipeline. The first two lines here
//! mark the whole period, even if no event arrives in it.

use crate::activity::{Activity, ActivityKind, Level};

use super::CursorClass;
use super::book::Removed;

/// Logs that the disk begins to refuse records, or accepts them again.
pub(super) fn log_turn(is_degraded: bool, error: Option<&str>) {
    let (level, msg, status) = if is_degraded {
        (Level::Error, "the journal cannot be written; it is retried every second", "degraded")
    } else {
        let msg = "the journal is written again, with every backlog complete";
        (Level::Warn, msg, "recovered")
    };
    Activity {
        level,
        event: ActivityKind::Journal,
        msg,
        status: Some(status),
        error: error.filter(|_| is_degraded),
        ..Activity::default()
    }
    .emit();
}

/// Logs that a removed destination did not return in time.
pub(super) fn log_forgotten(removed: &Removed) {
    Activity {
        level: if removed.backlog.events > 0 { Level::Warn } else { Level::Info },
        event: ActivityKind::Config,
        msg: "removed longer ago than mirrors.forget_after: its backlog is dropped",
        peer: Some(CursorClass::display_name(&removed.name)),
        status: Some("forgotten"),
        events: Some(removed.backlog.events),
        ..Activity::default()
    }
    .emit();
}
