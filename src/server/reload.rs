//! Asking for the settings to be read again, from whatever side: a request, a signal, a file.
//!
//! Here is only the way to whoever does it, which this room does not know; requests are done one
//! after the other.

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait: each reads everything anew, so more would only repeat.
const REQUESTS_MAX: usize = 8;

/// What a reading came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReloadOutcome {
    /// Keys that changed.
    pub changed: Vec<String>,
    /// Keys that keep their value until a restart.
    pub needs_restart: Vec<String>,
    /// What is wrong, one line each; then nothing was changed.
    pub problems: Vec<String>,
}

/// One request.
pub struct ReloadRequest {
    /// Who or what asks: a principal's name, `signal` or `file`.
    pub by: String,
    /// Receives the outcome; the receiver may be gone.
    pub answer: oneshot::Sender<ReloadOutcome>,
}

/// The near end of the queue of requests.
#[derive(Debug, Clone)]
pub struct Reloads(mpsc::Sender<ReloadRequest>);

impl Reloads {
    /// Both ends.
    pub fn channel() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (near, far) = mpsc::channel(REQUESTS_MAX);
        (Self(near), far)
    }

    /// Reads the settings again and waits until that is done; `None` where the instance is stopping
    /// or has nothing to read.
    pub async fn ask(&self, by: &str) -> Option<ReloadOutcome> {
        let (answer, outcome) = oneshot::channel();
        self.0.send(ReloadRequest { by: by.to_owned(), answer }).await.ok()?;
        outcome.await.ok()
    }

    /// The same without waiting. Where requests wait already, the last of them will read what this
    /// one would.
    pub fn ask_soon(&self, by: &str) {
        let (answer, _) = oneshot::channel();
        drop(self.0.try_send(ReloadRequest { by: by.to_owned(), answer }));
    }
}
