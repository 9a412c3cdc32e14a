//! What an invalidation or a webhook did, and where an event stands at each destination.
//! The texts of an invalidation are borrowed: it is the answer that must be fast.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Text, is_false, yes};
use crate::domain::{EventId, Status};

/// What an invalidation did.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Invalidated<'a> {
    pub success: bool,
    /// The event's id, the same on every instance; null for a dry run, and where nothing that
    /// changed matters.
    #[schemars(with = "Option<uuid::Uuid>")]
    pub id: Option<EventId>,
    pub instance: Cow<'a, str>,
    /// Its place in this instance's journal; null where there is no event.
    pub seq: Option<u64>,
    /// Events applied here so far; null where there is no event.
    pub version: Option<u64>,
    /// Entries cleared or made stale.
    pub invalidated_entries: u64,
    /// False where counting ran out of its time.
    #[serde(default = "yes")]
    #[schemars(!default)]
    pub count_complete: bool,
    /// The entries by type.
    pub types: Cow<'a, BTreeMap<String, u64>>,
    /// Types that the graph added.
    pub cascade: Vec<Cow<'a, str>>,
    pub warnings: Cow<'a, [String]>,
    /// Its status at each mirror; for a dry run, whether it would be queued there.
    pub mirrors: Cow<'a, [DeliveryOutcome]>,
    /// For a dry run: the same for each target.
    #[serde(skip_serializing_if = "<[DeliveryOutcome]>::is_empty")]
    pub beside: Cow<'a, [DeliveryOutcome]>,
    /// True where the disk refused the event: it is sent to mirrors from memory, and if the
    /// instance ends before the disk accepts events again, they are sent a clear of everything.
    #[serde(skip_serializing_if = "is_false")]
    pub degraded: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// An invalidation that was applied before under the same ids: the store was cleared again, nothing
/// is sent.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Duplicate<'a> {
    pub success: bool,
    /// Always true.
    pub duplicate: bool,
    pub instance: Cow<'a, str>,
    pub version: u64,
    pub invalidated_entries: u64,
}

/// The result of a webhook's delivery.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Delivered<'a> {
    pub success: bool,
    /// The event's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<uuid::Uuid>")]
    pub id: Option<EventId>,
    /// True where it was applied before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub duplicate: bool,
    /// True where there was nothing to do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignored: bool,
    /// Why it was ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the mapping could not read, and what it did instead.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub warnings: Cow<'a, [String]>,
    /// True where the disk refused the event: it is sent to mirrors from memory, and if the
    /// instance ends before the disk accepts events again, they are sent a clear of everything.
    #[serde(default, skip_serializing_if = "is_false")]
    pub degraded: bool,
}

/// The status of one event at one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Outcome")]
pub struct DeliveryOutcome {
    /// The destination's name.
    pub peer: String,
    /// The status.
    pub status: Status,
    /// Why, where the status alone does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For a dry run: the destination's present state, as `GET /api/mirrors` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Text>,
    /// Failed attempts that covered this event, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// The last failure there, while the event waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Where each address behind the name is called: the last result of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressOutcome>,
}

/// The last result of one of several addresses behind a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressOutcome {
    /// The address.
    #[schemars(with = "String")]
    pub address: IpAddr,
    /// `delivered` or `failed`.
    pub status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
