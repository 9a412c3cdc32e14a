//! The hub: one task that reads the journal and hands each frame to every reader.
//!
//! A subscription is made under the same lock as a broadcast, so that replay and live frames meet
//! without a gap or a double. Readers of one form share its bytes; a reader costs its queue of
//! pointers.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Config;
use super::form::Form;
use super::frame::{self, Frame, Position};
use super::readers::Readers;
use crate::domain::{Event, Source};
use crate::journal::Journal;
use crate::support::Live;
use crate::support::backoff::chance;

/// Events read from the journal at a time.
const PAGE_EVENTS: usize = 512;
/// Readers told to go come back within this, each at its own moment: no storm after a restart.
const COMEBACK_MS_MAX: f64 = 10_000.0;

/// Why there is no stream to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `stream.clients_max` readers are connected.
    #[error("too many readers")]
    Full,
    /// The instance is stopping.
    #[error("the instance is stopping")]
    Closed,
}

/// What a reader gets, in its form.
pub struct Subscription<F> {
    /// Frames to send at once: hello, and what was missed.
    pub first: Vec<F>,
    /// Frames to come. It ends when the reader was cut off or the instance stops.
    pub live: mpsc::Receiver<F>,
    /// Fires when the reader is cut off for its slowness.
    pub cut: CancellationToken,
}

/// How far all were told, and who.
struct Told {
    readers: Readers,
    /// The last seq broadcast.
    at: u64,
    is_closed: bool,
}

/// The hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    config: Live<Config>,
    changed: Notify,
    instance: String,
    journal: Journal,
    told: Mutex<Told>,
}

impl Hub {
    /// A hub at the journal's head.
    pub fn new(config: Config, instance: String, journal: Journal) -> Self {
        let at = *journal.head().borrow();
        let told = Mutex::new(Told { readers: Readers::default(), at, is_closed: false });
        let (config, changed) = (Live::new(config), Notify::new());
        Self { inner: Arc::new(Inner { config, changed, instance, journal, told }) }
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
        self.inner.told.lock().readers.len()
    }

    /// Reads the journal and broadcasts until told to stop; then says goodbye.
    pub async fn run(self, stop: CancellationToken) {
        let mut head = self.inner.journal.head();
        let mut every = self.config().ping_every;
        let mut ping = pings(every);
        loop {
            head.borrow_and_update();
            self.catch_up().await;
            tokio::select! {
                () = stop.cancelled() => return self.close(),
                _ = ping.tick() => self.inner.told.lock().readers.tell(&[frame::ping()]),
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
        let mut told = self.inner.told.lock();
        if told.readers.is_empty() {
            // Whoever comes later is told from here on, or asks for what was before.
            told.at = *self.inner.journal.head().borrow();
            return false;
        }
        let page = self.inner.journal.after(told.at, events_max);
        if page.gap {
            let id = page
                .events
                .first()
                .map(|event| format!("{}-{}", event.epoch, event.seq.saturating_sub(1)));
            told.readers.tell(&[frame::resync(id, "gap")]);
        }
        let Some(last) = page.events.last() else { return false };
        told.at = last.seq;
        for event in page.events.iter().filter(|event| is_told(event)) {
            // One event is one piece in a reader's queue, however many types it names.
            told.readers.tell(&frame::app_updates(event));
        }
        true
    }

    /// A new reader, with what it missed since `last_id`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn subscribe<F: Form>(&self, last_id: Option<&str>) -> Result<Subscription<F>, Refused> {
        let inner = &*self.inner;
        let config = self.config();
        let mut told = inner.told.lock();
        if told.is_closed {
            return Err(Refused::Closed);
        }
        told.readers.sweep();
        if told.readers.len() >= config.clients_max {
            return Err(Refused::Full);
        }
        let missed = last_id.map(|id| self.missed(id, told.at));
        let gap = matches!(missed, Some(None));
        let mut frames = missed.flatten().unwrap_or_default();
        let version = inner.journal.versions().version;
        let mut first = vec![frame::hello(&inner.instance, version, (frames.len(), gap), &config)];
        if gap {
            let id = format!("{}-{}", inner.journal.epoch(), told.at);
            first.push(frame::resync(Some(id), "unknown id"));
        }
        first.append(&mut frames);
        let first = first.iter().map(|frame| F::of(std::slice::from_ref(frame))).collect();
        let (live, cut) = F::audience(&mut told.readers).enter(config.queue_events_max);
        Ok(Subscription { first, live, cut })
    }

    /// Tells every reader to fetch everything anew. Readers that are away learn of it by the
    /// version of their next `hello`.
    pub fn resync(&self, reason: &str) {
        let mut told = self.inner.told.lock();
        let id = format!("{}-{}", self.inner.journal.epoch(), told.at);
        told.readers.tell(&[frame::resync(Some(id), reason)]);
    }

    /// The frames after an id up to the last broadcast; `None` where the id is unknown here, so
    /// that what was missed cannot be told.
    fn missed(&self, last_id: &str, until: u64) -> Option<Vec<Frame>> {
        let position = Position::parse(last_id)?;
        let page = self.inner.journal.after(position.seq.saturating_sub(1), usize::MAX);
        let at = page.events.first().filter(|event| event.seq == position.seq);
        // An id of this epoch may also stand on an older event, or on none: `resync` gave it out.
        let is_ours = position.epoch == self.inner.journal.epoch() && position.seq <= until;
        let is_known = at.map_or(is_ours, |event| is_ours || event.epoch == position.epoch);
        if page.gap || !is_known {
            return None;
        }
        let seen = position.frames.unwrap_or(usize::MAX);
        let rest =
            at.into_iter().flat_map(|event| frame::app_updates(event).into_iter().skip(seen));
        let is_later = |event: &&Arc<Event>| event.seq > position.seq && event.seq <= until;
        let later = page.events.iter().filter(is_later).filter(|event| is_told(event));
        Some(rest.chain(later.flat_map(|event| frame::app_updates(event))).collect())
    }

    fn close(&self) {
        let mut told = self.inner.told.lock();
        told.is_closed = true;
        told.readers.dismiss(|| {
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

/// What the quench mirrors again was told to listeners when it was applied.
fn is_told(event: &Event) -> bool {
    event.source != Source::Quench
}
