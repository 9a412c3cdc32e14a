//! The recent events in memory: for replay to streams, for `events/{id}`, for naming a backlog.
//!
//! Sequence numbers in the ring have no holes, so a place is found by subtraction; each entry
//! counts the due events up to itself, so the size of a backlog is one subtraction too. The ring
//! does not know destinations: what leaves it is handed back to be folded.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::domain::{Event, EventId};

/// What sort of destination it is, which decides what it is owed. Kept in its name, so that a
/// journal read back knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Another instance: owed what is mirrored.
    Mirror,
    /// A cache or a framework beside this instance: owed everything that was applied here.
    Target,
}

/// What the names of neighbours begin with.
pub const TARGET_PREFIX: &str = "beside:";

impl Class {
    /// The class of a destination.
    pub(super) fn of(destination: &str) -> Self {
        if destination.starts_with(TARGET_PREFIX) { Self::Target } else { Self::Mirror }
    }

    /// Whether its destinations are owed an event.
    pub(super) fn is_owed(self, event: &Event) -> bool {
        match self {
            Self::Mirror => event.is_for_mirrors(),
            Self::Target => event.is_for_targets(),
        }
    }
}

/// How many events each class is owed.
type Counts = [u64; 2];

/// Whether anybody is owed an event.
pub(super) fn is_owed(event: &Event) -> bool {
    [Class::Mirror, Class::Target].into_iter().any(|class| class.is_owed(event))
}

struct RingEntry {
    event: Arc<Event>,
    /// As a record.
    bytes: usize,
    /// In memory.
    weight: usize,
    /// Events owed up to and including this one, since the ring was made.
    due: Counts,
}

/// What an event takes beside its texts, which its record has once as well.
const EVENT_WEIGHT: usize = 256;
/// What one selector takes beside its text: pointers, counts, its share of a tree's node.
const MEMBER_WEIGHT: usize = 64;
/// What one id takes, with its place in the index.
const ID_WEIGHT: usize = 96;

/// What an event takes in memory, about. A record of many short selectors is many times smaller.
fn weight(event: &Event, bytes: usize) -> usize {
    let members = event.demand.members() + event.cascade.members();
    let names = event.changed.len() + event.fields.len() + event.routes.len();
    EVENT_WEIGHT + bytes + (members + names) * MEMBER_WEIGHT + event.covers.len() * ID_WEIGHT
}

/// Events `floor + 1 ..= head`.
#[derive(Default)]
pub(super) struct Ring {
    entries: VecDeque<RingEntry>,
    floor: u64,
    due_at_floor: Counts,
    bytes: usize,
    /// The first event under each id.
    places: HashMap<EventId, u64>,
    /// Further ones, of the few ids that came in parts.
    further: HashMap<EventId, VecDeque<u64>>,
}

impl Ring {
    /// An empty ring that goes on after `floor`.
    pub(super) fn after(floor: u64) -> Self {
        Self { floor, ..Self::default() }
    }

    /// The newest event that is no longer in it.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn head(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What the events take in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the next event.
    pub(super) fn push(&mut self, event: Arc<Event>, bytes: usize) {
        debug_assert_eq!(event.seq, self.head() + 1, "sequence numbers have no holes");
        let mut due = self.counts_through(self.head());
        for class in [Class::Mirror, Class::Target] {
            due[class as usize] += u64::from(class.is_owed(&event));
        }
        let weight = weight(&event, bytes);
        self.bytes += weight;
        for id in event.known_ids() {
            match self.places.entry(id) {
                Vacant(place) => drop(place.insert(event.seq)),
                Occupied(place) if *place.get() == event.seq => {}
                Occupied(_) => self.further.entry(id).or_default().push_back(event.seq),
            }
        }
        self.entries.push_back(RingEntry { event, bytes, weight, due });
    }

    /// Takes the oldest event out.
    pub(super) fn pop(&mut self) -> Option<Arc<Event>> {
        let RingEntry { event, weight, due, .. } = self.entries.pop_front()?;
        self.floor = event.seq;
        self.due_at_floor = due;
        self.bytes -= weight;
        for id in event.known_ids() {
            if self.places.get(&id) == Some(&event.seq) {
                self.forget_first(id);
            }
        }
        Some(event)
    }

    /// The next event under an id, if there is one, is its first now.
    fn forget_first(&mut self, id: EventId) {
        let Some(further) = self.further.get_mut(&id) else {
            self.places.remove(&id);
            return;
        };
        if let Some(next) = further.pop_front() {
            self.places.insert(id, next);
        }
        if further.is_empty() {
            self.further.remove(&id);
        }
    }

    /// The index of the first event after `seq`.
    fn place(&self, seq: u64) -> usize {
        let offset = seq.saturating_sub(self.floor);
        usize::try_from(offset).unwrap_or(usize::MAX).min(self.entries.len())
    }

    fn counts_through(&self, seq: u64) -> Counts {
        match self.place(seq) {
            0 => self.due_at_floor,
            place => self.entries[place - 1].due,
        }
    }

    fn due_through(&self, class: Class, seq: u64) -> u64 {
        self.counts_through(seq)[class as usize]
    }

    /// How many events that a class is owed lie in `after + 1 ..= through`.
    pub(super) fn due_between(&self, class: Class, after: u64, through: u64) -> u64 {
        self.due_through(class, through).saturating_sub(self.due_through(class, after))
    }

    /// The events after `seq` that a class is owed, with their sizes.
    pub(super) fn due_after(
        &self,
        class: Class,
        seq: u64,
    ) -> impl Iterator<Item = (&Arc<Event>, usize)> {
        let mut seen = self.due_through(class, seq);
        std::iter::from_fn(move || {
            // By search, not by walking: thousands of local events may lie between two due ones.
            let place = self.entries.partition_point(|entry| entry.due[class as usize] <= seen);
            let entry = self.entries.get(place)?;
            seen = entry.due[class as usize];
            Some((&entry.event, entry.bytes))
        })
    }

    pub(super) fn events_after(&self, seq: u64) -> impl Iterator<Item = &Arc<Event>> {
        self.entries.range(self.place(seq)..).map(|entry| &entry.event)
    }

    pub(super) fn event(&self, id: EventId) -> Option<&Arc<Event>> {
        self.events_of(id).next()
    }

    /// Every event under an id, oldest first.
    pub(super) fn events_of(&self, id: EventId) -> impl Iterator<Item = &Arc<Event>> {
        let further = self.further.get(&id).into_iter().flatten();
        let places = self.places.get(&id).into_iter().chain(further);
        places.filter_map(|seq| {
            let place = self.place(seq.checked_sub(1)?);
            self.entries.get(place).map(|entry| &entry.event)
        })
    }
}
