//! What somebody asked for, before anything is decided about it.
//! It carries claims as they were made (`mirror`, a peer's batch); only the gate decides what they
//! are worth.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{EventId, Selectors};

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

/// What happened to the entity; told to listeners, never interpreted here.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Action {
    Create,
    #[default]
    Update,
    Delete,
    Restore,
    ForceDelete,
    Archive,
}

impl Action {
    /// The word used in requests, SSE data and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::ForceDelete => "force_delete",
            Self::Archive => "archive",
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
    /// The admin token: everything, and neither rate-limited by default nor quenched.
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
    /// The re-mirroring of what the echo quench held back.
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
pub struct Told {
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
}

/// One of several events that came as one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it clears.
    pub selectors: Selectors,
    /// What happened.
    pub action: Action,
    /// Names of the fields that changed; empty where that is not known.
    pub changed: Vec<String>,
}

/// A request to invalidate, parsed and not yet judged.
#[derive(Debug, Clone)]
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
    /// that changed, and `changed` is then empty.
    pub parts: Vec<Part>,
    /// What else is said of the entity (its slug, ...): see [`super::Event::fields`].
    pub fields: BTreeMap<String, String>,
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

/// What only a cache-mirror peer tells.
#[derive(Debug, Clone)]
pub struct PeerBatch {
    /// The sender's `instance.name`.
    pub origin: String,
    /// Events, each with the id its origin gave it. Empty where they were merged past naming.
    pub events: Vec<Told>,
    /// What was merged past naming, or widened, on top of the named events.
    pub merged: super::Demand,
    /// The sender's own cascade, joined in where the graphs differ.
    pub cascade: Selectors,
    /// The sender's graph hash.
    pub graph: String,
}
