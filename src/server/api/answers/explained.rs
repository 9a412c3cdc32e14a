//! What `explain` and `why` answer: an event that would be, and those that were.
//!
//! Types for the same reason as the other answers: what is serialised is what is described.
//! Nothing is looked up or decided here.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::EventAnswer;
use crate::deliver::MirrorExplanation;
use crate::domain::{Label, Mode, Scope, TypeName, UrlPath};

/// What an invalidation would do; nothing was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explained<'a> {
    pub success: bool,
    pub instance: &'a str,
    /// What was asked for, in canonical spelling.
    pub selectors: Vec<String>,
    /// Types of which single entities are named: their lists (entries with a type and no id) are
    /// cleared too.
    pub lists: Vec<String>,
    pub mode: Mode,
    pub scope: Scope,
    pub graph: Walk<'a>,
    /// Types that the graph would add.
    #[schemars(with = "Vec<String>")]
    pub cascade: &'a BTreeSet<TypeName>,
    /// Entries that would be cleared or made stale.
    pub entries: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// False where counting ran out of its time.
    pub count_complete: bool,
    /// The entries by type.
    pub types: &'a BTreeMap<String, u64>,
    pub cost: Cost,
    /// What each mirror would be told; empty where nothing would be mirrored.
    pub destinations: Vec<MirrorExplanation>,
    /// Caches and frameworks beside this instance: called as well, and not part of the cost.
    pub neighbours: Vec<String>,
    pub warnings: &'a [String],
}

/// How the change would spread.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Walk<'a> {
    /// Hash of the dependency graph.
    pub hash: &'a str,
    /// Breadth first: each edge that adds a type.
    pub edges: Vec<Edge>,
}

/// One step through the graph.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Edge {
    /// What changed.
    #[schemars(with = "String")]
    pub from: TypeName,
    /// What it clears.
    #[schemars(with = "String")]
    pub to: TypeName,
}

/// What it would take.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Cost {
    /// Marks set in the store.
    pub stamps: usize,
    /// Whether counting has to look at every entry.
    pub walks_store: bool,
    /// Requests to all mirrors together.
    pub requests: usize,
    /// Bytes of their bodies.
    pub request_bytes: usize,
}

/// What last touched an entry, and whether it is valid now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Why<'a> {
    /// The key or path that was asked for.
    #[schemars(with = "String")]
    pub place: &'a Label,
    pub cached: bool,
    /// What is cached there; several entries may share a path.
    pub entries: Vec<CachedEntry>,
    /// Everything whose clearing would have cleared it, as far as is known. A type alone is a list
    /// of that type: clearing any entity of the type clears it too.
    pub selectors: Vec<String>,
    /// Newest first.
    pub events: Vec<Touch>,
    /// False where older events have left memory.
    pub complete: bool,
}

/// One entry that is cached.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct CachedEntry {
    #[schemars(with = "String")]
    pub key: Label,
    /// `valid` or `stale`.
    pub state: &'static str,
    /// RFC 3339.
    pub filled_at: String,
    /// Seconds since then.
    pub age: u64,
    /// Seconds it has left; negative where it is past its life.
    pub ttl: i64,
    #[schemars(with = "Option<String>")]
    pub r#type: Option<TypeName>,
    #[schemars(with = "Option<String>")]
    pub id: Option<Label>,
    #[schemars(with = "Vec<String>")]
    pub tags: Vec<Label>,
    #[schemars(with = "Option<String>")]
    pub path: Option<UrlPath>,
}

/// An event, and what of it reached the entry.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Touch {
    #[serde(flatten)]
    pub event: EventAnswer,
    /// Its selectors that reached the entry.
    pub by: Vec<String>,
    /// The ways through the graph that did, each from what was named to what was cleared.
    #[schemars(with = "Vec<Vec<String>>")]
    pub by_cascade: Vec<Vec<TypeName>>,
}
