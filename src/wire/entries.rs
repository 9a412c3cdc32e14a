//! Answers about entries of the cache.
//! Bodies of entries are not among them: those are sent as they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entry was stored.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    pub success: bool,
    pub key: String,
    /// Its life in seconds.
    pub ttl: u64,
    /// Why it may be stale already.
    pub warnings: Vec<String>,
}

/// An entry was removed, or was not there.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    pub success: bool,
    pub invalidated_entries: u64,
}

/// Entries of the cache, without their bodies.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Entries {
    pub entries: Vec<EntryAnswer>,
}

/// One entry, without its body.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct EntryAnswer {
    pub key: String,
    pub r#type: Option<String>,
    pub id: Option<String>,
    pub tags: Vec<String>,
    pub path: Option<String>,
    pub bytes: u64,
    /// Seconds since it was filled.
    pub age: u64,
    /// Seconds it has left; negative where it is past its life.
    pub ttl: i64,
}
