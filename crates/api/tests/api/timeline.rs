//! What happened to a container, and waiting for it. No reconciler runs here: the test records what one would see.

use berth_core::id::{ContainerId, Generation};
use berth_core::lifecycle::{NamespaceState, Observed, PodFacts, PodStage};
use berth_core::timeline::{Entry, Kind};
use chrono::Utc;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, Server};
use crate::sockets::{frame, open};

struct Made {
    id: ContainerId,
    path: String,
}

async fn made(server: &Server, token: &str) -> Made {
    let made = server.post("/compute/containers", token, &json!({ "name": "a" })).await;
    let id = made.body["id"].as_str().unwrap();
    Made { id: id.parse().unwrap(), path: format!("/compute/containers/{id}") }
}

fn entry(kind: Kind, key: &str, count: u32) -> Entry {
    Entry { kind, at: Utc::now(), message: format!("{key} {count}"), key: key.into(), count }
}

fn observed(stage: Option<PodStage>) -> Observed {
    let pod = |stage| PodFacts {
        stage,
        terminating: false,
        restarts: 0,
        outdated: false,
        last_exit: None,
        image_digest: None,
    };
    Observed { namespace: NamespaceState::Active { uid: "u".into() }, pod: stage.map(pod), ..Observed::default() }
}

async fn see(server: &Server, id: ContainerId, generation: i64, stage: Option<PodStage>) {
    assert!(server.store.record_observed(id, Generation(generation), &observed(stage)).await.unwrap());
}

fn types(body: &Value) -> Vec<&str> {
    body["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_timeline_is_read_and_followed() {
    let server = Server::start().await;
    let (ann, ben) = (server.jwt(7, "ann", 3600), server.jwt(8, "ben", 3600));
    let container = made(&server, &ann).await;
    let mut socket = open(&server, &ann).await;
    frame(&mut socket, "the first snapshot").await;
    let mut strange = open(&server, &ben).await;
    frame(&mut strange, "the first snapshot").await;

    server
        .store
        .record_entries(container.id, &[entry(Kind::Pulling, "x", 1), entry(Kind::BackOff, "y", 1)])
        .await
        .unwrap();
    server.store.record_entries(container.id, &[entry(Kind::BackOff, "y", 2)]).await.unwrap();
    let events = server.get(&format!("{}/events", container.path), &ann).await.body;
    assert_eq!(types(&events), ["created", "pulling", "back_off"]);
    assert_eq!((&events["events"][2]["id"], &events["events"][2]["count"]), (&json!(3), &json!(2)));
    let page = server.get(&format!("{}/events?after=1&limit=1", container.path), &ann).await.body;
    assert_eq!(types(&page), ["pulling"]);

    for (id, kind, counts) in [(2, "pulling", [1, 1]), (3, "back_off", [1, 2])] {
        let told = frame(&mut socket, kind).await;
        let (outer, data) = (&told["type"], &told["data"]);
        assert_eq!(
            (outer, &data["type"], &data["id"]),
            (&json!("container_event"), &json!(kind), &json!(id)),
            "{told}"
        );
        assert_eq!(data["container_id"], container.id.to_string());
        // Both changes may have come before the first was read.
        assert!(counts.iter().any(|count| data["count"] == json!(count)), "{told}");
        if data["count"] == json!(1) && kind == "back_off" {
            assert_eq!(frame(&mut socket, "the second time").await["data"]["count"], 2);
        }
    }
    server.post("/compute/containers", &ben, &json!({ "name": "bens" })).await;
    let listed = frame(&mut strange, "the own container, and nothing of another's").await;
    assert_eq!(listed["data"][0]["name"], "bens");
}

#[tokio::test]
async fn bad_values_are_named() {
    let server = Server::start().await;
    let ann = server.jwt(7, "ann", 3600);
    let Made { path, .. } = made(&server, &ann).await;
    for (rest, field) in [
        ("events?after=-1", "after"),
        ("events?after=x", "after"),
        ("events?limit=0", "limit"),
        ("events?limit=501", "limit"),
        ("events?before=1", "before"),
        ("events?limit=1&limit=2", "limit"),
        ("wait?for=happiness", "for"),
        ("wait?for=", "for"),
        ("wait?timeout=0", "timeout"),
        ("wait?timeout=601", "timeout"),
        ("wait?timeout=1.5", "timeout"),
        ("wait?timeout=-1", "timeout"),
        ("wait?until=1", "until"),
    ] {
        let answer = server.get(&format!("{path}/{rest}"), &ann).await;
        assert_eq!((answer.status, &answer.body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)), "{rest}");
    }
}

/// Waits while something is done, which is begun once the request is waiting.
async fn meanwhile(server: &Server, url: &str, token: &str, act: impl AsyncFnOnce()) -> Answer {
    let waiting = server.get(url, token);
    let acting = async {
        server.waiting(1).await;
        act().await;
    };
    tokio::join!(waiting, acting).0
}

#[tokio::test]
async fn what_is_waited_for_comes() {
    let server = Server::start().await;
    let ann = server.jwt(7, "ann", 3600);
    let Made { id, path } = made(&server, &ann).await;
    let url = |goal: &str| format!("{path}/wait?for={goal}&timeout=600");

    let run = async || {
        see(&server, id, 1, Some(PodStage::Starting)).await;
        see(&server, id, 1, Some(PodStage::Ready)).await;
    };
    let body = meanwhile(&server, &url("running"), &ann, run).await.body;
    assert_eq!((&body["reached"], &body["for"], &body["status"]), (&json!(true), &json!("running"), &json!("running")));
    assert_eq!(body["container"]["id"], id.to_string());
    assert_eq!(server.get(&url("settled"), &ann).await.body["reached"], true, "at once");

    let stop = async || {
        server.post(&format!("{path}/stop"), &ann, &json!({})).await;
        see(&server, id, 2, None).await;
    };
    let body = meanwhile(&server, &url("stopped"), &ann, stop).await.body;
    assert_eq!((&body["reached"], &body["transition"]), (&json!(true), &Value::Null));

    let delete = async || {
        server.delete(&path, &ann).await;
        server.store.remove_row(id).await.unwrap();
    };
    let body = meanwhile(&server, &url("deleted"), &ann, delete).await.body;
    assert_eq!((&body["reached"], &body["status"], &body["container"]), (&json!(true), &Value::Null, &Value::Null));
}

#[tokio::test]
async fn waiting_ends_where_it_does_not_help() {
    let server = Server::start().await;
    let ann = server.jwt(7, "ann", 3600);
    let Made { id, path } = made(&server, &ann).await;
    let url = |goal: &str| format!("{path}/wait?for={goal}&timeout=600");

    let late = server.get(&format!("{path}/wait?timeout=1"), &ann).await.body;
    let expected = (&json!(false), &json!("settled"), &json!("pending"), &json!("starting"));
    assert_eq!((&late["reached"], &late["for"], &late["status"], &late["transition"]), expected);

    let fails = PodStage::ImagePullFailed { message: "not found".into() };
    let body = meanwhile(&server, &url("running"), &ann, async || see(&server, id, 1, Some(fails)).await).await.body;
    assert_eq!((&body["reached"], &body["reason"]), (&json!(false), &json!("ImagePullFailed")));
    assert!(body["message"].as_str().unwrap().contains("not found"));
    assert_eq!(server.get(&url("settled"), &ann).await.body["reached"], true, "failed is settled");

    server.post(&format!("{path}/stop"), &ann, &json!({})).await;
    assert_eq!(server.get(&url("running"), &ann).await.body["reached"], false, "nobody wants it to run");
    let deletes = async || {
        server.delete(&path, &ann).await;
    };
    let body = meanwhile(&server, &url("stopped"), &ann, deletes).await.body;
    assert_eq!(
        (&body["reached"], &body["transition"], &body["container"]),
        (&json!(false), &json!("deleting"), &Value::Null)
    );
    assert_eq!(server.get(&url("stopped"), &ann).await.status, StatusCode::NOT_FOUND);
    let deleting = server.get(&format!("{path}/wait?for=deleted&timeout=1"), &ann).await.body;
    assert_eq!((&deleting["reached"], &deleting["transition"]), (&json!(false), &json!("deleting")));
}

#[tokio::test]
async fn another_users_container_looks_like_none() {
    let server = Server::start().await;
    let (ann, ben) = (server.jwt(7, "ann", 3600), server.jwt(8, "ben", 3600));
    let Made { path, .. } = made(&server, &ann).await;
    for goal in ["running", "stopped", "deleted", "settled"] {
        let wait = async |path: &str| {
            let answer = server.get(&format!("{path}/wait?for={goal}&timeout=600"), &ben).await;
            let Value::Object(mut body) = answer.body else { panic!("an object") };
            body.remove("request_id");
            (answer.status, body)
        };
        let (strange, absent) = (wait(&path).await, wait("/compute/containers/bcdfghjk").await);
        assert_eq!(strange, absent, "{goal}");
        assert_eq!(strange.0 == StatusCode::OK, goal == "deleted");
    }
}

#[tokio::test]
async fn a_waiting_request_ends_with_its_credential_and_with_the_server() {
    let server = Server::start().await;
    let session = server.login("admin", "right").await.body["token"].as_str().unwrap().to_owned();
    let token = server.post("/auth/tokens", &session, &json!({ "name": "t" })).await;
    let secret = token.body["secret"].as_str().unwrap();
    let Made { path, .. } = made(&server, &session).await;
    let url = format!("{path}/wait?timeout=600");
    let revoke = async || {
        server.delete(&format!("/auth/tokens/{}", token.body["id"]), &session).await;
    };
    assert_eq!(meanwhile(&server, &url, secret, revoke).await.status, StatusCode::UNAUTHORIZED);
    let ended = meanwhile(&server, &url, &session, async || server.end()).await;
    assert_eq!(ended.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ended.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn requests_of_one_user_that_wait_are_bounded() {
    let server = Server::start().await;
    let (ann, ben) = (server.jwt(7, "ann", 3600), server.jwt(8, "ben", 3600));
    let (anns, bens) = (made(&server, &ann).await, made(&server, &ben).await);
    let url = format!("{}/wait?timeout=600", anns.path);
    let many = futures::future::join_all((0..32).map(|_| server.get(&url, &ann)));
    let others = async {
        server.waiting(32).await;
        assert_eq!(server.get(&url, &ann).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(server.get(&format!("{}/wait?timeout=1", bens.path), &ben).await.status, StatusCode::OK);
        see(&server, anns.id, 1, Some(PodStage::Ready)).await;
    };
    let (answers, ()) = tokio::join!(many, others);
    assert!(answers.iter().all(|answer| answer.body["reached"] == true));
    assert_eq!(server.get(&url, &ann).await.body["reached"], true, "there is room again");
}
