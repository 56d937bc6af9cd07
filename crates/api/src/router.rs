//! The table of everything that can be called.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::description::{self, Description};
use crate::error::{Kind, Problem};
use crate::routes::{
    admin, audit, auth, connections, containers, images, ingress, keys, meta, oidc, settings, ssh, timeline, tokens,
    users, wait,
};
use crate::sockets::{events, logs, terminal};
use crate::state::Api;
use crate::{body, request_id, routes};

fn table() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(containers::list, containers::create))
        .routes(routes!(containers::get, containers::delete))
        .routes(routes!(containers::start))
        .routes(routes!(containers::stop))
        .routes(routes!(timeline::list))
        .routes(routes!(wait::wait))
        .routes(routes!(settings::set_pull_policy))
        .routes(routes!(settings::mounts, settings::set_mounts))
        .routes(routes!(ssh::get, ssh::set))
        .routes(routes!(ingress::list, ingress::create))
        .routes(routes!(ingress::delete))
        .routes(routes!(images::list))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::delete))
        .routes(routes!(meta::instance_types))
        .routes(routes!(meta::quota))
        .routes(routes!(events::socket))
        .routes(routes!(logs::logs))
        .routes(routes!(terminal::terminal))
        .routes(routes!(admin::containers))
        .routes(routes!(users::list))
        .routes(routes!(users::suspend))
        .routes(routes!(audit::list))
        .routes(routes!(connections::report))
        .routes(routes!(auth::login))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::me))
        .routes(routes!(oidc::methods))
        .routes(routes!(oidc::login))
        .routes(routes!(oidc::callback))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(meta::healthz))
        .routes(routes!(meta::readyz))
        .routes(routes!(meta::description))
}

/// The whole interface, ready to be served.
pub fn router(api: Api) -> Router {
    let (router, _description) = table().split_for_parts();
    router
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "this path has other methods; see /openapi.json")
        })
        .layer(DefaultBodyLimit::max(body::LIMIT))
        .layer(CatchPanicLayer::custom(|_| routes::panicked()))
        .layer(middleware::from_fn(routes::observe))
        .layer(middleware::from_fn(request_id::layer))
        .with_state(api)
}

pub fn openapi() -> utoipa::openapi::OpenApi {
    description::completed(table().split_for_parts().1)
}

/// # Errors
/// When the description cannot be written as JSON.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    openapi().to_pretty_json()
}
