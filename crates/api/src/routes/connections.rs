//! What gateways report: who reached which container, from where, for how long.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use berth_core::connection::Connection;
use berth_grant::report;
use berth_wire::Connections;

use crate::body;
use crate::error::{Kind, Problem};
use crate::state::Api;

/// Puts connections that have ended into the audit log. Gateways call it, and sign the body with the key that signs their
/// grants: header `Berth-Signature`, the ed25519 signature in hex. Safe to repeat.
#[utoipa::path(post, path = "/compute/gateway/connections", tag = "gateway", operation_id = "report_connections",
    request_body = Connections, responses((status = 204, description = "They are kept.")))]
pub(crate) async fn report(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, Problem> {
    let signature = headers.get(report::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !api.config.gateway_keys.as_ref().is_some_and(|keys| report::is_signed(&body, signature, keys)) {
        let words = "this is for gateways, which sign what they send with the installation's key";
        return Err(Problem::new(Kind::Unauthenticated, words));
    }
    let Connections { connections } = body::parse(&body)?;
    let ended = connections.into_iter().map(Connection::try_from).collect::<Result<Vec<_>, _>>()?;
    api.store.record_connections(&ended).await?;
    Ok(StatusCode::NO_CONTENT)
}
