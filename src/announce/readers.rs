//! The readers by the encoding they take: a bounded queue each, so that no slow one delays others.
//!
//! What is told is put into a form once, and only where somebody takes it; queues share the bytes.
//! A reader that is still being replayed has its place here, but gets nothing yet: it reads the
//! journal itself, page by page, and joins once it has caught up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::form::{Form, Messages, Sse};
use super::frame::{self, Frame};
use crate::activity::{Activity, ActivityKind, Level};

/// Pings that may pass while a reader takes nothing of its replay.
const IDLE_PINGS_MAX: usize = 4;
/// Large frames remembered before those that no queue holds any more are dropped.
const LARGE_MIN: usize = 64;

/// Everybody who listens.
#[derive(Default)]
pub struct Readers {
    /// Those of server-sent events.
    pub sse: Audience<Sse>,
    /// Those of WebSockets.
    pub messages: Audience<Messages>,
}

impl Readers {
    /// How many.
    pub fn len(&self) -> usize {
        self.sse.list.len() + self.messages.list.len()
    }

    /// Whether there are no readers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether any reader has caught up and takes broadcasts.
    pub fn has_live(&self) -> bool {
        self.sse.has_live() || self.messages.has_live()
    }

    /// Tells everybody who has caught up. Frames given together are one piece in a queue.
    pub fn send(&mut self, frames: &[Frame]) {
        self.sse.send(frames);
        self.messages.send(frames);
    }

    /// Keeps lines open, and cuts off those who have stopped taking their replay.
    pub fn ping(&mut self) {
        self.send(&[frame::ping()]);
        self.sse.cut_idle();
        self.messages.cut_idle();
    }

    /// Tells everybody to fetch everything anew; a replay ends with it.
    pub fn resync(&mut self, id: &str, reason: &str) {
        self.send(&[frame::resync(Some(id.to_owned()), reason)]);
        self.sse.end_replays(reason);
        self.messages.end_replays(reason);
    }

    /// Forgets those who have gone.
    pub fn sweep(&mut self) {
        self.sse.list.retain(|reader| !reader.queue.is_closed());
        self.messages.list.retain(|reader| !reader.queue.is_closed());
    }

    /// Says a last word to each, which is made for each, and lets them go.
    pub fn dismiss(&mut self, mut word: impl FnMut() -> Frame) {
        self.sse.dismiss(&mut word);
        self.messages.dismiss(&mut word);
    }
}

/// What a reader and the hub both know of its state. Changed under the hub's lock only, but for the
/// counts.
#[derive(Default)]
pub struct Place {
    /// Whether it takes broadcasts; otherwise its replay is running.
    pub is_live: AtomicBool,
    /// Bytes in its queue.
    pub queued: AtomicUsize,
    /// Pings since it last took something of its replay.
    pub idle_pings: AtomicUsize,
    /// Why its replay is to end with a resync.
    pub resync: Mutex<Option<String>>,
}

/// The reader's end of a place.
pub struct Entered<F> {
    /// The pieces to send.
    pub live: mpsc::Receiver<F>,
    /// Fires when the reader is cut off.
    pub cut: CancellationToken,
    /// Its state.
    pub place: Arc<Place>,
}

/// Those who take one form.
pub struct Audience<F: Form> {
    list: Vec<Reader<F>>,
    /// Frames of replays that are too large to have one for each reader, by event and number.
    large: HashMap<(u64, usize), Weak<F::Shared>>,
    large_max: usize,
}

struct Reader<F> {
    queue: mpsc::Sender<F>,
    bytes_max: usize,
    cut: CancellationToken,
    place: Arc<Place>,
}

impl<F> Reader<F> {
    fn is_live(&self) -> bool {
        self.place.is_live.load(Relaxed)
    }

    fn cut_off(&self) {
        self.cut.cancel();
        log_slow();
    }
}

impl<F: Form> Reader<F> {
    /// Whether the reader stays. An empty queue takes a piece of any size: it is shared.
    fn send(&self, piece: &F, bytes: usize) -> bool {
        let queued = self.place.queued.load(Relaxed);
        if queued > 0 && queued.saturating_add(bytes) > self.bytes_max {
            self.cut_off();
            return false;
        }
        // Counted before it can be taken: the count must not go below zero.
        self.place.queued.fetch_add(bytes, Relaxed);
        match self.queue.try_send(piece.clone()) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                self.cut_off();
                false
            }
        }
    }
}

impl<F: Form> Default for Audience<F> {
    fn default() -> Self {
        Self { list: vec![], large: HashMap::new(), large_max: LARGE_MIN }
    }
}

impl<F: Form> Audience<F> {
    /// One more, with a queue of this many pieces and bytes; live from now on, or to be replayed
    /// first.
    pub fn enter(&mut self, pieces_max: usize, bytes_max: usize, is_live: bool) -> Entered<F> {
        let (queue, live) = mpsc::channel(pieces_max.max(1));
        let cut = CancellationToken::new();
        let place = Arc::new(Place { is_live: AtomicBool::new(is_live), ..Place::default() });
        let reader = Reader { queue, bytes_max, cut: cut.clone(), place: Arc::clone(&place) };
        self.list.push(reader);
        Entered { live, cut, place }
    }

    fn has_live(&self) -> bool {
        self.list.iter().any(Reader::is_live)
    }

    /// Tells all who have caught up; whose queue is full is cut off.
    pub fn send(&mut self, frames: &[Frame]) {
        let before = self.list.len();
        if !self.has_live() {
            return;
        }
        let piece = F::of(frames);
        let bytes = piece.bytes();
        self.list.retain(|reader| match reader.is_live() {
            true => reader.send(&piece, bytes),
            false => !reader.queue.is_closed(),
        });
        self.shrink(before);
    }

    /// A large frame in this form: the one that other readers hold already, if any does.
    pub fn share(&mut self, place: (u64, usize), frame: &Frame) -> F {
        if let Some(shared) = self.large.get(&place).and_then(Weak::upgrade) {
            return F::from_shared(shared);
        }
        let piece = F::of(std::slice::from_ref(frame));
        if self.large.len() >= self.large_max {
            self.large.retain(|_, shared| shared.strong_count() > 0);
            self.large_max = (self.large.len() * 2).max(LARGE_MIN);
        }
        self.large.insert(place, Arc::downgrade(piece.shared()));
        piece
    }

    fn cut_idle(&mut self) {
        let before = self.list.len();
        self.list.retain(|reader| {
            let is_idle = !reader.is_live()
                && reader.place.idle_pings.fetch_add(1, Relaxed) >= IDLE_PINGS_MAX;
            if is_idle {
                reader.cut_off();
            }
            !is_idle
        });
        self.shrink(before);
    }

    fn end_replays(&self, reason: &str) {
        for reader in self.list.iter().filter(|reader| !reader.is_live()) {
            *reader.place.resync.lock() = Some(reason.to_owned());
        }
    }

    fn shrink(&mut self, before: usize) {
        if self.list.capacity() > 64 && self.list.len() < before / 4 {
            self.list.shrink_to_fit();
        }
    }

    fn dismiss(&mut self, word: &mut impl FnMut() -> Frame) {
        for reader in self.list.drain(..) {
            let piece = F::of(&[word()]);
            reader.place.queued.fetch_add(piece.bytes(), Relaxed);
            drop(reader.queue.try_send(piece));
        }
    }
}

fn log_slow() {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Announce,
        msg: "a slow reader was cut off; it can come back with its last id",
        status: Some("cut"),
        ..Activity::default()
    }
    .emit();
}
