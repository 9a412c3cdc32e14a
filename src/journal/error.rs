//! The errors of the journal: one enum for start-up, one for the pipeline.
//! Each variant states what is still guaranteed, so that the caller can report it.

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
        /// The content of the format file, shortened.
        found: String,
    },
    /// The file system returned an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path of the failed operation.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl OpenError {
    /// For `map_err`: adds the path to an error.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Why an append is not durable exactly. After `Degraded` and `Lost` the event is applied, and this
/// process delivers it as long as it runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefusal {
    /// The disk refused the record; the slot on disk marks every destination for `all`.
    #[error("the disk refused the record; every destination is marked for `all` instead")]
    Degraded(Arc<Event>),
    /// The disk refused both the record and the slot: a crash now would lose the event.
    #[error("the disk refused the record and the overflow slot")]
    Lost(Arc<Event>),
    /// The journal was closed before the event was taken.
    #[error("the journal is closed")]
    Closed,
}

/// The version counters were not reset. After a crash, a reset that the disk refused may still be
/// found on it, like any record whose sync failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk refused the reset, or the journal is closed: the counters are unchanged")]
pub struct NotReset;
