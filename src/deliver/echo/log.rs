//! The log lines about echoes: one for each new hold, and one each for the begin and the end of a
//! loop. Returns that join a hold are not logged.

use std::time::Duration;

use crate::activity::{Activity, ActivityKind, Level};
use crate::domain::Event;

/// Logs that a copy is held.
pub(super) fn held(peer: &str, event: &Event, wait: Duration) {
    let id = event.id.to_string();
    Activity {
        event: ActivityKind::Loop,
        msg: "looks like an echo of what this destination was sent: applied, its copy is held",
        event_id: Some(&id),
        principal: Some(&event.principal),
        peer: Some(peer),
        reason: Some("echo"),
        wait_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        ..Activity::default()
    }
    .emit();
}

/// Logs that a destination calls back whenever it is sent something.
pub(super) fn began(peer: &str, principal: &str) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Loop,
        msg: "calls back with what it is sent: its copies are held ever longer, up to a minute",
        principal: Some(principal),
        peer: Some(peer),
        reason: Some("echo"),
        status: Some("echoing"),
        ..Activity::default()
    }
    .emit();
}

/// Logs that a destination no longer calls back.
pub(super) fn ended(peer: &str, returns: u64) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Loop,
        msg: "no longer calls back: its copies are sent at once again",
        peer: Some(peer),
        events: Some(returns),
        reason: Some("echo"),
        status: Some("ended"),
        ..Activity::default()
    }
    .emit();
}
