//! What has been counted since the process started, for `/metrics` and `status`.
//!
//! An [`super::Activity`] counts itself as it is emitted, whatever the log level, so a metric and
//! the log cannot tell two stories. Relaxed atomics: the figures are read by people, and no
//! decision hangs on the order in which two of them change.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::kind::Kind;

/// The walls against loops by the word in `reason`: the three of `domain::scope::Wall`, then the
/// proof of identity, the known event id and the echo quench. Anything else counts as the last.
pub const WALLS: [&str; 7] = ["credential", "mark", "asked", "identity", "repeat", "echo", "other"];

/// Process-wide counts.
pub struct Counters {
    happened: [AtomicU64; Kind::ALL.len()],
    loops: [AtomicU64; WALLS.len()],
    log_dropped: AtomicU64,
}

/// The process's counts.
pub fn counters() -> &'static Counters {
    static COUNTERS: Counters = Counters::new();
    &COUNTERS
}

impl Counters {
    const fn new() -> Self {
        Self {
            happened: [const { AtomicU64::new(0) }; Kind::ALL.len()],
            loops: [const { AtomicU64::new(0) }; WALLS.len()],
            log_dropped: AtomicU64::new(0),
        }
    }

    /// How often a kind of thing happened.
    pub fn happened(&self, kind: Kind) -> u64 {
        self.happened[kind as usize].load(Relaxed)
    }

    /// Loops prevented, by wall.
    pub fn loops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        WALLS.into_iter().zip(self.loops.iter().map(|count| count.load(Relaxed)))
    }

    /// Log lines that were lost.
    pub fn log_dropped(&self) -> u64 {
        self.log_dropped.load(Relaxed)
    }

    pub(super) fn note(&self, kind: Kind, reason: Option<&str>) {
        self.happened[kind as usize].fetch_add(1, Relaxed);
        if kind == Kind::Loop {
            let wall = WALLS.iter().position(|wall| Some(*wall) == reason);
            self.loops[wall.unwrap_or(WALLS.len() - 1)].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn note_log_dropped(&self, lines: u64) {
        self.log_dropped.fetch_add(lines, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scope::Wall;

    #[test]
    fn a_kind_indexes_its_own_count() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind}");
        }
    }

    #[test]
    fn loops_are_counted_by_wall() {
        let counters = Counters::new();
        for wall in [Wall::Credential, Wall::Mark, Wall::Asked] {
            counters.note(Kind::Loop, Some(wall.as_str()));
        }
        counters.note(Kind::Loop, Some("echo"));
        counters.note(Kind::Loop, Some("never heard of"));
        counters.note(Kind::Loop, None);
        counters.note(Kind::Mirror, Some("credential"));
        let counts: Vec<u64> = counters.loops().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 1, 0, 0, 1, 2]);
        assert_eq!(counters.happened(Kind::Loop), 6);
        assert_eq!(counters.happened(Kind::Mirror), 1);
    }
}
