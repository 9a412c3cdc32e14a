//! The body of an event stream: what was missed, then what comes, until the reader goes, is cut
//! off, or the instance stops. Each piece is one chunk, and the next one is made when it was taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use crate::announce::{Sse, Subscription};

/// A stream of frames.
pub struct SseBody(Subscription<Sse>);

impl From<Subscription<Sse>> for SseBody {
    fn from(subscription: Subscription<Sse>) -> Self {
        Self(subscription)
    }
}

impl Body for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_next(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece.into()))))
    }
}
