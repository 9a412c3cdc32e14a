//! What callers ask of the writer, and how much of it goes into one commit.
//! Nothing is decided here about the disk.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Destination, NotReset, Reconciled, WriteRefusal};
use crate::domain::Event;

/// Events in one commit: past it a sync is shared widely enough, and waiting longer helps nobody.
const BATCH_EVENTS_MAX: usize = 512;
/// Bytes in one commit, so that one write stays in the range of milliseconds.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// An event on its way to the disk.
pub(super) struct AppendRequest {
    pub event: Event,
    /// Its JSON, made by the caller so that the writer need not.
    pub json: Vec<u8>,
    pub reply: oneshot::Sender<Result<Arc<Event>, WriteRefusal>>,
    /// Its place in the queue, given back when it is dropped.
    pub permit: OwnedSemaphorePermit,
}

/// The version counters are to begin anew.
pub(super) struct ResetRequest {
    pub at_ms: u64,
    /// The version before, once the reset is durable.
    pub reply: oneshot::Sender<Result<u64, NotReset>>,
}

pub(super) enum Command {
    Append(Box<AppendRequest>),
    /// An acknowledgement waits to be written.
    Acked,
    Reset(ResetRequest),
    /// These are the destinations now.
    Reconfigure(Vec<Destination>, oneshot::Sender<Reconciled>),
    Flush(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// What one commit takes together.
#[derive(Default)]
pub(super) struct CommitBatch {
    pub(super) appends: Vec<AppendRequest>,
    bytes: usize,
    pub(super) is_acked_only: bool,
    /// The last one taken: what came before it counts before it.
    pub(super) reset: Option<ResetRequest>,
    pub(super) reconfigure: Option<(Vec<Destination>, oneshot::Sender<Reconciled>)>,
    pub(super) flushed: Vec<oneshot::Sender<()>>,
    pub(super) closed: Option<oneshot::Sender<()>>,
}

impl CommitBatch {
    /// Takes one more.
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

    /// Whether another may join.
    pub(super) fn has_room(&self) -> bool {
        self.closed.is_none()
            && self.reset.is_none()
            && self.reconfigure.is_none()
            && self.appends.len() < BATCH_EVENTS_MAX
            && self.bytes < BATCH_BYTES_MAX
    }
}
