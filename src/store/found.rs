//! The results of lookups and listings.
//! They are owned values, independent of what happens to the entry afterwards.

use std::time::Duration;

use bytes::Bytes;

use super::Ticket;
use crate::domain::{Label, TypeName, UrlPath};

/// The result of a lookup.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// Fresh.
    Hit(ServedEntry),
    /// Stale by a soft invalidation or by age, and may still be served.
    Stale {
        /// The stale entry.
        found: ServedEntry,
        /// Given to the one caller that must refresh the entry; after its lease has expired, to
        /// another one.
        refresh: Option<Ticket>,
    },
    /// There is nothing to serve.
    Miss {
        /// For the fill that the caller may begin now.
        ticket: Ticket,
    },
}

impl Lookup {
    /// The value in `Cache-Status`, metrics and log lines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Stale { .. } => "stale",
            Self::Miss { .. } => "miss",
        }
    }

    /// The entry that may be served.
    pub fn found(&self) -> Option<&ServedEntry> {
        match self {
            Self::Hit(found) | Self::Stale { found, .. } => Some(found),
            Self::Miss { .. } => None,
        }
    }
}

/// An entry as it is served.
#[derive(Debug, Clone)]
pub struct ServedEntry {
    /// Opaque bytes.
    pub body: Bytes,
    /// As in the fill.
    pub content_type: Option<String>,
    /// Time since the fill was admitted.
    pub age: Duration,
    /// Remaining seconds of freshness; negative if stale.
    pub ttl_left: i64,
}

/// Which entries to list; an entry must match every given field.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// Of this entity type.
    pub type_name: Option<TypeName>,
    /// With this custom tag.
    pub tag: Option<Label>,
    /// Its key begins so; if this begins with `/`, a path in any spelling.
    pub prefix: Option<String>,
}

/// One entry of a listing.
#[derive(Debug, Clone)]
pub struct ListedEntry {
    /// Its key.
    pub key: Label,
    /// Its entity type.
    pub type_name: Option<TypeName>,
    /// Its entity.
    pub id: Option<Label>,
    /// Its custom tags.
    pub tags: Vec<Label>,
    /// Its path, apart from the key.
    pub path: Option<UrlPath>,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Time since the fill was admitted.
    pub age: Duration,
    /// Remaining seconds of freshness; negative if stale.
    pub ttl_left: i64,
}
