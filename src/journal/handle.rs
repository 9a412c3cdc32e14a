//! The journal's API: a clonable handle to the book and the writer.
//!
//! Reads take one short lock and do no I/O. Only `append`, `reconfigure` and `reset_versions` wait
//! for the disk, and the bounded queue before the writer is the only wait for other callers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::domain::{Event, EventId};

use super::backlog::{Backlog, BacklogSize, EventPage, Limits, Versions};
use super::book::{Book, Reconciled, Removed};
use super::command::{AppendRequest, Command, ResetRequest};
use super::home::Home;
use super::layout::{Format, Layout};
use super::mark::Mark;
use super::recovery::{self, RecoveredJournal};
use super::slot::{self, Slot, SlotFound};
use super::writer::{OpenDir, Writer};
use super::{Config, Destination, Disk, NotReset, OpenError, Recovered, WriteRefusal};

/// Events that may wait for the writer: four full commits. More would only add latency.
const QUEUE_EVENTS_MAX: usize = 2048;

/// One day: time enough to notice a mistake in the settings.
const FORGET_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// The state of the writer and its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether the disk refuses records now.
    pub is_degraded: bool,
    /// The last error of the disk since the start.
    pub last_error: Option<String>,
    /// The damage found at the start; every destination was sent `all` for it.
    pub damaged: Option<String>,
    /// Number of segment files.
    pub segments: usize,
    /// Bytes of the segment files.
    pub bytes: u64,
}

/// Shared by the handles and the writer.
pub(super) struct Shared {
    pub book: Mutex<Book>,
    pub health: Mutex<Health>,
    pub head: watch::Sender<u64>,
    /// The newest event that a destination receives, durable or being synced.
    pub due: watch::Sender<u64>,
    pub acks: watch::Sender<u64>,
    pub epoch: u64,
    /// How often the journal continued after its directory or files were removed.
    pub moves: watch::Sender<u64>,
    /// How long removed destinations are kept.
    pub forget_after_ms: AtomicU64,
}

/// The journal of one instance. Dropping the last handle stops the writer, as `close` does.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    queue: Arc<Semaphore>,
}

impl Journal {
    /// Locks the data directory, reads it and starts the writer. Blocks on the disk.
    ///
    /// New destinations start at the head; those that are not listed any more are kept as removed
    /// for the time of [`Journal::forget_after`].
    ///
    /// # Errors
    /// [`OpenError`]. Damage is not an error: it is reported in [`Recovered`], and every
    /// destination gets `all`. If the disk is too full for a new segment, the journal starts
    /// degraded.
    pub fn open<'a, D>(
        config: Config,
        disk: Arc<dyn Disk>,
        destinations: &'a [D],
    ) -> Result<(Self, Recovered), OpenError>
    where
        Destination: From<&'a D>,
    {
        let destinations: Vec<_> = destinations.iter().map(Destination::from).collect();
        let layout = Layout::new(&config.dir);
        let lock = layout.lock(&*disk)?;
        let format = layout.read_format(&*disk)?;
        let opened = recovery::recover(&config, &*disk, &layout, format, &destinations)?;
        let mark = prepare(&*disk, &layout, format, &opened)?;
        let RecoveredJournal { book, recovered, epoch, files, next_number, .. } = opened;
        let shared = Arc::new(Shared {
            head: watch::Sender::new(recovered.head),
            due: watch::Sender::new(0),
            acks: watch::Sender::new(0),
            health: Mutex::new(Health { damaged: recovered.damaged.clone(), ..Health::default() }),
            book: Mutex::new(book),
            epoch,
            moves: watch::Sender::new(0),
            forget_after_ms: AtomicU64::new(FORGET_AFTER_MS),
        });
        let dir = OpenDir { home: Home::new(lock), mark: Some(mark) };
        let mut writer = Writer::new(config, disk, Arc::clone(&shared), dir, files, next_number);
        writer.start();
        let (commands, inbox) = crossbeam_channel::unbounded();
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(OpenError::at(layout.dir()))?;
        let queue = Arc::new(Semaphore::new(QUEUE_EVENTS_MAX));
        Ok((Self { shared, commands, queue }, recovered))
    }

    /// Makes an event durable. Returns it as readers see it, with the `seq`, `epoch` and `version`
    /// that the journal gave it. Once the future was polled, the event may be recorded even if the
    /// future is dropped.
    ///
    /// # Errors
    /// [`WriteRefusal`] states what is still guaranteed.
    pub async fn append(&self, event: Event) -> Result<Arc<Event>, WriteRefusal> {
        let permit =
            Arc::clone(&self.queue).acquire_owned().await.map_err(|_| WriteRefusal::Closed)?;
        let json = serde_json::to_vec(&event).expect("an event is plain data with text keys");
        let (reply, answer) = oneshot::channel();
        let append = AppendRequest { event, json, reply, permit };
        self.commands.send(Command::Append(Box::new(append))).map_err(|_| WriteRefusal::Closed)?;
        answer.await.unwrap_or(Err(WriteRefusal::Closed))
    }

    /// A backlog of [`Journal::pending`] was acknowledged. It is durable soon; if a crash loses it,
    /// the backlog is sent again.
    pub fn ack(&self, destination: &str, backlog: &Backlog) {
        self.acknowledge(|book| book.ack(destination, &backlog.events, backlog.through));
    }

    /// Settles everything up to now for this destination: it is this instance.
    pub fn skip_to_head(&self, destination: &str) {
        self.acknowledge(|book| book.skip(destination));
    }

    fn acknowledge(&self, ack: impl FnOnce(&mut Book) -> bool) {
        let is_news = ack(&mut self.shared.book.lock());
        if is_news {
            self.shared.acks.send_modify(|ticks| *ticks += 1);
            // If the writer has stopped, nothing is left to wake.
            let _ = self.commands.send(Command::Acked);
        }
    }

    /// What one send covers; `None` if nothing is due. It has at least one event, whatever the
    /// limits; merged events come first and are not limited.
    pub fn pending(&self, destination: &str, limits: Limits) -> Option<Backlog> {
        self.pending_but(destination, 0, limits, &BTreeSet::new())
    }

    /// Like [`Journal::pending`], without the events with the ids in `held`: they stay in the
    /// backlog, even after a restart, and later ones are sent first. Only events after `after`, for
    /// a caller that remembers what of the rest is settled while the cursor waits.
    pub fn pending_but(
        &self,
        destination: &str,
        after: u64,
        limits: Limits,
        held: &BTreeSet<EventId>,
    ) -> Option<Backlog> {
        let shared = self.shared.book.lock().take(destination, after, limits, held);
        shared.map(Backlog::new)
    }

    /// Stops holding these events: from now on the caller remembers whether they are settled, and
    /// acknowledges them by number.
    pub fn let_go(&self, destination: &str, events: &[Arc<Event>]) {
        self.shared.book.lock().let_go(destination, events);
    }

    /// Whether [`Journal::pending_but`] holds this event for a destination and it was not sent yet.
    pub fn is_held(&self, destination: &str, seq: u64) -> bool {
        self.shared.book.lock().is_held(destination, seq)
    }

    /// Wakes all that wait for an acknowledgement, so that they check again.
    pub fn wake_waiters(&self) {
        self.shared.acks.send_modify(|ticks| *ticks += 1);
    }

    /// The size of a destination's backlog; 0 for an unknown destination.
    pub fn backlog_size(&self, destination: &str) -> BacklogSize {
        self.backlog_size_after(destination, 0)
    }

    /// The size of its backlog, of the events after `after`.
    pub fn backlog_size_after(&self, destination: &str, after: u64) -> BacklogSize {
        self.shared.book.lock().backlog_size(destination, after)
    }

    /// How far a destination has acknowledged; `None` for an unknown one.
    pub fn cursor(&self, destination: &str) -> Option<u64> {
        let book = self.shared.book.lock();
        let cursor = book.state.destinations.get(destination)?;
        cursor.removed_at_ms.is_none().then_some(cursor.through)
    }

    /// Whether a destination has acknowledged every event up to and including `seq`; false for an
    /// unknown destination and for a number that is not in use yet.
    pub fn is_acknowledged(&self, destination: &str, seq: u64) -> bool {
        self.shared.book.lock().is_acknowledged(destination, seq)
    }

    /// Whether a destination has acknowledged this event, even if an older one is held for it;
    /// false as for [`Journal::is_acknowledged`].
    pub fn has(&self, destination: &str, seq: u64) -> bool {
        self.shared.book.lock().has(destination, seq)
    }

    /// Replaces the list of destinations while the journal runs. A new one receives everything from
    /// now on. One that is not listed any more is kept as removed, and continues from its cursor if
    /// it returns or its address gets another name. The change is made between two events, and a
    /// checkpoint has it before the next event is answered, so that a restart agrees. If the disk
    /// refuses, the checkpoint that ends the refusal has it.
    ///
    /// # Errors
    /// [`WriteRefusal::Closed`].
    pub async fn reconfigure<D>(&self, destinations: Vec<D>) -> Result<Reconciled, WriteRefusal>
    where
        for<'a> Destination: From<&'a D>,
    {
        let destinations = destinations.iter().map(Destination::from).collect();
        let (reply, done) = oneshot::channel();
        let order = Command::Reconfigure(destinations, reply);
        self.commands.send(order).map_err(|_| WriteRefusal::Closed)?;
        let reconciled = done.await.map_err(|_| WriteRefusal::Closed)?;
        // Callers that wait for a removed destination check again.
        self.shared.acks.send_modify(|ticks| *ticks += 1);
        Ok(reconciled)
    }

    /// Sets how long the backlog of a removed destination is kept after its removal; one day unless
    /// this is called.
    pub fn forget_after(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.shared.forget_after_ms.store(ms, Ordering::Relaxed);
    }

    /// The removed destinations whose backlog is still kept.
    pub fn removed(&self) -> Vec<Removed> {
        self.shared.book.lock().removed()
    }

    /// Changes whenever [`Journal::pending`] may have more. That is before the event is durable: it
    /// may already be sent, and its acknowledgement counts once the event is durable.
    pub fn due(&self) -> watch::Receiver<u64> {
        self.shared.due.subscribe()
    }

    /// The newest event that readers can see.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.shared.head.subscribe()
    }

    /// Changes whenever a destination acknowledged something.
    pub fn acks(&self) -> watch::Receiver<u64> {
        self.shared.acks.subscribe()
    }

    /// Up to `limit` events after `seq`, oldest first.
    pub fn after(&self, seq: u64, limit: usize) -> EventPage {
        let book = self.shared.book.lock();
        let gap = seq < book.ring.floor() || seq > book.state.head;
        let events = book.ring.events_after(seq).take(limit).cloned().collect();
        EventPage { events, gap }
    }

    /// The recent events with this id, their own or covered, oldest first.
    pub fn events_of(&self, id: EventId) -> Vec<Arc<Event>> {
        self.shared.book.lock().ring.events_of(id).cloned().collect()
    }

    /// A recent event by its own id or by one that it covers; the first one, if several calls
    /// brought parts of it.
    pub fn event(&self, id: EventId) -> Option<Arc<Event>> {
        self.shared.book.lock().ring.event(id).cloned()
    }

    /// The recent events with these ids, oldest first and each once; `None` if an id is unknown or
    /// the list is empty.
    pub(super) fn events_under(&self, ids: &[EventId]) -> Option<Vec<Arc<Event>>> {
        let mut found = BTreeMap::new();
        let book = self.shared.book.lock();
        for id in ids {
            let mut is_known = false;
            for event in book.ring.events_of(*id) {
                is_known = true;
                found.entry(event.seq).or_insert_with(|| Arc::clone(event));
            }
            if !is_known {
                return None;
            }
        }
        (!found.is_empty()).then(|| found.into_values().collect())
    }

    /// The version counters.
    pub fn versions(&self) -> Versions {
        self.shared.book.lock().versions()
    }

    /// Sets every version to 0 and the time of the last clear to `at_ms`; returns the version
    /// before. Events keep their versions, and sequence numbers continue.
    ///
    /// # Errors
    /// [`NotReset`]: the counters are unchanged.
    pub async fn reset_versions(&self, at_ms: u64) -> Result<u64, NotReset> {
        let (reply, answer) = oneshot::channel();
        let reset = Command::Reset(ResetRequest { at_ms, reply });
        self.commands.send(reset).map_err(|_| NotReset)?;
        answer.await.unwrap_or(Err(NotReset))
    }

    /// Changes when the journal continues after its directory or files were removed: other files in
    /// the directory may be missing then.
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.shared.moves.subscribe()
    }

    /// The number of this process start; higher than that of every earlier one.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// The state of the writer and its files.
    pub fn health(&self) -> Health {
        self.shared.health.lock().clone()
    }

    /// Events that wait for the disk.
    pub fn queued(&self) -> usize {
        QUEUE_EVENTS_MAX - self.queue.available_permits()
    }

    /// Waits until everything so far, acknowledgements included, was written.
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Flush(reply)).is_ok() {
            let _ = done.await;
        }
    }

    /// Flushes, stops the writer and releases the lock. Later appends get
    /// [`WriteRefusal::Closed`].
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Close(reply)).is_ok() {
            let _ = done.await;
        }
    }
}

/// Writes slot, end mark and format before anything is accepted. After damage the slot is marked
/// `all` until the first checkpoint that contains it is durable.
fn prepare(
    disk: &dyn Disk,
    layout: &Layout,
    format: Format,
    opened: &RecoveredJournal,
) -> Result<Mark, OpenError> {
    let RecoveredJournal { slot, recovered, epoch, .. } = opened;
    let (is_damaged, seq) = (recovered.damaged.is_some(), recovered.head);
    let segment = if let SlotFound::Whole(slot) = slot { slot.segment } else { 0 };
    if is_damaged || !matches!(slot, SlotFound::Whole(_)) {
        slot::write(disk, layout, Slot { all: is_damaged, segment, epoch: *epoch, seq, owner: 0 })
            .map_err(OpenError::at(&layout.slot()))?;
    }
    // After damage the sequence numbers jumped: the mark continues from there.
    let mark = Mark::open(disk, layout, seq).map_err(OpenError::at(&layout.mark()))?;
    if format != Format::Present {
        layout.write_format(disk)?;
    }
    Ok(mark)
}
