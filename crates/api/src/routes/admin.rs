//! What administrators see.

use axum::Json;
use axum::extract::State;
use berth_wire::AdminContainer;

use crate::auth::Admin;
use crate::error::Problem;
use crate::state::Api;

/// Everybody's containers, newest first.
#[utoipa::path(get, path = "/compute/admin/containers", tag = "admin", operation_id = "list_all_containers", responses((status = 200, body = [AdminContainer]), (status = 403, body = berth_wire::Problem)))]
pub(crate) async fn containers(
    State(api): State<Api>,
    Admin(grant): Admin,
) -> Result<Json<Vec<AdminContainer>>, Problem> {
    let rows = api.store.all_containers(&grant).await?;
    Ok(Json(rows.iter().map(|row| AdminContainer::new(row, &api.config.domain)).collect()))
}
