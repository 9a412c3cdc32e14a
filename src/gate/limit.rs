//! Rate limits: requests by principal and address, failures by address and account.
//!
//! The failure limits never count a success, so a flood of bad tokens from an address cannot lock
//! out a good one from the same address. Keys are stored as keyed hashes of equal size. They are
//! swept during use, because governor never removes any. Beyond a bound, new keys share a few
//! slots.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::ClientAddress;

/// Checks between two sweeps of unused keys.
const CHECKS_PER_SWEEP: u32 = 4096;
/// Most keys held at once.
const KEYS_MAX: usize = 65_536;
/// Slots shared by the keys beyond the bound.
const SHARED_KEYS: u64 = 1024;

/// A limit for each key.
pub struct KeyedLimit {
    limiter: DefaultKeyedRateLimiter<u64>,
    hashes: RandomState,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl KeyedLimit {
    /// `rate` checks a second, and `burst` at once after a pause. Zero counts as one.
    pub fn per_second(rate: u32, burst: u32) -> Self {
        Self::new(Quota::per_second(at_least_one(rate)).allow_burst(at_least_one(burst)))
    }

    /// `rate` checks a minute.
    pub fn per_minute(rate: u32) -> Self {
        Self::new(Quota::per_minute(at_least_one(rate)))
    }

    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            hashes: RandomState::new(),
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
        }
    }

    /// Counts one check.
    ///
    /// # Errors
    /// The limit is reached: the time until the next check may pass.
    pub fn check(&self, key: &[&str]) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_PER_SWEEP == CHECKS_PER_SWEEP - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let mut key = self.hashes.hash_one(key);
        if self.limiter.len() >= KEYS_MAX {
            key %= SHARED_KEYS;
        }
        self.limiter.check_key(&key).map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Keys held.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.limiter.len()
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// The key of an address. An IPv6 client owns a whole /64, so the /64 is counted. All clients whose
/// address cannot be read share one key.
pub fn address_key(address: impl Into<ClientAddress>) -> String {
    match address.into() {
        ClientAddress::Known(IpAddr::V4(v4)) => v4.to_string(),
        ClientAddress::Known(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        unreadable @ ClientAddress::Unreadable => unreadable.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_keys_is_bounded() {
        let limit = KeyedLimit::per_minute(5);
        for at in 0..KEYS_MAX + 50_000 {
            _ = limit.check(&["a", &at.to_string()]);
        }
        assert!(limit.len() <= KEYS_MAX + SHARED_KEYS as usize, "{}", limit.len());
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let limit = KeyedLimit::per_minute(1);
        for key in [["ab", "c"], ["a", "bc"], ["abc", ""]] {
            assert_eq!(limit.check(&key), Ok(()), "{key:?}");
        }
        assert!(limit.check(&["ab", "c"]).is_err());
    }
}
