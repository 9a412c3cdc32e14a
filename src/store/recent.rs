//! The generation that was current some time ago, so that a fill without a ticket can be checked as
//! if it had begun then.
//!
//! Memory is bounded: invalidations that are close together share a mark, which has the generation
//! before the first of them. So the result is never too new, and too old by a part of the span.

use std::collections::VecDeque;

/// Marks in a span, which is the precision of the result.
const PARTS: u64 = 64;

/// The invalidations of the last `span_ms`.
pub(super) struct Recent {
    span_ms: u64,
    /// Time in milliseconds, and the generation that was current before it.
    marks: VecDeque<(u64, u64)>,
}

impl Recent {
    /// Keeps marks for `span_ms`; none if that is 0.
    pub fn new(span_ms: u64) -> Self {
        Self { span_ms, marks: VecDeque::new() }
    }

    /// Notes an invalidation; `before` is the generation before it.
    pub fn note(&mut self, now_ms: u64, before: u64) {
        if self.span_ms == 0 {
            return;
        }
        self.forget(now_ms);
        let apart_ms = self.apart_ms();
        let is_apart = |(at_ms, _): &(u64, u64)| now_ms >= at_ms.saturating_add(apart_ms);
        if self.marks.back().is_none_or(is_apart) {
            self.marks.push_back((now_ms, before));
        }
    }

    /// The generation of `span_ms` ago; `current` if nothing was invalidated since.
    pub fn earliest(&mut self, now_ms: u64, current: u64) -> u64 {
        self.forget(now_ms);
        self.marks.front().map_or(current, |(_, before)| *before)
    }

    /// Drops old marks. A mark stands for the invalidations within `apart_ms` after it.
    fn forget(&mut self, now_ms: u64) {
        let since_ms = now_ms.saturating_sub(self.span_ms);
        let apart_ms = self.apart_ms();
        while self.marks.front().is_some_and(|(at_ms, _)| at_ms.saturating_add(apart_ms) < since_ms)
        {
            self.marks.pop_front();
        }
    }

    fn apart_ms(&self) -> u64 {
        self.span_ms / PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_of_a_span_ago_is_never_too_late() {
        let mut recent = Recent::new(1_000);
        assert_eq!(recent.earliest(0, 1), 1);
        // One invalidation each millisecond: generation g + 1 begins at g ms.
        for at in 1..=5_000 {
            recent.note(at, at);
            let earliest = recent.earliest(at, at + 1);
            let exact = at.saturating_sub(1_000);
            assert!(earliest <= exact.max(1), "at {at}: {earliest}");
            assert!(earliest + 32 >= exact, "at {at}: {earliest} is too early");
        }
        assert!(recent.marks.len() <= 70, "{}", recent.marks.len());
        assert_eq!(recent.earliest(7_000, 5_001), 5_001, "nothing lately");
    }

    #[test]
    fn without_a_span_nothing_is_remembered() {
        let mut recent = Recent::new(0);
        recent.note(5, 7);
        assert_eq!((recent.marks.len(), recent.earliest(5, 8)), (0, 8));
    }
}
