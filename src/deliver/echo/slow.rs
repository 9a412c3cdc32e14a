//! Returns that come slowly: a destination that queues its calls back for seconds.
//!
//! A job that names the same every few seconds looks like that too, and may run for ever. So only a
//! long run of arrivals, each as long after the newest send as the others, leads to a test at all:
//! one copy is held for a moment. The next arrival of a job comes when the job runs, the return of
//! an echo as much later as its send. Where the lag varies by too much for the test to tell these
//! apart, nothing is held: such a loop is slow, and many honest callers look like it.

use std::time::Duration;

/// Rounds before the next test of a caller that was found honest: in effect, none.
const ROUNDS_ACQUITTED: u32 = 1 << 20;

/// A run of slow rounds of one caller.
#[derive(Debug, Clone, Copy)]
pub struct Slow {
    rounds: u32,
    needed: u32,
    least: Duration,
    most: Duration,
}

impl Slow {
    /// A test comes after so many rounds.
    pub fn new(needed: u32) -> Self {
        Self { rounds: 0, needed, least: Duration::ZERO, most: Duration::ZERO }
    }

    /// One more round; says whether there are enough for a test. One whose lag differs from the
    /// others by more than `tolerance` begins another run.
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

    /// Something else came: the run is over.
    pub fn end(&mut self) {
        self.rounds = 0;
    }

    /// A test told nothing.
    pub fn retry_later(&mut self) {
        self.needed = self.needed.saturating_mul(2).min(ROUNDS_ACQUITTED);
        self.end();
    }

    /// A test showed that the caller acts by itself.
    pub fn acquit(&mut self) {
        self.needed = ROUNDS_ACQUITTED;
        self.end();
    }
}
