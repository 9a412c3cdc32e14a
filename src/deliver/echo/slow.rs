//! Slow returns: a destination that calls back only after several seconds.
//!
//! A job that invalidates the same selectors every few seconds looks like that too, and may run for
//! ever. So only a long run of arrivals with the same lag after the newest send leads to a test:
//! one copy is held for a moment. A job still arrives on its own schedule; the return of an echo is
//! delayed by as much as its send. If the lag varies too much to distinguish these, nothing is
//! held: such a loop is slow, and many honest callers look the same.

use std::time::Duration;

/// Rounds before the next test of a caller that was found honest: practically never.
const ROUNDS_ACQUITTED: u32 = 1 << 20;

/// A run of slow rounds of one caller.
#[derive(Debug, Clone, Copy)]
pub struct SlowRounds {
    rounds: u32,
    needed: u32,
    least: Duration,
    most: Duration,
}

impl SlowRounds {
    /// Requires `needed` rounds before a test.
    pub fn new(needed: u32) -> Self {
        Self { rounds: 0, needed, least: Duration::ZERO, most: Duration::ZERO }
    }

    /// Adds a round and returns whether there are enough for a test. If its lag differs from the
    /// others by more than `tolerance`, a new run begins.
    pub fn note(&mut self, lag: Duration, tolerance: Duration) -> bool {
        let (least, most) = (self.least.min(lag), self.most.max(lag));
        if self.rounds == 0 || most - least > tolerance {
            (self.rounds, self.least, self.most) = (1, lag, lag);
        } else {
            (self.rounds, self.least, self.most) = (self.rounds.saturating_add(1), least, most);
        }
        self.rounds >= self.needed
    }

    /// The usual time from a send to its return.
    pub fn lag(&self) -> Duration {
        (self.least + self.most) / 2
    }

    /// Ends the run, because another arrival does not fit it.
    pub fn end(&mut self) {
        self.rounds = 0;
    }

    /// Doubles the required rounds after a test without a result.
    pub fn retry_later(&mut self) {
        self.needed = self.needed.saturating_mul(2).min(ROUNDS_ACQUITTED);
        self.end();
    }

    /// Records that a test showed the caller to be honest.
    pub fn acquit(&mut self) {
        self.needed = ROUNDS_ACQUITTED;
        self.end();
    }
}
