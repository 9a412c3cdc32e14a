//! Exponential back-off with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"):
//! each wait is uniform between zero and a bound that doubles from `min` to `max`.

use std::time::Duration;

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Bound of the first wait.
    pub min: Duration,
    /// Bound of the longest wait.
    pub max: Duration,
}

impl Backoff {
    /// The bound after `failures` in a row, at least one.
    pub fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.min.saturating_mul(1_u32 << doublings).min(self.max)
    }

    /// A wait for the given chance in `0.0..1.0`.
    pub fn wait(&self, failures: u32, chance: f64) -> Duration {
        self.bound(failures).mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// A random number in `0.0..1.0` from the operating system's generator.
pub fn chance() -> f64 {
    let mut bytes = [0_u8; 4];
    crate::support::random::fill(&mut bytes).expect("the system's random generator answers");
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let backoff = Backoff { min: Duration::from_millis(250), max: Duration::from_secs(60) };
        assert_eq!(backoff.bound(1), Duration::from_millis(250));
        assert_eq!(backoff.bound(3), Duration::from_secs(1));
        assert_eq!(backoff.bound(4_000_000), Duration::from_secs(60));
        assert_eq!(backoff.wait(1, 0.0), Duration::ZERO);
        assert!(chance() < 1.000_001);
    }
}
