//! Containers: a handler checks, writes intent, and answers; the reconciler does the rest.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use berth_core::access::{CreateContainer as MayCreate, Delete, ListContainers, Read, Start, Stop};
use berth_core::container::Spec;
use berth_core::id::{ContainerId, KeyId};
use berth_core::instance::InstanceType;
use berth_core::mount::MountPaths;
use berth_core::name::ContainerName;
use berth_core::pull_policy::PullPolicy;
use berth_core::size::{MemoryMb, StorageGb};
use berth_core::{Invalid, container};
use berth_store::{Created, Error as StoreError, NewContainer};
use berth_wire::{Container, Containers, CreateContainer, Done};
use chrono::Utc;

use crate::auth::Caller;
use crate::body::Body;
use crate::error::Problem;
use crate::idempotency;
use crate::images;
use crate::state::Api;

/// How often another id is drawn when one is taken: with 3.8e11 ids once is already rare.
const DRAWS: usize = 5;

/// Your containers, newest first.
#[utoipa::path(get, path = "/compute/containers", tag = "containers", operation_id = "list_containers", responses((status = 200, body = Containers)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Containers>, Problem> {
    let rows = api.store.containers(&caller.actor.may_account::<ListContainers>()?).await?;
    Ok(Json(Containers { containers: rows.iter().map(|row| view(&api, row)).collect() }))
}

/// Creates a container and starts it. With an `Idempotency-Key`, the same request again gives the first answer.
#[utoipa::path(post, path = "/compute/containers", tag = "containers", operation_id = "create_container", request_body = CreateContainer,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Container), (status = 409, body = berth_wire::Problem),
        (status = 422, body = berth_wire::Problem), (status = 429, body = berth_wire::Problem),
        (status = 503, body = berth_wire::Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body<CreateContainer>,
) -> Result<Response, Problem> {
    let grant = caller.actor.may_account::<MayCreate>()?;
    let key = idempotency::key(&headers, "/compute/containers", &body.bytes)?;
    let (spec, kind, keys) = parse(&api, body.value)?;
    // The first answer holds, even when the image is gone since or the registry is down now.
    if let Some(key) = &key
        && let Some(row) = api.store.replayed(&grant, key).await?
    {
        return Ok(created(&api, &row));
    }
    let image_digest = images::admit(&*api.images, &api.config.images, &spec.image, &kind).await?;
    for _ in 0..DRAWS {
        let id = ContainerId::from_random(rand::random());
        let (spec, keys, image_digest) = (spec.clone(), keys.clone(), image_digest.clone());
        let new = NewContainer { id, spec, keys, image_digest, created_at: Utc::now() };
        match api.store.create_container(&grant, &new, &api.config.quota, &api.config.addresses, key.as_ref()).await {
            Ok(Created::New(row) | Created::Replayed(row)) => return Ok(created(&api, &row)),
            Err(StoreError::IdTaken) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::IdTaken.into())
}

/// One container.
#[utoipa::path(get, path = "/compute/containers/{id}", tag = "containers", operation_id = "get_container", params(("id" = String, Path)),
    responses((status = 200, body = Container), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Container>, Problem> {
    let row = api.store.container(&caller.actor.may::<Read>(parse_id(&id)?)?).await?;
    Ok(Json(view(&api, &row)))
}

/// Deletes a container and its disk. It leaves the list at once.
#[utoipa::path(delete, path = "/compute/containers/{id}", tag = "containers", operation_id = "delete_container", params(("id" = String, Path)),
    responses((status = 200, body = Done), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    api.store.delete(&caller.actor.may::<Delete>(parse_id(&id)?)?, Utc::now()).await?;
    Ok(Json(Done::OK))
}

/// Starts a stopped container; a running one stays as it is.
#[utoipa::path(post, path = "/compute/containers/{id}/start", tag = "containers", operation_id = "start_container", params(("id" = String, Path)),
    responses((status = 200, body = Container), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn start(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Container>, Problem> {
    let row = api.store.start(&caller.actor.may::<Start>(parse_id(&id)?)?).await?;
    Ok(Json(view(&api, &row)))
}

/// Stops a container. Its disk stays; `transition` is `stopping` until the pod is gone.
#[utoipa::path(post, path = "/compute/containers/{id}/stop", tag = "containers", operation_id = "stop_container", params(("id" = String, Path)),
    responses((status = 200, body = Container), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn stop(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Container>, Problem> {
    let row = api.store.stop(&caller.actor.may::<Stop>(parse_id(&id)?)?, Utc::now()).await?;
    Ok(Json(view(&api, &row)))
}

pub(crate) fn view(api: &Api, row: &container::Container) -> Container {
    Container::new(row, &api.config.domain)
}

/// What cannot be an id is not there.
pub(crate) fn parse_id(text: &str) -> Result<ContainerId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

fn created(api: &Api, row: &container::Container) -> Response {
    let location = format!("/compute/containers/{}", row.id);
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(view(api, row))).into_response()
}

/// Everything that can be wrong with a request itself is found here, before anybody is asked and anything is written.
fn parse(api: &Api, body: CreateContainer) -> Result<(Spec, InstanceType, Vec<KeyId>), Problem> {
    let CreateContainer {
        name,
        instance_type,
        memory_mb,
        storage_gb,
        ssh_key_ids,
        ssh_enabled,
        mount_paths,
        image,
        pull_policy,
    } = body;
    let text = |value: Option<String>| value.filter(|value| !value.is_empty());
    let number = |value: Option<i64>| value.filter(|value| *value != 0);
    let instance_type = text(instance_type).unwrap_or_else(|| api.types.default_type().name.clone());
    let kind = api.types.admit(&instance_type, &api.platform.architectures())?.clone();
    let image = match text(image) {
        Some(image) => api.config.images.admit(&image)?,
        None => api
            .config
            .images
            .default_image()
            .ok_or_else(|| Invalid::new("image", "name an image: none is built in here"))?,
    };
    let keys: Vec<KeyId> = ssh_key_ids.unwrap_or_default().into_iter().map(KeyId).collect();
    let ssh_enabled = ssh_enabled.unwrap_or(false);
    if ssh_enabled && keys.is_empty() {
        return Err(Invalid::new("ssh_key_ids", "name at least one of your SSH keys, or leave ssh_enabled out").into());
    }
    let spec = Spec {
        name: ContainerName::parse(&name.unwrap_or_default())?,
        image,
        pull_policy: text(pull_policy).map_or(Ok(PullPolicy::default()), |policy| policy.parse())?,
        instance_type: kind.name.clone(),
        memory: number(memory_mb).map_or(Ok(MemoryMb::DEFAULT), MemoryMb::new)?,
        storage: number(storage_gb).map_or(Ok(StorageGb::DEFAULT), StorageGb::new)?,
        mounts: match mount_paths.filter(|paths| !paths.is_empty()) {
            Some(paths) => MountPaths::parse(&paths)?,
            None => MountPaths::default(),
        },
        ssh_enabled,
    };
    let mut unique = keys;
    unique.sort_unstable();
    unique.dedup();
    Ok((spec, kind, unique))
}
