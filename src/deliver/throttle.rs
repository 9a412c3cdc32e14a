//! Destinations that ask us to wait: 429 and 503, with or without `Retry-After`.
//!
//! The requested wait is a lower bound. It is at least a floor that doubles with each such answer
//! in a row, so that `Retry-After: 0` or a date in the past causes no storm.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::backoff::Backoff;

/// The longest `Retry-After` that is honoured. Beyond an hour, a forgotten header would look like a
/// lost event.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// The floor, which doubles from a second to a minute.
const FLOOR: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) };

/// The wait after this many such answers in a row. `chance` spreads the retries of callers that
/// were refused at the same moment.
pub fn least(asked: Option<Duration>, in_a_row: u32, chance: f64) -> Duration {
    let (asked, floor) = (asked.unwrap_or_default(), FLOOR.bound(in_a_row.max(1)));
    match asked >= floor {
        true => asked.min(RETRY_AFTER_MAX),
        false => floor.mul_f64(1.0 + 0.25 * chance.clamp(0.0, 1.0)),
    }
}

/// Whether and until when one destination asked us to wait.
#[derive(Debug, Default)]
pub struct Throttle {
    in_a_row: u32,
    until: Option<Instant>,
}

impl Throttle {
    /// Records an answer that asked us to wait. Returns the wait.
    pub fn note(&mut self, asked: Option<Duration>, chance: f64) -> Duration {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let wait = least(asked, self.in_a_row, chance);
        self.until = Some(Instant::now() + wait);
        wait
    }

    /// Records a delivery.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Ends the wait for an operator. The next floor is no shorter for that.
    pub fn lift(&mut self) {
        self.until = None;
    }

    /// Whether the wait is not over.
    pub fn is_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// The remaining wait.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_grows_and_what_was_asked_is_a_lower_bound() {
        let mut throttle = Throttle::default();
        let waits: Vec<_> = (0..8).map(|_| throttle.note(Some(Duration::ZERO), 0.0)).collect();
        let seconds: Vec<_> = waits.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        throttle.clear();
        assert_eq!(throttle.note(None, 0.0), Duration::from_secs(1));
        assert_eq!(least(Some(Duration::from_secs(1)), 1, 0.9), Duration::from_secs(1));
        assert_eq!(throttle.note(Some(Duration::from_secs(30)), 1.0), Duration::from_secs(30));
        assert_eq!(throttle.note(Some(Duration::MAX), 0.0), RETRY_AFTER_MAX);
    }
}
