//! One file a resource, and what all of them go through.

pub(crate) mod admin;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod connections;
pub(crate) mod containers;
pub(crate) mod images;
pub(crate) mod ingress;
pub(crate) mod keys;
pub(crate) mod meta;
pub(crate) mod oidc;
mod query;
pub(crate) mod settings;
pub(crate) mod ssh;
pub(crate) mod timeline;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod wait;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use crate::error::{Kind, Problem};

/// Counts and times every request by route, method and status. Never by path or query: those hold ids and tokens.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or("unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().to_string();
    let begun = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("route", route), ("method", method), ("status", status)];
    tracing::debug!(route = labels[0].1, method = labels[1].1, status = labels[2].1, "answered");
    metrics::counter!("berth_http_requests_total", &labels).increment(1);
    metrics::histogram!("berth_http_request_seconds", &labels).record(begun.elapsed().as_secs_f64());
    response
}

pub(crate) fn panicked() -> Response {
    Problem::new(Kind::Internal, "the server could not do this; the request id leads to its log").into_response()
}
