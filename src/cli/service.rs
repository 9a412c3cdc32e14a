//! Notifies systemd of the state of the instance, by the protocol of sd_notify(3).
//!
//! Where no service manager listens (`NOTIFY_SOCKET` is not set) nothing is sent. A message
//! that is lost is no reason to stop: systemd has a time limit for each.

use sd_notify::NotifyState::{MonotonicUsec, Ready, Reloading, Status, Stopping, Watchdog};
use sd_notify::{NotifyState, notify, watchdog_enabled};

/// The instance accepts calls; `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    drop(notify(&[Ready, Status(status)]));
}

/// Settings are being read again; [`ready`] ends it. Since version 253 systemd wants to know when
/// it began, to distinguish this `READY=1` from an earlier one.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now().unwrap_or(MonotonicUsec(0));
    drop(notify(&[Reloading, now]));
}

/// Nothing is accepted from here on.
pub fn stopping() {
    drop(notify(&[Stopping]));
}

/// Pets the watchdog of the service manager, or waits for ever where there is none. Each time a
/// worker must have taken a task: a runtime that is stuck is to be restarted.
pub async fn watchdog() {
    let Some(limit) = watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return std::future::pending().await;
    };
    let mut often = tokio::time::interval(limit / 2);
    loop {
        often.tick().await;
        if tokio::spawn(async {}).await.is_ok() {
            drop(notify(&[Watchdog]));
        }
    }
}
