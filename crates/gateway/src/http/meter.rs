//! What is counted, and the stream that counts it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connection::Io;
use super::tally::Tally;

/// Answered requests, by how they came and how they were answered. Looked up once: there are many.
pub(crate) struct Requests([[metrics::Counter; 5]; 2]);

impl Requests {
    pub(crate) fn new() -> Self {
        let of = |tls, class| metrics::counter!("berth_gateway_requests_total", "protocol" => protocol(tls), "class" => class);
        Self([false, true].map(|tls| ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| of(tls, class))))
    }

    pub(crate) fn count(&self, tls: bool, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.0[usize::from(tls)][class].increment(1);
    }
}

pub(crate) fn handshake_failed() {
    metrics::counter!("berth_gateway_handshake_failures_total").increment(1);
}

/// A connection from an address that has as many as it may have.
pub(crate) fn too_many() {
    metrics::counter!("berth_gateway_connections_refused_total").increment(1);
}

fn protocol(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// A client's connection: counted while it is open, and given up when a write makes no progress.
pub(crate) struct Metered {
    io: Box<dyn Io>,
    open: metrics::Gauge,
    read: metrics::Counter,
    written: metrics::Counter,
    /// For a client that takes nothing of what it asked for.
    limit: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
    tally: Arc<Tally>,
}

impl Metered {
    pub(crate) fn new(io: Box<dyn Io>, tls: bool, limit: Duration, tally: Arc<Tally>) -> Self {
        let protocol = protocol(tls);
        let bytes = |direction| metrics::counter!("berth_gateway_bytes_total", "protocol" => protocol, "direction" => direction);
        let open = metrics::gauge!("berth_gateway_connections", "protocol" => protocol);
        open.increment(1.0);
        Self { io, open, read: bytes("in"), written: bytes("out"), limit, stuck: None, tally }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(result) => {
                self.stuck = None;
                if let Ok(written) = result {
                    self.written.increment(written as u64);
                    self.tally.sent(written);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                let limit = self.limit;
                let timer = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
                timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.read.increment(read as u64);
        self.tally.received(read);
        result
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
