//! Destinations that cannot be reached: how often they are retried, and how their return is
//! noticed.
//!
//! While a destination is down, each attempt begins with a check: one small request for its
//! identity. The wait between checks is capped, so a destination that is back is reached within
//! seconds. All checks of the process share one pace, so many dead destinations cause no storm. A
//! destination that passes the check but fails the delivery waits longer each time.

use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Method;
use reqwest::header::ACCEPT;
use tokio::time::Instant;

use super::credentials::below;
use super::identity::{PATH, nonce};
use super::peer::PeerKind;
use super::worker::Worker;
use crate::net::{Failure, FailureKind, Outgoing};
use crate::support::backoff::Backoff;

/// The longest wait between two checks of a destination that is down.
const WAIT_MAX: Duration = Duration::from_millis(2500);
/// The time limit of a check, which is one small request.
const CHECK_TIME_MAX: Duration = Duration::from_secs(2);
/// The minimum time between two checks of this process.
const CHECK_EVERY: Duration = Duration::from_millis(10);
/// Failed checks after which a delivery is attempted nevertheless: a proxy may refuse only the
/// identity path.
const TRIED_ANYWAY_AFTER: u32 = 8;

/// The state of a destination that may be down.
#[derive(Debug, Default)]
pub struct Outage {
    /// Whether the last attempt failed in a way that points to an outage.
    is_suspected: bool,
    /// Whether the last check passed and nothing was delivered since.
    is_checked: bool,
    /// Deliveries in a row that failed after a passed check.
    failed_after_check: u32,
    /// Failed checks since the last delivery attempt.
    checks_failed: u32,
}

impl Outage {
    /// Begins each further attempt with a check, until a delivery succeeds.
    pub fn suspect(&mut self) {
        self.is_suspected = true;
    }

    /// Records a delivery.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Records a failed attempt. Returns the wait after it. `chance` is in `0.0..1.0`.
    pub fn failed(
        &mut self,
        backoff: &Backoff,
        failures: u32,
        is_outage: bool,
        chance: f64,
    ) -> Duration {
        if std::mem::take(&mut self.is_checked) {
            self.failed_after_check = self.failed_after_check.saturating_add(1);
        }
        self.is_suspected = is_outage;
        if !is_outage {
            return backoff.wait(failures, chance);
        }
        let doublings = self.failed_after_check.min(16);
        let cap = WAIT_MAX.max(backoff.min).saturating_mul(1 << doublings);
        if backoff.bound(failures) < cap {
            return backoff.wait(failures, chance);
        }
        // A random wait in the upper half of the cap, which needs fewer requests than a wait from
        // zero.
        cap.min(backoff.max).mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }

    fn check_failed(&mut self) -> u32 {
        self.failed_after_check = 0;
        self.checks_failed = self.checks_failed.saturating_add(1);
        self.checks_failed
    }

    fn check_passed(&mut self) {
        (self.is_checked, self.checks_failed) = (true, 0);
    }
}

/// Whether a failed attempt points to an outage: no answer, or one from a proxy.
pub fn is_outage(status: Option<u64>, is_cache_mirror: bool) -> bool {
    match status {
        None | Some(502..=504) => true,
        Some(404) => is_cache_mirror,
        Some(_) => false,
    }
}

/// Spreads the checks of all workers over time, in the order of their requests.
#[derive(Debug, Default)]
pub struct CheckPace(Mutex<Option<Instant>>);

impl CheckPace {
    /// Reserves the time of the next check and returns it.
    fn reserve(&self) -> Instant {
        let now = Instant::now();
        let mut next = self.0.lock();
        let at = next.map_or(now, |next| next.max(now));
        *next = Some(at + CHECK_EVERY);
        at
    }
}

impl Worker {
    /// Whether to make an attempt. If the destination appears to be down, this checks it first. A
    /// failed check counts as the failed attempt that it replaces.
    pub(super) async fn passes_check(&self) -> bool {
        if !self.peer.with(|state| state.outage.is_suspected) {
            return true;
        }
        let turn = self.shared.pace.reserve();
        tokio::select! {
            () = self.stop.cancelled() => return false,
            () = self.peer.wake.notified() => {}
            () = tokio::time::sleep_until(turn) => {}
        }
        if !self.peer.config.class.is_probed() {
            return true;
        }
        let Err(failure) = self.check().await else {
            self.peer.with(|state| {
                state.outage.check_passed();
                // It may be another version now, so it is probed.
                state.probed_at = None;
            });
            return true;
        };
        let is_sure = matches!(failure.kind, FailureKind::Connect | FailureKind::Address);
        let failed = self.peer.with(|state| state.outage.check_failed());
        if !is_sure && (failed.is_multiple_of(TRIED_ANYWAY_AFTER) || self.may_hang(&failure)) {
            return true;
        }
        if let Some(backlog) = self.take().or_else(|| self.take_from(0)) {
            self.not_reached(&backlog, &failure);
        }
        false
    }

    /// A server that is no cache-mirror may never answer at the identity path.
    fn may_hang(&self, failure: &Failure) -> bool {
        let is_cache_mirror = matches!(self.peer.kind(), PeerKind::CacheMirror(_));
        failure.kind == FailureKind::Timeout && !is_cache_mirror
    }

    /// Sends one small request, to see whether the destination itself answers.
    async fn check(&self) -> Result<(), Failure> {
        let Some(mut url) = below(&self.peer.config.base, PATH) else { return Ok(()) };
        url.set_query(Some(&format!("nonce={}", nonce())));
        let request = Outgoing {
            method: Method::GET,
            url,
            headers: vec![(ACCEPT, "application/json".into())],
            body: bytes::Bytes::new(),
            timeout: self.shared.config.get().timeout.min(CHECK_TIME_MAX),
        };
        let status = match self.transport().send_alone(request).await {
            Ok(answer) => answer.status,
            Err(failure) if failure.kind == FailureKind::TooLarge => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let is_cache_mirror = matches!(self.peer.kind(), PeerKind::CacheMirror(_));
        if !is_outage(Some(u64::from(status)), is_cache_mirror) {
            return Ok(());
        }
        let cause = format!("the identity path answers http {status}");
        Err(Failure { kind: FailureKind::Unavailable, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { min: Duration::from_millis(250), max: Duration::from_secs(60) };

    /// However long the outage lasts, the next check is less than 2.5 s away.
    #[test]
    fn the_wait_during_an_outage_is_capped() {
        let mut outage = Outage::default();
        for failures in 1..2_000 {
            for chance in [0.0, 0.5, 1.0] {
                let wait = outage.failed(&BACKOFF, failures, true, chance);
                assert!(wait <= WAIT_MAX, "{wait:?} after {failures} failures");
                assert!(failures < 6 || wait >= WAIT_MAX / 2, "{wait:?} is a storm");
            }
            outage.check_failed();
        }
    }

    /// An answer that refuses is no outage, and an endpoint that answers checks but takes nothing
    /// is tried ever less often.
    #[test]
    fn the_wait_grows_where_the_destination_answers() {
        let mut outage = Outage::default();
        assert_eq!(outage.failed(&BACKOFF, 20, false, 1.0), BACKOFF.max);
        let mut outage = Outage::default();
        for _ in 0..10 {
            outage.check_passed();
            outage.failed(&BACKOFF, 20, true, 1.0);
        }
        assert_eq!(outage.failed(&BACKOFF, 20, true, 1.0), BACKOFF.max);
        outage.check_failed();
        assert!(outage.failed(&BACKOFF, 20, true, 1.0) <= WAIT_MAX, "then it was down after all");
    }

    /// A back-off that is configured longer or shorter than the cap wins.
    #[test]
    fn configured_bounds_win() {
        let hour = Duration::from_secs(3600);
        let fixed = Backoff { min: hour, max: hour };
        assert_eq!(Outage::default().failed(&fixed, 9, true, 1.0), hour);
        let short = Backoff { min: Duration::from_millis(2), max: Duration::from_millis(20) };
        assert!(Outage::default().failed(&short, 9, true, 1.0) <= short.max);
    }

    /// A thousand dead destinations are checked at a bounded rate, each in its turn.
    #[tokio::test(start_paused = true)]
    async fn all_checks_share_one_pace() {
        let pace = CheckPace::default();
        let begun = Instant::now();
        let turns: Vec<_> = (0..1000).map(|_| pace.reserve() - begun).collect();
        assert!(turns.is_sorted());
        assert_eq!(turns[999], CHECK_EVERY * 999);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(pace.reserve(), Instant::now(), "an idle time is not saved up");
    }

    #[test]
    fn what_points_to_an_outage() {
        for status in [None, Some(502), Some(503), Some(504)] {
            assert!(is_outage(status, false) && is_outage(status, true));
        }
        assert!(is_outage(Some(404), true) && !is_outage(Some(404), false));
        assert!(![400, 401, 422, 429, 500].iter().any(|status| is_outage(Some(*status), true)));
    }
}
