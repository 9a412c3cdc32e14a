//! Mirrors and the other destinations, as an operator sees them.
//! A snapshot: it promises nothing about the next moment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Text;

/// Every mirror.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Mirrors {
    pub mirrors: Vec<DestinationView>,
    /// Destinations that were removed from the settings, with the events kept for them.
    pub removed: Vec<RemovedDestination>,
}

/// An operator's change.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Operated {
    pub success: bool,
    pub mirror: Option<DestinationView>,
}

/// The limit now in force, until the next restart.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Limited {
    pub success: bool,
    pub name: String,
    pub rate_per_second: f64,
    pub burst: u32,
}

/// One mirror. Every text is safe to show: no token, no password.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Mirror", !default)]
pub struct DestinationView {
    /// What operators call it.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// `unknown`, `legacy`, `cache-mirror` or `self`; for a target `revalidate`, `purge`, ...
    pub kind: Text,
    /// `ok`, `failing`, `throttled`, `paused`, `self`; `held` where something waits until its kind
    /// is known, `parked` where it refuses something for what it is.
    pub state: Text,
    /// `operator` or `auth`, where it is paused.
    pub paused: Option<Text>,
    /// Its `instance.name`, where it is known.
    pub instance: Option<String>,
    /// Hash of its graph, where it is known.
    pub graph: Option<String>,
    /// Requests a second.
    pub rate_per_second: f64,
    /// Requests at once after a pause.
    pub burst: u32,
    /// `closed` or `open`.
    pub breaker: Text,
    /// Failures in a row.
    pub failures: u32,
    /// The last failure, until the next success.
    pub last_error: Option<String>,
    /// Milliseconds until the next attempt, where one is scheduled.
    pub next_attempt_ms: Option<u64>,
    /// Until when it asked for no requests (429, or `Retry-After`), RFC 3339.
    pub throttled_until: Option<String>,
    /// Whether it calls back with what it is sent, so that copies of what goes round wait.
    pub echoing: bool,
    /// Events of which something is held until its kind is known (`state` is `held`).
    pub held_events: u64,
    /// What it refuses, with the reason, at most the first hundred: tried once an hour, and never
    /// counted as delivered.
    pub parked: Vec<ParkedRequest>,
    /// How many it refuses.
    pub parked_count: usize,
    /// Events waiting.
    pub backlog_events: u64,
    /// Acceptance of the oldest of them, milliseconds since 1970.
    pub backlog_oldest_ms: Option<u64>,
    /// How long it has waited, by the clock of this instance.
    pub backlog_age_ms: Option<u64>,
    /// Whether the backlog had to be widened.
    pub backlog_widened: bool,
    /// Requests made since the start.
    pub requests: u64,
    /// Events acknowledged since the start.
    pub delivered: u64,
    /// Events since the start of which nothing was sent, because it supports no part of them.
    pub skipped: u64,
}

/// A destination that was removed from the settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "RemovedMirror", !default)]
pub struct RemovedDestination {
    /// What operators called it.
    pub name: String,
    /// Events that are kept for it.
    pub backlog_events: u64,
    /// Acceptance of the oldest of them, milliseconds since 1970.
    pub backlog_oldest_ms: Option<u64>,
    /// Whether the backlog had to be widened.
    pub backlog_widened: bool,
    /// When it was removed, milliseconds since 1970.
    pub removed_ms: u64,
    /// When what is kept is dropped, milliseconds since 1970.
    pub forgotten_ms: u64,
}

/// What a mirror refuses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct ParkedRequest {
    /// The type, or one entity of it; of a site or a cache the paths and tags, or the name.
    pub what: String,
    /// The error.
    pub error: Option<String>,
    /// How often it was refused in a row.
    pub attempts: u32,
    /// Events that wait for it.
    pub events: u64,
    /// Milliseconds until it is tried again.
    pub next_attempt_ms: u64,
}

/// The result of a ping. Every text is safe to show.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Ping", !default)]
pub struct PingReport {
    /// The mirror's name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Whether anything answered.
    pub reachable: bool,
    /// `cache-mirror`, `self`, `legacy` where the settings or deliveries have decided so, `unknown`
    /// where the answer proves nothing; for a target `revalidate` or `purge`, without a login.
    pub kind: Text,
    /// Its `instance.name`, where it is known.
    pub instance: Option<String>,
    /// Its product version, where it is known.
    pub version: Option<String>,
    /// `equal` or `differs`, where its graph is known.
    pub graph: Option<Text>,
    /// From the question to the answer, a new connection included.
    pub round_trip_ms: Option<f64>,
    /// `ok`, `refused`, `failed`, `none` where no account is set, or `skipped`.
    pub login: Text,
    /// Why the login did not work.
    pub login_error: Option<String>,
    /// `equal`, `differs`, `absent` there, or too `short` to be compared: the secret of
    /// revalidation routes, where we have one and a cache-mirror takes our account.
    pub revalidate_secret: Option<Text>,
    /// Why nothing answered.
    pub error: Option<String>,
}
