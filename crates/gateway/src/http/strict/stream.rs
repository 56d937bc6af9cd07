//! The stream that hyper reads from.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::scanner::Scanner;
use super::{Control, REFUSED};

/// Of what comes before it is known what it means.
const MOST_HELD: usize = 64 * 1024;

pub(crate) struct Strict<S> {
    io: S,
    scanner: Scanner,
    control: Arc<Control>,
    /// Came, and is not understood yet.
    held: BytesMut,
    /// Understood, and not read yet.
    out: BytesMut,
}

impl<S> Strict<S> {
    pub(crate) fn new(io: S, control: Arc<Control>) -> Self {
        Self { io, scanner: Scanner::new(), control, held: BytesMut::new(), out: BytesMut::new() }
    }

    fn feed(&mut self) {
        if let Err(refusal) = self.scanner.feed(&mut self.held, &mut self.out) {
            tracing::debug!(?refusal, "a request is refused");
            self.control.refuse(refusal);
            self.held = BytesMut::new();
            let instead = format!("{REFUSED} / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n");
            self.out.extend_from_slice(instead.as_bytes());
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.scanner.waits()
                && let Some(upgraded) = this.control.take_upgraded(cx.waker())
            {
                this.scanner.answered(upgraded);
                this.feed();
            }
            if !this.out.is_empty() {
                let here = this.out.len().min(buf.remaining());
                buf.put_slice(&this.out[..here]);
                this.out.advance(here);
                if this.out.is_empty() {
                    this.out = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            // It goes on to be read meanwhile, because its end is news; but not without end.
            if this.scanner.waits() && this.held.len() >= MOST_HELD {
                return Poll::Pending;
            }
            // Read to where hyper wants it: of a body nothing is copied.
            let start = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let came = &buf.filled()[start..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let passed = match this.scanner.pass(came) {
                Ok(passed) => passed,
                // In the middle of a body no request can stand for it; the connection breaks.
                Err(refusal) => {
                    this.control.refuse(refusal);
                    buf.set_filled(start);
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            };
            if !this.scanner.refused() {
                this.held.extend_from_slice(&came[passed..]);
            }
            buf.set_filled(start + passed);
            if !this.held.is_empty() {
                this.feed();
            }
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
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
