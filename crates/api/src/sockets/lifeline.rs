//! What every socket shares: it is pinged, and cut off when nothing is heard of it; it ends with its credential; and what
//! is written to it must be taken in time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use berth_core::pod_io::Unreachable;
use berth_store::{Error as StoreError, Hint, Hints};
use chrono::Utc;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::time::{Instant, Interval, interval, timeout};

use crate::auth::{Caller, authenticate};
use crate::state::Api;

pub(crate) const PING: Duration = Duration::from_secs(20);
const DEAD: Duration = Duration::from_secs(60);
/// A reader that takes nothing for this long while frames wait is cut off.
pub(crate) const STUCK: Duration = Duration::from_secs(10);
/// How long a client may take to answer the last frame.
const FAREWELL: Duration = Duration::from_secs(2);

/// Codes of close frames: 44xx is HTTP's xx.
pub(crate) mod code {
    pub(crate) const NORMAL: u16 = 1000;
    /// Restart of the server, or a failure behind it: the client should come again.
    pub(crate) const TRY_AGAIN: u16 = 1013;
    pub(crate) const BAD_FRAME: u16 = 4400;
    pub(crate) const UNAUTHENTICATED: u16 = 4401;
    pub(crate) const IDLE: u16 = 4408;
    pub(crate) const STOPPED: u16 = 4409;
}

/// Why a socket ends.
#[derive(Debug)]
pub(crate) enum End {
    /// There is nobody to tell.
    Gone,
    Unauthenticated,
    Failed,
    Because {
        code: u16,
        reason: String,
    },
}

impl End {
    pub(crate) fn because(code: u16, reason: impl Into<String>) -> Self {
        Self::Because { code, reason: reason.into() }
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "a socket lost its rows");
        Self::Failed
    }
}

impl From<Unreachable> for End {
    fn from(unreachable: Unreachable) -> Self {
        let code = match unreachable {
            Unreachable::NotRunning(_) | Unreachable::NoShell => code::STOPPED,
            Unreachable::Cluster(_) | Unreachable::Database => code::TRY_AGAIN,
        };
        Self::because(code, unreachable.to_string())
    }
}

/// When something was last heard of the client.
#[derive(Debug, Clone)]
pub(crate) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    pub(crate) fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Heard {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

/// Keeps an eye on the caller.
pub(crate) struct Lifeline {
    pub(crate) api: Api,
    pub(crate) caller: Caller,
    pub(crate) heard: Heard,
    hints: Hints,
    pings: Interval,
}

/// Something to look after: hand it to [`Lifeline::attend`].
pub(crate) enum Beat {
    Hint(Hint),
    Tick,
    Expired,
    /// No more hints come.
    Deaf,
}

/// What is left to do after a beat.
pub(crate) enum Task {
    Ping,
    /// Read this again: it is the caller's, or everything.
    Hint(Hint),
    Nothing,
}

impl Lifeline {
    /// Hints are heard from now on: what is read afterwards misses no change.
    pub(crate) fn new(api: Api, caller: Caller) -> Self {
        let hints = api.store.hints();
        Self { api, caller, heard: Heard::default(), hints, pings: interval(PING) }
    }

    /// Waits for the next beat. Dropping it half-way loses none.
    pub(crate) async fn beat(&mut self) -> Beat {
        tokio::select! {
            hint = self.hints.next() => hint.map_or(Beat::Deaf, Beat::Hint),
            _ = self.pings.tick() => Beat::Tick,
            () = expiry(&self.caller) => Beat::Expired,
        }
    }

    /// Must not be dropped half-way: the beat is lost then.
    pub(crate) async fn attend(&mut self, beat: Beat) -> Result<Task, End> {
        let own = self.caller.actor.user().id;
        match beat {
            Beat::Deaf => Err(End::Failed),
            Beat::Expired => Err(End::Unauthenticated),
            Beat::Tick if self.heard.last().elapsed() > DEAD => Err(End::Gone),
            Beat::Tick if self.caller.expires_at.is_some_and(|at| at <= Utc::now()) => Err(End::Unauthenticated),
            Beat::Tick => Ok(Task::Ping),
            Beat::Hint(hint) => match hint {
                Hint::Credentials { owner } if owner == own => self.check_credential().await.map(|()| Task::Nothing),
                Hint::Resync => self.check_credential().await.map(|()| Task::Hint(hint)),
                Hint::Changed { owner, .. }
                | Hint::Listed { owner, .. }
                | Hint::Told { owner, .. }
                | Hint::Removed { owner, .. }
                    if owner == own =>
                {
                    Ok(Task::Hint(hint))
                }
                Hint::Changed { .. }
                | Hint::Listed { .. }
                | Hint::Told { .. }
                | Hint::Removed { .. }
                | Hint::Credentials { .. } => Ok(Task::Nothing),
            },
        }
    }

    /// Once when the socket is open: the credential may have ended since the request, and nobody would say so again.
    pub(crate) async fn check_credential(&mut self) -> Result<(), End> {
        match authenticate(&self.api, self.caller.secret.clone(), self.caller.from).await {
            Ok(caller) => {
                self.caller = caller;
                Ok(())
            }
            Err(_) => Err(End::Unauthenticated),
        }
    }
}

/// Ends when the credential does; never for one without an end.
async fn expiry(caller: &Caller) {
    match caller.expires_at.and_then(|at| (at - Utc::now()).to_std().ok()) {
        Some(left) => tokio::time::sleep(left).await,
        None if caller.expires_at.is_some() => {}
        None => std::future::pending().await,
    }
}

/// The writing half. Nothing waits here but what the connection itself holds.
pub(crate) struct Writer(SplitSink<WebSocket, Message>);

pub(crate) type Reader = SplitStream<WebSocket>;

pub(crate) fn split(socket: WebSocket) -> (Writer, Reader) {
    let (sink, stream) = socket.split();
    (Writer(sink), stream)
}

impl Writer {
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), End> {
        in_time(self.0.send(message)).await
    }

    /// May keep the message back until [`flush`](Self::flush).
    pub(crate) async fn feed(&mut self, message: Message) -> Result<(), End> {
        in_time(self.0.feed(message)).await
    }

    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        in_time(self.0.flush()).await
    }

    pub(crate) async fn ping(&mut self) -> Result<(), End> {
        self.send(Message::Ping(Vec::new().into())).await
    }

    /// Says why, and waits a moment for the client to have heard it: a connection that is closed with bytes unread is
    /// reset, and the last words are lost.
    pub(crate) async fn close(mut self, mut reader: Reader, end: End) {
        let (code, reason) = match end {
            End::Gone => return,
            End::Unauthenticated => (code::UNAUTHENTICATED, "this credential is no longer valid".to_owned()),
            End::Failed => (code::TRY_AGAIN, "try again in a moment".to_owned()),
            End::Because { code, reason } => (code, reason),
        };
        let frame = Message::Close(Some(CloseFrame { code, reason: fitting(&reason).into() }));
        // The peer may be gone already; there is nobody else to tell.
        let heard = async {
            self.send(frame).await?;
            while let Some(Ok(_)) = reader.next().await {}
            Ok::<_, End>(())
        };
        let _unheard = timeout(FAREWELL, heard).await.is_err();
    }
}

async fn in_time<E>(write: impl Future<Output = Result<(), E>>) -> Result<(), End> {
    match timeout(STUCK, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

/// A close frame has room for 123 bytes.
fn fitting(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(123)]
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn a_reason_fits_its_frame() {
        assert_eq!(fitting("the container stopped"), "the container stopped");
        assert_eq!(fitting(&"é".repeat(100)).len(), 122);
    }
}
