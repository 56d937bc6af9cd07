//! What there is to choose from, what is used, and whether the service is well.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use berth_core::access::ListContainers;
use berth_wire::{Done, InstanceType, InstanceTypes, Quota, QuotaLine};

use crate::auth::Caller;
use crate::error::{Kind, Problem};
use crate::router;
use crate::state::Api;

/// The instance types, and which of them a node offers now.
#[utoipa::path(get, path = "/compute/instance-types", tag = "containers", operation_id = "list_instance_types", responses((status = 200, body = InstanceTypes)))]
pub(crate) async fn instance_types(State(api): State<Api>, caller: Caller) -> Result<Json<InstanceTypes>, Problem> {
    caller.actor.may_account::<ListContainers>()?;
    let offered = api.platform.architectures();
    let line = |row: &berth_core::instance::InstanceType| InstanceType {
        name: row.name.clone(),
        cores: f64::from(row.millicores) / 1000.0,
        architecture: row.arch.as_str().to_owned(),
        available: offered.contains(&row.arch),
    };
    Ok(Json(InstanceTypes { instance_types: api.types.iter().map(line).collect() }))
}

/// What you use of what you may use.
#[utoipa::path(get, path = "/compute/quota", tag = "containers", operation_id = "get_quota", responses((status = 200, body = Quota)))]
pub(crate) async fn quota(State(api): State<Api>, caller: Caller) -> Result<Json<Quota>, Problem> {
    let used = api.store.usage(&caller.actor.may_account::<ListContainers>()?).await?;
    let limit = api.config.quota;
    let line = |used, limit| QuotaLine { used, limit };
    Ok(Json(Quota {
        containers: line(used.containers, limit.containers),
        memory_mb: line(used.memory_mb, limit.memory_mb),
        storage_gb: line(used.storage_gb, limit.storage_gb),
        ssh_keys: line(used.ssh_keys, limit.ssh_keys),
        ingress_rules: line(used.ingress_rules, limit.ingress_rules),
    }))
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "get_health", security(()), responses((status = 200, body = Done)))]
pub(crate) async fn healthz() -> Json<Done> {
    Json(Done::OK)
}

/// The process can do its work: its database and its cluster answer.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "get_readiness", security(()),
    responses((status = 200, body = Done), (status = 503, body = berth_wire::Problem)))]
pub(crate) async fn readyz(State(api): State<Api>) -> Result<Json<Done>, Problem> {
    api.store.ping().await?;
    api.platform.ready().map_err(|sentence| Problem::new(Kind::Unavailable, sentence))?;
    Ok(Json(Done::OK))
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "health", operation_id = "get_description", security(()), responses((status = 200)))]
pub(crate) async fn description() -> Result<Response, Problem> {
    let json = router::openapi_json().map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}
