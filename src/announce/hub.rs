//! The hub: one task that reads the journal and hands each frame to every reader.
//!
//! A reader joins under the same lock as a broadcast, so that replay and live frames meet without a
//! gap or a double. Readers of one form share its bytes; a reader costs its queue of pointers, and
//! while it is replayed one page.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::form::Form;
use super::frame::{self, Position};
use super::readers::Readers;
use super::subscription::{self, Subscription};
use crate::domain::{Event, Source};
use crate::journal::Journal;
use crate::support::Live;
use crate::support::backoff::chance;

/// Events read from the journal at a time.
const PAGE_EVENTS: usize = 512;
/// Dismissed readers reconnect within this time, each at a random moment: no storm after a
/// restart.
const COMEBACK_MS_MAX: f64 = 10_000.0;

/// Why there is no stream to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamRefusal {
    /// `stream.clients_max` readers are connected.
    #[error("too many readers")]
    Full,
    /// The instance is stopping.
    #[error("the instance is stopping")]
    Closed,
}

/// Where a reader begins.
enum Start {
    /// With the next broadcast: it missed nothing, or does not ask.
    Now,
    /// After this place of the journal.
    Replay(Position),
    /// With the next broadcast, after a `resync` that gives the reason.
    Resync(&'static str),
}

/// The connected readers, and the last event that all of them were sent.
pub(super) struct BroadcastState {
    pub readers: Readers,
    /// The last seq broadcast.
    pub at: u64,
    pub is_closed: bool,
}

/// The hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

/// What hub and readers share.
pub(super) struct Inner {
    config: Live<Config>,
    changed: Notify,
    instance: String,
    pub journal: Journal,
    pub broadcast: Mutex<BroadcastState>,
}

impl Hub {
    /// A hub at the journal's head.
    pub fn new(config: Config, instance: String, journal: Journal) -> Self {
        let at = *journal.head().borrow();
        let broadcast =
            Mutex::new(BroadcastState { readers: Readers::default(), at, is_closed: false });
        let (config, changed) = (Live::new(config), Notify::new());
        Self { inner: Arc::new(Inner { config, changed, instance, journal, broadcast }) }
    }

    /// The stream's settings.
    pub fn config(&self) -> Arc<Config> {
        self.inner.config.get()
    }

    /// Goes on with other settings. Readers that are connected keep the queue they were given; who
    /// may come, and how many, is judged anew only for those who come.
    pub fn adopt(&self, config: Config) {
        self.inner.config.set(config);
        self.inner.changed.notify_one();
    }

    /// Readers connected.
    pub fn readers(&self) -> usize {
        self.inner.broadcast.lock().readers.len()
    }

    /// Reads the journal and broadcasts until it is stopped; then dismisses the readers.
    pub async fn run(self, stop: CancellationToken) {
        let mut head = self.inner.journal.head();
        let mut every = self.config().ping_every;
        let mut ping = pings(every);
        loop {
            head.borrow_and_update();
            self.catch_up().await;
            tokio::select! {
                () = stop.cancelled() => return self.close(),
                _ = ping.tick() => self.inner.broadcast.lock().readers.ping(),
                () = self.inner.changed.notified() => {
                    let wanted = self.config().ping_every;
                    if std::mem::replace(&mut every, wanted) != wanted {
                        ping = pings(wanted);
                    }
                }
                changed = head.changed() => {
                    if changed.is_err() {
                        return self.close();
                    }
                }
            }
        }
    }

    /// Broadcasts everything between the last broadcast and the head, a page at a time: one commit
    /// of the journal may bring more events than a reader's queue holds, and between two pages
    /// those who read get to do so.
    async fn catch_up(&self) {
        let page_events = (self.config().queue_events_max / 2).clamp(1, PAGE_EVENTS);
        while self.broadcast_page(page_events) {
            tokio::task::yield_now().await;
        }
    }

    /// Broadcasts one page; false where there was nothing left.
    fn broadcast_page(&self, events_max: usize) -> bool {
        let mut broadcast = self.inner.broadcast.lock();
        if broadcast.readers.is_empty() {
            // A reader that connects later gets events from here on, or asks for a replay.
            broadcast.at = *self.inner.journal.head().borrow();
            return false;
        }
        let page = self.inner.journal.after(broadcast.at, events_max);
        if page.gap {
            let id = page
                .events
                .first()
                .map(|event| format!("{}-{}", event.epoch, event.seq.saturating_sub(1)));
            broadcast.readers.send(&[frame::resync(id, "gap")]);
        }
        let Some(last) = page.events.last() else { return false };
        broadcast.at = last.seq;
        if !broadcast.readers.has_live() {
            return true;
        }
        for event in page.events.iter().filter(|event| is_streamed(event)) {
            // One event is one piece in a reader's queue, however many types it names.
            broadcast.readers.send(&frame::app_updates(event));
        }
        true
    }

    /// A new reader, with what it missed since `last_id`.
    ///
    /// # Errors
    /// [`StreamRefusal`].
    pub fn subscribe<F: Form>(
        &self,
        last_id: Option<&str>,
    ) -> Result<Subscription<F>, StreamRefusal> {
        let inner = &self.inner;
        let config = self.config();
        let (entered, until, start) = {
            let mut broadcast = inner.broadcast.lock();
            if broadcast.is_closed {
                return Err(StreamRefusal::Closed);
            }
            broadcast.readers.sweep();
            if broadcast.readers.len() >= config.clients_max {
                return Err(StreamRefusal::Full);
            }
            if broadcast.readers.is_empty() {
                broadcast.at = *inner.journal.head().borrow();
            }
            let start = self.start(last_id, broadcast.at, config.replay_events_max);
            let (pieces_max, bytes_max) = (config.queue_events_max, config.queue_bytes_max);
            let audience = F::audience(&mut broadcast.readers);
            let is_live = !matches!(start, Start::Replay(_));
            (audience.enter(pieces_max, bytes_max, is_live), broadcast.at, start)
        };
        let (cursor, replayed) = match start {
            Start::Replay(cursor) => (Some(cursor), subscription::count(inner, cursor, until)),
            Start::Now | Start::Resync(_) => (None, 0),
        };
        let is_gap = matches!(start, Start::Resync(_));
        let version = inner.journal.versions().version;
        let mut first = vec![frame::hello(&inner.instance, version, (replayed, is_gap), &config)];
        if let Start::Resync(reason) = start {
            let id = format!("{}-{until}", inner.journal.epoch());
            first.push(frame::resync(Some(id), reason));
        }
        Ok(Subscription::new(Arc::clone(inner), F::of(&first), cursor, entered))
    }

    /// Tells every reader to fetch everything anew. Readers that are away learn of it by the
    /// version of their next `hello`.
    pub fn resync(&self, reason: &str) {
        let mut broadcast = self.inner.broadcast.lock();
        let id = format!("{}-{}", self.inner.journal.epoch(), broadcast.at);
        broadcast.readers.resync(&id, reason);
    }

    /// Where a reader goes on that saw `last_id`, while `until` is the last broadcast.
    fn start(&self, last_id: Option<&str>, until: u64, events_max: usize) -> Start {
        let Some(last_id) = last_id else { return Start::Now };
        let Some(position) = Position::parse(last_id) else { return Start::Resync("unknown id") };
        let journal = &self.inner.journal;
        let page = journal.after(position.seq.saturating_sub(1), 1);
        let at = page.events.first().filter(|event| event.seq == position.seq);
        // An id of this epoch may also stand on an older event, or on none: `resync` gave it out.
        let is_ours = position.epoch == journal.epoch() && position.seq <= until;
        let is_known = at.map_or(is_ours, |event| is_ours || event.epoch == position.epoch);
        if page.gap || !is_known {
            return Start::Resync("unknown id");
        }
        // What is left of the event that the id names: nothing, where the id says so or it has no
        // more frames than were seen.
        let count = at.filter(|event| is_streamed(event)).map_or(0, |event| frame::count(event));
        let frames = position.frames.filter(|seen| *seen < count);
        if position.seq > until || (frames.is_none() && position.seq == until) {
            return Start::Now;
        }
        if until.saturating_sub(position.seq) > events_max as u64 {
            return Start::Resync("too far behind");
        }
        Start::Replay(Position { frames, ..position })
    }

    fn close(&self) {
        let mut broadcast = self.inner.broadcast.lock();
        broadcast.is_closed = true;
        broadcast.readers.dismiss(|| {
            let wait = Duration::from_secs_f64((1_000.0 + chance() * COMEBACK_MS_MAX) / 1e3);
            frame::goodbye(u64::try_from(wait.as_millis()).unwrap_or(1_000))
        });
    }
}

/// The first comes after one whole time.
fn pings(every: Duration) -> Interval {
    let mut ping = tokio::time::interval_at(Instant::now() + every, every);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping
}

/// Whether listeners get this event. Those that an older quench mirrored again were sent before.
pub(super) fn is_streamed(event: &Event) -> bool {
    event.source != Source::Quench
}
