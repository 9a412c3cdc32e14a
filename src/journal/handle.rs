//! What callers hold: one clonable handle to the book and the writer.
//!
//! Reads take one short lock and no disk. `append` is the only thing that waits for the disk, and
//! the bounded queue in front of the writer is the only thing that makes a caller wait for others.

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

/// Events that may wait for the writer. Four full commits: more would only be more latency.
const QUEUE_EVENTS_MAX: usize = 2048;

/// A day: a mistake in the settings is noticed within one.
const FORGET_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// How the writing goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether the disk refuses records at present.
    pub is_degraded: bool,
    /// What the disk last complained of, since the start.
    pub last_error: Option<String>,
    /// What was wrong with the files when they were opened; every destination was given `all`.
    pub damaged: Option<String>,
    /// Segment files.
    pub segments: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// What handles and writer share.
pub(super) struct Shared {
    pub book: Mutex<Book>,
    pub health: Mutex<Health>,
    pub head: watch::Sender<u64>,
    /// The newest event that destinations are owed, durable or on its way.
    pub due: watch::Sender<u64>,
    pub acks: watch::Sender<u64>,
    pub epoch: u64,
    /// How often the journal went on after its directory, or its files, had been taken away.
    pub moves: watch::Sender<u64>,
    /// How long removed destinations are kept.
    pub forget_after_ms: AtomicU64,
}

/// The journal of one instance. The last handle that goes stops the writer, as `close` does.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    queue: Arc<Semaphore>,
}

impl Journal {
    /// Takes the data directory, reads what is there and starts the writer. Blocks on the disk.
    ///
    /// Destinations that are new start at the head; ones no longer named are kept as removed, until
    /// [`Journal::forget_after`] has passed.
    ///
    /// # Errors
    /// [`OpenError`]. Damage is none: it is reported in [`Recovered`] and widened. A disk too full
    /// for a new segment is none either: the journal then begins degraded.
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
        let held = OpenDir { home: Home::new(lock), mark: Some(mark) };
        let mut writer = Writer::new(config, disk, Arc::clone(&shared), held, files, next_number);
        writer.start();
        let (commands, inbox) = crossbeam_channel::unbounded();
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(OpenError::at(layout.dir()))?;
        let queue = Arc::new(Semaphore::new(QUEUE_EVENTS_MAX));
        Ok((Self { shared, commands, queue }, recovered))
    }

    /// Makes an event durable and gives it its place: answers the event as readers see it, with the
    /// `seq`, `epoch` and `version` it got here, whatever the argument said. Once it has been
    /// polled the event may be journalled even if the future is dropped.
    ///
    /// # Errors
    /// [`WriteRefusal`], which tells how much of the promise holds.
    pub async fn append(&self, event: Event) -> Result<Arc<Event>, WriteRefusal> {
        let permit =
            Arc::clone(&self.queue).acquire_owned().await.map_err(|_| WriteRefusal::Closed)?;
        let json = serde_json::to_vec(&event).expect("an event is plain data with text keys");
        let (reply, answer) = oneshot::channel();
        let append = AppendRequest { event, json, reply, permit };
        self.commands.send(Command::Append(Box::new(append))).map_err(|_| WriteRefusal::Closed)?;
        answer.await.unwrap_or(Err(WriteRefusal::Closed))
    }

    /// What [`Journal::pending`] gave was acknowledged. Durable soon; losing it only sends again.
    pub fn ack(&self, destination: &str, backlog: &Backlog) {
        self.acknowledge(|book| book.ack(destination, &backlog.events, backlog.through));
    }

    /// Nothing is owed to this destination up to now: it is ourselves.
    pub fn skip_to_head(&self, destination: &str) {
        self.acknowledge(|book| book.skip(destination));
    }

    fn acknowledge(&self, ack: impl FnOnce(&mut Book) -> bool) {
        let is_news = ack(&mut self.shared.book.lock());
        if is_news {
            self.shared.acks.send_modify(|ticks| *ticks += 1);
            // A writer that has stopped needs no waking.
            let _ = self.commands.send(Command::Acked);
        }
    }

    /// What one send is to cover; `None` where nothing is due. At least one event, whatever the
    /// limits; what is past naming comes first and is not limited.
    pub fn pending(&self, destination: &str, limits: Limits) -> Option<Backlog> {
        self.pending_but(destination, 0, limits, &BTreeSet::new())
    }

    /// The same without the events with these ids: they stay owed, over a restart too, and later
    /// ones go first. Only what came after `after`, for a caller that remembers what of the rest is
    /// settled while the cursor waits.
    pub fn pending_but(
        &self,
        destination: &str,
        after: u64,
        limits: Limits,
        held: &BTreeSet<EventId>,
    ) -> Option<Backlog> {
        let taken = self.shared.book.lock().take(destination, after, limits, held);
        taken.map(Backlog::new)
    }

    /// From here on the caller remembers what becomes of these, and acknowledges them by number.
    pub fn let_go(&self, destination: &str, events: &[Arc<Event>]) {
        self.shared.book.lock().let_go(destination, events);
    }

    /// Whether [`Journal::pending_but`] held this event for a destination, and it was not sent yet.
    pub fn is_held(&self, destination: &str, seq: u64) -> bool {
        self.shared.book.lock().is_held(destination, seq)
    }

    /// Tells everybody who waits for an acknowledgement to look again.
    pub fn wake_waiters(&self) {
        self.shared.acks.send_modify(|ticks| *ticks += 1);
    }

    /// How much a destination is owed; nothing for an unknown one.
    pub fn backlog_size(&self, destination: &str) -> BacklogSize {
        self.backlog_size_after(destination, 0)
    }

    /// The same, of what came after `after`.
    pub fn backlog_size_after(&self, destination: &str, after: u64) -> BacklogSize {
        self.shared.book.lock().backlog_size(destination, after)
    }

    /// How far a destination has acknowledged; `None` for an unknown one.
    pub fn cursor(&self, destination: &str) -> Option<u64> {
        let book = self.shared.book.lock();
        let cursor = book.state.destinations.get(destination)?;
        cursor.removed_at_ms.is_none().then_some(cursor.through)
    }

    /// Whether nothing at or below `seq` is owed to a destination any more; false for an unknown
    /// one and for a number that was not given yet.
    pub fn is_acknowledged(&self, destination: &str, seq: u64) -> bool {
        self.shared.book.lock().is_acknowledged(destination, seq)
    }

    /// Whether this event is not owed to a destination any more, even where an older one is held
    /// for it; false as for [`Journal::is_acknowledged`].
    pub fn has(&self, destination: &str, seq: u64) -> bool {
        self.shared.book.lock().has(destination, seq)
    }

    /// Makes these the destinations while the journal runs: what is new is owed everything from now
    /// on; what is not named any more is kept as removed, and goes on where it was if it comes back
    /// or its address is named under another name. It comes between two
    /// events and is in a checkpoint of its own before the next one is answered, so that a restart
    /// agrees. On a disk that refuses, it is in the checkpoint that ends the refusal.
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
        // Who waits for a destination that is gone looks again.
        self.shared.acks.send_modify(|ticks| *ticks += 1);
        Ok(reconciled)
    }

    /// How long what a removed destination is owed is kept, from its removal on; a day unless this
    /// was called.
    pub fn forget_after(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.shared.forget_after_ms.store(ms, Ordering::Relaxed);
    }

    /// Destinations that are named no more, and are still owed what they miss.
    pub fn removed(&self) -> Vec<Removed> {
        self.shared.book.lock().removed()
    }

    /// Ticks whenever [`Journal::pending`] may have more. That is before the event is durable: it
    /// may be sent meanwhile, and its acknowledgement counts once it is.
    pub fn due(&self) -> watch::Receiver<u64> {
        self.shared.due.subscribe()
    }

    /// The newest event that readers can see.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.shared.head.subscribe()
    }

    /// Ticks whenever a destination acknowledged something.
    pub fn acks(&self) -> watch::Receiver<u64> {
        self.shared.acks.subscribe()
    }

    /// Up to `limit` events after a place, oldest first.
    pub fn after(&self, seq: u64, limit: usize) -> EventPage {
        let book = self.shared.book.lock();
        let gap = seq < book.ring.floor() || seq > book.state.head;
        let events = book.ring.events_after(seq).take(limit).cloned().collect();
        EventPage { events, gap }
    }

    /// The recent events that brought something under this id, oldest first.
    pub fn events_of(&self, id: EventId) -> Vec<Arc<Event>> {
        self.shared.book.lock().ring.events_of(id).cloned().collect()
    }

    /// A recent event by its own id or one it covers; the first, where several calls brought parts
    /// of it.
    pub fn event(&self, id: EventId) -> Option<Arc<Event>> {
        self.shared.book.lock().ring.event(id).cloned()
    }

    /// The recent events under all of these ids, oldest first and each once; `None` where one id is
    /// not known, or none was given.
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

    /// Sets every version to 0 and the last clear to `at_ms`; answers the version before. Events
    /// keep the versions they were given, and sequence numbers go on.
    ///
    /// # Errors
    /// [`NotReset`]; the counters then go on.
    pub async fn reset_versions(&self, at_ms: u64) -> Result<u64, NotReset> {
        let (reply, answer) = oneshot::channel();
        let reset = Command::Reset(ResetRequest { at_ms, reply });
        self.commands.send(reset).map_err(|_| NotReset)?;
        answer.await.unwrap_or(Err(NotReset))
    }

    /// Changes when the journal goes on after its directory, or its files, had been taken away:
    /// other files in it may be missing then.
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.shared.moves.subscribe()
    }

    /// This process start; higher than that of every earlier one.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// How the writing goes.
    pub fn health(&self) -> Health {
        self.shared.health.lock().clone()
    }

    /// Events that wait for the disk.
    pub fn queued(&self) -> usize {
        QUEUE_EVENTS_MAX - self.queue.available_permits()
    }

    /// Waits until everything so far, acknowledgements included, was given to the disk.
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

/// Makes slot, end mark and format whole before anything is accepted. After damage the slot says so
/// until the first checkpoint that carries it is sound.
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
    // The numbers of a damaged journal jumped: the mark begins anew there.
    let mark = Mark::open(disk, layout, seq).map_err(OpenError::at(&layout.mark()))?;
    if format != Format::Present {
        layout.write_format(disk)?;
    }
    Ok(mark)
}
