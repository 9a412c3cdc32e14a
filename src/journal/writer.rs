//! The only thread that writes: group commit, and what to do when the disk refuses.
//!
//! It takes one command, adds those that wait behind it, and makes all of them durable with one
//! write and one sync; only then do readers see them. After a failed write or sync the segment is
//! never used again, and the batch is written once into a new one; if that fails, the slot marks
//! `all`. The book continues in memory either way, and a later checkpoint makes it durable.
//!
//! A sync proves nothing about a file that lost its name. So the paths of the directory and of the
//! segment are checked after it (`home`), and once a second while nothing is written.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::domain::Event;
use crate::support::clock;

use super::command::{AppendRequest, Command, CommitBatch, ResetRequest};
use super::disk::PathState;
use super::handle::Shared;
use super::home::Home;
use super::layout::Layout;
use super::mark::Mark;
use super::record::{self, RecordKind};
use super::ring::has_receiver;
use super::segment::{self, Segment};
use super::slot::{self, Slot};
use super::state::JournalState;
use super::{Config, Destination, Disk, NotReset, Reconciled, WriteRefusal, book, turn};

/// Time an acknowledgement may wait to share a commit. If it is lost, the events are sent again.
const ACK_DELAY: Duration = Duration::from_millis(50);
/// Time between two attempts to write after a refusal.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Time between two checks of the directory while nothing is written.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The slot's `all` is written again after so many events: far fewer than recovery adds to the
/// sequence number in it.
const REMARK_EVENTS: u64 = 100_000;
/// Maximum of segment files; past it the oldest are folded. Idle restarts leave none behind.
const SEGMENTS_MAX: usize = 256;

/// A caller that waits for the event of this commit.
struct PendingReply {
    event: Arc<Event>,
    reply: oneshot::Sender<Result<Arc<Event>, WriteRefusal>>,
    permit: OwnedSemaphorePermit,
}

/// The open files of the data directory, apart from the segment.
pub(super) struct OpenDir {
    pub home: Home,
    /// `None` after it could not be written; created again with the next segment.
    pub mark: Option<Mark>,
}

pub(super) struct Writer {
    config: Config,
    disk: Arc<dyn Disk>,
    layout: Layout,
    shared: Arc<Shared>,
    dir: OpenDir,
    epoch: u64,
    /// Recognises a directory that this process wrote.
    owner: u64,
    segment: Option<Segment>,
    next_number: u64,
    /// Segment files: number to last event in it (0 for none) and bytes.
    files: BTreeMap<u64, (u64, u64)>,
    /// The newest event in a segment; behind the head after refusals.
    durable: u64,
    /// The path of the directory or of the segment leads elsewhere: older segments may be gone too,
    /// so the next checkpoint must contain everything.
    is_away: bool,
    /// The event at which the slot was last marked `all`, as long as that mark is on disk.
    marked_at: Option<u64>,
    retry_at: Option<Instant>,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        config: Config,
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
        dir: OpenDir,
        files: BTreeMap<u64, (u64, u64)>,
        next_number: u64,
    ) -> Self {
        let layout = Layout::new(&config.dir);
        let (durable, epoch) = (shared.book.lock().state.head, shared.epoch);
        Self {
            config,
            disk,
            layout,
            shared,
            dir,
            epoch,
            owner: slot::draw_owner(),
            segment: None,
            next_number,
            files,
            durable,
            is_away: false,
            marked_at: None,
            retry_at: None,
            buffer: Vec::new(),
        }
    }

    /// Opens the first segment of this process. If the disk refuses it, the journal starts
    /// degraded.
    pub(super) fn start(&mut self) {
        if let Err(error) = self.open_segment() {
            self.fail(&error);
        }
        self.log();
    }

    /// Runs until the journal is closed or every handle is dropped.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let closed = self.serve(commands);
        self.commit(Vec::new());
        if let Some(mark) = &mut self.dir.mark {
            // The mark is a lower bound; without the sync it may be a lower one.
            let _ = mark.sync();
        }
        drop(self);
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    fn serve(&mut self, commands: &Receiver<Command>) -> Option<oneshot::Sender<()>> {
        let mut wake: Option<Instant> = None;
        loop {
            let until = wake.or(self.retry_at).unwrap_or_else(|| Instant::now() + CHECK_EVERY);
            let first = commands.recv_deadline(until);
            let mut batch = CommitBatch::default();
            match first {
                Ok(command) => batch.take(command),
                Err(RecvTimeoutError::Timeout) => self.check_paths(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if batch.is_acked_only
                && Instant::now() < *wake.get_or_insert_with(|| Instant::now() + ACK_DELAY)
            {
                continue;
            }
            while batch.accepts_more()
                && let Ok(command) = commands.try_recv()
            {
                batch.take(command);
            }
            wake = None;
            self.commit(batch.appends);
            if let Some(reset) = batch.reset {
                self.reset(reset);
            }
            if let Some((names, reply)) = batch.reconfigure {
                let _ = reply.send(self.reconfigure(&names));
            }
            for reply in batch.flushed {
                let _ = reply.send(());
            }
            if batch.closed.is_some() {
                return batch.closed;
            }
        }
    }

    /// Makes a batch, and every acknowledgement so far, as durable as the disk allows.
    fn commit(&mut self, batch: Vec<AppendRequest>) {
        let shared = Arc::clone(&self.shared);
        let mut book = shared.book.lock();
        let acks = book.take_unwritten();
        if batch.is_empty() && acks.is_empty() && self.segment.is_some() {
            return;
        }
        let mut records = std::mem::take(&mut self.buffer);
        records.clear();
        let (mut last, mut version) = (book.state.head, book.state.version);
        let mut coming = Vec::with_capacity(batch.len());
        let mut callers = Vec::with_capacity(batch.len());
        for AppendRequest { mut event, json, reply, permit } in batch {
            last += 1;
            version = JournalState::version_after(version, &event);
            (event.seq, event.epoch, event.version) = (last, self.epoch, version);
            record::write(&mut records, RecordKind::Event, last, &json);
            let event = Arc::new(event);
            coming.push((Arc::clone(&event), json.len()));
            callers.push(PendingReply { event, reply, permit });
        }
        book.expect(coming);
        drop(book);
        if callers.iter().any(|caller| has_receiver(&caller.event)) {
            self.shared.due.send_replace(last);
        }
        segment::encode_acks(&mut records, last, &acks);
        // Acknowledgements that the disk refuses are in the checkpoint of the next segment.
        let refusal = self.persist(&records, last);
        self.buffer = records;
        // Before the answers: a refused caller must find the instance degraded.
        self.log();
        self.publish(callers, refusal);
    }

    /// Durable first: readers see the counters at 0 only when a crash cannot undo it.
    fn reset(&mut self, ResetRequest { at_ms, reply }: ResetRequest) {
        let head = self.shared.book.lock().state.head;
        let mut records = Vec::new();
        segment::encode_reset(&mut records, head, at_ms);
        let answer = match self.persist(&records, head) {
            None => {
                let state = &mut self.shared.book.lock().state;
                let before = state.version;
                state.reset_versions(at_ms);
                Ok(before)
            }
            Some(_) => Err(NotReset),
        };
        self.log();
        let _ = reply.send(answer);
    }

    /// Changes the destinations and writes a checkpoint with them. If the disk refuses it, no event
    /// is accepted until a checkpoint is written or the slot is marked `all`.
    fn reconfigure(&mut self, listed: &[Destination]) -> Reconciled {
        let reconciled = self.shared.book.lock().reconcile(listed, clock::wall_ms());
        if reconciled != Reconciled::default() {
            if let Err(error) = self.open_segment() {
                self.fail(&error);
            }
            self.log();
        }
        reconciled
    }

    /// Writes records up to event `last`. Returns `None` if they are durable, else the error.
    fn persist(&mut self, records: &[u8], last: u64) -> Option<fn(Arc<Event>) -> WriteRefusal> {
        let attempts = match (&self.segment, self.retry_at) {
            (Some(_), _) => 2,
            (None, Some(at)) if Instant::now() < at => 0,
            (None, _) => 1,
        };
        for _ in 0..attempts {
            match self.write(records) {
                Ok(()) => {
                    self.recorded(last);
                    return None;
                }
                Err(error) => self.fail(&error),
            }
            if self.is_away {
                break;
            }
        }
        // Acknowledgements alone need no mark: if they are lost, the events are sent again.
        let is_due = self.marked_at.is_none_or(|at| last > at.saturating_add(REMARK_EVENTS));
        if is_due && (last > self.durable || self.is_away) {
            let newest = self.files.keys().next_back().copied().unwrap_or(0);
            let marked = self.write_slot(newest, true, last);
            self.marked_at = marked.is_ok().then_some(last);
            // If the directory is not ours, that is already the last error.
            if let Err(error) = marked
                && !self.is_away
            {
                self.shared.health.lock().last_error = Some(error.to_string());
            }
        }
        let is_marked = self.marked_at.is_some();
        self.shared.book.lock().hide_versions(!is_marked && last > self.durable);
        Some(if is_marked { WriteRefusal::Degraded } else { WriteRefusal::Lost })
    }

    /// Notes that everything up to `last` is durable.
    fn recorded(&mut self, last: u64) {
        self.durable = last;
        self.retry_at = None;
        if let Some(mark) = &mut self.dir.mark
            && mark.advance(last).is_err()
        {
            // A mark that is behind is still correct.
            self.dir.mark = None;
        }
        self.shared.book.lock().hide_versions(false);
    }

    /// Drops destinations that were removed long enough ago; the next checkpoint is without them.
    fn forget(&self) {
        let after_ms = self.shared.forget_after_ms.load(Ordering::Relaxed);
        let Some(before_ms) = clock::wall_ms().checked_sub(after_ms) else { return };
        let forgotten = self.shared.book.lock().forget(before_ms);
        forgotten.iter().for_each(turn::log_forgotten);
    }

    /// Detects between commits that the directory, or a file in it, was removed or replaced.
    fn check_paths(&mut self) {
        self.forget();
        let Some(segment) = &self.segment else { return };
        let is_there = segment.path_state() == PathState::Ours;
        let mark_is_there = self.dir.mark.as_ref().is_none_or(Mark::is_in_place);
        let checked = match self.dir.home.check_files(&*self.disk, &self.layout) {
            Ok(()) if !is_there => Err(self.segment_away(segment.number)),
            Ok(()) if !mark_is_there => Err(io::Error::other(format!(
                "{} was removed, replaced or cut",
                self.layout.mark().display()
            ))),
            other => other,
        };
        if let Err(error) = checked {
            self.is_away = true;
            self.fail(&error);
            self.log();
        }
    }

    fn segment_away(&self, number: u64) -> io::Error {
        let path = self.layout.segment(number);
        let what = format!("{} was removed, replaced or cut", path.display());
        io::Error::new(io::ErrorKind::NotFound, what)
    }

    /// One attempt: into the current segment, or a new one if there is none or it is full.
    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let limit = self.config.segment_bytes;
        if self.segment.as_ref().is_none_or(|segment| segment.is_full(records.len(), limit)) {
            self.open_segment()?;
        }
        let segment = self.segment.as_mut().expect("one was opened above");
        if !records.is_empty() {
            segment.write(records)?;
        }
        // After the sync and before any answer: the file may have lost its name before the sync.
        let (number, is_there) = (segment.number, segment.path_state() == PathState::Ours);
        let checked = self.dir.home.check(&self.layout);
        let checked =
            checked.and_then(|()| if is_there { Ok(()) } else { Err(self.segment_away(number)) });
        self.is_away |= checked.is_err();
        checked
    }

    /// Opens a segment that begins with a checkpoint, names it in the slot, and removes the
    /// segments that it replaces.
    fn open_segment(&mut self) -> io::Result<()> {
        self.retire();
        if let Err(error) = self.dir.home.check(&self.layout)
            && !std::mem::replace(&mut self.is_away, true)
        {
            // Reported first; the next attempt may write elsewhere.
            return Err(error);
        }
        if self.is_away {
            let seq = self.shared.book.lock().state.head;
            let slot = self.slot(0, true, seq);
            self.dir.home.move_in(&*self.disk, &self.layout, slot)?;
            self.disk.create_dir(&self.layout.segments())?;
        }
        let state = self.checkpoint();
        let number = self.next_number;
        self.next_number += 1;
        match self.create_segment(number, &state) {
            Ok(segment) => {
                self.durable = state.head;
                self.files.insert(number, (0, segment.length));
                self.segment = Some(segment);
                if std::mem::take(&mut self.is_away) {
                    self.shared.moves.send_modify(|moves| *moves += 1);
                }
                self.compact(state.folded_through);
                Ok(())
            }
            Err(error) => {
                // It contains no event. One file for each retry would fill the disk.
                let removed = self.disk.remove(&self.layout.segment(number));
                if removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                    self.files.insert(number, (0, 0));
                }
                Err(error)
            }
        }
    }

    fn create_segment(&mut self, number: u64, state: &JournalState) -> io::Result<Segment> {
        let place = (number, self.epoch, self.durable.min(state.head));
        let bytes = self.config.segment_bytes;
        let segment = Segment::create(&*self.disk, &self.layout, place, bytes, state)?;
        if self.is_away {
            self.layout.write_format(&*self.disk).map_err(io::Error::other)?;
        }
        // The checkpoint contains every backlog, so the slot's `all` is cleared.
        self.marked_at = None;
        self.write_slot(number, false, state.head)?;
        if self.is_away || self.dir.mark.is_none() {
            self.dir.mark = Some(Mark::open(&*self.disk, &self.layout, state.head)?);
        }
        Ok(segment)
    }

    /// Stops writing the segment; its file is still listed.
    fn retire(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.files.insert(segment.number, (self.durable, segment.length));
        }
    }

    fn checkpoint(&mut self) -> JournalState {
        let mut book = self.shared.book.lock();
        let excess = (self.files.len() + 1).saturating_sub(SEGMENTS_MAX);
        let oldest = self.files.values().take(excess).map(|(through, _)| *through).max();
        book.drop_through(oldest.unwrap_or(0));
        let state = book.snapshot();
        if self.durable >= state.head && !self.is_away {
            return state;
        }
        // Some events are in no segment, or may not be any more: the checkpoint must contain all.
        let events: Vec<_> = book.ring.events_after(0).cloned().collect();
        drop(book);
        book::folded(state, &events, self.config.backlog_members_max)
    }

    /// Removes the segments that are not needed any more. A failed removal is retried with the next
    /// segment.
    fn compact(&mut self, folded_through: u64) {
        let (disk, layout) = (&self.disk, &self.layout);
        let current = self.segment.as_ref().map_or(0, |segment| segment.number);
        let before = self.files.len();
        self.files.retain(|number, (through, _)| {
            let is_needed = *number == current || *through > folded_through;
            is_needed
                || disk
                    .remove(&layout.segment(*number))
                    .is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        });
        if self.files.len() < before {
            // If a crash undoes a removal, it only brings back a file that is not needed.
            let _ = disk.sync_dir(&layout.segments());
        }
    }

    /// Writes the slot, but never into a directory that is not ours.
    fn write_slot(&self, segment: u64, all: bool, seq: u64) -> io::Result<()> {
        self.dir.home.check(&self.layout)?;
        slot::write(&*self.disk, &self.layout, self.slot(segment, all, seq))
    }

    fn slot(&self, segment: u64, all: bool, seq: u64) -> Slot {
        Slot { all, segment, epoch: self.epoch, seq, owner: self.owner }
    }

    /// Handles a failed write: nothing more is acknowledged from this segment.
    fn fail(&mut self, error: &io::Error) {
        self.retire();
        self.retry_at = Some(Instant::now() + RETRY_EVERY);
        self.shared.health.lock().last_error = Some(error.to_string());
    }

    /// Makes the batch visible to readers and answers its callers.
    fn publish(
        &mut self,
        callers: Vec<PendingReply>,
        refusal: Option<fn(Arc<Event>) -> WriteRefusal>,
    ) {
        let mut book = self.shared.book.lock();
        book.arrive();
        let head = book.state.head;
        drop(book);
        self.shared.head.send_if_modified(|seen| std::mem::replace(seen, head) != head);
        let mut permits = Vec::with_capacity(callers.len());
        for PendingReply { event, reply, permit } in callers {
            permits.push(permit);
            let answer = match refusal {
                None => Ok(event),
                Some(refused) => Err(refused(event)),
            };
            // If the caller is gone, its event is in the journal nevertheless.
            let _ = reply.send(answer);
        }
    }

    fn log(&mut self) {
        let current = self.segment.as_ref().map(|segment| (segment.number, segment.length));
        let sealed =
            self.files.iter().filter(|(number, _)| current.is_none_or(|c| c.0 != **number));
        let bytes: u64 = sealed.map(|(_, (_, bytes))| bytes).sum();
        let mut health = self.shared.health.lock();
        let is_degraded = self.segment.is_none();
        let was_degraded = std::mem::replace(&mut health.is_degraded, is_degraded);
        if was_degraded != is_degraded {
            turn::log_turn(is_degraded, health.last_error.as_deref());
        }
        health.segments = self.files.len();
        health.bytes = bytes + current.map_or(0, |(_, length)| length);
    }
}
