//! What `why` answers: the events that last touched an entry.
//! Nothing is looked up or decided here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventAnswer, Text};

/// What last touched an entry, and whether it is valid now.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Why {
    /// The key or path that was asked for.
    pub place: String,
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
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct CachedEntry {
    pub key: String,
    /// `valid` or `stale`.
    pub state: Text,
    /// RFC 3339.
    pub filled_at: String,
    /// Seconds since then.
    pub age: u64,
    /// Seconds it has left; negative where it is past its life.
    pub ttl: i64,
    pub r#type: Option<String>,
    pub id: Option<String>,
    pub tags: Vec<String>,
    pub path: Option<String>,
}

/// An event, and what of it reached the entry.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline, !default)]
pub struct Touch {
    #[serde(flatten)]
    pub event: EventAnswer,
    /// Its selectors that reached the entry.
    pub by: Vec<String>,
    /// The ways through the graph that did, each from what was named to what was cleared.
    pub by_cascade: Vec<Vec<String>>,
}
