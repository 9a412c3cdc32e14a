//! The rate limit of one destination. It delays and never drops; what gathers meanwhile is merged.
//! The limit can change while a send waits for it. `cache-mirror tune` uses it with a simulated
//! clock.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The longest configurable time between two requests: a rate of one per hour.
const PERIOD_MAX: Duration = Duration::from_secs(3600);

type Turns<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// A rate in requests per second with a burst. Both can change.
pub struct Limiter<C: Clock = DefaultClock> {
    current: Mutex<(Arc<Turns<C>>, f64, u32)>,
    changed: Notify,
    clock: C,
}

impl Limiter {
    /// A limit with this rate and burst.
    pub fn new(rate_per_second: f64, burst: u32) -> Self {
        Self::on(DefaultClock::default(), rate_per_second, burst)
    }
}

impl<C: Clock + Clone> Limiter<C> {
    /// A limit with another clock.
    pub fn on(clock: C, rate_per_second: f64, burst: u32) -> Self {
        let turns = build(clock.clone(), rate_per_second, burst);
        let current = Mutex::new((turns, rate_per_second, burst));
        Self { current, changed: Notify::new(), clock }
    }

    /// The present limit: requests per second, burst.
    pub fn limit(&self) -> (f64, u32) {
        let current = self.current.lock();
        (current.1, current.2)
    }

    /// Changes the limit. It also applies to waiting sends.
    pub fn change(&self, rate_per_second: f64, burst: u32) {
        let turns = build(self.clock.clone(), rate_per_second, burst);
        *self.current.lock() = (turns, rate_per_second, burst);
        self.changed.notify_waiters();
    }

    /// Takes a turn if one is free.
    ///
    /// # Errors
    /// The wait until one may be free.
    pub fn try_turn(&self) -> Result<(), Duration> {
        let turns = Arc::clone(&self.current.lock().0);
        turns.check().map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Waits for a turn and takes it. Returns the wait.
    pub async fn turn(&self) -> Duration {
        let started = tokio::time::Instant::now();
        loop {
            let changed = self.changed.notified();
            let Err(wait) = self.try_turn() else { return started.elapsed() };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
        }
    }
}

fn build<C: Clock>(clock: C, rate_per_second: f64, burst: u32) -> Arc<Turns<C>> {
    let period = Duration::try_from_secs_f64(1.0 / rate_per_second).unwrap_or(PERIOD_MAX);
    let period = period.clamp(Duration::from_nanos(1), PERIOD_MAX);
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(period).expect("the period is at least a nanosecond");
    Arc::new(RateLimiter::direct_with_clock(quota.allow_burst(burst), clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_faster_limit_ends_a_wait() {
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
