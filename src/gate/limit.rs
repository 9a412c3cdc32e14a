//! How often: requests by principal, failures by address and account.
//!
//! Success is never counted by the failure limits, so that a flood of bad tokens from behind the
//! same address cannot lock out the good one. The store of keys is swept while it is used, because
//! governor's own grows for ever.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Checks between two sweeps of forgotten keys.
const CHECKS_PER_SWEEP: u32 = 4096;

/// A limit for each key.
pub struct KeyedLimit {
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl KeyedLimit {
    /// So many a second, and so many at once after a pause. Zero counts as one.
    pub fn per_second(rate: u32, burst: u32) -> Self {
        Self::new(Quota::per_second(at_least_one(rate)).allow_burst(at_least_one(burst)))
    }

    /// So many a minute.
    pub fn per_minute(rate: u32) -> Self {
        Self::new(Quota::per_minute(at_least_one(rate)))
    }

    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
        }
    }

    /// Counts one; where the limit is reached, says how long until the next may come.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&self, key: &str) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_PER_SWEEP == CHECKS_PER_SWEEP - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter
            .check_key(&key.to_owned())
            .map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// The key of an address: an IPv6 client owns a whole /64, so that is what is counted.
pub fn address_key(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
