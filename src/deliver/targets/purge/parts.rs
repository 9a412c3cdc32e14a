//! One call of several tags or paths as several calls, so that each settles alone.
//!
//! The parts together say exactly what the whole items: the same tags or paths, in the same mode. A
//! call that cannot be split has no parts.

use super::purge_set::PurgeSet;
use super::{Purge, TargetCall, said};
use crate::domain::Mode;

impl Purge {
    /// The same call as two, where it is about several tags or paths.
    pub fn halves(&self, call: &TargetCall) -> Vec<TargetCall> {
        let items = items(call);
        let (one, other) = items.split_at(items.len() / 2);
        if one.is_empty() {
            return vec![];
        }
        let halves = [one, other].map(|half| self.part(call, half));
        halves.into_iter().collect::<Option<Vec<TargetCall>>>().unwrap_or_default()
    }

    /// The rest of a call, and what is to be apart of it in calls of their own.
    pub fn separate(
        &self,
        call: &TargetCall,
        is_apart: impl Fn(&String) -> bool,
    ) -> (Option<TargetCall>, Vec<TargetCall>) {
        if call.items.iter().any(&is_apart) {
            return (None, vec![call.clone()]);
        }
        let items = items(call);
        if items.len() < 2 {
            return (Some(call.clone()), vec![]);
        }
        let (mut rest, mut alone) = (vec![], vec![]);
        for item in items {
            match self.part(call, std::slice::from_ref(item)) {
                Some(part) if part.items.iter().any(&is_apart) => alone.push(part),
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

    /// The call that is about some tags or paths of another.
    fn part(&self, call: &TargetCall, items: &[String]) -> Option<TargetCall> {
        if call.tags.is_empty() {
            let part = self.dialect.rules().with_paths(self, call, items)?;
            return Some(TargetCall {
                items: vec![said(&part)],
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

/// What a call is about, each of which could be a call.
fn items(call: &TargetCall) -> &[String] {
    if call.tags.is_empty() { &call.paths } else { &call.tags }
}
