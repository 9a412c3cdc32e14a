//! What comes out of the store.
//! Owned values: they stay true for the reader whatever happens to the entry afterwards.

use std::time::Duration;

use bytes::Bytes;

use super::Ticket;
use crate::domain::{Label, TypeName, UrlPath};

/// The answer to a lookup.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// Fresh.
    Hit(ServedEntry),
    /// Stale by a soft invalidation or its age, and still allowed to be served.
    Stale {
        /// The stale entry.
        found: ServedEntry,
        /// Present for the one caller who is to refresh it; others are asked again only after
        /// its lease lapses.
        refresh: Option<Ticket>,
    },
    /// Nothing that may be served.
    Miss {
        /// Fences the fill that the caller may begin now.
        ticket: Ticket,
    },
}

impl Lookup {
    /// The word used in `Cache-Status`, metrics and lines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Stale { .. } => "stale",
            Self::Miss { .. } => "miss",
        }
    }

    /// What may be served.
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
    /// As it was given.
    pub content_type: Option<String>,
    /// Since the fill was admitted.
    pub age: Duration,
    /// Seconds of freshness left, negative where stale.
    pub ttl_left: i64,
}

/// Which entries to list; every part that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// Of this entity type.
    pub type_name: Option<TypeName>,
    /// With this custom tag.
    pub tag: Option<Label>,
    /// Whose key begins so; as a path in any spelling, where it begins with `/`.
    pub prefix: Option<String>,
}

/// One line of a listing.
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
    /// Its path besides the key.
    pub path: Option<UrlPath>,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Since the fill was admitted.
    pub age: Duration,
    /// Seconds of freshness left, negative where stale.
    pub ttl_left: i64,
}
