//! Decides which failed attempts are logged as warnings: the first, then at growing intervals, and
//! each new reason. A dead destination is tried every few seconds for days: its log stays short,
//! and the counters still count every attempt. The failed attempts of each event are counted here
//! as well, because they begin and end with the outage.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

/// Different reasons logged in one streak of failures, in addition to those at growing intervals.
/// An error may contain a number that always changes.
const REASONS_MAX: usize = 4;
/// Backlogs of different length that are counted separately.
const BACKLOGS_MAX: usize = 256;

/// The failures in a row of one destination.
#[derive(Debug, Default)]
pub struct FailureStreak {
    since: Option<Instant>,
    reasons: Vec<u64>,
    /// Failed attempts by the last event that each covered.
    covered: BTreeMap<u64, u32>,
}

impl FailureStreak {
    /// Records the failed attempt with this number, which covered all events up to `through`.
    /// Returns whether it is logged as a warning.
    pub fn note(&mut self, attempt: u32, error: &str, through: u64) -> bool {
        self.since.get_or_insert_with(Instant::now);
        *self.covered.entry(through).or_default() += 1;
        while self.covered.len() > BACKLOGS_MAX
            && let Some((_, attempts)) = self.covered.pop_first()
            && let Some(mut next) = self.covered.first_entry()
        {
            // The events between the two get slightly too many attempts.
            *next.get_mut() += attempts;
        }
        let mut hasher = DefaultHasher::new();
        error.hash(&mut hasher);
        let reason = hasher.finish();
        let is_new = !self.reasons.contains(&reason) && self.reasons.len() < REASONS_MAX;
        if is_new {
            self.reasons.push(reason);
        }
        is_new || attempt.is_power_of_two()
    }

    /// The failed attempts that covered the event with this number.
    pub fn attempts(&self, seq: u64) -> u32 {
        self.covered.range(seq..).map(|(_, attempts)| attempts).sum()
    }

    /// Ends the streak, because the destination acknowledged something. Returns how long it had
    /// failed.
    pub fn end(&mut self) -> Duration {
        let since = std::mem::take(self).since;
        since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_streak_writes_a_few_lines() {
        let mut streak = FailureStreak::default();
        let logged = (1..=10_000).filter(|attempt| streak.note(*attempt, "connect: refused", 1));
        assert_eq!(logged.collect::<Vec<_>>(), (0..14).map(|n| 1 << n).collect::<Vec<u32>>());
    }

    #[test]
    fn a_new_reason_is_logged_but_not_endlessly_many() {
        let mut streak = FailureStreak::default();
        let logged = [(5, "connect"), (6, "connect"), (7, "http 500"), (9, "connect")];
        assert_eq!(logged.map(|(at, why)| streak.note(at, why, 1)), [true, false, true, false]);
        let logged = (100..10_000).filter(|at| streak.note(*at, &format!("http 500 at {at}"), 1));
        assert!(logged.count() <= REASONS_MAX + 7);
    }

    #[test]
    fn an_event_counts_the_attempts_that_covered_it() {
        let mut streak = FailureStreak::default();
        (1..=5).for_each(|attempt| _ = streak.note(attempt, "x", 10));
        (6..=7).for_each(|attempt| _ = streak.note(attempt, "x", 12));
        assert_eq!([9, 10, 11, 12, 13].map(|seq| streak.attempts(seq)), [7, 7, 2, 2, 0]);
        (0..10_000).for_each(|seq| _ = streak.note(8, "x", 100 + seq));
        assert!(streak.covered.len() <= BACKLOGS_MAX);
        streak.end();
        assert_eq!(streak.attempts(1), 0);
    }
}
