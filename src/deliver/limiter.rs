//! The rate limit of one destination. It delays, and what gathers meanwhile is merged; it never
//! drops. The limit can be changed while a send waits for it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Longest time between two requests that can be configured: a rate of one an hour.
const PERIOD_MAX: Duration = Duration::from_secs(3600);

/// Requests a second with a burst, changeable.
pub struct Limiter {
    current: Mutex<(Arc<DefaultDirectRateLimiter>, f64, u32)>,
    changed: Notify,
    clock: DefaultClock,
}

impl Limiter {
    /// A limit of so many a second, and so many at once after a pause.
    pub fn new(rate_per_second: f64, burst: u32) -> Self {
        Self {
            current: Mutex::new((build(rate_per_second, burst), rate_per_second, burst)),
            changed: Notify::new(),
            clock: DefaultClock::default(),
        }
    }

    /// The limit in force: requests a second, burst.
    pub fn limit(&self) -> (f64, u32) {
        let current = self.current.lock();
        (current.1, current.2)
    }

    /// Changes the limit; whoever waits is judged by the new one.
    pub fn change(&self, rate_per_second: f64, burst: u32) {
        *self.current.lock() = (build(rate_per_second, burst), rate_per_second, burst);
        self.changed.notify_waiters();
    }

    /// Waits for a turn and takes it; says how long that took.
    pub async fn turn(&self) -> Duration {
        let started = tokio::time::Instant::now();
        loop {
            let changed = self.changed.notified();
            let limiter = Arc::clone(&self.current.lock().0);
            let Err(not_until) = limiter.check() else { return started.elapsed() };
            let wait = not_until.wait_time_from(self.clock.now());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
        }
    }
}

fn build(rate_per_second: f64, burst: u32) -> Arc<DefaultDirectRateLimiter> {
    let period = Duration::try_from_secs_f64(1.0 / rate_per_second).unwrap_or(PERIOD_MAX);
    let period = period.clamp(Duration::from_nanos(1), PERIOD_MAX);
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(period).expect("the period is at least a nanosecond");
    Arc::new(RateLimiter::direct(quota.allow_burst(burst)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_faster_limit_frees_who_waits() {
        let limiter = Arc::new(Limiter::new(0.001, 1));
        limiter.turn().await;
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.turn().await }
        });
        tokio::task::yield_now().await;
        limiter.change(1_000.0, 1);
        waiting.await.expect("gets its turn long before the old limit's 1,000 s");
        assert_eq!(limiter.limit(), (1_000.0, 1));
    }
}
