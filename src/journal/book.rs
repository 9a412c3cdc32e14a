//! State and ring together, behind the journal's one lock.
//!
//! An event that leaves the ring is folded into the state first. So the backlog of a destination is
//! always its `folded` demand joined with the due events of the ring after it: after recovery no
//! backlog is read from disk, and memory is bounded however long an outage lasts.
//!
//! Events on their way to the disk may already be sent and acknowledged, but nothing else sees
//! them, and no cursor passes them. Events that are held for a destination (`ahead`) stay in its
//! backlog while later ones are sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::{Event, EventId};

use super::ahead::{Ahead, BYTES_PART};
use super::backlog::{BacklogSize, Limits, SharedBacklog, Versions};
use super::ring::Ring;
use super::state::{Cursor, JournalState};
use super::{Config, Destination};

/// How the list of destinations changed. The numbers are the pending events of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// New destinations; they start at the head.
    pub added: Vec<String>,
    /// No longer in the settings; their backlog is kept for a while, and grows.
    pub removed: Vec<(String, u64)>,
    /// Removed earlier and now back; they continue from their cursor.
    pub returned: Vec<(String, u64)>,
    /// The same address under another name: the old name, the new name.
    pub renamed: Vec<(String, String)>,
}

/// A destination that is no longer in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its name.
    pub name: String,
    /// What it has not received.
    pub backlog: BacklogSize,
    /// When it was removed, in milliseconds since 1970.
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
    /// The events after the head that the writer is syncing, with their sizes as records.
    coming: Vec<(Arc<Event>, usize)>,
    /// How far into `coming` each destination has acknowledged.
    early: BTreeMap<String, u64>,
    /// The versions that readers see while a crash would lose the newer ones.
    shown: Option<Versions>,
    /// The destinations for which single events are held.
    ahead: BTreeMap<String, Ahead>,
}

impl Book {
    /// A book that continues after `state`; `kept` are its older events, in order.
    pub(super) fn new(
        config: &Config,
        state: JournalState,
        kept: Vec<(Arc<Event>, usize)>,
    ) -> Self {
        let floor = kept.first().map_or(state.head, |(event, _)| event.seq - 1);
        let mut book = Self {
            state,
            ring: Ring::after(floor),
            // The newest event is always kept: a reader that learned of a head must find it.
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

    /// Lets these events be sent while they are made durable.
    pub(super) fn expect(&mut self, coming: Vec<(Arc<Event>, usize)>) {
        self.coming = coming;
    }

    /// Applies the expected events, whether or not the disk accepted them, and the acknowledgements
    /// that arrived for them meanwhile.
    pub(super) fn arrive(&mut self) {
        for (event, bytes) in std::mem::take(&mut self.coming) {
            self.apply(event, bytes);
        }
        for (destination, through) in std::mem::take(&mut self.early) {
            self.ack(&destination, &[], through);
        }
    }

    /// While nothing on disk bounds the versions, readers see the last durable ones: a number that
    /// was shown must not stand for something else after a crash. Events are still sent. Call it
    /// before [`Book::arrive`], so that the expected events get these versions too.
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

    /// Applies the next event.
    pub(super) fn apply(&mut self, event: Arc<Event>, bytes: usize) {
        self.state.count(&event, self.members_max);
        debug_assert!(event.version <= self.state.version, "the version is set before");
        let seq = event.seq;
        for cursor in self.state.destinations.values_mut() {
            // A destination that is up to date and does not receive this event stays up to date.
            let is_even = cursor.folded.is_none() && cursor.through + 1 == seq;
            if is_even && !cursor.class.receives(&event) {
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

    /// Folds the events up to `seq`, so that no older segment is needed.
    pub(super) fn drop_through(&mut self, seq: u64) {
        while self.ring.floor() < seq && self.ring.len() > 0 {
            self.drop_oldest();
        }
    }

    /// Sets the list of destinations. A new one starts at the head, unless a removed one has the
    /// same address; then it continues that cursor. One that is not listed is kept as removed.
    pub(super) fn reconcile(&mut self, listed: &[Destination], now_ms: u64) -> Reconciled {
        let mut reconciled = Reconciled::default();
        let names: BTreeSet<&str> = listed.iter().map(|listed| &listed.name[..]).collect();
        let gone =
            self.state.destinations.iter().filter(|(name, cursor)| {
                cursor.removed_at_ms.is_none() && !names.contains(&name[..])
            });
        for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let pending = self.backlog_size(&name, 0).events;
            if let Some(cursor) = self.state.destinations.get_mut(&name) {
                cursor.removed_at_ms = Some(now_ms);
            }
            reconciled.removed.push((name, pending));
        }
        for destination in listed {
            self.add_listed(destination, &mut reconciled);
        }
        reconciled
    }

    fn add_listed(&mut self, destination: &Destination, reconciled: &mut Reconciled) {
        let Destination { name, address, class } = destination;
        let pending = self.backlog_size(name, 0).events;
        if let Some(cursor) = self.state.destinations.get_mut(name) {
            cursor.address.clone_from(address);
            cursor.class = *class;
            if cursor.removed_at_ms.take().is_some() {
                reconciled.returned.push((name.clone(), pending));
            }
            return;
        }
        let before = self.state.destinations.iter().find(|(_, cursor)| {
            let is_there = !address.is_empty() && cursor.address == *address;
            is_there && cursor.removed_at_ms.is_some() && cursor.class == *class
        });
        let Some(before) = before.map(|(old, _)| old.clone()) else {
            let (through, address) = (self.state.head, address.clone());
            let cursor = Cursor { through, address, class: *class, ..Cursor::default() };
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

    /// The removed destinations.
    pub(super) fn removed(&self) -> Vec<Removed> {
        let removed = self.state.destinations.iter().filter_map(|(name, cursor)| {
            let removed_at_ms = cursor.removed_at_ms?;
            Some(Removed { name: name.clone(), backlog: self.backlog_size(name, 0), removed_at_ms })
        });
        removed.collect()
    }

    /// Drops the destinations that were removed before this time, with their backlogs.
    pub(super) fn forget(&mut self, removed_before_ms: u64) -> Vec<Removed> {
        let mut forgotten = self.removed();
        forgotten.retain(|removed| removed.removed_at_ms <= removed_before_ms);
        for gone in &forgotten {
            self.state.destinations.remove(&gone.name);
            self.ahead.remove(&gone.name);
        }
        forgotten
    }

    /// Everything up to and including `through` was acknowledged, except held events that are not
    /// in `events`. Returns whether this changed anything.
    pub(super) fn ack(&mut self, destination: &str, events: &[Arc<Event>], through: u64) -> bool {
        let head = self.state.head;
        let Some(cursor) = self.state.destinations.get_mut(destination) else { return false };
        let ahead = self.ahead.get_mut(destination).map(|ahead| {
            ahead.reached = ahead.reached.max(through);
            events.iter().for_each(|event| _ = ahead.release(event.seq));
            &*ahead
        });
        let settled = ahead.map_or(through, |ahead| ahead.settled(through));
        let is_whole = ahead.is_none_or(Ahead::is_whole);
        let mut is_news = cursor.ack(settled.min(head)) | cursor.settle_folded(through);
        if through > head && !self.coming.is_empty() {
            let early = self.early.entry(destination.to_owned()).or_default();
            is_news |= through > *early;
            *early = through.max(*early);
        }
        let is_even = is_whole && cursor.folded.is_none();
        if is_even && self.ring.due_between(cursor.class, cursor.through, head) == 0 {
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

    /// Stops holding these events: from now on the caller remembers whether they are settled, and
    /// acknowledges them by number alone.
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

    /// Whether this event is held for a destination.
    pub(super) fn is_held(&self, destination: &str, seq: u64) -> bool {
        self.ahead.get(destination).is_some_and(|ahead| ahead.holds(seq))
    }

    /// Settles everything up to the newest event for a destination.
    pub(super) fn skip(&mut self, destination: &str) -> bool {
        self.ahead.remove(destination);
        self.ack(destination, &[], self.newest())
    }

    /// Takes the cursors that are not on disk yet, as (destination, through).
    pub(super) fn take_unwritten(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.unwritten)
            .into_iter()
            .filter_map(|name| {
                let through = self.state.destinations.get(&name)?.through;
                Some((name, through))
            })
            .collect()
    }

    /// Bytes of events that may still be held. Past that, events are sent at once: a loop is then
    /// slowed less, and nothing is lost.
    fn holding_bytes_left(&self) -> usize {
        let holding: usize = self.ahead.values().map(Ahead::bytes).sum();
        (self.bytes_kept / BYTES_PART).saturating_sub(holding)
    }

    /// The newest event, durable or being synced.
    pub(super) fn newest(&self) -> u64 {
        self.coming.last().map_or(self.state.head, |(event, _)| event.seq)
    }

    /// What one send to a destination covers, of the events after `after`; `None` if nothing is
    /// due. Events with the ids in `held` are held: they stay in the backlog, and the others are
    /// sent first.
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
        // If no due event is left out, the local events up to the newest are settled as well.
        let mut through = self.newest();
        let mut settled = reached;
        let mut events: Vec<Arc<Event>> = Vec::new();
        let mut holding: Vec<(Arc<Event>, usize)> = Vec::new();
        let mut holding_left = self.holding_bytes_left();
        let (mut bytes_left, mut members_left) = (limits.bytes_max, limits.members_max);
        let early = self.early.get(destination).copied().unwrap_or_default();
        let class = cursor.class;
        // In order: held events that left the ring, the ring, the events being synced.
        let known = reached.max(self.ring.floor());
        let before = ahead.into_iter().flat_map(|ahead| ahead.through(known));
        let before = before.map(|event| (event, 0));
        let is_held_already = |seq| ahead.is_some_and(|ahead| ahead.holds(seq));
        let is_new = |(event, _): &(&Arc<Event>, usize)| {
            event.seq > early.max(reached) && class.receives(event)
        };
        let coming = self.coming.iter().map(|(event, bytes)| (event, *bytes)).filter(is_new);
        let later = self.ring.due_after(class, reached).chain(coming);
        for (event, bytes) in before.chain(later) {
            let is_held = held.contains(&event.id);
            if is_held && (is_held_already(event.seq) || bytes <= holding_left) {
                if !is_held_already(event.seq) {
                    holding_left -= bytes;
                }
                holding.push((Arc::clone(event), bytes));
            } else if !events.is_empty()
                && (events.len() >= limits.events_max
                    || bytes > bytes_left
                    || event.demand.members() > members_left)
            {
                through = settled;
                break;
            } else {
                bytes_left = bytes_left.saturating_sub(bytes);
                members_left = members_left.saturating_sub(event.demand.members());
                events.push(Arc::clone(event));
            }
            settled = settled.max(event.seq);
        }
        let folded = cursor.folded.clone().filter(|folded| folded.last_seq > after);
        let is_due = folded.is_some() || !events.is_empty();
        if !holding.is_empty() {
            let ahead = self.ahead.entry(destination.to_owned()).or_default();
            holding.into_iter().for_each(|(event, bytes)| ahead.hold(event, bytes));
            if !is_due && after == 0 {
                // All due events are held: later ones may pass them.
                ahead.reached = ahead.reached.max(through);
            }
        }
        is_due.then_some(SharedBacklog { folded, events, through })
    }

    /// The size of a destination's backlog, of the events after `after`.
    pub(super) fn backlog_size(&self, destination: &str, after: u64) -> BacklogSize {
        let Some(cursor) = self.state.destinations.get(destination) else {
            return BacklogSize::default();
        };
        let folded = cursor.folded.as_ref().filter(|folded| folded.last_seq > after);
        let ahead = self.ahead.get(destination);
        let base = ahead.map_or(0, |ahead| ahead.reached).max(cursor.base()).max(after);
        let class = cursor.class;
        let waiting = ahead.into_iter().flat_map(|ahead| ahead.through(base));
        let first_waiting = waiting.clone().next().map(|event| event.at_ms);
        let named = self.ring.due_between(class, base, self.state.head) + waiting.count() as u64;
        let first_named = || self.ring.due_after(class, base).next().map(|(event, _)| event.at_ms);
        BacklogSize {
            events: named + folded.map_or(0, |folded| folded.count.max(1)),
            oldest_at_ms: folded
                .map(|folded| folded.oldest_at_ms)
                .or(first_waiting)
                .or_else(first_named),
            widened: folded.is_some_and(|folded| folded.widened),
        }
    }

    /// Whether a destination has acknowledged every event up to and including `seq`.
    pub(super) fn is_acknowledged(&self, destination: &str, seq: u64) -> bool {
        let is_held = |ahead: &Ahead| ahead.through(seq).next().is_some();
        !self.ahead.get(destination).is_some_and(is_held) && self.has(destination, seq)
    }

    /// Whether a destination has this event or does not receive it, whatever else is held.
    pub(super) fn has(&self, destination: &str, seq: u64) -> bool {
        let Some(cursor) = self.state.destinations.get(destination) else { return false };
        if cursor.folded.as_ref().is_some_and(|folded| folded.first_seq <= seq) {
            return false;
        }
        let ahead = self.ahead.get(destination);
        if ahead.is_some_and(|ahead| ahead.holds(seq)) {
            return false;
        }
        let base = ahead.map_or(0, |ahead| ahead.reached).max(cursor.base());
        seq <= self.state.head && self.ring.due_between(cursor.class, base, seq) == 0
    }

    /// The state for a checkpoint: held events that left the ring are folded in.
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

/// The state with these events folded in: a checkpoint that needs no older record.
pub(super) fn folded(
    mut state: JournalState,
    events: &[Arc<Event>],
    members_max: usize,
) -> JournalState {
    events.iter().for_each(|event| state.fold(event, members_max, |_| false));
    state.folded_through = state.head;
    state
}
