//! SSH keys: parsed, kept with their fingerprint, accepted by the containers that name them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use berth_core::access::{CreateKey, DeleteKey, ListKeys};
use berth_core::id::KeyId;
use berth_core::key::PublicKey;
use berth_core::name::ContainerName;
use berth_store::NewSshKey;
use berth_wire::{CreateSshKey, Done, SshKey, SshKeys};
use chrono::Utc;

use crate::auth::Caller;
use crate::body::Body;
use crate::error::Problem;
use crate::idempotency;
use crate::state::Api;

/// Your SSH keys, newest first.
#[utoipa::path(get, path = "/compute/ssh-keys", tag = "ssh-keys", operation_id = "list_ssh_keys",
    responses((status = 200, body = SshKeys), (status = 403, body = berth_wire::Problem)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<SshKeys>, Problem> {
    let keys = api.store.ssh_keys(&caller.actor.may_account::<ListKeys>()?).await?;
    Ok(Json(SshKeys { ssh_keys: keys.into_iter().map(SshKey::from).collect() }))
}

/// Adds an SSH key. The same key again, under whatever name, is refused with 409. With an `Idempotency-Key`, the same request
/// again gives the first answer.
#[utoipa::path(post, path = "/compute/ssh-keys", tag = "ssh-keys", operation_id = "create_ssh_key", request_body = CreateSshKey,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = SshKey), (status = 409, body = berth_wire::Problem),
        (status = 422, body = berth_wire::Problem), (status = 429, body = berth_wire::Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body<CreateSshKey>,
) -> Result<Response, Problem> {
    let grant = caller.actor.may_account::<CreateKey>()?;
    let repeated = idempotency::key(&headers, "/compute/ssh-keys", &body.bytes)?;
    let CreateSshKey { name, public_key } = body.value;
    let name = ContainerName::parse(&name)?.to_string();
    let new = NewSshKey { name, key: PublicKey::parse(&public_key)?, created_at: Utc::now() };
    let key = api.store.add_ssh_key(&grant, &new, &api.config.quota, repeated.as_ref()).await?;
    Ok((StatusCode::CREATED, Json(SshKey::from(key))).into_response())
}

/// Removes an SSH key, also from every container that accepts it.
#[utoipa::path(delete, path = "/compute/ssh-keys/{key_id}", tag = "ssh-keys", operation_id = "delete_ssh_key",
    params(("key_id" = i64, Path)), responses((status = 200, body = Done), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(key_id): Path<String>,
) -> Result<Json<Done>, Problem> {
    let grant = caller.actor.may_account::<DeleteKey>()?;
    let id: KeyId = key_id.parse().map_err(|_| Problem::not_found())?;
    api.store.delete_ssh_key(&grant, id).await?;
    Ok(Json(Done::OK))
}
