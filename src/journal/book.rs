//! State and ring together, behind the journal's one lock.
//!
//! Whatever leaves the ring is folded into the state first, so that what a destination is owed is
//! always `held` joined with the due events of the ring after it: no backlog is ever read from disk
//! once recovery is done, and memory is bounded however long an outage lasts.
//!
//! What is on its way to the disk may be sent before it is there, and acknowledged too; nobody else
//! sees it yet, and no cursor passes it. What is held for one destination (`ahead`) stays owed
//! to it while later events go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::{Event, EventId};

use super::ahead::{Ahead, BYTES_PART};
use super::backlog::{BacklogSize, Limits, SharedBacklog, Versions};
use super::ring::{Class, Ring};
use super::state::{Cursor, JournalState};
use super::{Config, Destination};

/// Which destinations came and which went. Numbers are the events that each is owed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// They start at the head.
    pub added: Vec<String>,
    /// They are named no more; what they are owed is kept for a while, and grows.
    pub removed: Vec<(String, u64)>,
    /// They were removed before and go on from where they were.
    pub returned: Vec<(String, u64)>,
    /// The same place under another name: the old one, the new one.
    pub renamed: Vec<(String, String)>,
}

/// A destination that is named no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its name.
    pub name: String,
    /// What it is owed.
    pub backlog: BacklogSize,
    /// Since when, milliseconds since 1970.
    pub removed_at_ms: u64,
}

pub(super) struct Book {
    pub state: JournalState,
    pub ring: Ring,
    events_kept: usize,
    bytes_kept: usize,
    members_max: usize,
    /// Destinations whose cursor on disk is behind the one here.
    unwritten: BTreeSet<String>,
    /// The events after the head that the writer has in hand, with their sizes as records.
    coming: Vec<(Arc<Event>, usize)>,
    /// How far into them a destination has acknowledged.
    early: BTreeMap<String, u64>,
    /// The versions that are shown while newer ones would be forgotten in a crash.
    shown: Option<Versions>,
    /// Destinations for which single events are held.
    ahead: BTreeMap<String, Ahead>,
}

impl Book {
    /// A book that goes on after `state`, whose older events, in order, are `kept`.
    pub(super) fn new(
        config: &Config,
        state: JournalState,
        kept: Vec<(Arc<Event>, usize)>,
    ) -> Self {
        let floor = kept.first().map_or(state.head, |(event, _)| event.seq - 1);
        let mut book = Self {
            state,
            ring: Ring::after(floor),
            // The newest event is always kept: who is told of a head must find it.
            events_kept: config.events_kept.max(1),
            bytes_kept: config.bytes_kept,
            members_max: config.backlog_members_max,
            unwritten: BTreeSet::new(),
            coming: Vec::new(),
            early: BTreeMap::new(),
            shown: None,
            ahead: BTreeMap::new(),
        };
        kept.into_iter().for_each(|(event, bytes)| book.ring.push(event, bytes));
        book.trim();
        book
    }

    /// Lets these be sent while they are made durable.
    pub(super) fn expect(&mut self, coming: Vec<(Arc<Event>, usize)>) {
        self.coming = coming;
    }

    /// What was expected has come, whatever the disk said to it: takes it in, and what was
    /// acknowledged of it.
    pub(super) fn arrive(&mut self) {
        for (event, bytes) in std::mem::take(&mut self.coming) {
            self.apply(event, bytes);
        }
        for (destination, through) in std::mem::take(&mut self.early) {
            self.ack(&destination, &[], through);
        }
    }

    /// While nothing on disk bounds the versions, the last ones that it holds are shown: a number
    /// that was given out must not come again, for something else, after a crash. Events go out
    /// all the same. Before [`Book::arrive`], so that what comes is given these versions too.
    pub(super) fn hide_versions(&mut self, is_hidden: bool) {
        if !is_hidden {
            self.shown = None;
            return;
        }
        let shown = self.versions();
        for (event, _) in &mut self.coming {
            Arc::make_mut(event).version = shown.version;
        }
        self.shown = Some(shown);
    }

    /// The version counters, as readers may see them.
    pub(super) fn versions(&self) -> Versions {
        self.shown.clone().unwrap_or_else(|| Versions {
            version: self.state.version,
            last_clear_ms: self.state.last_clear_ms,
            types: self.state.types.clone(),
            others: self.state.others,
        })
    }

    /// Takes the next event in.
    pub(super) fn apply(&mut self, event: Arc<Event>, bytes: usize) {
        self.state.count(&event, self.members_max);
        debug_assert!(event.version <= self.state.version, "it was given its version before");
        let seq = event.seq;
        for (name, cursor) in &mut self.state.destinations {
            // It does not wait for this one: if it has everything so far, it has it too.
            let is_even = cursor.held.is_none() && cursor.through + 1 == seq;
            if is_even && !Class::of(name).is_owed(&event) {
                cursor.through = seq;
            }
        }
        self.ring.push(event, bytes);
        self.trim();
    }

    fn trim(&mut self) {
        while self.ring.len() > self.events_kept
            || (self.ring.bytes() > self.bytes_kept && self.ring.len() > 1)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(event) = self.ring.pop() {
            let ahead = &self.ahead;
            let has = |name: &str| ahead.get(name).is_some_and(|ahead| ahead.has(event.seq));
            self.state.fold(&event, self.members_max, has);
            self.state.folded_through = event.seq;
        }
    }

    /// Folds the ring up to `seq`, so that no older segment is needed.
    pub(super) fn drop_through(&mut self, seq: u64) {
        while self.ring.floor() < seq && self.ring.len() > 0 {
            self.drop_oldest();
        }
    }

    /// Makes these the destinations. What is new starts at the head, unless one that was removed is
    /// at its address; one that is not among them is kept as removed.
    pub(super) fn reconcile(&mut self, listed: &[Destination], now_ms: u64) -> Reconciled {
        let mut reconciled = Reconciled::default();
        let names: BTreeSet<&str> = listed.iter().map(|listed| &listed.name[..]).collect();
        let gone =
            self.state.destinations.iter().filter(|(name, cursor)| {
                cursor.removed_at_ms.is_none() && !names.contains(&name[..])
            });
        for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let owed = self.backlog_size(&name, 0).events;
            if let Some(cursor) = self.state.destinations.get_mut(&name) {
                cursor.removed_at_ms = Some(now_ms);
            }
            reconciled.removed.push((name, owed));
        }
        for destination in listed {
            self.list(destination, &mut reconciled);
        }
        reconciled
    }

    fn list(&mut self, destination: &Destination, reconciled: &mut Reconciled) {
        let Destination { name, address } = destination;
        let owed = self.backlog_size(name, 0).events;
        if let Some(cursor) = self.state.destinations.get_mut(name) {
            cursor.address.clone_from(address);
            if cursor.removed_at_ms.take().is_some() {
                reconciled.returned.push((name.clone(), owed));
            }
            return;
        }
        let class = Class::of(name);
        let before = self.state.destinations.iter().find(|(old, cursor)| {
            let is_there = !address.is_empty() && cursor.address == *address;
            is_there && cursor.removed_at_ms.is_some() && Class::of(old) == class
        });
        let Some(before) = before.map(|(old, _)| old.clone()) else {
            let (through, address) = (self.state.head, address.clone());
            let cursor = Cursor { through, address, ..Cursor::default() };
            self.state.destinations.insert(name.clone(), cursor);
            reconciled.added.push(name.clone());
            return;
        };
        if let Some(cursor) = self.state.destinations.remove(&before) {
            let cursor = Cursor { removed_at_ms: None, ..cursor };
            self.state.destinations.insert(name.clone(), cursor);
        }
        if let Some(ahead) = self.ahead.remove(&before) {
            self.ahead.insert(name.clone(), ahead);
        }
        reconciled.removed.retain(|(removed, _)| *removed != before);
        reconciled.renamed.push((before, name.clone()));
    }

    /// Destinations that are named no more.
    pub(super) fn removed(&self) -> Vec<Removed> {
        let removed = self.state.destinations.iter().filter_map(|(name, cursor)| {
            let removed_at_ms = cursor.removed_at_ms?;
            Some(Removed { name: name.clone(), backlog: self.backlog_size(name, 0), removed_at_ms })
        });
        removed.collect()
    }

    /// Drops what was removed before this time, with what it is owed.
    pub(super) fn forget(&mut self, removed_before_ms: u64) -> Vec<Removed> {
        let mut forgotten = self.removed();
        forgotten.retain(|removed| removed.removed_at_ms <= removed_before_ms);
        for gone in &forgotten {
            self.state.destinations.remove(&gone.name);
            self.ahead.remove(&gone.name);
        }
        forgotten
    }

    /// Everything at or below `through` was acknowledged, but for what is held and is not among
    /// `events`. Says whether that is news.
    pub(super) fn ack(&mut self, destination: &str, events: &[Arc<Event>], through: u64) -> bool {
        let (class, head) = (Class::of(destination), self.state.head);
        let Some(cursor) = self.state.destinations.get_mut(destination) else { return false };
        let ahead = self.ahead.get_mut(destination).map(|ahead| {
            ahead.reached = ahead.reached.max(through);
            events.iter().for_each(|event| _ = ahead.release(event.seq));
            &*ahead
        });
        let settled = ahead.map_or(through, |ahead| ahead.settled(through));
        let is_whole = ahead.is_none_or(Ahead::is_whole);
        let mut is_news = cursor.ack(settled.min(head)) | cursor.let_go(through);
        if through > head && !self.coming.is_empty() {
            let early = self.early.entry(destination.to_owned()).or_default();
            is_news |= through > *early;
            *early = through.max(*early);
        }
        let is_even = is_whole && cursor.held.is_none();
        if is_even && self.ring.due_between(class, cursor.through, head) == 0 {
            is_news |= cursor.ack(head);
        }
        if is_whole && ahead.is_some_and(|ahead| ahead.reached <= cursor.through) {
            self.ahead.remove(destination);
        }
        if is_news {
            self.unwritten.insert(destination.to_owned());
        }
        is_news
    }

    /// From here on somebody else remembers whether these are owed, and acknowledges them by
    /// number alone.
    pub(super) fn let_go(&mut self, destination: &str, events: &[Arc<Event>]) {
        let Some(ahead) = self.ahead.get_mut(destination) else { return };
        let Some(cursor) = self.state.destinations.get_mut(destination) else { return };
        for event in events {
            if ahead.release(event.seq) {
                ahead.reached = ahead.reached.min(event.seq - 1);
                if event.seq <= self.ring.floor() {
                    cursor.join(event, self.members_max);
                }
            }
        }
    }

    /// Whether single events are held for a destination, and this is one of them.
    pub(super) fn is_held(&self, destination: &str, seq: u64) -> bool {
        self.ahead.get(destination).is_some_and(|ahead| ahead.holds(seq))
    }

    /// Nothing is owed to a destination up to the newest event.
    pub(super) fn skip(&mut self, destination: &str) -> bool {
        self.ahead.remove(destination);
        self.ack(destination, &[], self.newest())
    }

    /// The cursors that are not on disk yet, as (destination, through).
    pub(super) fn take_unwritten(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.unwritten)
            .into_iter()
            .filter_map(|name| {
                let through = self.state.destinations.get(&name)?.through;
                Some((name, through))
            })
            .collect()
    }

    /// Bytes of events that may be held beside those that are. Past them, copies go at once: a loop
    /// is slowed less then, and nothing is lost.
    fn holding_room(&self) -> usize {
        let holding: usize = self.ahead.values().map(Ahead::bytes).sum();
        (self.bytes_kept / BYTES_PART).saturating_sub(holding)
    }

    /// The newest event, durable or on its way.
    pub(super) fn newest(&self) -> u64 {
        self.coming.last().map_or(self.state.head, |(event, _)| event.seq)
    }

    /// What one send to a destination is to cover, of what came after `after`; `None` where nothing
    /// is due. Events with these ids are held: they stay owed, and the others go first.
    pub(super) fn take(
        &mut self,
        destination: &str,
        after: u64,
        limits: Limits,
        held: &BTreeSet<EventId>,
    ) -> Option<SharedBacklog> {
        let cursor = self.state.destinations.get(destination)?;
        if cursor.removed_at_ms.is_some() {
            return None;
        }
        let ahead = self.ahead.get(destination);
        let reached = ahead.map_or(0, |ahead| ahead.reached).max(cursor.base());
        let reached = reached.max(after);
        // Where nothing due is left out, the local events up to the newest are settled as well.
        let mut through = self.newest();
        let mut settled = reached;
        let mut events: Vec<Arc<Event>> = Vec::new();
        let mut holding: Vec<(Arc<Event>, usize)> = Vec::new();
        let mut holding_room = self.holding_room();
        let (mut room, mut members) = (limits.bytes_max, limits.members_max);
        let early = self.early.get(destination).copied().unwrap_or_default();
        let class = Class::of(destination);
        // In order: what is held and not in what follows, then the ring, then what is coming.
        let known = reached.max(self.ring.floor());
        let before = ahead.into_iter().flat_map(|ahead| ahead.through(known));
        let before = before.map(|event| (event, 0));
        let is_held_already = |seq| ahead.is_some_and(|ahead| ahead.holds(seq));
        let is_new = |(event, _): &(&Arc<Event>, usize)| {
            event.seq > early.max(reached) && class.is_owed(event)
        };
        let coming = self.coming.iter().map(|(event, bytes)| (event, *bytes)).filter(is_new);
        let later = self.ring.due_after(class, reached).chain(coming);
        for (event, bytes) in before.chain(later) {
            let is_held = held.contains(&event.id);
            if is_held && (is_held_already(event.seq) || bytes <= holding_room) {
                if !is_held_already(event.seq) {
                    holding_room -= bytes;
                }
                holding.push((Arc::clone(event), bytes));
            } else if !events.is_empty()
                && (events.len() >= limits.events_max
                    || bytes > room
                    || event.demand.members() > members)
            {
                through = settled;
                break;
            } else {
                room = room.saturating_sub(bytes);
                members = members.saturating_sub(event.demand.members());
                events.push(Arc::clone(event));
            }
            settled = settled.max(event.seq);
        }
        let merged = cursor.held.clone().filter(|held| held.last_seq > after);
        let is_due = merged.is_some() || !events.is_empty();
        if !holding.is_empty() {
            let ahead = self.ahead.entry(destination.to_owned()).or_default();
            holding.into_iter().for_each(|(event, bytes)| ahead.hold(event, bytes));
            if !is_due && after == 0 {
                // All of it is held: what comes later goes past it.
                ahead.reached = ahead.reached.max(through);
            }
        }
        is_due.then_some(SharedBacklog { held: merged, events, through })
    }

    /// The size of what is owed, of what came after `after`.
    pub(super) fn backlog_size(&self, destination: &str, after: u64) -> BacklogSize {
        let Some(cursor) = self.state.destinations.get(destination) else {
            return BacklogSize::default();
        };
        let held = cursor.held.as_ref().filter(|held| held.last_seq > after);
        let ahead = self.ahead.get(destination);
        let base = ahead.map_or(0, |ahead| ahead.reached).max(cursor.base()).max(after);
        let class = Class::of(destination);
        let waiting = ahead.into_iter().flat_map(|ahead| ahead.through(base));
        let first_waiting = waiting.clone().next().map(|event| event.at_ms);
        let named = self.ring.due_between(class, base, self.state.head) + waiting.count() as u64;
        let first_named = || self.ring.due_after(class, base).next().map(|(event, _)| event.at_ms);
        BacklogSize {
            events: named + held.map_or(0, |held| held.count.max(1)),
            oldest_at_ms: held.map(|held| held.oldest_at_ms).or(first_waiting).or_else(first_named),
            widened: held.is_some_and(|held| held.widened),
        }
    }

    /// Whether nothing at or below `seq` is owed to a destination.
    pub(super) fn is_acknowledged(&self, destination: &str, seq: u64) -> bool {
        let is_held = |ahead: &Ahead| ahead.through(seq).next().is_some();
        !self.ahead.get(destination).is_some_and(is_held) && self.has(destination, seq)
    }

    /// Whether an event is not owed to a destination, whatever is held beside it.
    pub(super) fn has(&self, destination: &str, seq: u64) -> bool {
        let Some(cursor) = self.state.destinations.get(destination) else { return false };
        if cursor.held.as_ref().is_some_and(|held| held.first_seq <= seq) {
            return false;
        }
        let ahead = self.ahead.get(destination);
        if ahead.is_some_and(|ahead| ahead.holds(seq)) {
            return false;
        }
        let base = ahead.map_or(0, |ahead| ahead.reached).max(cursor.base());
        let class = Class::of(destination);
        seq <= self.state.head && self.ring.due_between(class, base, seq) == 0
    }

    /// The state that a checkpoint is made of: what is held and gone from the ring is folded in.
    pub(super) fn snapshot(&self) -> JournalState {
        let mut state = self.state.clone();
        let folded_through = state.folded_through;
        for (name, ahead) in &self.ahead {
            let Some(cursor) = state.destinations.get_mut(name) else { continue };
            for event in ahead.through(folded_through) {
                cursor.join(event, self.members_max);
            }
        }
        state
    }
}

/// The state with all of these events folded in: a checkpoint that needs no older record.
pub(super) fn folded(
    mut state: JournalState,
    events: &[Arc<Event>],
    members_max: usize,
) -> JournalState {
    events.iter().for_each(|event| state.fold(event, members_max, |_| false));
    state.folded_through = state.head;
    state
}
