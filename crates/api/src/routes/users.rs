//! Everybody who was seen here, and who is locked out.

use axum::Json;
use axum::extract::{Path, State};
use berth_core::Invalid;
use berth_core::id::UserId;
use berth_store::Person;
use berth_wire::{AdminUser, AdminUsers, Suspension};

use crate::auth::Admin;
use crate::body::Body;
use crate::error::Problem;
use crate::state::Api;

/// All users, in the order of their ids.
#[utoipa::path(get, path = "/compute/admin/users", tag = "admin", operation_id = "list_users",
    responses((status = 200, body = AdminUsers), (status = 403, body = berth_wire::Problem)))]
pub(crate) async fn list(State(api): State<Api>, Admin(grant): Admin) -> Result<Json<AdminUsers>, Problem> {
    let users = api.store.users(&grant).await?;
    Ok(Json(AdminUsers { users: users.into_iter().map(|person| view(&api, person)).collect() }))
}

/// Suspends a user, or ends that. Suspended: sessions and tokens end, other credentials get 403 `suspended`, containers
/// stop. Afterwards the user logs in again; the containers stay stopped until they are started.
#[utoipa::path(put, path = "/compute/admin/users/{user_id}/suspension", tag = "admin", operation_id = "set_suspension", request_body = Suspension,
    params(("user_id" = i64, Path)),
    responses((status = 200, body = AdminUser), (status = 403, body = berth_wire::Problem),
        (status = 404, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem)))]
pub(crate) async fn suspend(
    State(api): State<Api>,
    Admin(grant): Admin,
    Path(user_id): Path<String>,
    body: Body<Suspension>,
) -> Result<Json<AdminUser>, Problem> {
    let user: UserId = user_id.parse().map_err(|_| Problem::not_found())?;
    let Suspension { suspended } = body.value;
    if suspended && user == grant.user().id {
        return Err(Invalid::new("user_id", "you cannot suspend yourself; another administrator can").into());
    }
    Ok(Json(view(&api, api.store.set_suspended(&grant, user, suspended).await?)))
}

fn view(api: &Api, person: Person) -> AdminUser {
    let Person { user, created_at, suspended_at, containers } = person;
    AdminUser {
        id: user.id.0,
        is_admin: user.is_admin_under(api.config.admin_username.as_ref()),
        source: user.source.as_str().to_owned(),
        username: user.username.to_string(),
        created_at,
        suspended_at,
        containers,
    }
}
