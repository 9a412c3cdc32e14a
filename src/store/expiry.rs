//! The number of entries in the map whose time to live has ended.
//!
//! Entries are counted by the tenth of a second in which their time to live ends. Reading the
//! number moves the tenths that have passed into one sum, each of them once. So a fill, a removal
//! and a read cost almost nothing, whatever the number of entries, and the result is at most 0.1 s
//! late.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Milliseconds that share one count.
const STEP_MS: u64 = 100;

/// The number of entries by the end of their time to live.
#[derive(Default)]
pub(super) struct Expiry(Mutex<Ends>);

#[derive(Default)]
struct Ends {
    /// The newest step that has passed.
    passed: u64,
    /// Entries whose step has passed.
    expired: u64,
    /// By later step: how many entries end in it.
    to_come: BTreeMap<u64, u64>,
}

impl Expiry {
    /// Adds an entry with this end.
    pub fn enter(&self, fresh_until_ms: u64) {
        let mut ends = self.0.lock();
        let step = fresh_until_ms.div_ceil(STEP_MS);
        if step <= ends.passed {
            ends.expired += 1;
        } else {
            *ends.to_come.entry(step).or_default() += 1;
        }
    }

    /// Removes an entry with this end.
    pub fn leave(&self, fresh_until_ms: u64) {
        let mut ends = self.0.lock();
        let step = fresh_until_ms.div_ceil(STEP_MS);
        if step <= ends.passed {
            ends.expired = ends.expired.saturating_sub(1);
        } else if let Some(count) = ends.to_come.get_mut(&step) {
            *count -= 1;
            if *count == 0 {
                ends.to_come.remove(&step);
            }
        }
    }

    /// The number of entries whose time to live has ended.
    pub fn expired(&self, now_ms: u64) -> u64 {
        let mut ends = self.0.lock();
        ends.passed = ends.passed.max(now_ms / STEP_MS);
        let passed = ends.passed;
        while let Some(first) = ends.to_come.first_entry()
            && *first.key() <= passed
        {
            ends.expired += first.remove();
        }
        ends.expired
    }

    /// The number of all counted entries.
    #[cfg(test)]
    pub fn len(&self) -> u64 {
        let ends = self.0.lock();
        ends.expired + ends.to_come.values().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_counted_once_and_no_later_than_a_tenth_after() {
        let expiry = Expiry::default();
        [1, 150, 150, 10_000].into_iter().for_each(|end| expiry.enter(end));
        for (now_ms, expected) in [(0, 0), (100, 1), (150, 1), (249, 3), (200, 3), (9_999, 3)] {
            assert_eq!(expiry.expired(now_ms), expected, "{now_ms}");
        }
        expiry.leave(150);
        expiry.leave(10_000);
        assert_eq!((expiry.expired(20_000), expiry.len()), (2, 2));
        expiry.enter(10_000);
        assert_eq!(expiry.expired(20_000), 3, "one that enters late is over at once");
    }
}
