//! Settings of a container that can change during its life: mount paths and pull policy.

use axum::Json;
use axum::extract::{Path, State};
use berth_core::access::{Read, Update};
use berth_core::mount::MountPaths;
use berth_wire::{Mounts, MountsSet, PullPolicy};

use super::containers::parse_id;
use crate::auth::Caller;
use crate::body::Body;
use crate::error::Problem;
use crate::state::Api;

/// The folders of a container that live on its disk.
#[utoipa::path(get, path = "/compute/containers/{id}/mounts", tag = "settings", operation_id = "get_mounts",
    params(("id" = String, Path)), responses((status = 200, body = Mounts), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn mounts(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Mounts>, Problem> {
    let row = api.store.container(&caller.actor.may::<Read>(parse_id(&id)?)?).await?;
    Ok(Json(Mounts { mount_paths: row.spec.mounts.as_slice().to_vec() }))
}

/// Changes which folders live on the disk. A changed list restarts a running container. Removing a path keeps its data on
/// the disk, where it still counts; adding the path again brings the data back.
#[utoipa::path(put, path = "/compute/containers/{id}/mounts", tag = "settings", operation_id = "set_mounts",
    params(("id" = String, Path)), request_body = Mounts,
    responses((status = 200, body = MountsSet), (status = 404, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem)))]
pub(crate) async fn set_mounts(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body<Mounts>,
) -> Result<Json<MountsSet>, Problem> {
    let grant = caller.actor.may::<Update>(parse_id(&id)?)?;
    let mounts = MountPaths::parse(&body.value.mount_paths)?;
    let set = api.store.set_mounts(&grant, &mounts).await?;
    Ok(Json(MountsSet { mount_paths: set.mounts.as_slice().to_vec(), restarted: set.restarted }))
}

/// Changes when the image is pulled. It takes effect at the next start; a running container is not restarted.
#[utoipa::path(put, path = "/compute/containers/{id}/pull-policy", tag = "settings", operation_id = "set_pull_policy",
    params(("id" = String, Path)), request_body = PullPolicy,
    responses((status = 200, body = PullPolicy), (status = 404, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem)))]
pub(crate) async fn set_pull_policy(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body<PullPolicy>,
) -> Result<Json<PullPolicy>, Problem> {
    let grant = caller.actor.may::<Update>(parse_id(&id)?)?;
    let policy = body.value.pull_policy.parse()?;
    let row = api.store.set_pull_policy(&grant, policy).await?;
    Ok(Json(PullPolicy { pull_policy: row.spec.pull_policy.as_str().to_owned() }))
}
