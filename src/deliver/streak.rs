//! Which failed attempts are worth a line: the first, then at growing intervals, and each new
//! reason. A dead destination is tried every few seconds for days; its log stays short, and the
//! counters count every attempt all the same. The failed attempts of each event are counted here
//! too, because they begin and end with the outage.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

/// Different reasons told in one streak of failures, besides those at growing intervals: an error may
/// hold a number that is another each time.
const REASONS_MAX: usize = 4;
/// Backlogs of different length that are told apart.
const BACKLOGS_MAX: usize = 256;

/// A streak of failures of one destination.
#[derive(Debug, Default)]
pub struct FailureStreak {
    since: Option<Instant>,
    reasons: Vec<u64>,
    /// Failed attempts by the last event that each covered.
    covered: BTreeMap<u64, u32>,
}

impl FailureStreak {
    /// Notes the failed attempt of this number, which covered all that waited up to `through`.
    /// Says whether it is worth a line.
    pub fn note(&mut self, attempt: u32, error: &str, through: u64) -> bool {
        self.since.get_or_insert_with(Instant::now);
        *self.covered.entry(through).or_default() += 1;
        while self.covered.len() > BACKLOGS_MAX
            && let Some((_, attempts)) = self.covered.pop_first()
            && let Some(mut next) = self.covered.first_entry()
        {
            // The events between the two are said to have a few attempts too many.
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

    /// Failed attempts that covered the event of this number.
    pub fn attempts(&self, seq: u64) -> u32 {
        self.covered.range(seq..).map(|(_, attempts)| attempts).sum()
    }

    /// The destination took something: gives how long it had failed.
    pub fn end(&mut self) -> Duration {
        let since = std::mem::take(self).since;
        since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_row_of_failures_is_a_few_lines() {
        let mut streak = FailureStreak::default();
        let told = (1..=10_000).filter(|attempt| streak.note(*attempt, "connect: refused", 1));
        assert_eq!(told.collect::<Vec<_>>(), (0..14).map(|n| 1 << n).collect::<Vec<u32>>());
    }

    #[test]
    fn a_new_reason_is_told_and_reasons_without_end_are_not() {
        let mut streak = FailureStreak::default();
        let told = [(5, "connect"), (6, "connect"), (7, "http 500"), (9, "connect")];
        assert_eq!(told.map(|(at, why)| streak.note(at, why, 1)), [true, false, true, false]);
        let told = (100..10_000).filter(|at| streak.note(*at, &format!("http 500 at {at}"), 1));
        assert!(told.count() <= REASONS_MAX + 7);
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
