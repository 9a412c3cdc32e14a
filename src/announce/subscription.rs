//! The subscription of one reader: hello, what it missed, and then every broadcast.
//!
//! What was missed is read from the journal while the reader takes it, a page at a time, so that a
//! reader costs the same however far behind it is. Once it has caught up it joins the readers of
//! the broadcast under the hub's lock, without a gap or a double.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::form::Form;
use super::frame::{self, Frame, Position};
use super::hub::{Inner, is_streamed};
use super::readers::{Entered, Place};

/// Bytes of one page of a replay. A frame that is larger alone is a page of its own, which readers
/// share.
pub const PAGE_BYTES: usize = 32 * 1024;
/// Events of one page.
const PAGE_EVENTS: usize = 64;
/// Events whose frames are counted at a time.
const COUNT_EVENTS: usize = 512;
/// Bytes taken from the queue at a time.
const TAKE_BYTES: usize = 64 * 1024;

/// What a reader gets, in its form.
pub struct Subscription<F: Form> {
    inner: Arc<Inner>,
    /// Hello, and what belongs to it.
    first: Option<F>,
    /// How far it was replayed; `None` once it has caught up.
    cursor: Option<Position>,
    live: mpsc::Receiver<F>,
    place: Arc<Place>,
    /// Fires when the reader is cut off for its slowness.
    pub cut: CancellationToken,
}

impl<F: Form> Subscription<F> {
    pub(super) fn new(
        inner: Arc<Inner>,
        first: F,
        cursor: Option<Position>,
        entered: Entered<F>,
    ) -> Self {
        let Entered { live, cut, place } = entered;
        Self { inner, first: Some(first), cursor, live, place, cut }
    }

    /// The next piece; nothing at the end: the reader was cut off, or the instance stops.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<F>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Some(piece) = self.replay() {
            return Poll::Ready(Some(piece));
        }
        let piece = ready!(self.live.poll_recv(context));
        Poll::Ready(piece.inspect(|piece| self.taken(piece)))
    }

    /// The next pieces, at most `pieces_max` and about 64 KiB; nothing at the end. Nothing is lost
    /// where the future is dropped.
    pub async fn next_some(&mut self, pieces_max: usize) -> Vec<F> {
        let Some(first) = std::future::poll_fn(|context| self.poll_next(context)).await else {
            return vec![];
        };
        let mut bytes = first.bytes();
        let mut pieces = vec![first];
        while self.cursor.is_none() && pieces.len() < pieces_max && bytes < TAKE_BYTES {
            let Ok(piece) = self.live.try_recv() else { break };
            self.taken(&piece);
            bytes += piece.bytes();
            pieces.push(piece);
        }
        pieces
    }

    fn taken(&self, piece: &F) {
        self.place.queued.fetch_sub(piece.bytes(), Relaxed);
    }

    /// The next page of what was missed; nothing once there is no more.
    fn replay(&mut self) -> Option<F> {
        self.place.idle_pings.store(0, Relaxed);
        let inner = Arc::clone(&self.inner);
        loop {
            let cursor = self.cursor?;
            let until = {
                let broadcast = inner.broadcast.lock();
                let resync = self.place.resync.lock().take();
                if let Some(reason) = resync {
                    return Some(self.go_live_with_resync(broadcast.at, &reason));
                }
                let has_caught_up = cursor.frames.is_none() && cursor.seq >= broadcast.at;
                // Where the instance stops, its last word is in the queue.
                if has_caught_up || broadcast.is_closed {
                    self.go_live();
                    return None;
                }
                broadcast.at
            };
            match self.page(cursor, until) {
                None => {
                    let broadcast = inner.broadcast.lock();
                    return Some(self.go_live_with_resync(broadcast.at, "too far behind"));
                }
                Some(frames) if frames.is_empty() => {}
                Some(frames) => return Some(self.put(&frames)),
            }
        }
    }

    fn go_live(&mut self) {
        self.place.is_live.store(true, Relaxed);
        self.cursor = None;
    }

    /// What was missed cannot be replayed: the reader must fetch everything again.
    fn go_live_with_resync(&mut self, at: u64, reason: &str) -> F {
        self.go_live();
        let id = format!("{}-{at}", self.inner.journal.epoch());
        F::of(&[frame::resync(Some(id), reason)])
    }

    /// The next frames up to the event `until`, and moves the cursor; `None` where events between
    /// are gone.
    fn page(&mut self, mut cursor: Position, until: u64) -> Option<Vec<Frame>> {
        let from = cursor.seq.saturating_sub(u64::from(cursor.frames.is_some()));
        let page = self.inner.journal.after(from, PAGE_EVENTS);
        if page.gap {
            return None;
        }
        let (mut frames, mut bytes) = (Vec::new(), 0);
        for event in page.events.iter().take_while(|event| event.seq <= until) {
            if bytes >= PAGE_BYTES {
                break;
            }
            let seen = if event.seq == cursor.seq { cursor.frames.unwrap_or(0) } else { 0 };
            cursor = Position { epoch: event.epoch, seq: event.seq, frames: None };
            if !is_streamed(event) {
                continue;
            }
            let (mut some, is_whole) = frame::some_updates(event, seen, PAGE_BYTES - bytes);
            bytes += some.iter().map(|frame| frame.data.len()).sum::<usize>();
            let is_large = some.last().is_some_and(|last| last.data.len() >= PAGE_BYTES);
            // A large frame is a page of its own: the next one.
            let is_early = is_large && frames.len() + some.len() > 1;
            if is_early {
                some.pop();
            }
            if is_early || !is_whole {
                cursor.frames = Some(seen + some.len());
            }
            frames.append(&mut some);
            if cursor.frames.is_some() {
                break;
            }
        }
        self.cursor = Some(cursor);
        Some(frames)
    }

    fn put(&self, frames: &[Frame]) -> F {
        match frames {
            [one] if one.data.len() >= PAGE_BYTES => {
                let key = one.id.as_deref().and_then(Position::parse);
                let key = key.map(|at| (at.seq, at.frames.unwrap_or(usize::MAX)));
                let mut broadcast = self.inner.broadcast.lock();
                F::audience(&mut broadcast.readers).share(key.unwrap_or_default(), one)
            }
            _ => F::of(frames),
        }
    }
}

/// The number of frames after a place, up to the event `until`.
pub(super) fn count(inner: &Inner, cursor: Position, until: u64) -> usize {
    let mut seq = cursor.seq.saturating_sub(u64::from(cursor.frames.is_some()));
    let mut frames = 0;
    loop {
        let page = inner.journal.after(seq, COUNT_EVENTS);
        let Some(last) = page.events.last().filter(|_| seq < until) else { break };
        seq = last.seq;
        let wanted = page.events.iter().filter(|event| event.seq <= until && is_streamed(event));
        frames += wanted.map(|event| frame::count(event)).sum::<usize>();
    }
    frames.saturating_sub(cursor.frames.unwrap_or(0))
}
