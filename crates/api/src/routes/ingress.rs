//! Ingress rules: ports of a container's host name that lead into it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use berth_core::access::{Read, Update};
use berth_core::ingress::{NewRule, Protocol, PublicPort, TargetPort};
use berth_wire::{CreateIngressRule, Done, IngressRule, IngressRules};
use chrono::Utc;

use super::containers::parse_id;
use crate::auth::Caller;
use crate::body::Body;
use crate::error::Problem;
use crate::idempotency;
use crate::state::Api;

/// The rules of a container, by port.
#[utoipa::path(get, path = "/compute/containers/{id}/ingress", tag = "access", operation_id = "list_ingress_rules",
    params(("id" = String, Path)), responses((status = 200, body = IngressRules), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<IngressRules>, Problem> {
    let rules = api.store.ingress_rules(&caller.actor.may::<Read>(parse_id(&id)?)?).await?;
    Ok(Json(IngressRules { rules: rules.into_iter().map(IngressRule::from).collect() }))
}

/// Opens a port. A rule on 443 sets `https_enabled`. With an `Idempotency-Key`, the same request again gives the first answer.
#[utoipa::path(post, path = "/compute/containers/{id}/ingress", tag = "access", operation_id = "create_ingress_rule",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = CreateIngressRule,
    responses((status = 201, body = IngressRule), (status = 404, body = berth_wire::Problem), (status = 409, body = berth_wire::Problem),
        (status = 422, body = berth_wire::Problem), (status = 429, body = berth_wire::Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body<CreateIngressRule>,
) -> Result<Response, Problem> {
    let grant = caller.actor.may::<Update>(parse_id(&id)?)?;
    let path = format!("/compute/containers/{}/ingress", grant.target());
    let repeated = idempotency::key(&headers, &path, &body.bytes)?;
    let CreateIngressRule { port, target_port, protocol } = body.value;
    let port = PublicPort::new(port)?;
    let target = target_port.map_or(Ok(TargetPort::from(port)), TargetPort::new)?;
    let protocol = protocol.map_or(Ok(Protocol::default()), |protocol| protocol.parse())?;
    let new = NewRule::new(port, target, protocol)?;
    let rule = api.store.add_ingress_rule(&grant, &new, &api.config.quota, repeated.as_ref(), Utc::now()).await?;
    Ok((StatusCode::CREATED, Json(IngressRule::from(rule))).into_response())
}

/// Closes a port. Without a rule on 443, `https_enabled` is false.
#[utoipa::path(delete, path = "/compute/containers/{id}/ingress/{port}", tag = "access", operation_id = "delete_ingress_rule",
    params(("id" = String, Path), ("port" = u16, Path)),
    responses((status = 200, body = Done), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((id, port)): Path<(String, String)>,
) -> Result<Json<Done>, Problem> {
    let grant = caller.actor.may::<Update>(parse_id(&id)?)?;
    // What cannot be a port has no rule.
    let number = port.parse().map_err(|_| Problem::not_found())?;
    let number = PublicPort::new(number).map_err(|_| Problem::not_found())?;
    api.store.delete_ingress_rule(&grant, number).await?;
    Ok(Json(Done::OK))
}
