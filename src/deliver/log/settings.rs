//! The log lines of changes that new settings make to destinations.

use std::time::Duration;

use super::millis;
use crate::activity::{Activity, ActivityKind, Level};
use crate::deliver::peer::Peer;
use crate::journal::Reconciled;

fn added(peer: &str) {
    Activity {
        event: ActivityKind::Config,
        msg: "a new destination: it gets every event from now on",
        peer: Some(peer),
        status: Some("added"),
        ..Activity::default()
    }
    .emit();
}

pub(in crate::deliver) fn moved(peer: &Peer) {
    Activity {
        event: ActivityKind::Config,
        msg: "a destination was changed: its backlog is sent with the new settings",
        peer: Some(&peer.config.name),
        status: Some("moved"),
        ..Activity::default()
    }
    .emit();
}

/// The configured name of a destination, from its name in the journal.
pub(in crate::deliver) fn configured_name(destination: &str) -> &str {
    destination.split_once(':').map_or(destination, |(_, name)| name)
}

/// Logs the destinations that new settings added, removed, returned and renamed.
pub fn reconciled(reconciled: &Reconciled, forget_after: Duration) {
    reconciled.added.iter().for_each(|name| added(configured_name(name)));
    for (name, waiting) in &reconciled.removed {
        removed(configured_name(name), *waiting, forget_after);
    }
    for (name, waiting) in &reconciled.returned {
        continued(
            configured_name(name),
            "configured again: it continues at its old cursor",
            "returned",
            *waiting,
        );
    }
    for (before, name) in &reconciled.renamed {
        let msg = format!(
            "{} under another name: it continues at its old cursor",
            configured_name(before)
        );
        continued(configured_name(name), &msg, "renamed", 0);
    }
}

fn removed(peer: &str, waiting: u64, forget_after: Duration) {
    Activity {
        level: if waiting > 0 { Level::Warn } else { Level::Info },
        event: ActivityKind::Config,
        msg: "no longer configured: its backlog is kept for mirrors.forget_after",
        peer: Some(peer),
        status: Some("removed"),
        events: Some(waiting),
        wait_ms: Some(millis(forget_after)),
        ..Activity::default()
    }
    .emit();
}

fn continued(peer: &str, msg: &str, status: &str, waiting: u64) {
    Activity {
        event: ActivityKind::Config,
        msg,
        peer: Some(peer),
        status: Some(status),
        events: (waiting > 0).then_some(waiting),
        ..Activity::default()
    }
    .emit();
}

pub(in crate::deliver) fn relimited(
    peer: &str,
    old: (f64, u32),
    new: (f64, u32),
    was_operators: bool,
) {
    let text = |(rate, burst): (f64, u32)| format!("{rate}/s, burst {burst}");
    let msg = match was_operators {
        true => format!("the limit set by an operator ({}) ends: {}", text(old), text(new)),
        false => format!("limit changed from {} to {}", text(old), text(new)),
    };
    Activity {
        event: ActivityKind::Config,
        msg: &msg,
        peer: Some(peer),
        status: Some("limited"),
        ..Activity::default()
    }
    .emit();
}
