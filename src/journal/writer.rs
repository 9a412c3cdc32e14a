//! The one thread that writes: group commit, and what to do when the disk says no.
//!
//! It takes one command, drains what else is there, and makes all of it durable with one write and
//! one sync; only then do readers see it. After a failed write or sync the segment is dropped for
//! ever and the batch is written once into a new one; failing that, the slot marks `all`. The book
//! goes on in memory either way, and a later checkpoint makes it durable exactly.
//!
//! A sync proves nothing about a file that lost its name, so the place of the directory and of the
//! segment is checked after it (`home`), and once a second while nothing is written.

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
use super::ring::is_owed;
use super::segment::{self, Segment};
use super::slot::{self, Slot};
use super::state::JournalState;
use super::{Config, Destination, Disk, NotReset, Reconciled, WriteRefusal, book, turn};

/// How long an acknowledgement may wait for a commit to ride on. Losing it only sends again.
const ACK_DELAY: Duration = Duration::from_millis(50);
/// Between two attempts to write again after a refusal.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at whether the directory is still ours while nothing is written.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The slot's `all` is renewed after so many events: far below the jump that recovery makes from
/// the number in it.
const REMARK_EVENTS: u64 = 100_000;
/// Segment files at most. Idle restarts leave none behind, so this many hold events; past it the
/// oldest are folded. Even at one preallocation step each they are 64 MiB.
const SEGMENTS_MAX: usize = 256;

/// Who waits for an event that is in hand.
struct PendingReply {
    event: Arc<Event>,
    reply: oneshot::Sender<Result<Arc<Event>, WriteRefusal>>,
    permit: OwnedSemaphorePermit,
}

/// What a writer holds of the data directory.
pub(super) struct OpenDir {
    pub home: Home,
    /// `None` after it could not be written; made anew with the next segment.
    pub mark: Option<Mark>,
}

pub(super) struct Writer {
    config: Config,
    disk: Arc<dyn Disk>,
    layout: Layout,
    shared: Arc<Shared>,
    held: OpenDir,
    epoch: u64,
    /// What a directory that this process wrote is recognised by.
    owner: u64,
    segment: Option<Segment>,
    next_number: u64,
    /// Segment files: number to last event in it (0 for none) and bytes.
    files: BTreeMap<u64, (u64, u64)>,
    /// The newest event in a segment; behind the head after refusals.
    durable: u64,
    /// The directory or the segment lost its place: older segments may be gone too, so the next
    /// checkpoint must hold everything.
    is_away: bool,
    /// The event at which the slot was last made to say `all`, while it is known to say so.
    marked_at: Option<u64>,
    retry_at: Option<Instant>,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        config: Config,
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
        held: OpenDir,
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
            held,
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

    /// The first segment of this start. A disk that refuses it leaves a journal that says so.
    pub(super) fn start(&mut self) {
        if let Err(error) = self.open_segment() {
            self.fail(&error);
        }
        self.log();
    }

    /// Until it is closed or every handle is gone.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let closed = self.serve(commands);
        self.commit(Vec::new());
        if let Some(mark) = &mut self.held.mark {
            // It is a lower bound: where this fails it is only a weaker one.
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
            let until = wake.or(self.retry_at).unwrap_or_else(|| Instant::now() + LOOK_EVERY);
            let first = commands.recv_deadline(until);
            let mut gathered = CommitBatch::default();
            match first {
                Ok(command) => gathered.take(command),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if gathered.is_acked_only
                && Instant::now() < *wake.get_or_insert_with(|| Instant::now() + ACK_DELAY)
            {
                continue;
            }
            while gathered.has_room()
                && let Ok(command) = commands.try_recv()
            {
                gathered.take(command);
            }
            wake = None;
            self.commit(gathered.appends);
            if let Some(reset) = gathered.reset {
                self.reset(reset);
            }
            if let Some((names, reply)) = gathered.reconfigure {
                let _ = reply.send(self.reconfigure(&names));
            }
            for reply in gathered.flushed {
                let _ = reply.send(());
            }
            if gathered.closed.is_some() {
                return gathered.closed;
            }
        }
    }

    /// Makes a batch, and every acknowledgement so far, durable as well as the disk lets it.
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
        if callers.iter().any(|caller| is_owed(&caller.event)) {
            self.shared.due.send_replace(last);
        }
        segment::encode_acks(&mut records, last, &acks);
        // Acknowledgements that are refused here are in the next segment's checkpoint.
        let refusal = self.persist(&records, last);
        self.buffer = records;
        // Before the answers: who was refused finds the instance degraded.
        self.log();
        self.publish(callers, refusal);
    }

    /// Durable first: readers see the counters at 0 only once they will stay there.
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

    /// Other destinations, and a checkpoint that knows them. Where the disk refuses it, no event is
    /// accepted before another checkpoint was written or the slot says `all`.
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

    /// `None` where the records are durable, else how bad it is.
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
        // Acknowledgements alone need no mark: losing them only sends again.
        let is_due = self.marked_at.is_none_or(|at| last > at.saturating_add(REMARK_EVENTS));
        if is_due && (last > self.durable || self.is_away) {
            let newest = self.files.keys().next_back().copied().unwrap_or(0);
            let marked = self.write_slot(newest, true, last);
            self.marked_at = marked.is_ok().then_some(last);
            // Of a directory that is not ours, the reason was said before.
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

    /// Everything up to `last` is durable.
    fn recorded(&mut self, last: u64) {
        self.durable = last;
        self.retry_at = None;
        if let Some(mark) = &mut self.held.mark
            && mark.advance(last).is_err()
        {
            // A mark that is behind is still true.
            self.held.mark = None;
        }
        self.shared.book.lock().hide_versions(false);
    }

    /// Drops what was removed from the settings long enough ago; the next checkpoint knows it.
    fn forget(&self) {
        let after_ms = self.shared.forget_after_ms.load(Ordering::Relaxed);
        let Some(before_ms) = clock::wall_ms().checked_sub(after_ms) else { return };
        let forgotten = self.shared.book.lock().forget(before_ms);
        forgotten.iter().for_each(turn::log_forgotten);
    }

    /// Notices between commits that the directory, or a file in it, was taken away.
    fn look(&mut self) {
        self.forget();
        let Some(segment) = &self.segment else { return };
        let is_there = segment.place() == PathState::Ours;
        let mark_is_there = self.held.mark.as_ref().is_none_or(Mark::is_there);
        let checked = match self.held.home.check_files(&*self.disk, &self.layout) {
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

    /// One attempt: into the segment there is, else into a new one.
    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let limit = self.config.segment_bytes;
        if self.segment.as_ref().is_none_or(|segment| segment.is_full(records.len(), limit)) {
            self.open_segment()?;
        }
        let segment = self.segment.as_mut().expect("one was opened above");
        if !records.is_empty() {
            segment.write(records)?;
        }
        // After the sync and before any answer: what was synced may have lost its name before.
        let (number, is_there) = (segment.number, segment.place() == PathState::Ours);
        let checked = self.held.home.check(&self.layout);
        let checked =
            checked.and_then(|()| if is_there { Ok(()) } else { Err(self.segment_away(number)) });
        self.is_away |= checked.is_err();
        checked
    }

    /// A new segment with a checkpoint of now; the slot names it, and what it replaces goes.
    fn open_segment(&mut self) -> io::Result<()> {
        self.retire();
        if let Err(error) = self.held.home.check(&self.layout)
            && !std::mem::replace(&mut self.is_away, true)
        {
            // It is said before anything is written elsewhere.
            return Err(error);
        }
        if self.is_away {
            let seq = self.shared.book.lock().state.head;
            let slot = self.slot(0, true, seq);
            self.held.home.move_in(&*self.disk, &self.layout, slot)?;
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
                // Nothing was accepted into it. Left behind, one a second would fill the disk.
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
        // The same write takes the mark away: the checkpoint holds what it stood for.
        self.marked_at = None;
        self.write_slot(number, false, state.head)?;
        if self.is_away || self.held.mark.is_none() {
            self.held.mark = Some(Mark::open(&*self.disk, &self.layout, state.head)?);
        }
        Ok(segment)
    }

    /// The segment is written no more; what is known of it is kept.
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
        // Events that no segment holds, or may not any more: the checkpoint has to hold them all.
        let events: Vec<_> = book.ring.events_after(0).cloned().collect();
        drop(book);
        book::folded(state, &events, self.config.backlog_members_max)
    }

    /// Takes away the segments that hold nothing that is still needed. What cannot be removed now
    /// is tried again with the next segment.
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
            // A removal that comes undone only brings back what nobody needs.
            let _ = disk.sync_dir(&layout.segments());
        }
    }

    /// Never into a directory that is not ours.
    fn write_slot(&self, segment: u64, all: bool, seq: u64) -> io::Result<()> {
        self.held.home.check(&self.layout)?;
        slot::write(&*self.disk, &self.layout, self.slot(segment, all, seq))
    }

    fn slot(&self, segment: u64, all: bool, seq: u64) -> Slot {
        Slot { all, segment, epoch: self.epoch, seq, owner: self.owner }
    }

    /// Nothing is acknowledged from the segment any more.
    fn fail(&mut self, error: &io::Error) {
        self.retire();
        self.retry_at = Some(Instant::now() + RETRY_EVERY);
        self.shared.health.lock().last_error = Some(error.to_string());
    }

    /// Readers see the batch, callers get their answers.
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
            // A caller that went away has its event journalled all the same.
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
            turn::log(is_degraded, health.last_error.as_deref());
        }
        health.segments = self.files.len();
        health.bytes = bytes + current.map_or(0, |(_, length)| length);
    }
}
