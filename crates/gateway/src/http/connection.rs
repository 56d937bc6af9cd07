//! One client's connection, from its first request to its end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::forward;
use super::meter::Metered;
use super::routing::Ground;
use super::strict::{self, Strict};
use super::tally::Tally;
use crate::places::Place;

/// To the end of a head, and from one request to the next.
const HEAD: Duration = Duration::from_secs(15);
/// An h2 connection that carries no request.
const IDLE: Duration = Duration::from_secs(15);
/// A client of an h2 connection answers a ping within this, asked as often.
const PING: Duration = Duration::from_secs(20);
/// How long what is under way may take to end once its ground is gone: the promise is five seconds.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Of a client's body, ahead of who reads it.
const READ_BUFFER: usize = 128 * 1024;
const WINDOW: u32 = 1024 * 1024;
const STREAMS: u32 = 128;

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How a connection came in.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// As rules name it.
    pub(crate) port: u16,
    pub(crate) peer: SocketAddr,
    pub(crate) tls: bool,
    /// The name that the client shook hands with.
    pub(crate) sni: Option<String>,
}

/// What the requests of one connection share.
pub(crate) struct Visit {
    pub(crate) context: Arc<Context>,
    pub(crate) door: Door,
    /// Among those of one address, until what the connection was upgraded to has ended too.
    pub(crate) _seat: Place<IpAddr>,
    /// What the connection stands on now: the last rule that it was led through.
    pub(crate) ground: watch::Sender<Option<Ground>>,
    /// Requests under way, counted until their answers' ends.
    pub(crate) active: watch::Sender<usize>,
    pub(crate) stop: CancellationToken,
    pub(crate) tally: Arc<Tally>,
    /// Of h1 alone: what stands under hyper's own reading.
    pub(crate) control: Option<Arc<strict::Control>>,
}

impl Visit {
    pub(crate) fn stall_timeout(&self) -> Duration {
        self.context.shared.config.stall_timeout()
    }
}

pub(crate) async fn serve(
    context: Arc<Context>,
    io: Box<dyn Io>,
    door: Door,
    seat: Place<IpAddr>,
    h2: bool,
    stop: CancellationToken,
) {
    let tally = Arc::<Tally>::default();
    let limit = context.shared.config.stall_timeout();
    let io = Metered::new(io, door.tls, limit, tally.clone());
    let control = (!h2).then(Arc::<strict::Control>::default);
    let visit = Arc::new(Visit {
        context,
        door,
        _seat: seat,
        ground: watch::Sender::new(None),
        active: watch::Sender::new(0),
        stop,
        tally,
        control: control.clone(),
    });
    let service = {
        let visit = visit.clone();
        service_fn(move |request| {
            let visit = visit.clone();
            async move { Ok::<_, Infallible>(forward::answer(&visit, request).await) }
        })
    };
    let result = if let Some(control) = control {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(READ_BUFFER);
        let io = TokioIo::new(Strict::new(io, control));
        let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
        tokio::select! {
            result = connection.as_mut() => result,
            () = leave(&visit) => {
                connection.as_mut().graceful_shutdown();
                last_words(&visit, connection).await
            }
        }
    } else {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(READ_BUFFER)
            .max_header_list_size(strict::MAX_HEAD as u32);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        tokio::select! {
            result = connection.as_mut() => result,
            () = leave(&visit) => {
                connection.as_mut().graceful_shutdown();
                last_words(&visit, connection).await
            }
            () = idle(&visit) => {
                connection.as_mut().graceful_shutdown();
                last_words(&visit, connection).await
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(peer = %visit.door.peer, port = visit.door.port, %error, "a connection broke");
    }
}

/// Until the gateway stops, or what the connection stands on is gone.
async fn leave(visit: &Visit) {
    let mut ground = visit.ground.subscribe();
    loop {
        let now = ground.borrow_and_update().clone();
        let gone = async {
            match now {
                Some(now) => now.gone().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = gone => return,
            () = visit.stop.cancelled() => return,
            _changed = ground.changed() => {}
        }
    }
}

/// Dropped when they take too long. What is under way at the gateway's own end has berthd's grace instead.
async fn last_words(visit: &Visit, rest: impl Future<Output = hyper::Result<()>>) -> hyper::Result<()> {
    if visit.stop.is_cancelled() {
        return rest.await;
    }
    tokio::time::timeout(LAST_WORDS, rest).await.unwrap_or(Ok(()))
}

async fn idle(visit: &Visit) {
    let mut active = visit.active.subscribe();
    loop {
        let _never_closed = active.wait_for(|active| *active == 0).await.map(drop);
        if tokio::time::timeout(IDLE, active.wait_for(|active| *active > 0)).await.map(drop).is_err() {
            return;
        }
    }
}
