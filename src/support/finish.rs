//! Work that is always finished once it has begun, even if its caller is gone.
//!
//! A request's future is dropped when its caller disconnects. Work that must not stop half-way is
//! wrapped here: it runs in place, as part of the request. Only if it is dropped before its end,
//! the rest runs as a task of its own. Outside a runtime, or in one that ends, it ends too.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// A future that continues as a task of its own when it is dropped before its end.
pub struct Finish<F: Future<Output: Send> + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future<Output: Send> + Send> Finish<F> {
    /// Wraps it; it begins when it is first polled or dropped.
    pub fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F: Future<Output: Send> + Send> Future for Finish<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out, so that work that panicked is not gone on with.
        let mut work = self.0.take().expect("not polled again after its end");
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send> Drop for Finish<F> {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn dropped_work_is_finished_nevertheless() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, ended) = oneshot::channel();
        let mut work = Finish::new(async move {
            gone.await.expect("sent below");
            done.send(7).expect("read below");
        });
        let waker = std::task::Waker::noop();
        assert!(Pin::new(&mut work).poll(&mut Context::from_waker(waker)).is_pending());
        drop(work);
        go.send(()).expect("it goes on");
        assert_eq!(ended.await, Ok(7));
    }

    #[tokio::test]
    async fn awaited_work_answers_in_place() {
        assert_eq!(Finish::new(async { 7 }).await, 7);
    }
}
