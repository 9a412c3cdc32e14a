//! Splits a call with several tags or paths, so that each part settles on its own.
//!
//! Together the parts name exactly the tags or paths of the whole call, in the same mode. A call
//! that cannot be split has no parts.

use super::purge_set::PurgeSet;
use super::{Purge, TargetCall, key_of};
use crate::domain::Mode;

impl Purge {
    /// Splits a call with several tags or paths into two; empty if it cannot be split.
    pub fn halves(&self, call: &TargetCall) -> Vec<TargetCall> {
        let items = tags_or_paths(call);
        let (one, other) = items.split_at(items.len() / 2);
        if one.is_empty() {
            return vec![];
        }
        let halves = [one, other].map(|half| self.part(call, half));
        halves.into_iter().collect::<Option<Vec<TargetCall>>>().unwrap_or_default()
    }

    /// The rest of a call, and the tags or paths that match in calls of their own.
    pub fn separate(
        &self,
        call: &TargetCall,
        is_separate: impl Fn(&String) -> bool,
    ) -> (Option<TargetCall>, Vec<TargetCall>) {
        if call.items.iter().any(&is_separate) {
            return (None, vec![call.clone()]);
        }
        let items = tags_or_paths(call);
        if items.len() < 2 {
            return (Some(call.clone()), vec![]);
        }
        let (mut rest, mut alone) = (vec![], vec![]);
        for item in items {
            match self.part(call, std::slice::from_ref(item)) {
                Some(part) if part.items.iter().any(&is_separate) => alone.push(part),
                _ => rest.push(item.clone()),
            }
        }
        if alone.is_empty() {
            return (Some(call.clone()), vec![]);
        }
        if rest.is_empty() {
            return (None, alone);
        }
        match self.part(call, &rest) {
            Some(rest) => (Some(rest), alone),
            None => (Some(call.clone()), vec![]),
        }
    }

    /// The call for some of the tags or paths of another call.
    fn part(&self, call: &TargetCall, items: &[String]) -> Option<TargetCall> {
        if call.tags.is_empty() {
            let part = self.dialect.rules().with_paths(self, call, items)?;
            return Some(TargetCall {
                items: vec![key_of(&part)],
                is_soft: call.is_soft,
                reach: call.reach,
                ..part
            });
        }
        let mode = if call.is_soft { Mode::Soft } else { Mode::Hard };
        let tags = items.iter().cloned().collect();
        let mut calls = self.calls_of(&PurgeSet { tags, ..PurgeSet::new(mode) });
        calls.pop().filter(|_| calls.is_empty())
    }
}

/// The tags or paths of a call.
fn tags_or_paths(call: &TargetCall) -> &[String] {
    if call.tags.is_empty() { &call.paths } else { &call.tags }
}
