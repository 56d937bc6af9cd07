//! What happened to a container.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use berth_core::Invalid;
use berth_core::access::Read;
use berth_core::timeline::KEPT;
use berth_store::Told;
use berth_wire::{Event, Events};

use super::query;
use crate::auth::Caller;
use crate::error::Problem;
use crate::routes::containers::parse_id;
use crate::state::Api;

/// What happened to a container, in plain words, the newest last; it stays when the container stops and its pod is gone. The
/// newest 500 events are kept. Something that happens again is counted up in its own event.
#[utoipa::path(get, path = "/compute/containers/{id}/events", tag = "containers", operation_id = "list_events",
    params(("id" = String, Path),
        ("after" = Option<i64>, Query, description = "only events with a higher id than this"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 500, which is all, when left out")),
    responses((status = 200, body = Events), (status = 404, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Events>, Problem> {
    let grant = caller.actor.may::<Read>(parse_id(&id)?)?;
    let (after, limit) = parse(query.as_deref())?;
    let told = api.store.timeline(&grant, after, limit).await?;
    Ok(Json(Events { events: told.into_iter().map(view).collect() }))
}

pub(crate) fn view(told: Told) -> Event {
    let Told { id, revision: _, kind, at, message, count } = told;
    Event { id, at, kind, message, count }
}

fn parse(query: Option<&str>) -> Result<(i64, u32), Problem> {
    let [after, limit] = query::named(query, ["after", "limit"])?;
    let after = after.map_or(Some(0), |text| text.parse().ok().filter(|after| *after >= 0));
    let after = after.ok_or_else(|| Invalid::new("after", "give the id of an event, or 0"))?;
    let most = u32::try_from(KEPT).unwrap_or(u32::MAX);
    let limit = limit.map_or(Some(most), |text| text.parse().ok().filter(|limit| (1..=most).contains(limit)));
    let limit = limit.ok_or_else(|| Invalid::new("limit", format!("a limit is 1 to {most}")))?;
    Ok((after, limit))
}
