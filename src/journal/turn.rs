//! The log line when the disk begins to refuse records, and the one when it takes them again.
//!
//! Each refused event has a line of its own, written by who submitted it; these two mark the time
//! in between, also where no event comes.

use crate::activity::{Activity, Kind, Level};

/// Says that the disk begins to refuse, or has stopped to.
pub(super) fn tell(is_degraded: bool, error: Option<&str>) {
    let (level, msg, status) = if is_degraded {
        (Level::Error, "the journal cannot be written: it is tried every second", "degraded")
    } else {
        let msg = "the journal is written again, with everything that was owed";
        (Level::Warn, msg, "recovered")
    };
    Activity {
        level,
        event: Kind::Journal,
        msg,
        status: Some(status),
        error: error.filter(|_| is_degraded),
        ..Activity::default()
    }
    .emit();
}
