//! The body of an event stream: what was missed, then what comes, until the reader goes, is cut
//! off, or the instance stops. Each frame is one chunk; nothing is buffered beyond the hub's queue.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use crate::announce::{Sse, Subscription};

/// A stream of frames.
pub struct SseBody {
    first: VecDeque<Sse>,
    live: mpsc::Receiver<Sse>,
}

impl From<Subscription<Sse>> for SseBody {
    fn from(subscription: Subscription<Sse>) -> Self {
        Self { first: subscription.first.into(), live: subscription.live }
    }
}

impl Body for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(Sse(text)) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        self.live.poll_recv(context).map(|piece| piece.map(|Sse(text)| Ok(Frame::data(text))))
    }
}
