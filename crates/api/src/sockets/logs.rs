//! `/compute/containers/{id}/logs`: one text frame a line; what is not UTF-8 is replaced. Without an upgrade the same URL
//! answers `text/plain` with the bytes as they were written ([`plain_logs`](super::plain_logs)).

use std::future::ready;

use axum::extract::ws::Message;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use berth_core::access::Read;
use berth_core::audit::Action;
use berth_core::logs::{LogQuery, MAX_LINE};
use berth_store::Audit;
use chrono::Utc;
use futures::StreamExt;

use super::lifeline::{End, Lifeline, Reader, Task, Writer, code, split};
use super::{Visit, pairs, plain_logs};
use crate::error::Problem;
use crate::pod_io::Lines;
use crate::routes::containers::parse_id;
use crate::state::Api;

/// Clients have nothing to say here.
const MAX_INCOMING: usize = 4096;
/// Frames that are written together.
const BATCH: usize = 64 * 1024;
/// Room for one more line, each of whose bytes may become a three-byte U+FFFD.
const MAX_BUFFERED: usize = BATCH + 4 * MAX_LINE;

/// The container's log, `<RFC 3339 with nanoseconds> <line>` each. As a WebSocket it follows until the container stops, over
/// restarts of its process and rotated files, and waits for a container that has not started yet; the close reason says
/// why it ended. As a plain GET it answers text/plain with the bytes as written; 409 when there is no log. A line of more
/// than 1 MiB is cut and marked.
#[utoipa::path(get, path = "/compute/containers/{id}/logs", tag = "containers", operation_id = "read_logs",
    params(("id" = String, Path),
        ("tail" = Option<u32>, Query, description = "at most this many of the lines that are there already: 0 to 10000; 100, or all of them with since"),
        ("since" = Option<String>, Query, description = "a time (RFC 3339), unix seconds, or an age like 10m or 1h30m"),
        ("previous" = Option<bool>, Query, description = "the log of the process before the last restart"),
        ("follow" = Option<bool>, Query, description = "go on with new lines; a WebSocket always does"),
        ("token" = Option<String>, Query, description = "for a WebSocket of a browser")),
    responses((status = 101), (status = 200, body = String, content_type = "text/plain"),
        (status = 404, body = berth_wire::Problem), (status = 409, body = berth_wire::Problem),
        (status = 422, body = berth_wire::Problem), (status = 503, body = berth_wire::Problem)))]
pub(crate) async fn logs(
    State(api): State<Api>,
    Visit { caller, upgrade }: Visit,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let row = api.store.container(&caller.actor.may::<Read>(parse_id(&id)?)?).await?;
    let query = LogQuery::parse(pairs(query.as_deref()), Utc::now())?;
    let query = LogQuery { follow: query.follow || upgrade.is_some(), ..query };
    let lines = api.platform.logs(&row, query).await?;
    api.store.audit(&Audit::done(caller.actor.by(), Action::LogsOpen, Some(id))).await?;
    let lifeline = Lifeline::new(api, caller);
    let Some(upgrade) = upgrade else { return Ok(plain_logs::respond(lifeline, lines)) };
    let upgrade = upgrade.max_message_size(MAX_INCOMING).write_buffer_size(BATCH).max_write_buffer_size(MAX_BUFFERED);
    Ok(upgrade.on_upgrade(async move |socket| {
        metrics::gauge!("berth_log_streams").increment(1.0);
        let (mut writer, mut reader) = split(socket);
        let end = follow(lifeline, &mut writer, &mut reader, lines, query.previous).await.err().unwrap_or(End::Gone);
        metrics::gauge!("berth_log_streams").decrement(1.0);
        writer.close(reader, end).await;
    }))
}

/// Takes the next line only when the one before is on its way: a slow reader slows the node down, and nothing piles up.
/// `Ok` when the client left.
async fn follow(
    mut lifeline: Lifeline,
    writer: &mut Writer,
    reader: &mut Reader,
    mut lines: Lines,
    previous: bool,
) -> Result<(), End> {
    lifeline.check_credential().await?;
    let mut unsent = false;
    loop {
        tokio::select! {
            biased;
            beat = lifeline.beat() => match lifeline.attend(beat).await? {
                Task::Ping => writer.ping().await?,
                Task::Hint(_) | Task::Nothing => {}
            },
            message = reader.next() => match message {
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return Ok(()),
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => lifeline.heard.now(),
            },
            line = lines.next() => match line {
                Some(line) => {
                    writer.feed(Message::Text(line?.to_text().into())).await?;
                    unsent = true;
                }
                None if previous => return Err(End::because(code::NORMAL, "that is all of the previous log")),
                None => return Err(End::because(code::NORMAL, "the container stopped")),
            },
            () = ready(()), if unsent => {
                writer.flush().await?;
                unsent = false;
            }
        }
    }
}
