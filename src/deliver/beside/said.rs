//! What one target has acknowledged of a backlog that is not settled yet.
//!
//! A site may take some of what it is told and refuse the rest. What it took is not said again
//! before something asks for it anew, and what it refuses is said in ever smaller calls, so that
//! one path that it cannot take keeps no other from it. Kept in memory only: a restart says some of
//! it twice.

use std::collections::BTreeMap;

/// Calls in one attempt where the target refuses what it is told: the good ones are found within a
/// few attempts, and a site that refuses everything is not flooded.
const CALLS_MAX: usize = 8;

/// What was acknowledged, and how well.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Each word with the newest event that was settled by it.
    through: BTreeMap<String, u64>,
    /// Attempts in a row in which something was refused.
    refusals: u32,
}

impl Said {
    /// Whether a word that this event asks for is still to be said.
    pub fn is_due(&self, word: &str, seq: u64) -> bool {
        self.through.get(word).is_none_or(|through| *through < seq)
    }

    /// Notes that a call with these words was acknowledged; it covers all events up to this one.
    pub fn note(&mut self, words: &[String], through: u64) {
        self.through.extend(words.iter().map(|word| (word.clone(), through)));
    }

    /// Notes an attempt in which something was refused for what it is.
    pub fn refuse(&mut self) {
        self.refusals = self.refusals.saturating_add(1);
    }

    /// Everything is settled.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many words go into one call, where `most` do at best.
    pub fn words_max(&self, most: usize) -> usize {
        most.checked_shr(self.refusals).unwrap_or(0).max(1)
    }

    /// The calls of this attempt, not always the same first.
    pub fn choose<T>(&self, mut calls: Vec<T>) -> Vec<T> {
        if self.refusals > 0 && calls.len() > CALLS_MAX {
            let start = (self.refusals as usize).wrapping_mul(CALLS_MAX) % calls.len();
            calls.rotate_left(start);
            calls.truncate(CALLS_MAX);
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_due_until_what_asks_for_it_is_settled() {
        let mut said = Said::default();
        assert!(said.is_due("/a", 1));
        said.note(&["/a".into()], 5);
        assert!(!said.is_due("/a", 5) && said.is_due("/a", 6) && said.is_due("/b", 1));
        said.clear();
        assert!(said.is_due("/a", 5));
    }

    /// However many words there are and wherever the bad one is, all others are said in the end.
    #[test]
    fn one_bad_word_keeps_no_other_from_being_said() {
        for bad in [0, 1, 499, 998, 999] {
            let mut said = Said::default();
            let words: Vec<String> = (0..1000).map(|word| format!("{word:04}")).collect();
            for _ in 0..200 {
                let due: Vec<String> =
                    words.iter().filter(|word| said.is_due(word, 1)).cloned().collect();
                let calls: Vec<Vec<String>> =
                    due.chunks(said.words_max(500)).map(<[String]>::to_vec).collect();
                let mut is_refused = false;
                for call in said.choose(calls) {
                    match call.contains(&words[bad]) {
                        true => is_refused = true,
                        false => said.note(&call, 1),
                    }
                }
                if is_refused {
                    said.refuse();
                }
            }
            let left: Vec<&String> = words.iter().filter(|word| said.is_due(word, 1)).collect();
            assert_eq!(left, [&words[bad]]);
        }
    }
}
