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
    /// The same by type.
    pub types: Cow<'a, BTreeMap<String, u64>>,
    /// Types that the graph added.
    pub cascade: Vec<Cow<'a, str>>,
    pub warnings: Cow<'a, [String]>,
    /// Where it stands at every mirror; of a dry run, whether it would queue there.
    pub mirrors: Cow<'a, [DeliveryOutcome]>,
    /// Of a dry run: the same of every site and cache that is called.
    #[serde(skip_serializing_if = "<[DeliveryOutcome]>::is_empty")]
    pub beside: Cow<'a, [DeliveryOutcome]>,
    /// True where the disk refused the event: mirrors are sent it from memory, and are told to
    /// clear all should the instance end before the disk takes events again.
    #[serde(skip_serializing_if = "is_false")]
    pub degraded: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// What was done before under the same ids: the store was cleared again, nobody else is told.
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

/// What became of a webhook's delivery.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Delivered<'a> {
    pub success: bool,
    /// The event's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<uuid::Uuid>")]
    pub id: Option<EventId>,
    /// True where it had its effect before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub duplicate: bool,
    /// True where there was nothing to do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignored: bool,
    /// Why there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the mapping could not read, and what it did instead.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub warnings: Cow<'a, [String]>,
    /// True where the disk refused the event: mirrors are sent it from memory, and are told to
    /// clear all should the instance end before the disk takes events again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub degraded: bool,
}

/// Where one event stands at one mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Outcome")]
pub struct DeliveryOutcome {
    /// The mirror's name.
    pub peer: String,
    /// Where it stands.
    pub status: Status,
    /// Why, where that needs words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a dry run: the destination's present state, as `GET /api/mirrors` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Text>,
    /// Failed attempts that covered this event, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// The last failure at this mirror, while the event waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Where each address behind the name is called: what each said last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressOutcome>,
}

/// What one of several addresses behind a name said last.
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
