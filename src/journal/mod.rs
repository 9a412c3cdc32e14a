//! The durable, append-only log of applied invalidations, with a cursor for each destination.
//!
//! Promise: an append that was answered `Ok` survives `kill -9` and power loss, and every
//! destination is owed it, by name or inside something wider, until that destination has
//! acknowledged it. What cannot be kept exactly (a full disk, damage, an outage longer than memory)
//! is widened, never dropped, and never in silence.
//!
//! Parts: [`disk`] is the world, `home` the directory that can be taken away, `record` the bytes,
//! `segment` one file, `slot` the last resort, `mark` the proof of where the records end; `state`
//! is the fold of the records, `ring` the recent events, `book` both together; `recovery` reads,
//! `writer` writes, `handle` is what callers hold. It sends nothing: `deliver` does.

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
pub use ring::TARGET_PREFIX;
pub use search::SearchResult;

/// Where the journal lives and how much it keeps.
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

/// One destination, as the settings name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destination {
    /// Under this it has its cursor.
    pub name: String,
    /// Where it is; under another name it goes on from there. Empty where that is not to be.
    pub address: String,
}

impl From<&String> for Destination {
    fn from(name: &String) -> Self {
        Self { name: name.clone(), address: String::new() }
    }
}

impl From<&Destination> for Destination {
    fn from(destination: &Destination) -> Self {
        destination.clone()
    }
}

#[cfg(test)]
mod tests;
