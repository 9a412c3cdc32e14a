//! The log lines of what a reading of the settings changes for destinations.
//! The words are chosen here and nowhere else, as for the lines of delivery itself.

use std::time::Duration;

use super::millis;
use crate::activity::{Activity, ActivityKind, Level};
use crate::deliver::peer::Peer;
use crate::journal::Reconciled;

fn added(peer: &str) {
    Activity {
        event: ActivityKind::Config,
        msg: "a new mirror: it gets everything from now on",
        peer: Some(peer),
        status: Some("added"),
        ..Activity::default()
    }
    .emit();
}

pub(in crate::deliver) fn moved(peer: &Peer) {
    Activity {
        event: ActivityKind::Config,
        msg: "a destination was changed: it gets what it is still owed as it is configured now",
        peer: Some(&peer.config.name),
        status: Some("moved"),
        ..Activity::default()
    }
    .emit();
}

/// A destination's name, of its name in the journal.
pub(in crate::deliver) fn plain(destination: &str) -> &str {
    destination.split_once(':').map_or(destination, |(_, name)| name)
}

/// What came and what went with a reading of the settings.
pub fn reconciled(reconciled: &Reconciled, forget_after: Duration) {
    reconciled.added.iter().for_each(|name| added(plain(name)));
    for (name, owed) in &reconciled.removed {
        removed(plain(name), *owed, forget_after);
    }
    for (name, owed) in &reconciled.returned {
        settled(plain(name), "configured again: it goes on from where it was", "returned", *owed);
    }
    for (before, name) in &reconciled.renamed {
        let msg = format!("{} under another name: it goes on from where it was", plain(before));
        settled(plain(name), &msg, "renamed", 0);
    }
}

fn removed(peer: &str, owed: u64, forget_after: Duration) {
    Activity {
        level: if owed > 0 { Level::Warn } else { Level::Info },
        event: ActivityKind::Config,
        msg: "no longer configured: what it is owed is kept for mirrors.forget_after",
        peer: Some(peer),
        status: Some("removed"),
        events: Some(owed),
        wait_ms: Some(millis(forget_after)),
        ..Activity::default()
    }
    .emit();
}

fn settled(peer: &str, msg: &str, status: &str, owed: u64) {
    Activity {
        event: ActivityKind::Config,
        msg,
        peer: Some(peer),
        status: Some(status),
        events: (owed > 0).then_some(owed),
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
