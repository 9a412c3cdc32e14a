//! The connection that a request came on, as far as its handler may reach it: to end it, or to say
//! what it does once it has changed its protocol.
//!
//! What goes on after a change of protocol is awaited by the connection's own task: it keeps the
//! permit and the place of its connection, and is cut and drained like any other. The socket
//! (`wire`) reads here whether a request is being answered, and leaves here what is wrong with one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::heads::Fault;

/// One connection.
#[derive(Clone, Default)]
pub struct Line {
    /// Cancelling it ends the connection at once.
    pub cut: CancellationToken,
    next: Arc<Mutex<Option<BoxFuture<'static, ()>>>>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Requests that were begun.
    requests: AtomicU64,
    /// Requests being answered, and streams.
    busy: AtomicUsize,
    has_switched: AtomicBool,
    /// Whether the other side speaks TLS.
    is_tls: AtomicBool,
    /// The first fault of a head, and of which request. The connection ends with that one.
    fault: Mutex<Option<(u64, Fault)>>,
}

/// One request being answered.
pub struct Busy(Arc<State>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

impl Line {
    /// What the connection does after it has answered that it changes its protocol.
    pub fn go_on(&self, next: impl Future<Output = ()> + Send + 'static) {
        self.state.has_switched.store(true, Relaxed);
        self.stay_busy();
        *self.next.lock() = Some(Box::pin(next));
    }

    /// What there is to do after HTTP, if anything.
    pub fn next(&self) -> Option<BoxFuture<'static, ()>> {
        self.next.lock().take()
    }

    /// The next request begins: what is wrong with its head, if anything, and what is to be kept
    /// until it was answered.
    pub fn begin(&self) -> (Option<Fault>, Busy) {
        self.state.busy.fetch_add(1, Relaxed);
        let request = self.state.requests.fetch_add(1, Relaxed);
        let fault = self.state.fault.lock().filter(|(faulty, _)| *faulty == request);
        (fault.map(|(_, fault)| fault), Busy(Arc::clone(&self.state)))
    }

    /// An answer has begun that does not end: silence of the other side is no idleness.
    pub fn stay_busy(&self) {
        self.state.busy.fetch_add(1, Relaxed);
    }

    /// Whether a request is being answered.
    pub fn is_busy(&self) -> bool {
        self.state.busy.load(Relaxed) > 0
    }

    /// Whether the protocol is no longer HTTP.
    pub fn has_switched(&self) -> bool {
        self.state.has_switched.load(Relaxed)
    }

    /// Notes that the connection began with a TLS handshake.
    pub fn set_tls(&self) {
        self.state.is_tls.store(true, Relaxed);
    }

    /// Whether the connection began with a TLS handshake.
    pub fn is_tls(&self) -> bool {
        self.state.is_tls.load(Relaxed)
    }

    /// Leaves what is wrong with a request, counted from 0, for when it begins.
    pub fn set_fault(&self, request: u64, fault: Fault) {
        self.state.fault.lock().get_or_insert((request, fault));
    }
}
