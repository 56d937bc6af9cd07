//! Bad input gets a 4xx that names the field, and changes nothing.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn every_bad_value_is_named() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let long = "x".repeat(1 << 15);
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "name": long }), "name"),
        (json!({ "name": 1 }), "name"),
        (json!({ "name": "a", "nmae": "b" }), "nmae"),
        (json!({ "name": "a", "instance_type": "huge" }), "instance_type"),
        (json!({ "name": "a", "instance_type": "small" }), "instance_type"),
        (json!({ "name": "a", "memory_mb": -1 }), "memory_mb"),
        (json!({ "name": "a", "memory_mb": 1 << 20 }), "memory_mb"),
        (json!({ "name": "a", "memory_mb": "512" }), "memory_mb"),
        (json!({ "name": "a", "memory_mb": 1.5 }), "memory_mb"),
        (json!({ "name": "a", "storage_gb": -5 }), "storage_gb"),
        (json!({ "name": "a", "image": "docker.io/library/debian:12" }), "image"),
        (json!({ "name": "a", "image": "../../etc" }), "image"),
        (json!({ "name": "a", "mount_paths": ["/proc"] }), "mount_paths"),
        (json!({ "name": "a", "mount_paths": ["a"] }), "mount_paths"),
        (json!({ "name": "a", "mount_paths": [7] }), "mount_paths"),
        (json!({ "name": "a", "pull_policy": "Never" }), "pull_policy"),
        (json!({ "name": "a", "ssh_enabled": true }), "ssh_key_ids"),
        (json!({ "name": "a", "ssh_key_ids": [99] }), "ssh_key_ids"),
    ] {
        let answer = server.post("/compute/containers", &token, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}: {:?}", field, answer.body);
        assert_eq!(answer.body["field"], field, "{:?}", answer.body);
        assert_eq!(answer.body["error"], answer.body["detail"]);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(server.get("/compute/containers", &token).await.body, json!({ "containers": [] }));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_apart() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let post = |body: String, kind: &'static str| {
        server.request(Method::POST, "/compute/containers", Some(&token)).header("Content-Type", kind).body(body)
    };
    let json = "application/json";
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20));
    for (request, status) in [
        (post("{".into(), json), StatusCode::BAD_REQUEST),
        (post("{} {}".into(), json), StatusCode::BAD_REQUEST),
        (post("[]".into(), json), StatusCode::UNPROCESSABLE_ENTITY),
        (post("{}".into(), "text/plain"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (post(huge, json), StatusCode::PAYLOAD_TOO_LARGE),
        (server.request(Method::PATCH, "/compute/containers", Some(&token)), StatusCode::METHOD_NOT_ALLOWED),
        (server.request(Method::GET, "/nowhere", Some(&token)), StatusCode::NOT_FOUND),
        (server.request(Method::GET, "/compute/containers/..%2f..", Some(&token)), StatusCode::NOT_FOUND),
    ] {
        let answer = server.send(request).await;
        assert_eq!(answer.status, status, "{:?}", answer.body);
        assert!(answer.body["code"].is_string() && answer.body["request_id"].is_string(), "{:?}", answer.body);
    }
}
