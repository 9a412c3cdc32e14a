//! The commands to the writer, and how many of them share one commit.
//! Nothing here knows the disk.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Destination, NotReset, Reconciled, WriteRefusal};
use crate::domain::Event;

/// Events in one commit: more would only delay the answers, as the sync is shared widely enough.
const BATCH_EVENTS_MAX: usize = 512;
/// Bytes in one commit, so that one write takes milliseconds.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// An event on its way to the disk.
pub(super) struct AppendRequest {
    pub event: Event,
    /// Its JSON, encoded by the caller to spare the writer thread the work.
    pub json: Vec<u8>,
    pub reply: oneshot::Sender<Result<Arc<Event>, WriteRefusal>>,
    /// Its place in the queue, released on drop.
    pub permit: OwnedSemaphorePermit,
}

/// Sets the version counters to 0.
pub(super) struct ResetRequest {
    pub at_ms: u64,
    /// Receives the version before the reset, once the reset is durable.
    pub reply: oneshot::Sender<Result<u64, NotReset>>,
}

pub(super) enum Command {
    Append(Box<AppendRequest>),
    /// A cursor moved and is not on disk yet.
    Acked,
    Reset(ResetRequest),
    /// Replaces the list of destinations.
    Reconfigure(Vec<Destination>, oneshot::Sender<Reconciled>),
    Flush(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// The commands of one commit.
#[derive(Default)]
pub(super) struct CommitBatch {
    pub(super) appends: Vec<AppendRequest>,
    bytes: usize,
    pub(super) is_acked_only: bool,
    /// It ends the batch: events before it count before the reset.
    pub(super) reset: Option<ResetRequest>,
    pub(super) reconfigure: Option<(Vec<Destination>, oneshot::Sender<Reconciled>)>,
    pub(super) flushed: Vec<oneshot::Sender<()>>,
    pub(super) closed: Option<oneshot::Sender<()>>,
}

impl CommitBatch {
    /// Adds a command.
    pub(super) fn take(&mut self, command: Command) {
        self.is_acked_only = matches!(command, Command::Acked) && self.appends.is_empty();
        match command {
            Command::Append(append) => {
                self.bytes += append.json.len();
                self.appends.push(*append);
            }
            Command::Acked => {}
            Command::Reset(reset) => self.reset = Some(reset),
            Command::Reconfigure(names, reply) => self.reconfigure = Some((names, reply)),
            Command::Flush(reply) => self.flushed.push(reply),
            Command::Close(reply) => self.closed = Some(reply),
        }
    }

    /// Whether another command may join this commit.
    pub(super) fn accepts_more(&self) -> bool {
        self.closed.is_none()
            && self.reset.is_none()
            && self.reconfigure.is_none()
            && self.appends.len() < BATCH_EVENTS_MAX
            && self.bytes < BATCH_BYTES_MAX
    }
}
