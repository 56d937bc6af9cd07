//! Which images are offered and accepted, and what happens when the registry does not answer.

use std::sync::atomic::Ordering;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Answer, DIGEST, Server};

async fn create(server: &Server, body: &Value) -> Answer {
    server.post("/compute/containers", &server.jwt(7, "ann", 3600), body).await
}

#[tokio::test]
async fn builtins_then_what_the_registry_has() {
    let server = Server::start().await;
    let listed = server.get("/compute/images", &server.jwt(7, "ann", 3600)).await;
    let line = |name: &str, image: &str, source: &str| json!({ "name": name, "image": format!("registry.berth.internal/{image}"), "source": source });
    let expected = [
        line("base", "berth/base:latest", "builtin"),
        line("berth/base:bookworm", "berth/base:bookworm", "registry"),
        line("team/app:1", "team/app:1", "registry"),
        line("team/app:2", "team/app:2", "registry"),
    ];
    assert_eq!((listed.status, &listed.body), (StatusCode::OK, &json!(expected)));
    assert!(!listed.headers.contains_key("warning"));
}

#[tokio::test]
async fn what_an_image_resolves_to_is_shown() {
    let server = Server::start().await;
    for (number, image) in ["", "base", "registry.berth.internal/team/app:1"].into_iter().enumerate() {
        let made = create(&server, &json!({ "name": format!("a{number}"), "image": image })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
        assert_eq!(made.body["image_digest"], DIGEST);
    }
}

#[tokio::test]
async fn what_cannot_run_is_refused_with_the_reason() {
    let server = Server::start().await;
    for (image, words) in [
        ("registry.berth.internal/team/app:3", "has no registry.berth.internal/team/app:3"),
        ("registry.berth.internal/team/app", "has no registry.berth.internal/team/app:latest"),
        ("registry.berth.internal/team/app:2", "made for amd64, and the instance type nano is arm64"),
        ("registry.berth.internal/team/chart:1", "no image of a container"),
        ("registry.berth.internal/team/secret:1", "does not show"),
        ("elsewhere.example/team/app:1", "comes from registry.berth.internal"),
    ] {
        let answer = create(&server, &json!({ "name": "a", "image": image })).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{image}: {:?}", answer.body);
        assert_eq!(answer.body["field"], "image");
        assert!(answer.body["detail"].as_str().unwrap().contains(words), "{:?}", answer.body);
    }
    let listed = server.get("/compute/containers", &server.jwt(7, "ann", 3600)).await;
    assert_eq!(listed.body, json!({ "containers": [] }));
}

#[tokio::test]
async fn without_the_registry_there_are_the_builtins() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let once = async |key: &str| {
        let body = json!({ "name": key, "image": "registry.berth.internal/team/app:1" });
        let request = server.request(Method::POST, "/compute/containers", Some(&token));
        server.send(request.header("Idempotency-Key", key).json(&body)).await
    };
    let first = once("before").await;
    assert_eq!(first.status, StatusCode::CREATED);

    server.shelf.silent.store(true, Ordering::Relaxed);
    let listed = server.get("/compute/images", &token).await;
    assert_eq!(listed.status, StatusCode::OK);
    assert_eq!(listed.body.as_array().unwrap().len(), 1);
    assert_eq!(listed.body[0]["source"], "builtin");
    let warning = "199 berth \"the registry registry.berth.internal does not answer: its images are not listed\"";
    assert_eq!(listed.headers["warning"], warning);

    let refused = once("during").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.body["code"], "registry_unavailable");
    assert!(refused.body["detail"].as_str().unwrap().contains("registry.berth.internal"));
    assert!(refused.headers.contains_key("retry-after"));
    let builtin = create(&server, &json!({ "name": "b" })).await;
    assert_eq!((builtin.status, &builtin.body["image_digest"]), (StatusCode::CREATED, &Value::Null));
    let again = once("before").await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &first.body["id"]), "the first answer holds");
    let listed = server.get("/compute/containers", &token).await.body;
    assert_eq!(listed["containers"].as_array().unwrap().len(), 2, "{listed}");

    server.shelf.silent.store(false, Ordering::Relaxed);
    assert_eq!(once("during").await.status, StatusCode::CREATED, "a refusal is no first answer");
}
