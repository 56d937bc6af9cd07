//! Bodies on their way, in either direction: a frame at a time, as fast as who receives them takes them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("the body made no progress for too long")]
    Stalled,
}

pub(crate) type Body = UnsyncBoxBody<Bytes, Error>;

/// Ends with an error when nothing comes for too long, and keeps `held` until its end.
pub(crate) struct Flow<T> {
    inner: Incoming,
    /// Between two frames of a body that is waited for.
    limit: Duration,
    /// Made when it is first needed: most bodies never wait.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    _held: T,
}

impl<T: Send + Unpin + 'static> Flow<T> {
    pub(crate) fn new(inner: Incoming, limit: Duration, held: T) -> Self {
        Self { inner, limit, timer: None, waiting: false, _held: held }
    }
}

impl<T: Send + Unpin> http_body::Body for Flow<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.waiting = false;
                Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
            }
            Poll::Pending => {
                let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.limit)));
                // Only the time counts in which somebody waited: a reader that is slow itself has deadlines of its own.
                if !this.waiting {
                    this.waiting = true;
                    timer.as_mut().reset(Instant::now() + this.limit);
                }
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::Stalled)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
