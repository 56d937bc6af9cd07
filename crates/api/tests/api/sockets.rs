//! The event socket: a snapshot, then changes, only the own, and closed when the credential ends.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::Server;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn open(server: &Server, token: &str) -> Socket {
    connect_async(format!("ws://{}/compute/ws?token={token}", server.address)).await.unwrap().0
}

async fn next(socket: &mut Socket, what: &str) -> Message {
    let read = async {
        loop {
            let message = socket.next().await.expect("a frame before the end").unwrap();
            if !message.is_ping() {
                return message;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap_or_else(|_| panic!("gave up waiting for {what}"))
}

pub(crate) async fn frame(socket: &mut Socket, what: &str) -> Value {
    serde_json::from_str(next(socket, what).await.to_text().unwrap()).unwrap()
}

#[tokio::test]
async fn a_snapshot_and_then_only_the_own_changes() {
    let server = Server::start().await;
    let (ann, ben) = (server.jwt(7, "ann", 3600), server.jwt(8, "ben", 3600));
    let mut socket = open(&server, &ann).await;
    assert_eq!(frame(&mut socket, "the first snapshot").await, json!({ "type": "containers", "data": [] }));
    server.post("/compute/containers", &ben, &json!({ "name": "bens" })).await;
    let made = server.post("/compute/containers", &ann, &json!({ "name": "anns" })).await;
    let listed = frame(&mut socket, "a snapshot with the new container").await;
    assert_eq!((&listed["data"][0]["name"], listed["data"].as_array().unwrap().len()), (&json!("anns"), 1));
    assert_eq!(frame(&mut socket, "its first event").await["data"]["type"], "created");
    let path = format!("/compute/containers/{}", made.body["id"].as_str().unwrap());
    server.post(&format!("{path}/stop"), &ann, &json!({})).await;
    let changed = frame(&mut socket, "the stop").await;
    assert_eq!((&changed["type"], &changed["data"]["status"]), (&json!("container_status"), &json!("stopped")));
    assert_eq!(frame(&mut socket, "the request").await["data"]["type"], "stop_requested");
    server.delete(&path, &ann).await;
    assert_eq!(frame(&mut socket, "an empty snapshot").await["data"], json!([]));
}

#[tokio::test]
async fn a_revoked_token_closes_its_socket() {
    let server = Server::start().await;
    let session = server.login("admin", "right").await.body["token"].as_str().unwrap().to_owned();
    let token = server.post("/auth/tokens", &session, &json!({ "name": "t" })).await;
    let mut socket = open(&server, token.body["secret"].as_str().unwrap()).await;
    frame(&mut socket, "the first snapshot").await;
    server.delete(&format!("/auth/tokens/{}", token.body["id"]), &session).await;
    match next(&mut socket, "the close").await {
        Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 4401),
        other => panic!("expected a close, got {other:?}"),
    }
}

#[tokio::test]
async fn an_expired_token_closes_its_socket() {
    let server = Server::start().await;
    let mut socket = open(&server, &server.jwt(7, "ann", 2)).await;
    frame(&mut socket, "the first snapshot").await;
    match next(&mut socket, "the close").await {
        Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 4401),
        other => panic!("expected a close, got {other:?}"),
    }
}
