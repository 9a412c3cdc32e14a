//! Answers about the instance: its numbers, versions, settings, logins and health.
//! Each number is true of about the time of the answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Text;

/// Numbers of the instance, each true of about now.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Stats {
    pub instance: String,
    pub uptime_s: u64,
    pub version: u64,
    /// Hash of the dependency graph.
    pub graph: String,
    pub store: StoreStats,
    pub journal: JournalStats,
    pub stream: StreamStats,
    pub log: LogStats,
    /// By the check that prevented them.
    pub loops_prevented: BTreeMap<String, u64>,
    /// Calls that were refused; for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedCalls>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct JournalStats {
    pub epoch: u64,
    pub head: u64,
    /// Whether the disk refuses events at present.
    pub degraded: bool,
    pub last_error: Option<String>,
    /// What was wrong with the files at the start; every mirror was sent a clear of everything.
    pub damaged: Option<String>,
    pub segments: usize,
    pub bytes: u64,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct StreamStats {
    pub clients: usize,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct LogStats {
    /// Lines that were lost.
    pub dropped: u64,
}

/// The store at a glance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct StoreStats {
    /// Entries held.
    pub entries: u64,
    /// Those of them whose ttl has passed, at most 0.1 s ago: entries in their stale time (`swr`),
    /// and those that the next background walk takes out. A soft invalidation shortens no ttl.
    pub expired_entries: u64,
    /// Bytes charged for them.
    pub bytes: u64,
    /// The limit of that.
    pub bytes_max: u64,
    /// The newest generation.
    pub generation: u64,
    /// The oldest generation whose tickets are still taken.
    pub floor: u64,
    /// Lookups answered fresh.
    pub hits: u64,
    /// Lookups answered stale.
    pub stale_hits: u64,
    /// Lookups not answered.
    pub misses: u64,
    /// Fills taken.
    pub fills: u64,
    /// Fills refused, for whatever reason.
    pub fills_refused: u64,
    /// Entries that had to go for others.
    pub evictions: u64,
    /// Invalidations applied.
    pub clears: u64,
    /// Entries that they counted as cleared or made stale.
    pub entries_cleared: u64,
    /// Patterns and prefixes remembered.
    pub bans: u64,
    /// How often too many of them became one stamp on everything.
    pub bans_collapsed: u64,
    /// Tags remembered, with or without an entry.
    pub stamps: u64,
}

/// Calls refused in the last hour.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct RefusedCalls {
    /// All of them.
    pub last_hour: u64,
    /// By caller, route and reason; the most frequent first, at most 20.
    pub by: Vec<RefusedBy>,
}

/// Calls of one kind.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct RefusedBy {
    /// Who called; `anonymous` where no credential held.
    pub principal: String,
    /// Method and path of the route.
    pub route: String,
    /// Why: a value of the label `reason` of the metric `cache_mirror_refused_total`.
    pub reason: String,
    pub count: u64,
    /// Where the last one came from.
    pub address: String,
}

/// How often everything, and each type, was cleared: durable.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Versions {
    pub version: u64,
    /// RFC 3339.
    pub last_cache_clear: Option<String>,
    pub types: BTreeMap<String, u64>,
}

/// The versions were set to 0.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct VersionsReset {
    pub success: bool,
    /// 0.
    pub version: u64,
    pub version_before: u64,
    /// RFC 3339: now.
    pub last_cache_clear: String,
}

/// The settings were read again and taken over.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Reloaded {
    pub success: bool,
    /// Keys that changed.
    pub changed: Vec<String>,
    /// Keys that keep their value until a restart.
    pub needs_restart: Vec<String>,
    /// Always empty here; a 422 has one line for each problem.
    pub problems: Vec<String>,
}

/// A token.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct LoggedIn {
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: Text,
    /// Seconds.
    pub expires_in: u64,
}

/// A one-use ticket for the stream.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Ticket {
    pub ticket: String,
    /// Seconds.
    pub expires_in: u64,
}

/// How the process is.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Health {
    /// `ok`, or `degraded` where the disk refuses events.
    pub status: Text,
}
