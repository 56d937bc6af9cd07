//! Logs and terminals, up to where a container would be needed: who may, and what is refused before an upgrade.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Answer, Server};

fn upgraded(request: RequestBuilder) -> RequestBuilder {
    request
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

async fn container(server: &Server, token: &str) -> String {
    let made = server.post("/compute/containers", token, &json!({ "name": "a" })).await;
    format!("/compute/containers/{}", made.body["id"].as_str().unwrap())
}

async fn open(server: &Server, path: &str, token: &str) -> Answer {
    server.send(upgraded(server.request(Method::GET, path, Some(token)))).await
}

#[tokio::test]
async fn a_scope_to_read_opens_logs_and_no_shell() {
    let server = Server::start().await;
    let path = container(&server, &server.jwt(7, "ann", 3600)).await;
    let token = |verbs: Value| server.scoped(7, "ann", &json!({ "compute.7.containers": verbs }));
    // 409 and 503 are this harness's own answers: the caller was let through.
    for (verbs, logs, terminal) in [
        (json!(["read"]), StatusCode::CONFLICT, StatusCode::FORBIDDEN),
        (json!(["update"]), StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE),
        (json!(["create", "start", "stop", "delete"]), StatusCode::FORBIDDEN, StatusCode::FORBIDDEN),
    ] {
        let token = token(verbs.clone());
        assert_eq!(server.get(&format!("{path}/logs"), &token).await.status, logs, "{verbs}");
        assert_eq!(open(&server, &format!("{path}/logs"), &token).await.status, logs, "{verbs}");
        assert_eq!(open(&server, &format!("{path}/terminal"), &token).await.status, terminal, "{verbs}");
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_for_upgrades_alone() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let path = container(&server, &token).await;
    let (logs, terminal) = (format!("{path}/logs?token={token}"), format!("{path}/terminal?token={token}"));
    let plain = async |path: &str| server.send(server.request(Method::GET, path, None)).await.status;
    assert_eq!(plain(&logs).await, StatusCode::UNAUTHORIZED);
    assert_eq!(plain(&terminal).await, StatusCode::UNAUTHORIZED);
    let socket = async |path: &str| server.send(upgraded(server.request(Method::GET, path, None))).await.status;
    assert_eq!(socket(&logs).await, StatusCode::CONFLICT);
    assert_eq!(socket(&terminal).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.get(&format!("{path}/terminal"), &token).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn bad_values_are_named_before_an_upgrade() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let path = container(&server, &token).await;
    let long = format!("terminal?command={}", "x".repeat(5000));
    for (rest, field) in [
        ("logs?tail=-1", "tail"),
        ("logs?tail=10001", "tail"),
        ("logs?tail=all", "tail"),
        ("logs?since=yesterday", "since"),
        ("logs?since=10x", "since"),
        ("logs?previous=maybe", "previous"),
        ("logs?follow=2", "follow"),
        ("terminal?command=%20", "command"),
        ("terminal?command=a%00b", "command"),
        (&long, "command"),
    ] {
        let answer = open(&server, &format!("{path}/{rest}"), &token).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{rest}: {:?}", answer.body);
        assert_eq!(answer.body["field"], field, "{:?}", answer.body);
    }
    for id in ["..%2f..", "bcdfghjk", "x"] {
        let answer = open(&server, &format!("/compute/containers/{id}/terminal"), &token).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let path = container(&server, &token).await;
    let failed = open(&server, &format!("{path}/terminal"), &token).await;
    assert_eq!((failed.status, &failed.body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    assert!(failed.headers.contains_key("retry-after"));
    assert!(failed.body["detail"].as_str().unwrap().starts_with("Kubernetes"), "{:?}", failed.body);
    server.post(&format!("{path}/stop"), &token, &json!({})).await;
    let stopped = open(&server, &format!("{path}/terminal"), &token).await;
    assert_eq!((stopped.status, &stopped.body["code"]), (StatusCode::CONFLICT, &json!("conflict")));
}
