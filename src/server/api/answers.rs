//! The answers of the API as types: what is serialised is what `/openapi.json` describes, so that
//! the two cannot disagree.
//!
//! Values are what callers see: ids and names as text, times as RFC 3339. Nothing is decided here.

pub mod explained;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::deliver::{DeliveryOutcome, PeerView, RemovedView};
use crate::domain::{Action, EventId, Label, Scope, Source, TypeName, UrlPath};
use crate::ingest::schedule;
use crate::server::refusals::RefusedView;
use crate::store;

/// What an invalidation did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Invalidated<'a> {
    pub success: bool,
    /// The event's id, the same on every instance; null for a dry run, and where nothing that
    /// changed matters.
    #[schemars(with = "Option<uuid::Uuid>")]
    pub id: Option<EventId>,
    pub instance: &'a str,
    /// Its place in this instance's journal; null where there is no event.
    pub seq: Option<u64>,
    /// Events applied here so far; null where there is no event.
    pub version: Option<u64>,
    /// Entries cleared or made stale.
    pub invalidated_entries: u64,
    /// False where counting ran out of its time.
    pub count_complete: bool,
    /// The same by type.
    pub types: &'a BTreeMap<String, u64>,
    /// Types that the graph added.
    #[schemars(with = "Vec<String>")]
    pub cascade: Vec<&'a TypeName>,
    pub warnings: &'a [String],
    /// Where it stands at every mirror; of a dry run, whether it would queue there.
    pub mirrors: &'a [DeliveryOutcome],
    /// Of a dry run: the same of every site and cache that is called.
    #[serde(skip_serializing_if = "<[DeliveryOutcome]>::is_empty")]
    pub beside: &'a [DeliveryOutcome],
    /// True where the disk refused the event: mirrors are sent it from memory, and are told to
    /// clear all should the instance end before the disk takes events again.
    #[serde(skip_serializing_if = "is_false")]
    pub degraded: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// What was done before under the same ids: the store was cleared again, nobody else is told.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Duplicate<'a> {
    pub success: bool,
    /// Always true.
    pub duplicate: bool,
    pub instance: &'a str,
    pub version: u64,
    pub invalidated_entries: u64,
}

/// What became of a webhook's delivery.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Delivered<'a> {
    pub success: bool,
    /// The event's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<uuid::Uuid>")]
    pub id: Option<EventId>,
    /// True where it had its effect before.
    #[serde(skip_serializing_if = "is_false")]
    pub duplicate: bool,
    /// True where there was nothing to do.
    #[serde(skip_serializing_if = "is_false")]
    pub ignored: bool,
    /// Why there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the mapping could not read, and what it did instead.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub warnings: &'a [String],
    /// True where the disk refused the event: mirrors are sent it from memory, and are told to
    /// clear all should the instance end before the disk takes events again.
    #[serde(skip_serializing_if = "is_false")]
    pub degraded: bool,
}

/// One event of the journal.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
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
    /// Who asked.
    pub principal: String,
    pub source: Source,
    pub scope: Scope,
    pub action: Action,
    pub selectors: Vec<String>,
    #[schemars(with = "Vec<String>")]
    pub cascade: Vec<TypeName>,
    /// The events of a peer that it stands for.
    #[schemars(with = "Vec<uuid::Uuid>")]
    pub covers: Vec<EventId>,
    pub reason: Option<String>,
    pub changed: Vec<String>,
    /// What else was said of the entity.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Where it stands at every mirror; left out of a page of the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirrors: Option<Vec<DeliveryOutcome>>,
    /// The same at every cache and framework beside this instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<Vec<DeliveryOutcome>>,
}

/// A page of the journal.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JournalPage {
    pub epoch: u64,
    /// The newest event.
    pub head: u64,
    /// True where events after `after` are no longer kept.
    pub gap: bool,
    pub events: Vec<EventAnswer>,
}

/// An entry was stored.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stored {
    pub success: bool,
    #[schemars(with = "String")]
    pub key: Label,
    /// Its life in seconds.
    pub ttl: u64,
    /// Why it may be stale already.
    pub warnings: Vec<String>,
}

/// An entry was removed, or was not there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Removed {
    pub success: bool,
    pub invalidated_entries: u64,
}

/// Entries of the cache, without their bodies.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entries {
    pub entries: Vec<EntryAnswer>,
}

/// One entry, without its body.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct EntryAnswer {
    #[schemars(with = "String")]
    pub key: Label,
    #[schemars(with = "Option<String>")]
    pub r#type: Option<TypeName>,
    #[schemars(with = "Option<String>")]
    pub id: Option<Label>,
    #[schemars(with = "Vec<String>")]
    pub tags: Vec<Label>,
    #[schemars(with = "Option<String>")]
    pub path: Option<UrlPath>,
    pub bytes: u64,
    /// Seconds since it was filled.
    pub age: u64,
    /// Seconds it has left; negative where it is past its life.
    pub ttl: i64,
}

/// Numbers of the instance, each true of about now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stats<'a> {
    pub instance: &'a str,
    pub uptime_s: u64,
    pub version: u64,
    /// Hash of the dependency graph.
    pub graph: &'a str,
    pub store: store::Stats,
    pub journal: JournalStats,
    pub stream: StreamStats,
    pub log: LogStats,
    /// By the wall that held.
    pub loops_prevented: BTreeMap<&'static str, u64>,
    /// Calls that were refused; for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct JournalStats {
    pub epoch: u64,
    pub head: u64,
    /// Whether the disk refuses events at present.
    pub degraded: bool,
    pub last_error: Option<String>,
    /// What was wrong with the files at the start; every mirror was told to clear all for it.
    pub damaged: Option<String>,
    pub segments: usize,
    pub bytes: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct StreamStats {
    pub clients: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct LogStats {
    /// Lines that were lost.
    pub dropped: u64,
}

/// How often everything, and each type, was cleared: durable.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Versions {
    pub version: u64,
    /// RFC 3339.
    pub last_cache_clear: Option<String>,
    pub types: BTreeMap<String, u64>,
}

/// The versions count anew.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionsReset {
    pub success: bool,
    /// 0.
    pub version: u64,
    pub version_before: u64,
    /// RFC 3339: now.
    pub last_cache_clear: String,
}

/// The settings were read again and taken over.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reloaded {
    pub success: bool,
    /// Keys that changed.
    pub changed: Vec<String>,
    /// Keys that keep their value until a restart.
    pub needs_restart: Vec<String>,
    /// Always empty here; a 422 has one line for each problem.
    pub problems: Vec<String>,
}

/// Every mirror.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Mirrors {
    pub mirrors: Vec<PeerView>,
    /// What the settings name no more, with what is kept for it.
    pub removed: Vec<RemovedView>,
}

/// An operator's change was made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Operated {
    pub success: bool,
    pub mirror: Option<PeerView>,
}

/// Every schedule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Schedules {
    pub schedules: Vec<schedule::ScheduleView>,
}

/// A schedule is held, or goes on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Held {
    pub success: bool,
    pub schedule: Option<schedule::ScheduleView>,
}

/// The limit now in force, until the next restart.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Limited<'a> {
    pub success: bool,
    pub name: &'a str,
    pub rate_per_second: f64,
    pub burst: u32,
}

/// A token.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoggedIn {
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
}

/// A one-use ticket for the stream.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ticket {
    pub ticket: String,
    /// Seconds.
    pub expires_in: u64,
}

/// How the process is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// `ok`, or `degraded` where the disk refuses events.
    pub status: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
