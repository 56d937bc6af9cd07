//! A person's connection as the gateway holds it: it counts what passes, and it can be cut from outside, whatever the SSH
//! session above is waiting for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bytes that passed, as they went over the network.
#[derive(Debug, Default)]
pub(super) struct Passed {
    up: AtomicU64,
    down: AtomicU64,
}

impl Passed {
    /// From the person, and to the person.
    pub(super) fn both(&self) -> (u64, u64) {
        (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    passed: Arc<Passed>,
    /// One for each direction: a future wakes only who polled it last.
    cut_reading: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_writing: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Wire<S> {
    /// `up` is what is read from it.
    pub(super) fn new(stream: S, cut: &CancellationToken) -> (Self, Arc<Passed>) {
        let passed = Arc::new(Passed::default());
        let [cut_reading, cut_writing] = [(); 2].map(|()| Box::pin(cut.clone().cancelled_owned()));
        (Self { stream, passed: passed.clone(), cut_reading, cut_writing }, passed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut_reading.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.passed.up.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut_writing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.passed.down.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn it_counts_and_can_be_cut_while_both_directions_wait() {
        let (near, mut far) = tokio::io::duplex(4);
        let cut = CancellationToken::new();
        let (wire, passed) = Wire::new(near, &cut);
        let (mut reading, mut writing) = tokio::io::split(wire);
        far.write_all(b"abc").await.unwrap();
        reading.read_exact(&mut [0; 3]).await.unwrap();
        let reads = tokio::spawn(async move { reading.read(&mut [0; 1]).await });
        let writes = tokio::spawn(async move { writing.write_all(b"never taken").await });
        while passed.both() != (3, 4) {
            tokio::task::yield_now().await;
        }
        cut.cancel();
        assert_eq!(reads.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(writes.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
