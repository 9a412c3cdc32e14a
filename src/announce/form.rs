//! The forms in which readers take frames: the text of server-sent events (WHATWG HTML section
//! 9.2), and messages of a WebSocket.
//!
//! Both say the same in the same order. Each is made once, whatever the number of its readers, who
//! share the bytes.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use super::frame::Frame;
use super::readers::{Audience, Readers};

/// A form.
pub trait Form: Clone + Send + 'static {
    /// What the clones of a piece share.
    type Shared: Send + Sync + 'static;

    /// Frames that go together; what stands for them in a reader's queue.
    fn of(frames: &[Frame]) -> Self;

    /// What this piece shares with its clones.
    fn shared(&self) -> &Arc<Self::Shared>;

    /// One more clone of a piece.
    fn from_shared(shared: Arc<Self::Shared>) -> Self;

    /// Bytes of the text.
    fn bytes(&self) -> usize;

    /// Those who take this form.
    fn audience(readers: &mut Readers) -> &mut Audience<Self>;
}

/// The text of server-sent events, each with the blank line that ends it.
#[derive(Debug, Clone)]
pub struct Sse(pub Arc<String>);

impl AsRef<[u8]> for Sse {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<Sse> for Bytes {
    /// The bytes keep the piece itself alive, so that it is known to be in use.
    fn from(piece: Sse) -> Self {
        Self::from_owner(piece)
    }
}

impl Form for Sse {
    type Shared = String;

    /// JSON holds no raw line break, so one `data` line always suffices.
    fn of(frames: &[Frame]) -> Self {
        let length = |frame: &Frame| frame.data.len() + 64;
        let mut text = String::with_capacity(frames.iter().map(length).sum());
        for Frame { event, id, data, retry_ms } in frames {
            if let Some(retry_ms) = retry_ms {
                let _ = writeln!(text, "retry: {retry_ms}");
            }
            if let Some(id) = id {
                let _ = writeln!(text, "id: {id}");
            }
            let _ = write!(text, "event: {event}\ndata: {data}\n\n");
        }
        Self(Arc::new(text))
    }

    fn shared(&self) -> &Arc<String> {
        &self.0
    }

    fn from_shared(shared: Arc<String>) -> Self {
        Self(shared)
    }

    fn bytes(&self) -> usize {
        self.0.len()
    }

    fn audience(readers: &mut Readers) -> &mut Audience<Self> {
        &mut readers.sse
    }
}

/// The texts of messages, each a JSON object with the members `event`, `data`, and where there is
/// one `id` and `retry`.
#[derive(Debug, Clone)]
pub struct Messages(pub Arc<Vec<Bytes>>);

impl Form for Messages {
    type Shared = Vec<Bytes>;

    /// Event and id need no escapes, and data is JSON already.
    fn of(frames: &[Frame]) -> Self {
        let message = |Frame { event, id, data, retry_ms }: &Frame| {
            let mut text = String::with_capacity(data.len() + 64);
            let _ = write!(text, r#"{{"event":"{event}""#);
            if let Some(id) = id {
                let _ = write!(text, r#","id":"{id}""#);
            }
            if let Some(retry_ms) = retry_ms {
                let _ = write!(text, r#","retry":{retry_ms}"#);
            }
            let _ = write!(text, r#","data":{data}}}"#);
            Bytes::from(text)
        };
        Self(Arc::new(frames.iter().map(message).collect()))
    }

    fn shared(&self) -> &Arc<Vec<Bytes>> {
        &self.0
    }

    fn from_shared(shared: Arc<Vec<Bytes>>) -> Self {
        Self(shared)
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn audience(readers: &mut Readers) -> &mut Audience<Self> {
        &mut readers.messages
    }
}
