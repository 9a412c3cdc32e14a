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
    /// Frames that go together; what stands for them in a reader's queue.
    fn of(frames: &[Frame]) -> Self;

    /// Those who take this form.
    fn audience(readers: &mut Readers) -> &mut Audience<Self>;
}

/// The text of server-sent events, each with the blank line that ends it.
#[derive(Debug, Clone)]
pub struct Sse(pub Bytes);

impl Form for Sse {
    /// JSON holds no raw line break, so one `data` line always suffices.
    fn of(frames: &[Frame]) -> Self {
        let mut text = String::with_capacity(frames.len() * 256);
        for Frame { event, id, data, retry_ms } in frames {
            if let Some(retry_ms) = retry_ms {
                let _ = writeln!(text, "retry: {retry_ms}");
            }
            if let Some(id) = id {
                let _ = writeln!(text, "id: {id}");
            }
            let _ = write!(text, "event: {event}\ndata: {data}\n\n");
        }
        Self(text.into())
    }

    fn audience(readers: &mut Readers) -> &mut Audience<Self> {
        &mut readers.sse
    }
}

/// The texts of messages, each a JSON object with the members `event`, `data`, and where there is
/// one `id` and `retry`.
#[derive(Debug, Clone)]
pub struct Messages(pub Arc<[Bytes]>);

impl Form for Messages {
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
        Self(frames.iter().map(message).collect())
    }

    fn audience(readers: &mut Readers) -> &mut Audience<Self> {
        &mut readers.messages
    }
}
