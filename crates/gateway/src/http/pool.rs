//! Connections to pods: kept for a moment after use, and never longer than the rule that they were made for.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::accept::tune;
use super::body::Body;
use super::routing::{Ground, Key};

/// In a pod's network a connection takes milliseconds; where a policy drops it silently, nobody waits for longer.
const CONNECT: Duration = Duration::from_secs(5);
/// Below what servers commonly close after (Node: five seconds), so that few requests meet a connection that is closing.
const IDLE: Duration = Duration::from_secs(4);
const IDLE_H2: Duration = Duration::from_secs(60);
/// Of one rule's connections and of all, those in use among them.
const MOST_KEPT_EACH: usize = 128;
const MOST_KEPT: usize = 4096;
/// Of an answer, ahead of who reads it.
const READ_BUFFER: usize = 128 * 1024;
const WINDOW: u32 = 1024 * 1024;
const PING: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused,
    Unreached,
    Broken,
    /// The client's own body did.
    Body,
}

#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// Those that are in use still, too: one is free as soon as hyper says that it is ready. The moment is the last one at which
    /// it was seen in use.
    h1: HashMap<Key, Vec<(http1::SendRequest<Body>, Instant)>>,
    /// How many those are.
    count: usize,
    /// One carries all requests of its rule.
    h2: HashMap<Key, (http2::SendRequest<Body>, Instant)>,
}

impl Pool {
    pub(crate) async fn send(
        &self,
        ground: &Ground,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        let key = ground.key();
        while let Some(mut sender) = self.take(&key) {
            let again = repeatable(&request);
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.keep(key, sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message().or(again) {
                    // Its server closed it just then.
                    Some(back) => request = back,
                    None => return Err(failure(error.error())),
                },
            }
        }
        let stream = connect(ground).await?;
        let handshake = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(stream).await;
        let (mut sender, connection) = handshake.map_err(|_| Failure::Broken)?;
        tokio::spawn(connection.with_upgrades());
        match sender.try_send_request(request).await {
            Ok(response) => {
                self.keep(key, sender);
                Ok(response)
            }
            Err(error) => Err(failure(error.error())),
        }
    }

    /// With h2 that begins without being asked for: what gRPC servers speak.
    pub(crate) async fn send_h2(
        &self,
        ground: &Ground,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        let key = ground.key();
        if let Some(mut sender) = self.shared(&key) {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(back) => request = back,
                    None => return Err(failure(error.error())),
                },
            }
        }
        let stream = connect(ground).await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(READ_BUFFER);
        let (mut sender, connection) = builder.handshake(stream).await.map_err(|_| Failure::Broken)?;
        tokio::spawn(connection);
        self.kept().h2.insert(key, (sender.clone(), Instant::now()));
        sender.try_send_request(request).await.map_err(|error| failure(error.error()))
    }

    /// Closes what was idle for too long.
    pub(crate) fn sweep(&self) {
        let (mut kept, now) = (self.kept(), Instant::now());
        for kept in kept.h1.values_mut() {
            kept.retain_mut(|(sender, used)| {
                if !sender.is_ready() {
                    *used = now;
                }
                !sender.is_closed() && now - *used < IDLE
            });
        }
        kept.h1.retain(|_, kept| !kept.is_empty());
        kept.count = kept.h1.values().map(Vec::len).sum();
        // Requests under way keep theirs open.
        kept.h2.retain(|_, (sender, used)| !sender.is_closed() && used.elapsed() < IDLE_H2);
    }

    /// The one that was used last of those that are free.
    fn take(&self, key: &Key) -> Option<http1::SendRequest<Body>> {
        let mut kept = self.kept();
        let all = kept.h1.get_mut(key)?;
        let free = all.iter().rposition(|(sender, used)| sender.is_ready() && used.elapsed() < IDLE)?;
        let (sender, _) = all.remove(free);
        kept.count -= 1;
        Some(sender)
    }

    fn shared(&self, key: &Key) -> Option<http2::SendRequest<Body>> {
        let mut kept = self.kept();
        let (sender, used) = kept.h2.get_mut(key).filter(|(sender, _)| !sender.is_closed())?;
        *used = Instant::now();
        Some(sender.clone())
    }

    /// Its answer is still to be read. Where there are too many, the first gives way: it closes now, or after its own answer.
    fn keep(&self, key: Key, sender: http1::SendRequest<Body>) {
        let mut kept = self.kept();
        if kept.count >= MOST_KEPT {
            return;
        }
        kept.count += 1;
        let all = kept.h1.entry(key).or_default();
        all.push((sender, Instant::now()));
        if all.len() > MOST_KEPT_EACH {
            all.remove(0);
            kept.count -= 1;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy for a second try, where a second one changes nothing: a connection that was kept may be closed by its server just
/// as it is used again.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe || !request.body().is_end_stream() || request.headers().contains_key(http::header::UPGRADE) {
        return None;
    }
    let mut copy = Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn failure(error: &hyper::Error) -> Failure {
    // Of all that hyper calls a user's error, only the body is not of our own making.
    if error.is_user() { Failure::Body } else { Failure::Broken }
}

async fn connect(ground: &Ground) -> Result<TokioIo<Until<TcpStream>>, Failure> {
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect(ground.address)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(Failure::Refused),
        Ok(Err(_)) | Err(_) => return Err(Failure::Unreached),
    };
    tune(&stream).map_err(|_| Failure::Broken)?;
    let ground = ground.clone();
    let gone = Box::pin(async move { ground.gone().await });
    Ok(TokioIo::new(Until { io: stream, gone, over: false }))
}

/// Breaks once the ground it was opened on is gone, so that whatever uses it ends with an error and not as if it was whole.
struct Until<S> {
    io: S,
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
    over: bool,
}

impl<S> Until<S> {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.over = self.over || self.gone.as_mut().poll(cx).is_ready();
        if self.over { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Until<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Until<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
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
