//! An invalidation that was applied here: the unit of the journal, of SSE and of delivery.
//! Its JSON is what journals hold for years: fields are added with a default, and never change
//! their meaning.

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

    /// Reads the hyphenated or plain hexadecimal form.
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
    /// Place in this instance's journal; 0 until the journal gives one.
    #[serde(default)]
    pub seq: u64,
    /// The process start that wrote it; 0 until the journal gives one.
    #[serde(default)]
    pub epoch: u64,
    /// Events applied here up to this one, itself included; 0 until the journal gives it.
    #[serde(default)]
    pub version: u64,
    /// Wall clock at acceptance, milliseconds since 1970. For people; nothing is decided by it.
    pub at_ms: u64,
    /// `instance.name` of the instance that accepted it from outside.
    pub origin: String,
    /// Who asked.
    pub principal: String,
    /// Through which door.
    pub source: Source,
    /// Whether it is mirrored onwards.
    pub scope: Scope,
    /// What the origin was given, canonical spelling.
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
    /// What else the caller said of the entity (its slug, ...): for paths, never interpreted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Routes that the caller named (`/products/[slug]`), as a framework names its files. What they
    /// clear is in the demand, as prefixes; a framework can be told the route itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Label>,
    /// The origin's ids of the events that a batch brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<EventId>,
    /// Whether it goes no further than this instance's own cache and listeners: it came from a
    /// gateway that did not say which of its events this is, so nobody could tell it from an echo.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_here: bool,
    /// Of journals that older versions wrote: the mirror because of which it was held back from all
    /// mirrors, or let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quenched_for: Option<String>,
}

impl Event {
    /// The mode to name in answers, lines and on the wire: hard if anything goes hard.
    pub fn mode(&self) -> Mode {
        if self.demand.hard.is_empty() { Mode::Soft } else { Mode::Hard }
    }

    /// Everything it clears, cascade included, both modes as one union.
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

    /// Whether mirrors are owed it. One that an older version held back is not: what it was owed is
    /// kept beside it.
    pub fn is_for_mirrors(&self) -> bool {
        self.scope == Scope::Mirrored && !self.is_held_back()
    }

    /// Whether an older version held it back from mirrors.
    pub fn is_held_back(&self) -> bool {
        self.quenched_for.is_some() && self.source != Source::Quench
    }

    /// Whether the caches and frameworks beside this instance are owed it. What the quench mirrors
    /// again was told to them when it was applied.
    pub fn is_for_targets(&self) -> bool {
        !self.ends_here && self.source != Source::Quench
    }

    /// The ids under which others know it: the origin's, where it came from elsewhere.
    pub fn origin_ids(&self) -> &[EventId] {
        if self.covers.is_empty() { std::slice::from_ref(&self.id) } else { &self.covers }
    }

    /// Every id that must be recognised when it comes again.
    pub fn known_ids(&self) -> impl Iterator<Item = EventId> + '_ {
        std::iter::once(self.id).chain(self.covers.iter().copied())
    }
}

#[cfg(test)]
impl Event {
    /// An event of a test: accepted here, owed to mirrors; nothing is said but what it clears.
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
