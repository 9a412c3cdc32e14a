//! All destinations and callers together: who is held for what, and which destination it is.
//!
//! An arrival is judged for each destination at once, because several were sent the same at the
//! same time. Holds that prove an echo end one after the other, so that the return shows which
//! destination it belongs to; the others are cleared. Memory is bounded: what is forgotten is not
//! held. Pure, like the evidence it collects.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::attention::Attention;
use super::group::{Group, Judged};
use super::track::{Kin, Limits, Send, Track, Verdict};
use crate::domain::EventId;

/// Sends remembered of one destination.
const SENDS_MAX: usize = 4096;
/// Callers and selectors watched of one destination.
const TRACKS_MAX: usize = 2048;
/// Sets of selectors whose chains are watched.
const GROUPS_MAX: usize = 4096;
/// Copies held of one destination; past it all of them go.
const HELD_MAX: usize = 4096;

/// A set of selectors, as a hash.
pub type Key = u64;
/// A caller and its door, as a hash: names are long, and there are many.
pub type Name = u64;

/// A map by key, which is a hash already.
type ByKey<T> = HashMap<Key, T, BuildHasherDefault<Hashed>>;

/// The hash of a key is the key.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An unmarked submission.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The event that it becomes.
    pub id: EventId,
    /// Who sends it, through which door.
    pub caller: Name,
    /// What it names.
    pub key: Key,
}

/// What an arrival means for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The journal's name of the destination.
    pub destination: String,
    /// How long its copy is held; `None` where it goes at once.
    pub wait: Option<Duration>,
    /// Whether that hold begins here.
    pub is_new: bool,
    /// Whether earlier copies go now.
    pub releases: bool,
    /// Whether it is reported as echoing from now on.
    pub begins: bool,
}

/// A destination that does not echo any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The journal's name of it.
    pub destination: String,
    /// Returns that were held.
    pub returns: u64,
}

/// What is known of an arrival beside its timing.
#[derive(Debug, Clone, Copy)]
struct Context {
    kin: Kin,
    /// Another destination explains it.
    is_explained: bool,
    /// The caller had learnt of its last delivery.
    is_attended: bool,
    /// Suspects whose holds end before.
    staggered: u32,
}

#[derive(Debug)]
struct Held {
    until: Duration,
    caller: Name,
    key: Key,
}

#[derive(Debug, Default)]
struct Link {
    sent: ByKey<(Duration, u64)>,
    order: VecDeque<(Duration, Key)>,
    /// When the attempt in flight began.
    open: Option<Duration>,
    tracks: BTreeMap<(Key, Name), Track>,
    held: BTreeMap<EventId, Held>,
    is_echoing: bool,
    returns: u64,
}

/// Everything that is remembered.
#[derive(Debug, Default)]
pub struct Machine {
    links: BTreeMap<String, Link>,
    groups: ByKey<Group>,
    /// The groups that judge arrivals: only these can hold a copy.
    active: BTreeSet<Key>,
    attention: Attention,
}

impl Machine {
    /// A send of these to a destination begins.
    pub fn sending(&mut self, now: Duration, to: &str, keys: &BTreeSet<Key>, limits: &Limits) {
        if !self.links.contains_key(to) {
            self.links.insert(to.to_owned(), Link::default());
        }
        let Some(link) = self.links.get_mut(to) else { return };
        link.open = Some(now);
        for key in keys {
            let sent = link.sent.entry(*key).or_default();
            *sent = (now, sent.1 + 1);
            link.order.push_back((now, *key));
        }
        link.forget(now, limits);
        for key in keys {
            self.make_group_room(now, *key);
            self.groups.entry(*key).or_insert_with(|| Group::new(now)).sending(now, to, limits);
        }
    }

    fn make_group_room(&mut self, now: Duration, key: Key) {
        if self.groups.len() < GROUPS_MAX || self.groups.contains_key(&key) {
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

    /// What the destinations are judged together, where they are.
    fn judged_together(
        &mut self,
        now: Duration,
        arrival: &Arrival,
        to: &[(&str, Kin)],
        limits: &Limits,
        is_attended: bool,
    ) -> Option<Vec<Finding>> {
        let group = self.groups.get_mut(&arrival.key)?;
        let names: Vec<&str> = to.iter().map(|(name, _)| *name).collect();
        let was_active = group.is_active();
        let judged = group.arrived(now, arrival.id, &names, limits, is_attended);
        note_active(&mut self.active, arrival.key, group);
        let judged = judged?;
        let is_new = !was_active;
        if is_new {
            // What is known of single callers was misled.
            let key = arrival.key;
            for (name, link) in &mut self.links {
                let held = link.held.extract_if(.., |_, held| held.key == key);
                group.take_over(name, held.map(|(id, _)| id));
                link.tracks.retain(|(other, _), _| *other != key);
            }
        }
        let finding = |judged: Judged| Finding {
            wait: judged.until.map(|until| until.saturating_sub(now)),
            is_new: is_new && judged.until.is_some(),
            releases: judged.releases,
            begins: judged.begins,
            destination: judged.to,
        };
        Some(judged.into_iter().map(finding).collect())
    }

    /// It was answered, or failed.
    pub fn sent(&mut self, to: &str) {
        if let Some(link) = self.links.get_mut(to) {
            link.open = None;
        }
    }

    /// Judges an arrival for the destinations that are owed it.
    pub fn arrived(
        &mut self,
        now: Duration,
        arrival: &Arrival,
        to: &[(&str, Kin)],
        limits: &Limits,
    ) -> Vec<Finding> {
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
            let context = Context { kin: *kin, is_explained, is_attended, staggered };
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

    /// Where a test begins, all destinations in lock-step take part: otherwise the return of one
    /// would look like a proof that another is innocent.
    fn test_together(
        &mut self,
        now: Duration,
        at: &(Key, Name),
        limits: &Limits,
        verdicts: &mut [(&str, Verdict)],
    ) {
        let key = at.0;
        let fresh = |link: &Link| {
            let tracks = link.tracks.range((key, 0)..);
            let tracks = tracks.take_while(|(at, _)| at.0 == key);
            tracks.filter_map(|(_, track)| track.fresh_test(now, limits)).max()
        };
        let links = verdicts.iter().filter_map(|(name, _)| self.links.get(*name));
        let Some(until) = links.filter_map(fresh).max() else { return };
        for (name, verdict) in verdicts.iter_mut().filter(|it| it.1 == Verdict::Free) {
            let Some(link) = self.links.get_mut(*name) else { continue };
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

    /// A caller has learnt how its event fared, and will come again because of that.
    pub fn learnt(&mut self, caller: Name, key: Key, id: EventId) {
        self.attention.learnt((key, caller), id);
    }

    /// The copies to a destination that are held now.
    pub fn held(&self, now: Duration, to: &str) -> BTreeSet<EventId> {
        let held = self.links.get(to).into_iter().flat_map(|link| &link.held);
        let held = held.filter(|(_, held)| held.until > now).map(|(id, _)| *id);
        let together = self.active_groups().filter_map(|group| group.held(now, to));
        held.chain(together.flat_map(|(ids, _)| ids.iter().copied())).collect()
    }

    /// What time alone decides.
    pub fn settle(&mut self, now: Duration, limits: &Limits) {
        for key in &self.active {
            let group = self.groups.get_mut(key);
            group.into_iter().for_each(|group| group.settle(now, limits));
        }
    }

    /// Whether this one is.
    pub fn is_held(&self, now: Duration, to: &str, id: EventId) -> bool {
        let held = self.links.get(to).and_then(|link| link.held.get(&id));
        held.is_some_and(|held| held.until > now)
            || self.active_groups().any(|group| group.is_held(now, to, id))
    }

    /// When the next of them may go.
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

    /// Forgets what is over; gives the destinations that do not echo any more.
    pub fn expire(&mut self, now: Duration, limits: &Limits) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.active.retain(|key| {
            let Some(group) = self.groups.get_mut(key) else { return false };
            let over = group.expire(now, limits).into_iter();
            ended.extend(over.map(|(destination, returns)| Ended { destination, returns }));
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
            if link.is_echoing && !link.tracks.values().any(Track::is_proven) {
                link.is_echoing = false;
                let returns = std::mem::take(&mut link.returns);
                ended.push(Ended { destination: name.clone(), returns });
            }
        }
        ended
    }

    /// Keeps these destinations only.
    pub fn keep(&mut self, names: &[String]) {
        self.links.retain(|name, _| names.contains(name));
        self.groups.values_mut().for_each(|group| group.keep(names));
    }
}

/// Keeps the list of the groups that judge arrivals.
fn note_active(active: &mut BTreeSet<Key>, key: Key, group: &Group) {
    match group.is_active() {
        true => active.insert(key),
        false => active.remove(&key),
    };
}

/// The newest send of a key.
fn send_of(sent: &ByKey<(Duration, u64)>, open: Option<Duration>, key: Key) -> Option<Send> {
    let (at, number) = *sent.get(&key)?;
    Some(Send { at, number, is_open: open.is_some_and(|since| since <= at) })
}

impl Link {
    fn forget(&mut self, now: Duration, limits: &Limits) {
        while let Some((at, key)) = self.order.front().copied()
            && (self.order.len() > SENDS_MAX || now.saturating_sub(at) > limits.window)
        {
            self.order.pop_front();
            if self.sent.get(&key).is_some_and(|sent| sent.0 == at) {
                self.sent.remove(&key);
            }
        }
    }

    /// Whether these were sent there lately, or anybody is watched for them.
    fn knows(&self, key: Key) -> bool {
        let mut tracks = self.tracks.range((key, 0)..);
        self.sent.contains_key(&key) || tracks.next().is_some_and(|(at, _)| at.0 == key)
    }

    /// Whether this destination is known to echo, and the arrival is within reach of a send to it.
    fn explains(&self, now: Duration, at: &(Key, Name), limits: &Limits) -> bool {
        let Some(send) = send_of(&self.sent, self.open, at.0) else { return false };
        let Some(track) = self.tracks.get(at).filter(|track| track.is_proven()) else {
            return false;
        };
        now.saturating_sub(send.at) <= track.reach(limits)
    }

    /// `None` where nothing of it was sent there lately.
    fn judge(
        &mut self,
        now: Duration,
        at: &(Key, Name),
        limits: &Limits,
        Context { kin, is_explained, is_attended, staggered }: Context,
    ) -> Option<Verdict> {
        let send = send_of(&self.sent, self.open, at.0);
        if !self.tracks.contains_key(at) {
            send?;
            self.make_room();
            let mut track = Track::new(kin, now);
            let mut others = self.tracks.iter().filter(|(other, _)| other.1 == at.1);
            if self.is_echoing && others.any(|(_, track)| track.is_confirmed()) {
                track.suspect();
            }
            self.tracks.insert(*at, track);
        }
        let reach = self.tracks.get(at)?.reach(limits);
        let prompt = send.filter(|send| now.saturating_sub(send.at) <= reach);
        let is_alone = prompt.is_some() || self.is_alone(at);
        let track = self.tracks.get_mut(at)?;
        Some(match prompt {
            Some(send) => {
                let stagger = track.stagger(limits) * staggered;
                track.matched(now, &send, limits, stagger, is_attended)
            }
            None => {
                let about = (is_explained, is_attended, is_alone);
                track.unmatched(now, send.as_ref(), limits, about)
            }
        })
    }

    /// Whether nobody else named the same since this caller did.
    fn is_alone(&self, at: &(Key, Name)) -> bool {
        let since = self.tracks.get(at).map_or(Duration::ZERO, |track| track.touched);
        let mut same = self.tracks.range((at.0, 0)..).take_while(|(other, _)| other.0 == at.0);
        same.all(|(other, track)| other == at || track.touched <= since)
    }

    /// Drops the half of the tracks that matters least, those that hold nothing and the oldest
    /// first: a half, so that the search for it costs little for each of them.
    fn make_room(&mut self) {
        if self.tracks.len() < TRACKS_MAX {
            return;
        }
        let order = |track: &Track| (track.is_proven(), track.touched);
        let mut orders: Vec<_> = self.tracks.values().map(order).collect();
        let (_, middle, _) = orders.select_nth_unstable(TRACKS_MAX / 2);
        let middle = *middle;
        self.tracks.retain(|_, track| order(track) > middle);
        let tracks = &self.tracks;
        self.held.retain(|_, held| tracks.contains_key(&(held.key, held.caller)));
    }

    /// Lets the held copies go that it is true of; says whether there were any.
    fn release(&mut self, is_meant: impl Fn(&Held) -> bool) -> bool {
        let before = self.held.len();
        self.held.retain(|_, held| !is_meant(held));
        self.held.len() < before
    }

    /// Takes the verdict into the held copies.
    fn settle(
        &mut self,
        now: Duration,
        arrival: &Arrival,
        destination: String,
        verdict: Verdict,
        is_explained: bool,
    ) -> Finding {
        let key = arrival.key;
        let (until, is_new) = match verdict {
            Verdict::Free => (None, false),
            Verdict::Join(until) => (Some(until), false),
            Verdict::Hold(wait) => (Some(now + wait), true),
        };
        let mut releases = false;
        if let Some(until) = until {
            if self.held.len() >= HELD_MAX {
                releases = self.release(|_| true);
            }
            let caller = arrival.caller;
            self.held.insert(arrival.id, Held { until, caller, key });
        } else if !is_explained {
            // It is sent at once, and the earlier copies of the same with it.
            releases = self.release(|held| held.key == key && held.until > now);
            let others = self.tracks.range_mut((key, 0)..);
            let others = others.take_while(|(at, _)| at.0 == key);
            others.for_each(|(_, track)| track.cut(now));
        }
        let track = self.tracks.get(&(key, arrival.caller));
        let begins = !self.is_echoing && track.is_some_and(Track::is_confirmed);
        self.is_echoing |= begins;
        let wait = until.map(|until| until.saturating_sub(now));
        Finding { destination, wait, is_new, releases, begins }
    }
}
