//! An invalidation that was applied here: the unit of the journal, of SSE and of delivery.
//! Journals keep its JSON for years: new fields have a default, and no field changes its meaning.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Action, Demand, Label, Mode, Scope, Selector, Selectors, Source};

/// The id of an event, given by the instance that accepted it from outside (UUID version 7).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// A fresh id; later ids of one process sort after earlier ones.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// Parses the hyphenated or the plain hexadecimal form.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

/// What was applied, from where, and how far it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its own id here. For a mirrored batch of several events, the id of the batch.
    pub id: EventId,
    /// Sequence number in this instance's journal; 0 until it is recorded.
    #[serde(default)]
    pub seq: u64,
    /// The process start that wrote it; 0 until it is recorded.
    #[serde(default)]
    pub epoch: u64,
    /// Events applied here up to and including this one; 0 until it is recorded.
    #[serde(default)]
    pub version: u64,
    /// Wall clock at acceptance, in milliseconds since 1970. Only for display.
    pub at_ms: u64,
    /// `instance.name` of the instance that accepted it from outside.
    pub origin: String,
    /// Who asked.
    pub principal: String,
    /// Where it came from.
    pub source: Source,
    /// Whether it is mirrored onwards.
    pub scope: Scope,
    /// What the caller asked the origin for, in canonical spelling.
    pub demand: Demand,
    /// What the graph added.
    #[serde(default, skip_serializing_if = "Selectors::is_empty")]
    pub cascade: Selectors,
    /// What happened to the entity.
    #[serde(default)]
    pub action: Action,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Names of the fields that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Other fields of the entity (its slug, ...): for paths, never interpreted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Routes that the caller named (`/products/[slug]`), as a framework names its files. What they
    /// clear is in the demand, as prefixes; a framework can be sent the route itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Label>,
    /// The origin's ids of the events that a batch brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<EventId>,
    /// Whether it is only for this instance's cache and listeners: it came from a gateway without
    /// an event id, so it cannot be distinguished from an echo.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_here: bool,
    /// Only in journals of older versions: the mirror because of which it was kept back from all
    /// mirrors, or released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quenched_for: Option<String>,
}

impl Event {
    /// The mode in answers, log lines and on the wire: hard if anything is hard.
    pub fn mode(&self) -> Mode {
        if self.demand.hard.is_empty() { Mode::Soft } else { Mode::Hard }
    }

    /// Everything that it clears, cascade included, both modes as one union.
    pub fn footprint(&self) -> Selectors {
        let mut all = self.demand.selectors();
        all.join(&self.cascade);
        all
    }

    /// Whether it clears an entry that is stored under `place`, by itself or by its cascade: see
    /// [`Selector::reaches`].
    pub fn touches(&self, place: &Selector) -> bool {
        [&self.demand.hard, &self.demand.soft, &self.cascade]
            .iter()
            .any(|selectors| selectors.reaches(place))
    }

    /// Whether it provably cleared at least what this selector would, in this mode. Which mode a
    /// cascade had is not recorded: it counts as hard only where nothing was soft.
    pub fn has_cleared(&self, selector: &Selector, mode: Mode) -> bool {
        let is_hard = self.demand.hard.covers_one(selector)
            || (self.demand.soft.is_empty() && self.cascade.covers_one(selector));
        let is_soft = || self.demand.soft.covers_one(selector) || self.cascade.covers_one(selector);
        is_hard || (mode == Mode::Soft && is_soft())
    }

    /// Whether mirrors receive it. Not if an older version kept it back: the journal then has its
    /// demand apart.
    pub fn is_for_mirrors(&self) -> bool {
        self.scope == Scope::Mirrored && !self.is_held_back()
    }

    /// Whether an older version kept it back from mirrors.
    pub fn is_held_back(&self) -> bool {
        self.quenched_for.is_some() && self.source != Source::Quench
    }

    /// Whether targets receive it. Events of the old echo quench were sent to targets when they
    /// were applied.
    pub fn is_for_targets(&self) -> bool {
        !self.ends_here && self.source != Source::Quench
    }

    /// The ids under which other instances know it: those of the origin.
    pub fn origin_ids(&self) -> &[EventId] {
        if self.covers.is_empty() { std::slice::from_ref(&self.id) } else { &self.covers }
    }

    /// Every id that must be recognised if it arrives again.
    pub fn known_ids(&self) -> impl Iterator<Item = EventId> + '_ {
        std::iter::once(self.id).chain(self.covers.iter().copied())
    }
}

#[cfg(test)]
impl Event {
    /// An event for tests: accepted here and mirrored, with defaults for everything but its demand.
    pub fn of(demand: Demand) -> Self {
        Self {
            id: EventId::fresh(),
            seq: 0,
            epoch: 0,
            version: 0,
            at_ms: 1_000,
            origin: "here".into(),
            principal: "admin".into(),
            source: Source::Api,
            scope: Scope::Mirrored,
            demand,
            cascade: Selectors::default(),
            action: Action::Update,
            reason: None,
            changed: vec![],
            fields: BTreeMap::new(),
            routes: vec![],
            covers: vec![],
            ends_here: false,
            quenched_for: None,
        }
    }
}
