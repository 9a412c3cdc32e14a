//! What somebody asked for, before anything is decided about it.
//! It carries claims as they were made (`mirror`, a peer's batch); only the gate decides what they
//! are worth.

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

/// What a principal may do.
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
    /// The word used in log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::AdminToken => "admin_token",
        }
    }
}

/// Who asks, as far as the gate could verify.
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

/// One event of a peer's batch, as the peer told it.
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
    /// What else was said of the entity.
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
    /// Tags of what shows its entities (`products:client:7`), by their type: where that is left
    /// alone, so are they. They are not among its selectors.
    pub parents: BTreeMap<TypeName, BTreeSet<Label>>,
}

impl SubmissionPart {
    /// The tags of parents, as selectors.
    pub fn parent_tags(&self) -> impl Iterator<Item = Selector> + '_ {
        self.parents.values().flatten().cloned().map(Selector::Tag)
    }
}

/// A request to invalidate, parsed and not yet judged.
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
    /// What else is said of the entity (its slug, ...): see [`super::Event::fields`].
    pub fields: BTreeMap<String, String>,
    /// Routes that the caller named: see [`super::Event::routes`].
    pub routes: Vec<Label>,
    /// The body's `mirror`, where it was given.
    pub mirror: Option<bool>,
    /// The door.
    pub source: Source,
    /// Whether a gateway's mark was on the request.
    pub is_marked: bool,
    /// The ids that a gateway said this is: what had its effect under them has none again.
    pub ids: Vec<EventId>,
    /// The socket peer, or what trusted proxies say of it.
    pub address: Option<IpAddr>,
    /// Set where a cache-mirror peer sent it.
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
/// Events of one batch whose ids are remembered.
const EVENTS_MAX: usize = 10_000;
/// Bounds of what is said of an event beside its selectors, as for anybody's submission.
const CHANGED_MAX: usize = 1000;
const FIELDS_MAX: usize = 32;
const TEXT_BYTES_MAX: usize = 1024;

impl PeerBatch {
    /// The same within the limits that hold for everybody's submissions. A peer is not refused:
    /// what is past a limit is wider, and what only describes is left out.
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

    /// All events together are one submission: past its limit their ids are left to the merged
    /// part, and each keeps its own id for being recognised.
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
        // What each clears is in the sum, which clears at least as much in the same mode.
        self.merged.join(&sum);
        self.merged.widen_to(selectors_max);
        if is_crowded {
            self.events.clear();
        }
        self.events.iter_mut().for_each(|event| event.selectors = Selectors::default());
    }
}

/// A name for logs, events and the stream: without control and format characters, and not long.
fn name(text: &str) -> String {
    let mut name: String = text.chars().filter(|c| !is_hidden(*c)).collect();
    name.truncate(name.floor_char_boundary(ORIGIN_BYTES_MAX));
    name
}

/// Control characters, and those that change how the text around them is shown.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}')
}

/// What only a cache-mirror peer tells.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerBatch {
    /// The sender's `instance.name`.
    pub origin: String,
    /// Events, each with the id its origin gave it. Empty where they were merged past naming.
    pub events: Vec<PeerEvent>,
    /// What was merged past naming, or widened, on top of the named events.
    pub merged: super::Demand,
    /// The sender's own cascade, joined in where the graphs differ.
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

    fn told(selectors: Selectors, mode: Mode) -> PeerEvent {
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
            vec![told(tags("a", 3_000), Hard)],
            vec![told(tags("a", 600), Hard), told(tags("b", 600), Hard)],
            vec![told(tags("a", 600), Hard), told(tags("b", 600), Soft)],
            vec![told(tags("a", 10), Hard), told(tags("b", 3_000), Soft)],
            (0..20_000).map(|_| told(tags("a", 1), Soft)).collect(),
        ] {
            let before = batch(events);
            let after = before.clone().bounded(1_000);
            let (asked, sum) = (sum(&before), sum(&after));
            assert!(sum.covers(&asked));
            assert!(sum.hard.members() <= 1_000 && sum.soft.members() <= 1_000);
            assert!(after.events.len() <= 10_000);
        }
        let kept = batch(vec![told(tags("a", 600), Hard), told(tags("b", 400), Hard)]);
        assert_eq!(sum(&kept.clone().bounded(1_000)), sum(&kept), "within the limit all is named");
        let mut wide = batch(vec![]);
        (wide.cascade, wide.merged.soft) = (tags("c", 3_000), tags("m", 3_000));
        let wide = wide.bounded(1_000);
        assert!(wide.cascade.is_all() && wide.merged.soft.is_all() && wide.merged.hard.is_empty());
    }

    /// What only describes is left out where it is past a limit.
    #[test]
    fn what_a_peer_says_of_itself_is_cut() {
        let mut event = told(tags("a", 1), Mode::Hard);
        event.changed = vec!["x".into(); 2_000];
        event.fields = (0..40).map(|n| (n.to_string(), "x".into())).collect();
        let origin = format!("b\n\u{202e}{}", "y".repeat(200_000));
        let bounded = PeerBatch { origin, ..batch(vec![event]) }.bounded(1_000);
        assert_eq!((bounded.origin.len(), &bounded.origin[..2]), (128, "by"));
        assert!(bounded.events[0].changed.is_empty() && bounded.events[0].fields.is_empty());
    }
}
