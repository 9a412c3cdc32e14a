//! Several destinations that echo the same selectors. The returns of one look like an honest caller
//! to the evidence about the others, so all are judged together, independent of the caller.
//!
//! A *chain* is a run of sends that are followed by arrivals at once. A long and dense chain begins
//! a quiet time: these selectors are sent to no destination of the chain. An honest caller arrives
//! during it, which ends the test; a loop is silent. Then the waiting copies are sent to one
//! destination after the other, so that a return shows which of them echoes. Echoing ones are held
//! for longer each time, up to a minute; the others are released. No clock, no I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use super::track::EchoLimits;
use crate::domain::EventId;

/// Rounds of a chain before the first quiet time: more than a single caller needs for a test.
const ROUNDS: u64 = 64;
/// This many arrivals of callers that learned of their last delivery count as one round.
const ATTENDED: u64 = 128;
/// After a quiet time that an arrival ended, the next one needs this many times more rounds.
const ROUNDS_FACTOR: u64 = 8;
const ROUNDS_MAX: u64 = 1 << 20;
/// Each quiet time is twice as long as the previous one, up to this many doublings.
const DOUBLINGS_MAX: u32 = 4;
/// Longest mean pause between the arrivals of a chain that a quiet time can judge.
const PAUSE_MAX: Duration = Duration::from_millis(300);
/// A chain ends after a gap of this length.
const GAP_MAX: Duration = Duration::from_secs(2);
/// Returns of a destination that was found innocent before it is suspected again.
const HITS_MAX: u32 = 8;
/// Maximum of held copies for one destination; further ones are sent at once.
const HELD_MAX: usize = 512;

/// The current conclusion about a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belief {
    /// Not decided: its sends are separated from those of others.
    Suspect,
    /// It echoes.
    Echo,
    /// It was sent something alone, and nothing returned.
    Innocent,
}

#[derive(Debug)]
struct GroupMember {
    belief: Belief,
    sent_at: Option<Duration>,
    is_answered: bool,
    level: u32,
    hits: u32,
    /// When the held copies are released.
    due: Duration,
    held: Vec<EventId>,
}

impl GroupMember {
    fn new(due: Duration) -> Self {
        let (sent_at, held) = (None, vec![]);
        let belief = Belief::Suspect;
        Self { belief, sent_at, is_answered: false, level: 1, hits: 0, due, held }
    }

    fn answer(&mut self, now: Duration, limits: &EchoLimits) {
        self.is_answered = true;
        if self.belief == Belief::Echo {
            self.due = self.sent_at.unwrap_or(now) + limits.waits.bound(self.level);
        }
    }

    fn is_within(&self, now: Duration, reach: Duration) -> bool {
        self.sent_at.is_some_and(|at| now.saturating_sub(at) <= reach)
    }
}

#[derive(Debug)]
enum GroupState {
    Idle,
    /// Nothing is sent from `since` until `until`. The last arrival was at `newest`, the last send
    /// before at `sent`: their distance is the longest known time of a return.
    Quiet {
        since: Duration,
        until: Duration,
        sent: Duration,
        newest: Duration,
    },
    /// Sends are separated by destination, and echoes held.
    Damped,
}

/// One set of selectors.
#[derive(Debug)]
pub struct Group {
    state: GroupState,
    is_sent: bool,
    began: Duration,
    touched: Duration,
    rounds: u32,
    /// The rounds in units of 1/[`ATTENDED`]; an explained arrival adds one unit.
    weight: u64,
    needed: u64,
    /// Quiet times so far.
    tests: u32,
    /// How long after a send a return may arrive.
    reach: Duration,
    members: BTreeMap<String, GroupMember>,
    returns: u64,
}

/// What happens to the copy to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDecision {
    /// The journal's name of the destination.
    pub to: String,
    /// The end of its hold; `None` if it is sent at once.
    pub until: Option<Duration>,
    /// Whether copies held so far are released now.
    pub releases: bool,
    /// Whether the destination echoes from now on.
    pub begins: bool,
}

impl Group {
    /// A group of which only the last send is known.
    pub fn new(sent: Duration) -> Self {
        Self {
            state: GroupState::Idle,
            is_sent: true,
            began: sent,
            touched: sent,
            rounds: 0,
            weight: 0,
            needed: ROUNDS,
            tests: 0,
            reach: GAP_MAX,
            members: BTreeMap::new(),
            returns: 0,
        }
    }

    /// Takes over copies that a destination link held so far.
    pub fn take_over(&mut self, to: &str, ids: impl Iterator<Item = EventId>) {
        if let Some(member) = self.members.get_mut(to) {
            member.held.extend(ids);
        }
    }

    /// Whether it judges arrivals.
    pub fn is_active(&self) -> bool {
        !matches!(self.state, GroupState::Idle)
    }

    /// The time of the last arrival or send.
    pub fn touched(&self) -> Duration {
        self.touched
    }

    /// Records that a send to a destination begins.
    pub fn sending(&mut self, now: Duration, to: &str, limits: &EchoLimits) {
        self.settle(now, limits);
        self.touched = now;
        self.is_sent = true;
        let is_quiet = matches!(self.state, GroupState::Quiet { .. });
        // A send in a quiet time had begun before.
        let Some(member) = self.members.get_mut(to).filter(|_| !is_quiet) else { return };
        member.sent_at = Some(now);
        member.is_answered = false;
        if now >= member.due || member.held.is_empty() {
            member.due = now + limits.waits.bound(member.level);
            member.held.clear();
        }
    }

    /// Judges an arrival; `None` if this group does not judge it. `sent` returns the last send of
    /// the same selectors.
    #[expect(clippy::too_many_arguments, reason = "one arrival; no part of it occurs elsewhere")]
    pub fn arrived(
        &mut self,
        now: Duration,
        id: EventId,
        to: &[&str],
        limits: &EchoLimits,
        is_attended: bool,
        sent: impl FnOnce() -> Option<Duration>,
    ) -> Option<Vec<GroupDecision>> {
        self.settle(now, limits);
        let is_first = std::mem::take(&mut self.is_sent);
        let gap = now.saturating_sub(std::mem::replace(&mut self.touched, now));
        match self.state {
            GroupState::Idle => {
                if gap > GAP_MAX {
                    (self.began, self.rounds, self.weight) = (now, 0, 0);
                }
                if is_first {
                    self.rounds = self.rounds.saturating_add(1);
                    self.weight += if is_attended { 1 } else { ATTENDED };
                }
                let mean = (now - self.began) / self.rounds.max(1);
                if self.weight < self.needed * ATTENDED || mean > PAUSE_MAX {
                    return None;
                }
                let (since, newest) = (now, now);
                let sent = sent().unwrap_or(now);
                let until = now + limits.waits.min * (1 << self.tests.min(DOUBLINGS_MAX));
                self.tests += 1;
                self.state = GroupState::Quiet { since, until, sent, newest };
                let members = to.iter().map(|name| ((*name).to_owned(), GroupMember::new(until)));
                self.members = members.collect();
                Some(self.hold(id, to))
            }
            GroupState::Quiet { since, until, sent, .. } if now < since + (until - since) / 2 => {
                self.state = GroupState::Quiet { since, until, sent, newest: now };
                Some(self.hold(id, to))
            }
            GroupState::Quiet { .. } => {
                self.needed = self.needed.saturating_mul(ROUNDS_FACTOR).min(ROUNDS_MAX);
                self.rest(now);
                Some(free(to))
            }
            GroupState::Damped => Some(self.damp(now, id, to, limits)),
        }
    }

    fn rest(&mut self, now: Duration) {
        (self.state, self.began) = (GroupState::Idle, now);
        (self.rounds, self.weight) = (0, 0);
        self.members.clear();
    }

    /// Holds the copy to each member until that member is due.
    fn hold(&mut self, id: EventId, to: &[&str]) -> Vec<GroupDecision> {
        self.returns += 1;
        let mut judged = free(to);
        for one in &mut judged {
            one.releases = false;
            let Some(member) = self.members.get_mut(&one.to) else { continue };
            if member.belief != Belief::Innocent && member.held.len() < HELD_MAX {
                member.held.push(id);
                one.until = Some(member.due);
            }
        }
        judged
    }

    fn damp(
        &mut self,
        now: Duration,
        id: EventId,
        to: &[&str],
        limits: &EchoLimits,
    ) -> Vec<GroupDecision> {
        let (reach, window) = (self.reach, limits.waits.min * 2);
        let guilty = |member: &GroupMember| member.belief != Belief::Innocent;
        let members = self.members.iter();
        let near = members.filter(|(_, member)| guilty(member) && member.is_within(now, reach));
        let near: Vec<String> = near.map(|(name, _)| name.clone()).collect();
        let mut begun = None;
        for name in &near {
            let Some(member) = self.members.get_mut(name) else { continue };
            if member.belief == Belief::Echo && !member.is_answered {
                member.level = (member.level + 1).min(32);
            }
            if member.belief == Belief::Suspect && near.len() == 1 {
                member.belief = Belief::Echo;
                begun = Some(name.clone());
            }
            member.answer(now, limits);
        }
        let mut is_late = false;
        for member in self.members.values_mut().filter(|_| near.is_empty()) {
            if member.belief == Belief::Echo && member.is_within(now, window) {
                is_late = true;
                let lag = now.saturating_sub(member.sent_at.unwrap_or(now));
                self.reach = self.reach.max(lag + lag / 4);
                member.level = (member.level + 1).min(32);
                member.answer(now, limits);
            }
        }
        if near.is_empty() && !is_late {
            self.suspect_again(now, window);
            for member in self.members.values_mut() {
                member.held.clear();
            }
            return free(to);
        }
        self.stagger(now);
        let mut judged = self.hold(id, to);
        for one in &mut judged {
            one.begins = begun.as_ref() == Some(&one.to);
        }
        judged
    }

    /// Separates the sends to suspects from each other and from the returns of echoes.
    fn stagger(&mut self, now: Duration) {
        let slot = self.reach + Duration::from_millis(50);
        let latest = self.members.values().filter_map(|member| member.sent_at).max();
        let mut next = latest.map_or(now, |at| at + slot).max(now + slot);
        for member in self.members.values_mut() {
            let is_waiting = !member.held.is_empty() && member.due > now;
            match member.belief {
                Belief::Suspect if is_waiting => next = next.max(member.due + slot),
                Belief::Suspect => {
                    member.due = next;
                    next += slot;
                }
                // Waiting copies are delayed further instead of being released now.
                Belief::Echo => member.due = member.due.max(now + slot),
                Belief::Innocent => {}
            }
        }
    }

    /// Suspects an innocent destination again after repeated arrivals soon after its sends.
    fn suspect_again(&mut self, now: Duration, window: Duration) {
        for member in self.members.values_mut() {
            if member.belief == Belief::Innocent && member.is_within(now, window) {
                member.hits += u32::from(!std::mem::replace(&mut member.is_answered, true));
                if member.hits >= HITS_MAX {
                    (member.belief, member.hits) = (Belief::Suspect, 0);
                }
            }
        }
    }

    /// Applies the decisions that depend on time alone.
    pub fn settle(&mut self, now: Duration, limits: &EchoLimits) {
        if let GroupState::Quiet { since, until, sent, newest } = self.state
            && now >= until
        {
            self.state = GroupState::Damped;
            // Nothing arrived after the one that began it: no return was still under way.
            let sent = if newest > since { sent } else { since };
            let lag = newest.saturating_sub(sent);
            self.reach = (lag + lag / 4).min(GAP_MAX).max(limits.waits.min / 4);
            let slot = self.reach + Duration::from_millis(50);
            for (at, member) in self.members.values_mut().enumerate() {
                member.due = until + slot * u32::try_from(at).unwrap_or(u32::MAX);
            }
        }
        let reach = self.reach;
        for member in self.members.values_mut() {
            let is_over = member.sent_at.is_some_and(|at| now > at + reach) && !member.is_answered;
            if member.belief == Belief::Suspect && is_over {
                member.belief = Belief::Innocent;
                member.held.clear();
            }
        }
    }

    /// Whether the copy of an event to a destination is held.
    pub fn is_held(&self, now: Duration, to: &str, id: EventId) -> bool {
        let member = self.members.get(to).filter(|member| now < member.due);
        member.is_some_and(|member| member.held.contains(&id))
    }

    /// The copies held for a destination, and when they are released.
    pub fn held(&self, now: Duration, to: &str) -> Option<(&[EventId], Duration)> {
        let member = self.members.get(to)?;
        (now < member.due && !member.held.is_empty()).then_some((&member.held[..], member.due))
    }

    /// Whether a destination echoes.
    pub fn is_echoing(&self, to: &str) -> bool {
        self.members.get(to).is_some_and(|member| member.belief == Belief::Echo)
    }

    /// Removes what has ended. Returns the destinations that no longer echo, with their returns.
    pub fn expire(&mut self, now: Duration, limits: &EchoLimits) -> Vec<(String, u64)> {
        self.settle(now, limits);
        let mut ended = vec![];
        if !matches!(self.state, GroupState::Damped) {
            return ended;
        }
        let patience = limits.waits.min * 2;
        for (name, member) in &mut self.members {
            let is_silent = match member.sent_at {
                Some(at) if !member.is_answered => now > at + patience,
                _ => now > self.touched.max(member.due) + limits.window,
            };
            if member.belief == Belief::Echo && is_silent {
                (member.belief, member.level) = (Belief::Innocent, 1);
                member.held.clear();
                ended.push((name.clone(), self.returns));
            }
        }
        let is_quiet = now > self.touched + limits.window;
        if self.members.values().all(|member| member.belief == Belief::Innocent) || is_quiet {
            (self.needed, self.tests) = (ROUNDS, 0);
            self.rest(now);
        }
        ended
    }

    /// How many copies it holds.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.members.values().map(|member| member.held.len()).sum()
    }

    /// Forgets all destinations but these.
    pub fn keep(&mut self, names: &[String]) {
        self.members.retain(|name, _| names.contains(name));
    }
}

fn free(to: &[&str]) -> Vec<GroupDecision> {
    let free = |to: &&str| GroupDecision {
        to: (*to).to_owned(),
        until: None,
        releases: true,
        begins: false,
    };
    to.iter().map(free).collect()
}
