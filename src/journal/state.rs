//! The state: a deterministic fold of the records, which a checkpoint is the JSON of.
//!
//! The live process and recovery run the same code here. Kept invariant, for every destination and
//! every event it is owed: it is at or below the cursor, folded into `held`, or still in the ring.
//! Folding is a join in the lattice of demands, so the order of folding does not matter, and past
//! its bound a demand only goes up. Nothing here does I/O or knows the time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{Demand, Event, Pairs, Selectors, Source, TypeName};

use super::ring::Class;

/// Types that are given a counter of their own. Far above any real schema; past it (somebody
/// invents names) only the whole `version` moves, so that a checkpoint stays below a few MiB.
const TYPES_MAX: usize = 16_384;

/// Everything but the ring. An unknown field is refused: a newer version may owe something by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalState {
    /// The newest event that was applied.
    pub head: u64,
    /// Events at or below are in `held` where they are owed, and are not needed from older
    /// segments.
    pub folded_through: u64,
    /// One more for every event.
    pub version: u64,
    /// The same by type.
    #[serde(deserialize_with = "highest")]
    pub types: BTreeMap<TypeName, u64>,
    /// The same of types that nothing named yet: events that cleared everything.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub others: u64,
    /// When the newest event was accepted, wall clock.
    pub last_clear_ms: Option<u64>,
    pub destinations: BTreeMap<String, Cursor>,
    /// What older versions kept back from every mirror because of one.
    /// [`JournalState::send_quenched`] adds it to what each mirror must get; nothing is added here
    /// any more.
    pub quenched: BTreeMap<String, Demand>,
}

/// How far one destination is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    /// Everything at or below was acknowledged, except what `held` holds.
    pub through: u64,
    pub held: Option<Folded>,
    /// Since when the settings do not name it any more, wall clock: it is owed on for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at_ms: Option<u64>,
    /// Where it is, so that it is recognised under another name; empty where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

/// What is owed and can no longer be named event by event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Folded {
    /// Shared, so that taking a checkpoint or a backlog copies nothing under the lock.
    pub demand: Arc<Demand>,
    pub cascade: Arc<Selectors>,
    /// Events folded in.
    pub count: u64,
    /// Whether it became `all` by widening, not because somebody asked for `all`.
    pub widened: bool,
    pub first_seq: u64,
    /// Nothing in it is newer: an acknowledgement through here settles it.
    pub last_seq: u64,
    /// When the oldest was accepted, wall clock.
    pub oldest_at_ms: u64,
}

impl JournalState {
    /// The version that an event makes of the one before it.
    pub(super) fn version_after(version: u64, event: &Event) -> u64 {
        // What the quench mirrors again was applied, and counted, when it came in.
        version + u64::from(event.source != Source::Quench)
    }

    /// Counts one event; the ring is somebody else's.
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

    /// Counts anew from 0. What is owed to destinations is not touched by it.
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
            // What joined after the release was drawn up is not in it and stays held back.
            let rest = without(demand, &event.demand);
            if rest.is_empty() {
                self.quenched.remove(mirror);
            } else {
                *demand = rest;
            }
        }
    }

    /// Folds an event that leaves the ring into what every destination that lacks it is owed.
    pub(super) fn fold(&mut self, event: &Event, members_max: usize, has: impl Fn(&str) -> bool) {
        for (name, cursor) in &mut self.destinations {
            if Class::of(name).is_owed(event) && !has(name) {
                cursor.fold(event, members_max);
            }
        }
    }

    /// Every mirror is owed what an older version held back.
    pub(super) fn send_quenched(&mut self, members_max: usize, now_ms: u64) {
        for demand in std::mem::take(&mut self.quenched).into_values() {
            let mirrors = self.destinations.iter_mut();
            for (_, cursor) in mirrors.filter(|(name, _)| Class::of(name) == Class::Mirror) {
                cursor.owe(&demand, members_max, now_ms);
            }
        }
    }

    /// After a gap: every destination needs `all`, and the counters move past whatever was given.
    pub(super) fn widen_all(&mut self, head: u64, jump: u64, now_ms: u64) {
        // The version never exceeds the sequence number, so the head bounds what was lost of it.
        self.version = self.version.max(head) + jump;
        // Every lost event may have counted for every type.
        let lost = head.saturating_sub(self.head) + jump;
        self.types.values_mut().for_each(|version| *version += lost);
        self.others += lost;
        self.head = head + jump;
        self.folded_through = self.head;
        for cursor in self.destinations.values_mut() {
            cursor.through = self.head;
            cursor.held = Some(Folded::all(self.head, now_ms));
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What of `demand` the other does not cover.
fn without(demand: &Demand, other: &Demand) -> Demand {
    let soft =
        demand.soft.iter().filter(|one| !other.hard.covers_one(one) && !other.soft.covers_one(one));
    Demand {
        hard: demand.hard.iter().filter(|one| !other.hard.covers_one(one)).collect(),
        soft: soft.collect(),
    }
}

impl Cursor {
    /// Where naming starts: below, everything is acknowledged or held.
    pub(super) fn base(&self) -> u64 {
        self.held.as_ref().map_or(self.through, |held| held.last_seq.max(self.through))
    }

    fn fold(&mut self, event: &Event, members_max: usize) {
        if event.seq <= self.base() {
            return;
        }
        self.join(event, members_max);
    }

    /// Joins an event to what is owed past naming, wherever the cursor is.
    pub(super) fn join(&mut self, event: &Event, members_max: usize) {
        match &mut self.held {
            Some(held) => held.join(event, members_max),
            None => self.held = Some(Folded::new(event, members_max)),
        }
    }

    /// Joins a demand that no event stands for. It is settled by any acknowledgement from here on.
    fn owe(&mut self, demand: &Demand, members_max: usize, now_ms: u64) {
        let seq = self.base();
        let held = self.held.get_or_insert_with(|| Folded {
            demand: Arc::default(),
            cascade: Arc::default(),
            count: 0,
            widened: false,
            first_seq: seq,
            last_seq: seq,
            oldest_at_ms: now_ms,
        });
        held.count += 1;
        let whole = Arc::make_mut(&mut held.demand);
        whole.join(demand);
        whole.widen_to(members_max);
    }

    /// What is past naming was acknowledged, though the cursor stays behind. Says whether that is
    /// news.
    pub(super) fn let_go(&mut self, through: u64) -> bool {
        let settles = self.held.as_ref().is_some_and(|held| held.last_seq <= through);
        if settles {
            self.held = None;
        }
        settles
    }

    /// Everything at or below `through` was acknowledged. Says whether that is news.
    pub(super) fn ack(&mut self, through: u64) -> bool {
        let settles = self.let_go(through);
        let moves = through > self.through;
        self.through = self.through.max(through);
        settles || moves
    }
}

/// Reads versions by type. Names that an older binary kept apart may be one type by now, whose
/// version must not go back for anybody.
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
        let mut held = Self {
            demand: Arc::default(),
            cascade: Arc::default(),
            count: 0,
            widened: false,
            first_seq: event.seq,
            last_seq: event.seq,
            oldest_at_ms: event.at_ms,
        };
        held.join(event, members_max);
        held
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
        // Everything is demanded already: the cascade adds nothing to it.
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
    fn types_that_fold_by_now_keep_the_higher_version_and_all_their_ids() {
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
