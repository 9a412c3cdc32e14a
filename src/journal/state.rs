//! The state: a deterministic fold of the records. A checkpoint is its JSON.
//!
//! The live process and recovery run the same code. The invariant, for every destination and every
//! event it must receive: the event is at or below the cursor, part of `folded`, or still in the
//! ring. Folding is a join in the lattice of demands, so its order does not matter, and a demand
//! past its bound only gets wider. Nothing here does I/O or knows the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{Demand, Event, Pairs, Selectors, Source, TypeName};

use super::ring::CursorClass;

/// Types that have their own counter: far more than any real schema has. Past it (a caller invents
/// names) only the total `version` moves, so that a checkpoint stays below a few MiB.
const TYPES_MAX: usize = 16_384;

/// Everything except the ring. An unknown field is refused: in it, a newer version of this program
/// may have stored something that must be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalState {
    /// The newest event that was applied.
    pub head: u64,
    /// Events up to here are in `folded` where they are still to be sent, so older segments are
    /// not needed for them.
    pub folded_through: u64,
    /// Incremented by every event.
    pub version: u64,
    /// By type: incremented by every event that touches the type.
    #[serde(deserialize_with = "highest")]
    pub types: BTreeMap<TypeName, u64>,
    /// The version of every other type: the events that cleared everything.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u64,
    /// When the newest event was accepted, wall clock.
    pub last_clear_ms: Option<u64>,
    #[serde(deserialize_with = "with_classes")]
    pub destinations: BTreeMap<String, Cursor>,
    /// What older versions kept back from every mirror because of one.
    /// [`JournalState::send_quenched`] adds it to what each mirror must get; nothing is added here
    /// any more.
    pub quenched: BTreeMap<String, Demand>,
}

/// How far one destination has acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    /// Everything up to and including this was acknowledged, except what is in `folded`.
    pub through: u64,
    #[serde(rename = "held")]
    pub folded: Option<Folded>,
    /// When the settings stopped to name it, wall clock. Its backlog is kept for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at_ms: Option<u64>,
    /// Finds the cursor when the destination gets another name; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// On disk it is the beginning of the name.
    #[serde(skip)]
    pub class: CursorClass,
}

/// Events that are still to be sent, but no longer one by one: they are joined into one demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Folded {
    /// Shared, so that a checkpoint or a backlog copies nothing under the lock.
    pub demand: Arc<Demand>,
    pub cascade: Arc<Selectors>,
    /// Events folded in.
    pub count: u64,
    /// Whether it became `all` by widening, not by request.
    pub widened: bool,
    pub first_seq: u64,
    /// The newest event in it: an acknowledgement up to here settles it.
    pub last_seq: u64,
    /// When the oldest event was accepted, wall clock.
    pub oldest_at_ms: u64,
}

impl JournalState {
    /// The version after an event.
    pub(super) fn version_after(version: u64, event: &Event) -> u64 {
        // An event of the old echo quench was applied and counted when it first arrived.
        version + u64::from(event.source != Source::Quench)
    }

    /// Counts one event. The caller puts it into the ring.
    pub(super) fn count(&mut self, event: &Event, members_max: usize) {
        self.head = event.seq;
        self.version = Self::version_after(self.version, event);
        if event.source == Source::Quench {
            return self.quench(event, members_max);
        }
        self.last_clear_ms = self.last_clear_ms.max(Some(event.at_ms));
        let footprint = event.footprint();
        if footprint.is_all() {
            self.types.values_mut().for_each(|version| *version += 1);
            self.others += 1;
        }
        for name in footprint.named_types() {
            if let Some(version) = self.types.get_mut(name) {
                *version += 1;
            } else if self.types.len() < TYPES_MAX {
                self.types.insert(name.clone(), self.others + 1);
            }
        }
        self.quench(event, members_max);
    }

    /// Sets the counters to 0. Backlogs do not change.
    pub(super) fn reset_versions(&mut self, at_ms: u64) {
        self.version = 0;
        self.types.clear();
        self.others = 0;
        self.last_clear_ms = Some(at_ms);
    }

    fn quench(&mut self, event: &Event, members_max: usize) {
        let Some(mirror) = &event.quenched_for else { return };
        if event.source != Source::Quench {
            let demand = self.quenched.entry(mirror.clone()).or_default();
            demand.join(&event.demand);
            demand.widen_to(members_max);
        } else if let Some(demand) = self.quenched.get_mut(mirror) {
            // What joined after the release was created is not in it and stays kept back.
            let rest = without(demand, &event.demand);
            if rest.is_empty() {
                self.quenched.remove(mirror);
            } else {
                *demand = rest;
            }
        }
    }

    /// Folds an event that leaves the ring into the backlog of every destination that lacks it.
    pub(super) fn fold(&mut self, event: &Event, members_max: usize, has: impl Fn(&str) -> bool) {
        for (name, cursor) in &mut self.destinations {
            if cursor.class.receives(event) && !has(name) {
                cursor.fold(event, members_max);
            }
        }
    }

    /// Adds what an older version kept back to the backlog of every mirror.
    pub(super) fn send_quenched(&mut self, members_max: usize, now_ms: u64) {
        for demand in std::mem::take(&mut self.quenched).into_values() {
            let cursors = self.destinations.values_mut();
            for cursor in cursors.filter(|cursor| cursor.class == CursorClass::Mirror) {
                cursor.join_demand(&demand, members_max, now_ms);
            }
        }
    }

    /// After a gap: every destination needs `all`, and the counters move past every number in use.
    pub(super) fn widen_all(&mut self, head: u64, jump: u64, now_ms: u64) {
        // The version never exceeds the sequence number, so the head bounds what was lost.
        self.version = self.version.max(head) + jump;
        // Every lost event may have counted for every type.
        let lost = head.saturating_sub(self.head) + jump;
        self.types.values_mut().for_each(|version| *version += lost);
        self.others += lost;
        self.head = head + jump;
        self.folded_through = self.head;
        for cursor in self.destinations.values_mut() {
            cursor.through = self.head;
            cursor.folded = Some(Folded::all(self.head, now_ms));
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The part of `demand` that `other` does not cover.
fn without(demand: &Demand, other: &Demand) -> Demand {
    let soft =
        demand.soft.iter().filter(|one| !other.hard.covers_one(one) && !other.soft.covers_one(one));
    Demand {
        hard: demand.hard.iter().filter(|one| !other.hard.covers_one(one)).collect(),
        soft: soft.collect(),
    }
}

impl Cursor {
    /// Everything up to here is acknowledged or folded; later events are sent one by one.
    pub(super) fn base(&self) -> u64 {
        self.folded.as_ref().map_or(self.through, |folded| folded.last_seq.max(self.through))
    }

    fn fold(&mut self, event: &Event, members_max: usize) {
        if event.seq <= self.base() {
            return;
        }
        self.join(event, members_max);
    }

    /// Folds an event, wherever the cursor is.
    pub(super) fn join(&mut self, event: &Event, members_max: usize) {
        match &mut self.folded {
            Some(folded) => folded.join(event, members_max),
            None => self.folded = Some(Folded::new(event, members_max)),
        }
    }

    /// Joins a demand that belongs to no event. Any later acknowledgement settles it.
    fn join_demand(&mut self, demand: &Demand, members_max: usize, now_ms: u64) {
        let seq = self.base();
        let folded = self.folded.get_or_insert_with(|| Folded {
            demand: Arc::default(),
            cascade: Arc::default(),
            count: 0,
            widened: false,
            first_seq: seq,
            last_seq: seq,
            oldest_at_ms: now_ms,
        });
        folded.count += 1;
        let whole = Arc::make_mut(&mut folded.demand);
        whole.join(demand);
        whole.widen_to(members_max);
    }

    /// The folded part was acknowledged, although the cursor stays behind. Returns whether this
    /// changed anything.
    pub(super) fn settle_folded(&mut self, through: u64) -> bool {
        let settles = self.folded.as_ref().is_some_and(|folded| folded.last_seq <= through);
        if settles {
            self.folded = None;
        }
        settles
    }

    /// Everything up to and including `through` was acknowledged. Returns whether this changed
    /// anything.
    pub(super) fn ack(&mut self, through: u64) -> bool {
        let settles = self.settle_folded(through);
        let moves = through > self.through;
        self.through = self.through.max(through);
        settles || moves
    }
}

/// Reads the destinations of a checkpoint. Their class is the beginning of their name.
fn with_classes<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Cursor>, D::Error> {
    let mut destinations = BTreeMap::<String, Cursor>::deserialize(from)?;
    for (name, cursor) in &mut destinations {
        cursor.class = CursorClass::of_stored_name(name);
    }
    Ok(destinations)
}

/// Reads versions by type. Two names of an older binary may be one type now; its version must never
/// decrease for a client, so the higher one counts.
fn highest<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<TypeName, u64>, D::Error> {
    let mut types = BTreeMap::new();
    for (name, version) in Pairs::<TypeName, u64>::deserialize(from)?.0 {
        let known = types.entry(name).or_insert(version);
        *known = version.max(*known);
    }
    Ok(types)
}

impl Folded {
    fn new(event: &Event, members_max: usize) -> Self {
        let mut folded = Self {
            demand: Arc::default(),
            cascade: Arc::default(),
            count: 0,
            widened: false,
            first_seq: event.seq,
            last_seq: event.seq,
            oldest_at_ms: event.at_ms,
        };
        folded.join(event, members_max);
        folded
    }

    fn all(seq: u64, now_ms: u64) -> Self {
        Self {
            demand: Arc::new(Demand { hard: Selectors::all(), soft: Selectors::default() }),
            cascade: Arc::default(),
            count: 0,
            widened: true,
            first_seq: 0,
            last_seq: seq,
            oldest_at_ms: now_ms,
        }
    }

    fn join(&mut self, event: &Event, members_max: usize) {
        self.count += 1;
        self.first_seq = self.first_seq.min(event.seq);
        self.last_seq = self.last_seq.max(event.seq);
        self.oldest_at_ms = self.oldest_at_ms.min(event.at_ms);
        let was_asked = event.demand.hard.is_all();
        let demand = Arc::make_mut(&mut self.demand);
        if was_asked {
            self.widened = false;
        }
        demand.join(&event.demand);
        if demand.widen_to(members_max) && (demand.hard.is_all() || demand.soft.is_all()) {
            self.widened = true;
        }
        // `all` is demanded already: the cascade adds nothing.
        if demand.hard.is_all() {
            self.cascade = Arc::default();
        } else if !event.cascade.is_empty() {
            let cascade = Arc::make_mut(&mut self.cascade);
            cascade.join(&event.cascade);
            cascade.widen_to(members_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_became_one_keep_the_higher_version_and_all_their_ids() {
        let json = r#"{"head":9,"folded_through":0,"version":9,"last_clear_ms":null,
            "types":{"blog-post":5,"blog_posts":3,"pages":1},"destinations":{},"quenched":{}}"#;
        let state: JournalState =
            serde_json::from_str(json).expect("a checkpoint of an older binary");
        let name = |text: &str| TypeName::parse(text).expect("a type");
        assert_eq!(state.types.get(&name("blog_post")), Some(&5));
        assert_eq!(state.types.len(), 2);
        let both = r#"{"ids":{"blog-post":["1"],"blog_posts":["2"]}}"#;
        let both: Selectors = serde_json::from_str(both).expect("selectors of an older binary");
        assert_eq!(both.to_string(), "blog-post/1,blog-post/2");
    }
}
