//! What `explain` answers: what an event would do, and what it would cost.
//! Nothing is looked up or decided here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Text, yes};
use crate::domain::{Mode, Scope};

/// What an invalidation would do; nothing was done.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Explained {
    pub success: bool,
    pub instance: String,
    /// What was asked for, in canonical spelling.
    pub selectors: Vec<String>,
    /// Types of which single entities are named: their lists (entries with a type and no id) are
    /// cleared too.
    pub lists: Vec<String>,
    #[schemars(with = "Mode")]
    pub mode: Text,
    #[schemars(with = "Scope")]
    pub scope: Text,
    pub graph: Walk,
    /// Types that the graph would add.
    pub cascade: Vec<String>,
    /// Entries that would be cleared or made stale.
    pub entries: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// False where counting ran out of its time.
    #[serde(default = "yes")]
    #[schemars(!default)]
    pub count_complete: bool,
    /// The entries by type.
    pub types: BTreeMap<String, u64>,
    pub cost: Cost,
    /// What each mirror would be sent; empty where nothing would be mirrored.
    pub destinations: Vec<MirrorExplanation>,
    /// Targets: they are called too, and are not part of the cost.
    pub neighbours: Vec<String>,
    pub warnings: Vec<String>,
}

/// How the change would spread.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct Walk {
    /// Hash of the dependency graph.
    pub hash: String,
    /// Breadth first: each edge that adds a type.
    pub edges: Vec<Edge>,
}

/// One step through the graph.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Edge {
    /// What changed.
    pub from: String,
    /// What it clears.
    pub to: String,
}

/// The cost.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
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

/// What one mirror would be sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct MirrorExplanation {
    /// The mirror's name.
    pub peer: String,
    /// `unknown`, `legacy`, `cache-mirror` or `self`.
    pub kind: Text,
    /// `ok`, `failing`, `paused` or `self`: whether it would be sent at once.
    pub state: Text,
    /// `batch`, `legacy`, or `none` where nothing would be sent.
    pub form: Text,
    /// Whether its graph is ours: `equal`, `differs`, or absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<Text>,
    /// Requests that it takes, where nothing else waits to be merged with it.
    pub requests: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// The bodies in the legacy form, exactly as they would be sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bodies: Vec<Value>,
    /// Selectors that it does not support.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Why it is sent nothing, or not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// Events that wait for it already.
    pub waiting: u64,
}
