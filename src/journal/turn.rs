//! What the writer itself says in the log.
//!
//! The log line when the disk begins to refuse records, and the one when it takes them again.
//!
//! Each refused event has a line of its own, written by who submitted it; these two mark the time
//! in between, also where no event comes. And one when a removed destination is dropped.

use crate::activity::{Activity, ActivityKind, Level};

use super::book::Removed;
use super::ring::TARGET_PREFIX;

/// Says that the disk begins to refuse, or has stopped to.
pub(super) fn log(is_degraded: bool, error: Option<&str>) {
    let (level, msg, status) = if is_degraded {
        (Level::Error, "the journal cannot be written: it is tried every second", "degraded")
    } else {
        let msg = "the journal is written again, with everything that was owed";
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

/// Says that a removed destination did not come back in time.
pub(super) fn log_forgotten(removed: &Removed) {
    let name = removed.name.strip_prefix(TARGET_PREFIX).or(removed.name.strip_prefix("mirror:"));
    Activity {
        level: if removed.backlog.events > 0 { Level::Warn } else { Level::Info },
        event: ActivityKind::Config,
        msg: "removed longer ago than mirrors.forget_after: what it was owed is dropped",
        peer: Some(name.unwrap_or(&removed.name)),
        status: Some("forgotten"),
        events: Some(removed.backlog.events),
        ..Activity::default()
    }
    .emit();
}
