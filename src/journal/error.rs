//! How the journal says no. Two enums because two callers branch: start-up, and the pipeline.
//! Each variant names what holds nevertheless, so that the caller can say it too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::Event;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("{} is in use by another cache-mirror process", dir.display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// Written by a version that this one cannot read.
    #[error(
        "the data directory has the format {found:?}, which this version does not know; \
         use the version that wrote it, or an empty directory"
    )]
    UnknownFormat {
        /// What the format file says, shortened.
        found: String,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being used.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// For `map_err`: names the path an error is about.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Why an append is not durable as itself. The event counts and is delivered while this process
/// lives in both of the first cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefusal {
    /// The disk refused the record, and the slot has it on disk that everybody needs `all`.
    #[error("the disk refused the record; every destination is marked for `all` instead")]
    Degraded(Arc<Event>),
    /// The disk refused the record and the slot: a crash now would lose it.
    #[error("the disk refused the record and the overflow slot")]
    Lost(Arc<Event>),
    /// The journal was closed before the event was taken.
    #[error("the journal is closed")]
    Closed,
}

/// Why the version counters go on as they were. A reset that the disk refused may still be found on
/// it after a crash, as any record whose sync failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk refused the reset, or the journal is closed: the counters go on")]
pub struct NotReset;
