//! Events of the journal, with where each stands at the destinations.
//! A page of the journal leaves the destinations out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeliveryOutcome, Text};
use crate::domain::{Action, EventId, Scope, Source};

/// One event of the journal.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct EventAnswer {
    #[schemars(with = "uuid::Uuid")]
    pub id: EventId,
    pub seq: u64,
    /// The process start that wrote it.
    pub epoch: u64,
    pub version: u64,
    /// When it was accepted here, RFC 3339.
    pub at: String,
    /// The instance where it came in from outside.
    pub origin: String,
    /// The caller.
    pub principal: String,
    #[schemars(with = "Source")]
    pub source: Text,
    #[schemars(with = "Scope")]
    pub scope: Text,
    #[schemars(with = "Action")]
    pub action: Text,
    pub selectors: Vec<String>,
    pub cascade: Vec<String>,
    /// The events of a peer that it stands for.
    #[schemars(with = "Vec<uuid::Uuid>")]
    pub covers: Vec<EventId>,
    pub reason: Option<String>,
    pub changed: Vec<String>,
    /// Facts about the entity, for the paths of sites.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Its status at each mirror; left out of a page of the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirrors: Option<Vec<DeliveryOutcome>>,
    /// The same for each target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<Vec<DeliveryOutcome>>,
}

/// A page of the journal.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct JournalPage {
    pub epoch: u64,
    /// The newest event.
    pub head: u64,
    /// True where events after `after` are no longer kept.
    pub gap: bool,
    pub events: Vec<EventAnswer>,
}
