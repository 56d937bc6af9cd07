//! SSH of a container: on or off, and for which keys.

use axum::Json;
use axum::extract::{Path, State};
use berth_core::access::{Read, Update};
use berth_core::id::KeyId;
use berth_store::SshAccess;
use berth_wire::{SetSsh, SshStatus};

use super::containers::parse_id;
use crate::auth::Caller;
use crate::body::Body;
use crate::error::Problem;
use crate::state::Api;

/// Whether SSH is on, and which keys are accepted.
#[utoipa::path(get, path = "/compute/containers/{id}/ssh", tag = "access", operation_id = "get_ssh",
    params(("id" = String, Path)), responses((status = 200, body = SshStatus), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SshStatus>, Problem> {
    Ok(Json(view(api.store.ssh(&caller.actor.may::<Read>(parse_id(&id)?)?).await?)))
}

/// Turns SSH on or off, without a restart. A container that accepts no key yet accepts all of yours from now on; without any
/// key it cannot be turned on.
#[utoipa::path(put, path = "/compute/containers/{id}/ssh", tag = "access", operation_id = "set_ssh",
    params(("id" = String, Path)), request_body = SetSsh,
    responses((status = 200, body = SshStatus), (status = 404, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem)))]
pub(crate) async fn set(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body<SetSsh>,
) -> Result<Json<SshStatus>, Problem> {
    let grant = caller.actor.may::<Update>(parse_id(&id)?)?;
    let SetSsh { ssh_enabled, ssh_key_ids } = body.value;
    let keys: Option<Vec<KeyId>> = ssh_key_ids.map(|ids| ids.into_iter().map(KeyId).collect());
    let access = api.store.set_ssh(&grant, ssh_enabled, keys.as_deref()).await?;
    Ok(Json(view(access)))
}

fn view(access: SshAccess) -> SshStatus {
    SshStatus { ssh_enabled: access.enabled, ssh_key_ids: access.keys.into_iter().map(|key| key.0).collect() }
}
