//! The interface on a real router over a temporary SQLite file, without a cluster.
#![allow(clippy::unwrap_used, reason = "test code")]

mod access;
mod bad_input;
mod description;
mod harness;
mod images;
mod matrix;
mod people;
mod pod_io;
mod sockets;
mod timeline;

use harness::Server;
use reqwest::StatusCode;
use serde_json::json;

#[test]
fn the_description_is_the_one_that_is_checked_in() {
    let checked_in = include_str!("../../../../openapi.json");
    let now = berth_api::openapi_json().unwrap();
    assert_eq!(now.trim(), checked_in.trim(), "berthd openapi > openapi.json brings it up to date");
}

#[tokio::test]
async fn a_login_and_what_it_opens() {
    let server = Server::start().await;
    let login = server.login("admin", "right").await;
    assert_eq!(login.status, StatusCode::OK);
    let token = login.body["token"].as_str().unwrap().to_owned();
    let me = server.get("/auth/me", &token).await;
    assert_eq!(me.body["username"], "admin");
    let created =
        server.post("/compute/containers", &token, &json!({ "name": "a", "memory_mb": 0, "image": "" })).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!((&created.body["status"], &created.body["memory_mb"]), (&json!("pending"), &json!(512)));
    let id = created.body["id"].as_str().unwrap().to_owned();
    let path = format!("/compute/containers/{id}");
    assert_eq!(server.post(&format!("{path}/stop"), &token, &json!({})).await.body["status"], "stopped");
    assert_eq!(server.post(&format!("{path}/start"), &token, &json!({})).await.body["status"], "pending");
    assert_eq!(server.delete(&path, &token).await.body, json!({ "status": "ok" }));
    assert_eq!(server.delete(&path, &token).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.post("/auth/logout", &token, &json!({})).await.status, StatusCode::OK);
    assert_eq!(server.get("/auth/me", &token).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logins_are_limited_per_account() {
    let server = Server::start().await;
    // Ten a minute, and one more every six seconds that this takes.
    let mut refused = 0;
    while server.login("admin", "wrong").await.status == StatusCode::UNAUTHORIZED {
        refused += 1;
        assert!(refused < 60, "logins are not limited");
    }
    assert_eq!(server.login("admin", "right").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn only_well_signed_tokens_of_the_one_algorithm_are_believed() {
    let server = Server::start().await;
    assert_eq!(server.get("/auth/me", &server.jwt(7, "ann", 3600)).await.status, StatusCode::OK);
    assert_eq!(server.get("/auth/me", &server.jwt(7, "ann", -10)).await.status, StatusCode::UNAUTHORIZED);
    let other = harness::signed(b"another secret of thirty-two bytes", 7, "ann", 3600);
    assert_eq!(server.get("/auth/me", &other).await.status, StatusCode::UNAUTHORIZED);
    // Numbers from a million on are ours, and a refresh token of the same issuer is no key to this door.
    for claims in [json!({ "user_id": 1_000_000 }), json!({ "user_id": 0 }), json!({ "type": "refresh" })] {
        let token = server.claims(claims);
        assert_eq!(server.get("/auth/me", &token).await.status, StatusCode::UNAUTHORIZED);
    }
    // {"alg":"none"} and the claims, unsigned.
    let none = "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjo3LCJ1c2VybmFtZSI6ImFubiIsImV4cCI6OTk5OTk5OTk5OX0.";
    assert_eq!(server.get("/auth/me", none).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let send = async |name: &str| {
        let request = server.request(reqwest::Method::POST, "/compute/containers", Some(&token));
        server.send(request.header("Idempotency-Key", "k").json(&json!({ "name": name }))).await
    };
    let first = send("a").await;
    let again = send("a").await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.body["id"], again.body["id"]);
    assert_eq!(send("b").await.status, StatusCode::CONFLICT);
}
