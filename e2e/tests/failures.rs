//! What goes wrong is told in words, with a reason that a program can read, and deleting works from every such state.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_e2e::berthd::{Berthd, User};
use berth_e2e::{images, until};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// What is created, and what must be told of it.
struct Case {
    body: Value,
    status: &'static str,
    reason: &'static str,
    words: &'static str,
}

#[tokio::test]
async fn every_failure_is_explained_and_can_be_deleted() {
    let berthd = Berthd::start().await;
    let exits = images::push("exits", &["sh", "-c", "exit 3"]).await;
    let grows = images::push("grows", &["python3", "-c", "grown = b'x' * (1 << 30)"]).await;
    let lacks = images::push("lacks", &["/no/such/program"]).await;
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("word"), std::process::id().to_string()).unwrap();
    let lost = images::push_folder("lost", files.path(), false).await;
    images::lose_layers(&lost).await;
    let case = |image: &str, memory_mb: i64, status, reason, words| {
        let body = json!({ "name": reason, "image": image, "memory_mb": memory_mb, "storage_gb": 1 });
        Case { body, status, reason, words }
    };
    let cases = [
        case(&exits, 64, "failed", "CrashLoop", "exit code 3"),
        case(&grows, 64, "failed", "OutOfMemory", "more than its memory"),
        case(&lacks, 64, "failed", "CannotStart", "no such file"),
        case("base", 200_000, "pending", "Unschedulable", "memory"),
        case(&lost.reference, 64, "failed", "ImagePullFailed", "not found"),
    ];
    let users: Vec<User<'_>> = (0..5).map(|number| berthd.user(60 + number, &format!("user{number}"))).collect();
    join_all(cases.iter().zip(&users).map(|(case, user)| told_and_deleted(user, case))).await;
}

async fn told_and_deleted(user: &User<'_>, case: &Case) {
    let (status, answer) = user.call(Method::POST, "/compute/containers", Some(&case.body)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let id = answer["id"].as_str().unwrap();
    let told = async || {
        let body = user.get(id).await.1;
        let words = body["message"].as_str().is_some_and(|message| message.contains(case.words));
        (body["status"] == case.status && body["reason"] == case.reason && words).then_some(())
    };
    until(&format!("{} to be told with the words {:?}", case.reason, case.words), 120, told).await;
    user.removed(id).await;
}
