//! What a caller asked for, before anything is decided about it.
//! It has the caller's claims as they were made (`mirror`, the batch of a peer); only the gate
//! decides whether they count.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::route::ROUTES_MAX;
use super::{Action, EventId, Label, Selector, Selectors, TypeName, entity};

/// How an entry goes.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Gone now.
    #[default]
    Hard,
    /// Stale now, servable while one refresh runs.
    Soft,
}

impl Mode {
    /// The word used in requests, answers and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

/// The rights of a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A peer's service account: local invalidations only.
    Service,
    /// A configured role: invalidate and read.
    Editor,
    /// Everything.
    Admin,
    /// The admin token: everything, and not rate-limited by default.
    AdminToken,
}

impl Role {
    /// The value in log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::AdminToken => "admin_token",
        }
    }
}

/// Who makes a request, as verified by the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The verified email or subject; `admin` for the admin token.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Through which door a submission came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Source {
    /// The control API.
    Api,
    /// A peer that is a cache-mirror.
    Mirror,
    /// A route of one of the older systems, kept as it was.
    Compat,
    /// A webhook of somebody else's system.
    Webhook,
    /// The clock.
    Schedule,
    /// What an older version held back as an echo and mirrored later.
    Quench,
    /// This process itself, to close a gap.
    Recovery,
}

impl Source {
    /// The word used in answers and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Mirror => "mirror",
            Self::Compat => "compat",
            Self::Webhook => "webhook",
            Self::Schedule => "schedule",
            Self::Quench => "quench",
            Self::Recovery => "recovery",
        }
    }
}

/// One event of a peer's batch, as the peer sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerEvent {
    /// The id the origin gave it.
    pub id: EventId,
    /// What it clears.
    pub selectors: Selectors,
    /// How.
    pub mode: Mode,
    /// What happened.
    pub action: Action,
    /// Names of the fields that changed.
    pub changed: Vec<String>,
    /// Other fields of the entity.
    pub fields: BTreeMap<String, String>,
    /// Routes that the caller named: see [`super::Event::routes`].
    pub routes: Vec<Label>,
}

/// One of several events that came as one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmissionPart {
    /// What it clears.
    pub selectors: Selectors,
    /// What happened.
    pub action: Action,
    /// Names of the fields that changed; empty where that is not known.
    pub changed: Vec<String>,
    /// Tags of the lists that show its entities (`products:client:7`), by type: if the type is not
    /// cleared, they are not cleared either. They are not in `selectors`.
    pub parents: BTreeMap<TypeName, BTreeSet<Label>>,
}

impl SubmissionPart {
    /// The tags of parents, as selectors.
    pub fn parent_tags(&self) -> impl Iterator<Item = Selector> + '_ {
        self.parents.values().flatten().cloned().map(Selector::Tag)
    }
}

/// A request to invalidate, parsed but not yet admitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// What to clear, in the caller's spelling.
    pub selectors: Selectors,
    /// How.
    pub mode: Mode,
    /// What happened to the entity.
    pub action: Action,
    /// Free text for the log.
    pub reason: Option<String>,
    /// Names of the fields that changed.
    pub changed: Vec<String>,
    /// The events whose union this is, where there are several: each has its own action and fields
    /// that changed, and `changed` is then empty. One alone where it has parents.
    pub parts: Vec<SubmissionPart>,
    /// Other fields of the entity (its slug, ...): see [`super::Event::fields`].
    pub fields: BTreeMap<String, String>,
    /// Routes that the caller named: see [`super::Event::routes`].
    pub routes: Vec<Label>,
    /// The body's `mirror`, where it was given.
    pub mirror: Option<bool>,
    /// The door.
    pub source: Source,
    /// Whether the request had a gateway's mark.
    pub is_marked: bool,
    /// The event ids that a gateway sent with it: what already took effect under them is not
    /// applied again.
    pub ids: Vec<EventId>,
    /// The address of the client, as reported by trusted proxies if there are any.
    pub address: Option<IpAddr>,
    /// Present if a cache-mirror peer sent it.
    pub peer: Option<PeerBatch>,
}

impl Submission {
    /// A submission of these selectors; all other values are the defaults.
    pub fn new(selectors: Selectors, source: Source) -> Self {
        Self {
            selectors,
            mode: Mode::default(),
            action: Action::default(),
            reason: None,
            changed: vec![],
            parts: vec![],
            fields: BTreeMap::new(),
            routes: vec![],
            mirror: None,
            source,
            is_marked: false,
            ids: vec![],
            address: None,
            peer: None,
        }
    }
}

/// Longest name of an origin in bytes: instance names are shorter.
const ORIGIN_BYTES_MAX: usize = 128;
/// Maximum of events of one batch whose ids are kept.
const EVENTS_MAX: usize = 10_000;
/// Limits of an event's other data, as for every submission.
const CHANGED_MAX: usize = 1000;
const FIELDS_MAX: usize = 32;
const TEXT_BYTES_MAX: usize = 1024;

impl PeerBatch {
    /// Applies the limits of all submissions. A peer is never refused: selectors past a limit are
    /// widened, and descriptive data past a limit is dropped.
    #[must_use]
    pub fn bounded(mut self, selectors_max: usize) -> Self {
        self.origin = name(&self.origin);
        entity::widen(&mut self.merged.hard);
        entity::widen(&mut self.merged.soft);
        self.merged.widen_to(selectors_max);
        self.cascade.widen_to(selectors_max);
        for event in &mut self.events {
            let is_long = |text: &String| text.len() > TEXT_BYTES_MAX;
            if event.changed.len() > CHANGED_MAX || event.changed.iter().any(is_long) {
                event.changed.clear();
            }
            let is_bad = |text: &str| text.len() > TEXT_BYTES_MAX || text.contains(is_hidden);
            let is_over = event.fields.len() > FIELDS_MAX
                || event.fields.iter().any(|(name, value)| is_bad(name) || is_bad(value));
            if is_over {
                event.fields.clear();
            }
            let is_bad = |route: &Label| is_bad(route.as_str());
            if event.routes.len() > ROUTES_MAX || event.routes.iter().any(is_bad) {
                event.routes.clear();
            }
            entity::widen(&mut event.selectors);
            event.selectors.widen_to(selectors_max);
        }
        self.bound_sum(selectors_max);
        self
    }

    /// All events together are one submission. Past its limit, their selectors move to the merged
    /// part, and each event keeps its id so that a repetition is recognised.
    fn bound_sum(&mut self, selectors_max: usize) {
        let members = |mode| {
            let of_mode = self.events.iter().filter(move |event| event.mode == mode);
            of_mode.map(|event| event.selectors.members()).sum::<usize>()
        };
        let is_crowded = self.events.len() > EVENTS_MAX;
        if !is_crowded && members(Mode::Hard).max(members(Mode::Soft)) <= selectors_max {
            return;
        }
        let mut sum = super::Demand::default();
        self.events.iter().for_each(|event| {
            sum.join(&super::Demand::new(event.mode, event.selectors.clone()));
        });
        if !sum.widen_to(selectors_max) && !is_crowded {
            return;
        }
        // The sum clears at least as much as each event, in the same mode.
        self.merged.join(&sum);
        self.merged.widen_to(selectors_max);
        if is_crowded {
            self.events.clear();
        }
        self.events.iter_mut().for_each(|event| event.selectors = Selectors::default());
    }
}

/// Cleans a name for logs, events and the stream: no control or format characters, bounded length.
fn name(text: &str) -> String {
    let mut name: String = text.chars().filter(|c| !is_hidden(*c)).collect();
    name.truncate(name.floor_char_boundary(ORIGIN_BYTES_MAX));
    name
}

/// Control characters, and those that change how other text is displayed.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}')
}

/// The part of a submission that only a cache-mirror peer sends.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerBatch {
    /// The sender's `instance.name`.
    pub origin: String,
    /// Events, each with the id from its origin. Empty if all of them were merged.
    pub events: Vec<PeerEvent>,
    /// What was merged or widened, in addition to the events.
    pub merged: super::Demand,
    /// The sender's own cascade, joined to ours if the graphs differ.
    pub cascade: Selectors,
    /// The sender's graph hash.
    pub graph: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Demand, Label, Selector};

    fn tags(prefix: &str, count: usize) -> Selectors {
        let label = |n| Label::parse(&format!("{prefix}{n}")).expect("label");
        (0..count).map(|n| Selector::Tag(label(n))).collect()
    }

    fn peer_event(selectors: Selectors, mode: Mode) -> PeerEvent {
        let id = EventId::fresh();
        PeerEvent {
            id,
            selectors,
            mode,
            action: Action::Update,
            changed: vec![],
            fields: [].into(),
            routes: vec![],
        }
    }

    fn batch(events: Vec<PeerEvent>) -> PeerBatch {
        let (merged, cascade) = (Demand::default(), Selectors::default());
        PeerBatch { origin: "b".into(), events, merged, cascade, graph: "g".into() }
    }

    fn sum(batch: &PeerBatch) -> Demand {
        let mut sum = batch.merged.clone();
        for event in &batch.events {
            sum.join(&Demand::new(event.mode, event.selectors.clone()));
        }
        sum
    }

    /// A batch is bounded like any submission, and clears no less in either mode.
    #[test]
    fn a_batch_past_the_limits_is_wider_and_never_refused() {
        use Mode::{Hard, Soft};
        for events in [
            vec![peer_event(tags("a", 3_000), Hard)],
            vec![peer_event(tags("a", 600), Hard), peer_event(tags("b", 600), Hard)],
            vec![peer_event(tags("a", 600), Hard), peer_event(tags("b", 600), Soft)],
            vec![peer_event(tags("a", 10), Hard), peer_event(tags("b", 3_000), Soft)],
            (0..20_000).map(|_| peer_event(tags("a", 1), Soft)).collect(),
        ] {
            let before = batch(events);
            let after = before.clone().bounded(1_000);
            let (asked, sum) = (sum(&before), sum(&after));
            assert!(sum.covers(&asked));
            assert!(sum.hard.members() <= 1_000 && sum.soft.members() <= 1_000);
            assert!(after.events.len() <= 10_000);
        }
        let kept = batch(vec![peer_event(tags("a", 600), Hard), peer_event(tags("b", 400), Hard)]);
        assert_eq!(sum(&kept.clone().bounded(1_000)), sum(&kept), "within the limit all is named");
        let mut wide = batch(vec![]);
        (wide.cascade, wide.merged.soft) = (tags("c", 3_000), tags("m", 3_000));
        let wide = wide.bounded(1_000);
        assert!(wide.cascade.is_all() && wide.merged.soft.is_all() && wide.merged.hard.is_empty());
    }

    /// Descriptive data past a limit is dropped.
    #[test]
    fn the_descriptive_data_of_a_peer_is_bounded() {
        let mut event = peer_event(tags("a", 1), Mode::Hard);
        event.changed = vec!["x".into(); 2_000];
        event.fields = (0..40).map(|n| (n.to_string(), "x".into())).collect();
        let origin = format!("b\n\u{202e}{}", "y".repeat(200_000));
        let bounded = PeerBatch { origin, ..batch(vec![event]) }.bounded(1_000);
        assert_eq!((bounded.origin.len(), &bounded.origin[..2]), (128, "by"));
        assert!(bounded.events[0].changed.is_empty() && bounded.events[0].fields.is_empty());
    }
}
