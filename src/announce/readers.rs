//! Who listens, by the form they take: a bounded queue each, and nobody waits for the slow.
//!
//! What is told is put into a form once, and only where somebody takes it; queues share the bytes.

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::form::{Form, Messages, Sse};
use super::frame::Frame;
use crate::activity::{Activity, Kind, Level};

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

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells everybody. Frames given together are one piece in a reader's queue.
    pub fn tell(&mut self, frames: &[Frame]) {
        self.sse.tell(frames);
        self.messages.tell(frames);
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

/// Those who take one form.
pub struct Audience<F> {
    list: Vec<Reader<F>>,
}

struct Reader<F> {
    queue: mpsc::Sender<F>,
    cut: CancellationToken,
}

impl<F> Default for Audience<F> {
    fn default() -> Self {
        Self { list: vec![] }
    }
}

impl<F: Form> Audience<F> {
    /// One more, with a queue of this many pieces: its far end, and what fires when the reader is
    /// cut off.
    pub fn enter(&mut self, pieces_max: usize) -> (mpsc::Receiver<F>, CancellationToken) {
        let (queue, live) = mpsc::channel(pieces_max.max(1));
        let cut = CancellationToken::new();
        self.list.push(Reader { queue, cut: cut.clone() });
        (live, cut)
    }

    /// Tells all of them; whose queue is full is cut off.
    pub fn tell(&mut self, frames: &[Frame]) {
        let before = self.list.len();
        if before == 0 {
            return;
        }
        let piece = F::of(frames);
        self.list.retain(|reader| match reader.queue.try_send(piece.clone()) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                reader.cut.cancel();
                tell_slow();
                false
            }
        });
        if self.list.capacity() > 64 && self.list.len() < before / 4 {
            self.list.shrink_to_fit();
        }
    }

    fn dismiss(&mut self, word: &mut impl FnMut() -> Frame) {
        for reader in self.list.drain(..) {
            drop(reader.queue.try_send(F::of(&[word()])));
        }
    }
}

fn tell_slow() {
    Activity {
        level: Level::Warn,
        event: Kind::Announce,
        msg: "a slow reader was cut off; it can come back with its last id",
        status: Some("cut"),
        ..Activity::default()
    }
    .emit();
}
