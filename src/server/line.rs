//! The connection that a request came on, as far as its handler may reach it: to end it, or to say
//! what it does once it has changed its protocol.
//!
//! What goes on after a change of protocol is awaited by the connection's own task: it keeps the
//! permit and the place of its connection, and is cut and drained like any other.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// One connection.
#[derive(Clone, Default)]
pub struct Line {
    /// Cancelling it ends the connection at once.
    pub cut: CancellationToken,
    next: Arc<Mutex<Option<BoxFuture<'static, ()>>>>,
}

impl Line {
    /// What the connection does after it has answered that it changes its protocol.
    pub fn go_on(&self, next: impl Future<Output = ()> + Send + 'static) {
        *self.next.lock() = Some(Box::pin(next));
    }

    /// What there is to do after HTTP, if anything.
    pub fn next(&self) -> Option<BoxFuture<'static, ()>> {
        self.next.lock().take()
    }
}
