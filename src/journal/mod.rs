//! The durable, append-only log of applied invalidations, with a cursor for each destination.
//!
//! Guarantee: an append that returned `Ok` survives `kill -9` and power loss. It must be sent to
//! every destination, by name or as part of something wider, until that destination acknowledges
//! it. What cannot be kept exactly (a full disk, damage, an outage longer than memory) is widened
//! and reported, never dropped.
//!
//! Files: [`disk`] is the interface to the file system, `home` checks that the directory is still
//! ours, `record` encodes one record, `segment` is one file of records, `slot` the last resort on a
//! full disk, `mark` the proof of where the records end; `state` is the fold of the records, `ring`
//! the recent events, `book` both together; `recovery` reads, `writer` writes, `handle` is the API.
//! The journal sends nothing: `deliver` does.

use std::path::PathBuf;

mod ahead;
mod backlog;
mod book;
mod command;
pub mod disk;
mod error;
mod flights;
mod handle;
mod home;
mod layout;
mod mark;
mod record;
mod recovery;
mod ring;
mod search;
mod segment;
pub mod sim;
mod slot;
mod state;
mod turn;
mod writer;

pub use backlog::{Backlog, BacklogSize, EventPage, Limits, Versions};
pub use book::{Reconciled, Removed};
pub use disk::{Disk, FileDisk};
pub use error::{NotReset, OpenError, WriteRefusal};
pub use flights::{Flight, Flights, KnownPart};
pub use handle::{Health, Journal};
pub use recovery::Recovered;
pub use ring::CursorClass;
pub use search::SearchResult;

/// Where the journal is and how much it keeps.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory.
    pub dir: PathBuf,
    /// Size of one segment file.
    pub segment_bytes: u64,
    /// Events kept for replay.
    pub events_kept: usize,
    /// Bytes of events kept for replay.
    pub bytes_kept: usize,
    /// Selectors in one destination's backlog before it is widened.
    pub backlog_members_max: usize,
}

/// A destination, as the settings describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destination {
    /// The name of its cursor, made by [`CursorClass::stored_name`].
    pub name: String,
    /// If a destination gets another name, the same address finds its cursor. Empty: never.
    pub address: String,
    /// Which events it receives.
    pub class: CursorClass,
}

/// By its stored name alone.
impl From<&String> for Destination {
    fn from(name: &String) -> Self {
        let class = CursorClass::of_stored_name(name);
        Self { name: name.clone(), address: String::new(), class }
    }
}

impl From<&Destination> for Destination {
    fn from(destination: &Destination) -> Self {
        destination.clone()
    }
}

#[cfg(test)]
mod tests;
