//! Compares all destinations and callers: which copies are held, and which destination echoes.
//!
//! An arrival is judged for all destinations at once, because several were sent the same selectors
//! at the same time. Holds that prove an echo end one after the other, so that the return shows
//! which destination echoes; the others are cleared. Memory is bounded: a forgotten caller is never
//! held. No clock, no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::attention::Attention;
use super::group::{Group, GroupDecision};
pub use super::link::{Arrival, CallerKey, EchoFinding, SelectorKey};
use super::link::{ArrivalContext, ByKey, DestinationLink, send_of};
use super::track::{CallerMatch, CallerTrack, CopyDecision, EchoLimits};
use crate::domain::EventId;

/// Maximum of sets of selectors whose chains are watched.
const GROUPS_MAX: usize = 4096;
/// Maximum of those that judge arrivals, and so hold copies, at the same time.
const ACTIVE_MAX: usize = 64;

/// A destination that no longer echoes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedEcho {
    /// The journal's name of it.
    pub destination: String,
    /// Returns that were held.
    pub returns: u64,
}

/// The evidence about all destinations.
#[derive(Debug, Default)]
pub struct EchoMachine {
    links: BTreeMap<String, DestinationLink>,
    groups: ByKey<Group>,
    /// The groups that judge arrivals: only these can hold a copy.
    active: BTreeSet<SelectorKey>,
    attention: Attention,
}

impl EchoMachine {
    /// Records that a send of these to a destination begins.
    pub fn sending(&mut self, now: Duration, to: &str, keys: &[SelectorKey], limits: &EchoLimits) {
        if !self.links.contains_key(to) {
            self.links.insert(to.to_owned(), DestinationLink::default());
        }
        let Some(link) = self.links.get_mut(to) else { return };
        link.open = Some(now);
        for key in keys {
            let sent = link.sent.entry(*key).or_default();
            *sent = (now, sent.1 + 1);
            link.order.push_back((now, *key));
        }
        link.forget(now, limits);
        // Groups exist only for selectors that arrived again, which most never do.
        for key in keys {
            if let Some(group) = self.groups.get_mut(key) {
                group.sending(now, to, limits);
            }
        }
    }

    fn limit_groups(&mut self, now: Duration) {
        if self.groups.len() < GROUPS_MAX {
            return;
        }
        let recent = Duration::from_secs(10);
        let is_needed =
            |group: &Group| group.is_active() || now.saturating_sub(group.touched()) < recent;
        self.groups.retain(|_, group| is_needed(group));
        if self.groups.len() >= GROUPS_MAX {
            self.groups.retain(|_, group| group.is_active());
        }
        if self.groups.len() >= GROUPS_MAX {
            self.groups.clear();
            self.active.clear();
        }
    }

    /// The findings of the group of these selectors, if a group judges them.
    fn judged_together(
        &mut self,
        now: Duration,
        arrival: &Arrival,
        to: &[(&str, CallerMatch)],
        limits: &EchoLimits,
        is_attended: bool,
    ) -> Option<Vec<EchoFinding>> {
        if self.active.len() >= ACTIVE_MAX && !self.active.contains(&arrival.key) {
            return None;
        }
        if !self.groups.contains_key(&arrival.key) {
            let sends = self.links.values().filter_map(|link| link.sent.get(&arrival.key));
            let last = sends.map(|(at, _)| *at).max()?;
            self.limit_groups(now);
            self.groups.insert(arrival.key, Group::new(last));
        }
        let group = self.groups.get_mut(&arrival.key)?;
        let names: Vec<&str> = to.iter().map(|(name, _)| *name).collect();
        let was_active = group.is_active();
        // The last send to a destination of the chain.
        let sent = || {
            let sent =
                names.iter().filter_map(|name| self.links.get(*name)?.sent.get(&arrival.key));
            sent.map(|(at, _)| *at).max()
        };
        let judged = group.arrived(now, arrival.id, &names, limits, is_attended, sent);
        note_active(&mut self.active, arrival.key, group);
        let judged = judged?;
        let is_new = !was_active;
        if is_new {
            // The evidence about single callers was misleading.
            let key = arrival.key;
            for (name, link) in &mut self.links {
                let held = link.held.extract_if(.., |_, held| held.key == key);
                group.take_over(name, held.map(|(id, _)| id));
                link.tracks.retain(|(other, _), _| *other != key);
            }
        }
        let finding = |judged: GroupDecision| EchoFinding {
            wait: judged.until.map(|until| until.saturating_sub(now)),
            is_new: is_new && judged.until.is_some(),
            releases: judged.releases,
            begins: judged.begins,
            destination: judged.to,
        };
        Some(judged.into_iter().map(finding).collect())
    }

    /// Whether anything is known about these selectors.
    pub fn knows(&self, key: SelectorKey) -> bool {
        self.groups.contains_key(&key) || self.links.values().any(|link| link.knows(key))
    }

    /// Records that a send was answered or failed.
    pub fn sent(&mut self, to: &str) {
        if let Some(link) = self.links.get_mut(to) {
            link.open = None;
        }
    }

    /// Judges an arrival for the destinations that must receive it.
    pub fn arrived(
        &mut self,
        now: Duration,
        arrival: &Arrival,
        to: &[(&str, CallerMatch)],
        limits: &EchoLimits,
    ) -> Vec<EchoFinding> {
        let at = (arrival.key, arrival.caller);
        let is_attended = self.attention.explains(at);
        if let Some(findings) = self.judged_together(now, arrival, to, limits, is_attended) {
            return findings;
        }
        let links = to.iter().filter_map(|(name, _)| self.links.get(*name));
        if !links.into_iter().any(|link| link.knows(arrival.key)) {
            return vec![];
        }
        let is_explained = to.iter().any(|(name, _)| {
            self.links.get(*name).is_some_and(|link| link.explains(now, &at, limits))
        });
        let mut staggered = 0;
        let mut verdicts = Vec::new();
        for (name, kin) in to {
            let Some(link) = self.links.get_mut(*name) else { continue };
            let context = ArrivalContext { kin: *kin, is_explained, is_attended, staggered };
            let Some(verdict) = link.judge(now, &at, limits, context) else { continue };
            staggered += u32::from(link.tracks[&at].is_staggered(now));
            verdicts.push((*name, verdict));
        }
        self.test_together(now, &at, limits, &mut verdicts);
        let mut findings = Vec::new();
        for (name, verdict) in verdicts {
            let Some(link) = self.links.get_mut(name) else { continue };
            findings.push(link.settle(now, arrival, name.to_owned(), verdict, is_explained));
        }
        findings
    }

    /// All destinations in lock-step join a test that begins. Otherwise the return of one would
    /// look like a proof that another is innocent.
    fn test_together(
        &mut self,
        now: Duration,
        at: &(SelectorKey, CallerKey),
        limits: &EchoLimits,
        verdicts: &mut [(&str, CopyDecision)],
    ) {
        let key = at.0;
        let fresh = |link: &DestinationLink| {
            let tracks = link.tracks.range((key, 0)..);
            let tracks = tracks.take_while(|(at, _)| at.0 == key);
            tracks.filter_map(|(_, track)| track.fresh_test(now, limits)).max()
        };
        let links = verdicts.iter().filter_map(|(name, _)| self.links.get(*name));
        let of_the_same = links.filter_map(fresh).max();
        for (name, verdict) in verdicts.iter_mut().filter(|it| it.1 == CopyDecision::Release) {
            let Some(link) = self.links.get_mut(*name) else { continue };
            let until = of_the_same.or_else(|| link.test_of_others(now, at, limits));
            let Some(until) = until else { continue };
            let send = send_of(&link.sent, link.open, key);
            let Some(track) = link.tracks.get_mut(at) else { continue };
            let reach = track.reach(limits);
            if send.is_some_and(|send| now.saturating_sub(send.at) <= reach)
                && let Some(joined) = track.join_test(now, until)
            {
                *verdict = joined;
            }
        }
    }

    fn active_groups(&self) -> impl Iterator<Item = &Group> {
        self.active.iter().filter_map(|key| self.groups.get(key))
    }

    /// Records that a caller learned the delivery state of its event, so that its next arrival is
    /// explained.
    pub fn learned(&mut self, caller: CallerKey, key: SelectorKey, id: EventId) {
        self.attention.learned((key, caller), id);
    }

    /// The copies to a destination that are held now.
    pub fn held(&self, now: Duration, to: &str) -> BTreeSet<EventId> {
        let held = self.links.get(to).into_iter().flat_map(|link| &link.held);
        let held = held.filter(|(_, held)| held.until > now).map(|(id, _)| *id);
        let together = self.active_groups().filter_map(|group| group.held(now, to));
        held.chain(together.flat_map(|(ids, _)| ids.iter().copied())).collect()
    }

    /// Applies the decisions that depend on time alone.
    pub fn settle(&mut self, now: Duration, limits: &EchoLimits) {
        for key in &self.active {
            let group = self.groups.get_mut(key);
            group.into_iter().for_each(|group| group.settle(now, limits));
        }
    }

    /// Whether the copy of this event to a destination is held now.
    pub fn is_held(&self, now: Duration, to: &str, id: EventId) -> bool {
        let held = self.links.get(to).and_then(|link| link.held.get(&id));
        held.is_some_and(|held| held.until > now)
            || self.active_groups().any(|group| group.is_held(now, to, id))
    }

    /// When the next held copy is released.
    pub fn next_release(&self, now: Duration, to: &str) -> Option<Duration> {
        let held = self.links.get(to).into_iter().flat_map(|link| link.held.values());
        let held = held.map(|held| held.until).filter(|until| *until > now);
        let together = self.active_groups().filter_map(|group| Some(group.held(now, to)?.1));
        held.chain(together).min()
    }

    /// Whether a destination is reported as echoing.
    pub fn is_echoing(&self, to: &str) -> bool {
        self.links.get(to).is_some_and(|link| link.is_echoing)
            || self.active_groups().any(|group| group.is_echoing(to))
    }

    /// Removes what has ended. Returns the destinations that no longer echo.
    pub fn expire(&mut self, now: Duration, limits: &EchoLimits) -> Vec<EndedEcho> {
        let mut ended = Vec::new();
        self.active.retain(|key| {
            let Some(group) = self.groups.get_mut(key) else { return false };
            let over = group.expire(now, limits).into_iter();
            ended.extend(over.map(|(destination, returns)| EndedEcho { destination, returns }));
            group.is_active()
        });
        for (name, link) in &mut self.links {
            link.held.retain(|_, held| held.until > now);
            for (at, track) in &mut link.tracks {
                let send = send_of(&link.sent, link.open, at.0);
                let returns = track.returns;
                if track.expire(now, send.as_ref(), limits) {
                    link.returns += returns;
                    track.returns = 0;
                }
            }
            let tracks = &link.tracks;
            link.suspects.retain(|at| tracks.get(at).is_some_and(CallerTrack::is_suspect));
            if link.is_echoing && !link.tracks.values().any(CallerTrack::is_proven) {
                link.is_echoing = false;
                let returns = std::mem::take(&mut link.returns);
                ended.push(EndedEcho { destination: name.clone(), returns });
            }
        }
        ended
    }

    /// The numbers of sends, callers and held copies of all destinations, of groups, and of copies
    /// held by groups.
    #[cfg(test)]
    pub fn sizes(&self) -> [usize; 5] {
        let sum = |size: fn(&DestinationLink) -> usize| self.links.values().map(size).sum();
        let held_together = self.groups.values().map(Group::size).sum();
        [
            sum(|link| link.sent.len().max(link.order.len())),
            sum(|link| link.tracks.len()),
            sum(|link| link.held.len()),
            self.groups.len(),
            held_together,
        ]
    }

    /// Forgets all destinations but these.
    pub fn keep(&mut self, names: &[String]) {
        self.links.retain(|name, _| names.contains(name));
        self.groups.values_mut().for_each(|group| group.keep(names));
    }
}

/// Updates the list of groups that judge arrivals.
fn note_active(active: &mut BTreeSet<SelectorKey>, key: SelectorKey, group: &Group) {
    match group.is_active() {
        true => active.insert(key),
        false => active.remove(&key),
    };
}
