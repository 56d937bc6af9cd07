//! `/compute/ws`: a snapshot, then every change. A client never needs a delta that it missed: after any gap it gets a
//! snapshot again. Only the caller's own containers, ever.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use berth_core::access::{ListContainers, Read, WatchAccount};
use berth_core::id::ContainerId;
use berth_store::{Error as StoreError, Hint};
use berth_wire::{Frame, StatusUpdate};
use chrono::Utc;
use futures::StreamExt;
use tokio::time::{Instant, interval, timeout};

use crate::auth::{Caller, SocketCaller, authenticate};
use crate::error::Problem;
use crate::routes::containers::view;
use crate::state::Api;

const PING: Duration = Duration::from_secs(20);
const DEAD: Duration = Duration::from_secs(60);
/// A reader that takes nothing for this long while frames wait is cut off.
const STUCK: Duration = Duration::from_secs(10);
/// Close code of an ended credential.
const UNAUTHENTICATED: u16 = 4401;
/// Restart of the server, or a failure behind it: the client should come again.
const TRY_AGAIN: u16 = 1013;
/// Clients have nothing to say here. The library would keep 128 KiB for each of them to say it.
const MAX_INCOMING: usize = 4096;

/// Live status of your containers.
#[utoipa::path(get, path = "/compute/ws", tag = "containers", params(("token" = Option<String>, Query)), responses((status = 101)))]
pub(crate) async fn socket(
    State(api): State<Api>,
    SocketCaller(caller): SocketCaller,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    caller.actor.may_account::<WatchAccount>()?;
    Ok(upgrade.read_buffer_size(MAX_INCOMING).max_message_size(MAX_INCOMING).on_upgrade(async move |socket| {
        let mut feed = Feed { api, caller, socket, sent: HashMap::new() };
        let end = feed.run().await;
        metrics::gauge!("berth_event_sockets").decrement(1.0);
        feed.close(end).await;
    }))
}

/// Why a socket ends.
enum End {
    Gone,
    Unauthenticated,
    Failed,
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "an event socket lost its rows");
        Self::Failed
    }
}

struct Feed {
    api: Api,
    caller: Caller,
    socket: WebSocket,
    /// What the client was told last.
    sent: HashMap<ContainerId, StatusUpdate>,
}

impl Feed {
    async fn run(&mut self) -> End {
        metrics::gauge!("berth_event_sockets").increment(1.0);
        match self.follow().await {
            Ok(()) => End::Gone,
            Err(end) => end,
        }
    }

    async fn follow(&mut self) -> Result<(), End> {
        // Subscribed before the snapshot is read: a change in between comes as a hint.
        let mut hints = self.api.store.hints();
        // The credential may have ended between the request and here; nobody would say so again.
        self.check_credential().await?;
        self.snapshot().await?;
        let mut pings = interval(PING);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                hint = hints.next() => match hint {
                    Some(hint) => self.on_hint(hint).await?,
                    None => return Err(End::Failed),
                },
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return Ok(()),
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => heard = Instant::now(),
                },
                _ = pings.tick() => {
                    if heard.elapsed() > DEAD {
                        return Err(End::Gone);
                    }
                    if self.caller.expires_at.is_some_and(|at| at <= Utc::now()) {
                        return Err(End::Unauthenticated);
                    }
                    self.send(Message::Ping(Vec::new().into())).await?;
                }
                () = expiry(&self.caller) => return Err(End::Unauthenticated),
            }
        }
    }

    async fn on_hint(&mut self, hint: Hint) -> Result<(), End> {
        let own = self.caller.actor.user().id;
        match hint {
            Hint::Changed { id, owner } if owner == own => self.update(id).await,
            Hint::Listed { owner, .. } if owner == own => self.snapshot().await,
            Hint::Credentials { owner } if owner == own => self.check_credential().await,
            Hint::Resync => {
                self.check_credential().await?;
                self.snapshot().await
            }
            Hint::Changed { .. } | Hint::Listed { .. } | Hint::Credentials { .. } => Ok(()),
        }
    }

    async fn snapshot(&mut self) -> Result<(), End> {
        let grant = self.caller.actor.may_account::<ListContainers>().map_err(|_| End::Unauthenticated)?;
        let rows = self.api.store.containers(&grant).await?;
        let views: Vec<_> = rows.iter().map(|row| view(&self.api, row)).collect();
        self.sent = rows.iter().map(|row| row.id).zip(views.iter().map(StatusUpdate::from)).collect();
        self.frame(&Frame::Containers(views)).await
    }

    async fn update(&mut self, id: ContainerId) -> Result<(), End> {
        let grant = self.caller.actor.may::<Read>(id).map_err(|_| End::Unauthenticated)?;
        let row = match self.api.store.container(&grant).await {
            Ok(row) => row,
            // Deleted since: its own hint follows.
            Err(StoreError::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let update = StatusUpdate::from(&view(&self.api, &row));
        if self.sent.get(&id) == Some(&update) {
            return Ok(());
        }
        self.sent.insert(id, update.clone());
        self.frame(&Frame::ContainerStatus(update)).await
    }

    async fn check_credential(&mut self) -> Result<(), End> {
        match authenticate(&self.api, self.caller.secret.clone(), self.caller.from).await {
            Ok(caller) => {
                self.caller = caller;
                Ok(())
            }
            Err(_) => Err(End::Unauthenticated),
        }
    }

    async fn frame(&mut self, frame: &Frame) -> Result<(), End> {
        let text = serde_json::to_string(frame).map_err(|_| End::Failed)?;
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(STUCK, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn close(&mut self, end: End) {
        let (code, reason) = match end {
            End::Gone => return,
            End::Unauthenticated => (UNAUTHENTICATED, "this credential is no longer valid"),
            End::Failed => (TRY_AGAIN, "try again in a moment"),
        };
        // The peer may be gone already; there is nobody else to tell.
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _unheard = self.send(frame).await.is_err();
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
