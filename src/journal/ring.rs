//! The recent events in memory: for replay to streams, for `events/{id}`, and for backlogs whose
//! events are sent one by one.
//!
//! Sequence numbers in the ring have no holes, so an event is found by subtraction. Each entry
//! counts the due events up to itself, so the size of a backlog is one subtraction as well. The
//! ring does not know destinations: the caller folds what leaves it.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::domain::{Event, EventId};

/// Which events a destination receives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CursorClass {
    /// Another instance: it receives what is mirrored.
    #[default]
    Mirror,
    /// A site or a cache: it receives everything that was applied here.
    Target,
}

impl CursorClass {
    const ALL: [Self; 2] = [Self::Mirror, Self::Target];

    /// The class as it is stored: at the beginning of the name. `beside:` is what targets were
    /// called when the format was defined.
    fn prefix(self) -> &'static str {
        match self {
            Self::Mirror => "mirror:",
            Self::Target => "beside:",
        }
    }

    /// The name under which the journal keeps the cursor of a destination of this class.
    pub fn stored_name(self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }

    /// A destination's name as the settings give it.
    pub fn display_name(stored_name: &str) -> &str {
        let bare = Self::ALL.iter().find_map(|class| stored_name.strip_prefix(class.prefix()));
        bare.unwrap_or(stored_name)
    }

    /// Only for reading what is on disk: everywhere else the class is a field.
    pub(super) fn of_stored_name(stored_name: &str) -> Self {
        if stored_name.starts_with(Self::Target.prefix()) { Self::Target } else { Self::Mirror }
    }

    /// Whether destinations of this class receive an event.
    pub(super) fn receives(self, event: &Event) -> bool {
        match self {
            Self::Mirror => event.is_for_mirrors(),
            Self::Target => event.is_for_targets(),
        }
    }
}

/// Events that each class receives.
type Counts = [u64; 2];

/// Whether any class of destinations receives an event.
pub(super) fn has_receiver(event: &Event) -> bool {
    CursorClass::ALL.into_iter().any(|class| class.receives(event))
}

struct RingEntry {
    event: Arc<Event>,
    /// Size as a record.
    bytes: usize,
    /// Estimated size in memory, in bytes.
    weight: usize,
    /// Due events up to and including this one, since the ring was created.
    due: Counts,
}

/// Bytes of an event in memory, apart from its texts, which its record contains as well.
const EVENT_WEIGHT: usize = 256;
/// Bytes of one selector apart from its text: pointers, counts, its share of a tree node.
const MEMBER_WEIGHT: usize = 64;
/// Bytes of one id, with its entry in the index.
const ID_WEIGHT: usize = 96;

/// Estimates the bytes of an event in memory. A record of many short selectors is many times
/// smaller.
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
    /// The first event of each id.
    places: HashMap<EventId, u64>,
    /// The later events of those few ids that arrived in parts.
    further: HashMap<EventId, VecDeque<u64>>,
}

impl Ring {
    /// An empty ring whose first event will be `floor + 1`.
    pub(super) fn after(floor: u64) -> Self {
        Self { floor, ..Self::default() }
    }

    /// The newest event that has left the ring.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn head(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Estimated bytes of the events in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the next event.
    pub(super) fn push(&mut self, event: Arc<Event>, bytes: usize) {
        debug_assert_eq!(event.seq, self.head() + 1, "sequence numbers have no holes");
        let mut due = self.counts_through(self.head());
        for class in CursorClass::ALL {
            due[class as usize] += u64::from(class.receives(&event));
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

    /// Removes the oldest event.
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

    /// Makes the next event of an id, if there is one, its first.
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

    fn due_through(&self, class: CursorClass, seq: u64) -> u64 {
        self.counts_through(seq)[class as usize]
    }

    /// How many events of `after + 1 ..= through` a class receives.
    pub(super) fn due_between(&self, class: CursorClass, after: u64, through: u64) -> u64 {
        self.due_through(class, through).saturating_sub(self.due_through(class, after))
    }

    /// The events after `seq` that a class receives, with their sizes.
    pub(super) fn due_after(
        &self,
        class: CursorClass,
        seq: u64,
    ) -> impl Iterator<Item = (&Arc<Event>, usize)> {
        let mut seen = self.due_through(class, seq);
        std::iter::from_fn(move || {
            // A binary search: thousands of local events may lie between two due ones.
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

    /// Every event with this id, oldest first.
    pub(super) fn events_of(&self, id: EventId) -> impl Iterator<Item = &Arc<Event>> {
        let further = self.further.get(&id).into_iter().flatten();
        let places = self.places.get(&id).into_iter().chain(further);
        places.filter_map(|seq| {
            let place = self.place(seq.checked_sub(1)?);
            self.entries.get(place).map(|entry| &entry.event)
        })
    }
}
