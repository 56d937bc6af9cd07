//! What the description of the interface says of every operation alike, so that no handler has to repeat it: how a call may
//! fail, and what a failure looks like.

use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, PathItem, Ref, RefOr, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use crate::error::{Kind, type_of};

#[derive(OpenApi)]
#[openapi(
    info(title = "Berth", description = "Machines with names, on Kubernetes.", license(name = "Apache-2.0")),
    modifiers(&Bearer),
    security(("bearer" = [])),
)]
pub(crate) struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// Adds what holds for every operation to what handlers say of their own.
pub(crate) fn completed(mut openapi: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for operation in openapi.paths.paths.values_mut().flat_map(operations) {
        for status in common(operation) {
            operation.responses.responses.entry(status.to_string()).or_insert_with(|| failure(status));
        }
        for (status, response) in &mut operation.responses.responses {
            if let Some(status) = status.parse().ok().filter(|status| *status >= 400) {
                *response = failure(status);
            }
        }
    }
    let problem = openapi.components.as_mut().and_then(|components| components.schemas.get_mut("Problem"));
    if let Some(RefOr::T(Schema::Object(problem))) = problem {
        if let Some(RefOr::T(Schema::Object(code))) = problem.properties.get_mut("code") {
            code.enum_values = Some(Kind::ALL.iter().map(|kind| json!(kind.words().1)).collect());
        }
        problem.example = example(422);
    }
    openapi
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, query, .. } = path;
    [get, put, post, delete, options, head, patch, trace, query].into_iter().flatten()
}

/// How this may fail, whatever it does.
fn common(operation: &Operation) -> Vec<u16> {
    let mut statuses = vec![500];
    // Everything else asks the database.
    if !operation.tags.iter().flatten().any(|tag| tag == "health") {
        statuses.push(503);
    }
    // An operation's own word on security is that it needs none.
    if operation.security.is_none() {
        statuses.extend([401, 403]);
    }
    if operation.request_body.is_some() {
        statuses.extend([400, 413, 415, 422]);
    }
    statuses
}

fn of(status: u16) -> impl Iterator<Item = (&'static str, &'static str)> {
    let kinds = Kind::ALL.iter().map(|kind| kind.words());
    kinds.filter(move |(at, _, _)| at.as_u16() == status).map(|(_, code, title)| (code, title))
}

fn failure(status: u16) -> RefOr<utoipa::openapi::Response> {
    let lines: Vec<_> = of(status).map(|(code, title)| format!("`{code}`: {title}.")).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(example(status)).build();
    ResponseBuilder::new().description(lines.join(" ")).content("application/problem+json", content).build().into()
}

/// A problem of the first kind with this status.
fn example(status: u16) -> Option<Value> {
    let (code, title) = of(status).next()?;
    let detail = match code {
        "malformed" => "the body is not JSON: line 1, column 17",
        "unauthenticated" => {
            "send Authorization: Bearer with a session, an API token or a signed token that is valid now"
        }
        "forbidden" => "this token's scopes do not cover this call",
        "not_found" => "there is nothing here that you may see",
        "conflict" => "you already have a container of this name",
        "too_large" => "a body is at most 65536 bytes",
        "unsupported_media_type" => "send Content-Type: application/json",
        "invalid" => "memory_mb is a number of MiB from 64 to 1048576",
        "quota_exceeded" => {
            "this would take you to 4 of 3 containers; make room first or ask your administrator for more"
        }
        "unavailable" => "the database does not answer; try again in a moment",
        _other => "the server could not do this; the request id leads to its log",
    };
    let mut problem = json!({
        "type": type_of(code), "title": title, "status": status, "code": code,
        "detail": detail, "error": detail, "request_id": "9f86d081884c7d65",
    });
    match code {
        "invalid" => problem["field"] = json!("memory_mb"),
        "conflict" => problem["field"] = json!("name"),
        _none => {}
    }
    Some(problem)
}
