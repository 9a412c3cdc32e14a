//! A reader of an instance's event stream, as a browser would be: it notes what it is sent and
//! when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::Response;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::cli::Exit;
use crate::cli::client::Client;

/// Until the stream sends hello.
const HELLO_TIME_MAX: Duration = Duration::from_secs(5);
/// A frame is some hundred bytes.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// An event of the stream.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    pub at: Instant,
    pub event: String,
    pub data: Value,
}

/// A reader, until it is dropped.
pub struct Reader {
    received: Arc<Mutex<Vec<StreamEvent>>>,
    reading: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Reader {
    /// Opens a stream and waits for its hello.
    ///
    /// # Errors
    /// There is none.
    pub async fn open(client: &Client) -> Result<Self, Exit> {
        let stream = client.open("/api/stream").await?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let reading = tokio::spawn(read(stream, Arc::clone(&received)));
        let reader = Self { received, reading };
        let deadline = Instant::now() + HELLO_TIME_MAX;
        while reader.of("hello").is_empty() {
            if Instant::now() > deadline || reader.reading.is_finished() {
                return Err(Exit::Failed(format!("{}: the stream is silent", client.server())));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(reader)
    }

    /// The events of this name so far.
    pub fn of(&self, event: &str) -> Vec<StreamEvent> {
        self.received.lock().iter().filter(|it| it.event == event).cloned().collect()
    }
}

async fn read(mut stream: Response, received: Arc<Mutex<Vec<StreamEvent>>>) {
    let mut pending = String::new();
    while let Ok(Some(chunk)) = stream.chunk().await {
        pending.push_str(&String::from_utf8_lossy(&chunk));
        while let Some((frame, rest)) = pending.split_once("\n\n") {
            received.lock().extend(parse(frame));
            pending = rest.to_owned();
        }
        if pending.len() > FRAME_BYTES_MAX {
            return;
        }
    }
}

fn parse(frame: &str) -> Option<StreamEvent> {
    let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let data = serde_json::from_str(field("data:")?).ok()?;
    Some(StreamEvent { at: Instant::now(), event: field("event:")?.to_owned(), data })
}
