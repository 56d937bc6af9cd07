//! `/compute/ws`: a snapshot, then every change of a status and every new entry of a timeline. A client never needs a delta that it missed: after any gap it gets a
//! snapshot again. Only the caller's own containers, ever.

use std::collections::HashMap;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::Response;
use berth_core::access::{ListContainers, Read, WatchAccount};
use berth_core::id::ContainerId;
use berth_store::{Error as StoreError, Hint};
use berth_wire::{ContainerEvent, Frame, StatusUpdate};
use futures::StreamExt;

use super::lifeline::{End, Lifeline, Reader, Task, Writer, split};
use crate::auth::SocketCaller;
use crate::error::Problem;
use crate::routes::containers::view;
use crate::routes::timeline;
use crate::state::Api;

/// Clients have nothing to say here. The library would keep 128 KiB for each of them to say it.
const MAX_INCOMING: usize = 4096;

/// Live status of your containers.
#[utoipa::path(get, path = "/compute/ws", tag = "containers", operation_id = "watch_containers", params(("token" = Option<String>, Query)), responses((status = 101)))]
pub(crate) async fn socket(
    State(api): State<Api>,
    SocketCaller(caller): SocketCaller,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    caller.actor.may_account::<WatchAccount>()?;
    Ok(upgrade.read_buffer_size(MAX_INCOMING).max_message_size(MAX_INCOMING).on_upgrade(async move |socket| {
        metrics::gauge!("berth_event_sockets").increment(1.0);
        let (writer, mut reader) = split(socket);
        // Subscribed before the snapshot is read: a change in between comes as a hint.
        let mut feed =
            Feed { lifeline: Lifeline::new(api, caller), writer, sent: HashMap::new(), told: HashMap::new() };
        let end = feed.follow(&mut reader).await.err().unwrap_or(End::Gone);
        metrics::gauge!("berth_event_sockets").decrement(1.0);
        feed.writer.close(reader, end).await;
    }))
}

struct Feed {
    lifeline: Lifeline,
    writer: Writer,
    /// What the client was told last.
    sent: HashMap<ContainerId, StatusUpdate>,
    /// Up to which revision of each timeline it was told.
    told: HashMap<ContainerId, i64>,
}

impl Feed {
    /// `Ok` when the client left.
    async fn follow(&mut self, reader: &mut Reader) -> Result<(), End> {
        self.lifeline.check_credential().await?;
        self.snapshot().await?;
        loop {
            tokio::select! {
                beat = self.lifeline.beat() => match self.lifeline.attend(beat).await? {
                    Task::Ping => self.writer.ping().await?,
                    Task::Hint(hint) => self.on_hint(hint).await?,
                    Task::Nothing => {}
                },
                message = reader.next() => match message {
                    Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return Ok(()),
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => self.lifeline.heard.now(),
                },
            }
        }
    }

    async fn on_hint(&mut self, hint: Hint) -> Result<(), End> {
        match hint {
            Hint::Changed { id, .. } => self.update(id).await,
            Hint::Listed { .. } | Hint::Resync => self.snapshot().await,
            Hint::Told { id, since, .. } => self.timeline(id, since).await,
            Hint::Removed { .. } | Hint::Credentials { .. } => Ok(()),
        }
    }

    /// What is new since the hint before this one, or since this one's `since`: what came before the client did is not told.
    async fn timeline(&mut self, id: ContainerId, since: i64) -> Result<(), End> {
        let Lifeline { api, caller, .. } = &self.lifeline;
        let grant = caller.actor.may::<Read>(id).map_err(|_| End::Unauthenticated)?;
        let since = *self.told.entry(id).or_insert(since);
        for told in api.store.timeline_changes(&grant, since).await? {
            self.told.insert(id, told.revision);
            let event = timeline::view(told);
            self.frame(&Frame::ContainerEvent(ContainerEvent { container_id: id.to_string(), event })).await?;
        }
        Ok(())
    }

    async fn snapshot(&mut self) -> Result<(), End> {
        let Lifeline { api, caller, .. } = &self.lifeline;
        let grant = caller.actor.may_account::<ListContainers>().map_err(|_| End::Unauthenticated)?;
        let rows = api.store.containers(&grant).await?;
        let views: Vec<_> = rows.iter().map(|row| view(api, row)).collect();
        self.sent = rows.iter().map(|row| row.id).zip(views.iter().map(StatusUpdate::from)).collect();
        self.told.retain(|id, _| self.sent.contains_key(id));
        self.frame(&Frame::Containers(views)).await
    }

    async fn update(&mut self, id: ContainerId) -> Result<(), End> {
        let Lifeline { api, caller, .. } = &self.lifeline;
        let grant = caller.actor.may::<Read>(id).map_err(|_| End::Unauthenticated)?;
        let row = match api.store.container(&grant).await {
            Ok(row) => row,
            // Deleted since: its own hint follows.
            Err(StoreError::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let update = StatusUpdate::from(&view(api, &row));
        if self.sent.get(&id) == Some(&update) {
            return Ok(());
        }
        self.sent.insert(id, update.clone());
        self.frame(&Frame::ContainerStatus(update)).await
    }

    async fn frame(&mut self, frame: &Frame) -> Result<(), End> {
        let text = serde_json::to_string(frame).map_err(|_| End::Failed)?;
        self.writer.send(Message::Text(text.into())).await
    }
}
