//! Containers and the API by name through the gateway, with clients that people use.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Stdio;

use berth_e2e::berthd::Berthd;
use berth_e2e::until;
use berth_e2e::web::{answers, close, create, curl, get, host, open, websocket};
use futures::{SinkExt, StreamExt};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::Message;

const API: &str = "https://compute.berth.local";
const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_container_is_reached_by_http_and_https() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let ann = berthd.user(400, "ann");
    let id = create(&ann, "web").await;
    let host = host(&id);
    for port in [80, 443, 8080] {
        open(&ann, &id, port).await;
    }
    for url in [format!("http://{host}/"), format!("https://{host}/"), format!("http://{host}:8080/")] {
        answers(&berthd, &url, 200).await;
    }
    let url = format!("https://{host}");
    for version in ["--http1.1", "--http2"] {
        let (_, told) = get(&berthd, &format!("{url}/echo"), &[version, "-H", "X-Forwarded-For: 6.6.6.6"]).await;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["headers"]["x-forwarded-proto"], "https", "{version}: {told}");
        assert!(!told.to_string().contains("6.6.6.6"), "{version}: {told}");
    }

    let mut socket = websocket(&berthd, &format!("wss://{host}/ws"), &[]).await;
    socket.send(Message::text("over TLS")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("over TLS"));

    // gRPC's health check: a message, its frame, and a status that comes after both.
    let mut grpc = curl(&berthd, &["--http2", "-v", "-H", "Content-Type: application/grpc", "-H", "TE: trailers"]);
    grpc.args(["--data-binary", "@-", &format!("{url}/grpc.health.v1.Health/Check")]).stdin(Stdio::piped());
    let mut grpc = grpc.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut grpc.stdin.take().unwrap(), &[0; 5]).await.unwrap();
    let answer = grpc.wait_with_output().await.unwrap();
    assert_eq!(answer.stdout, [0, 0, 0, 0, 2, 8, 1], "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.stderr).contains("grpc-status: 0"), "{answer:?}");

    // Large bodies pass without being kept.
    let before = berthd.memory();
    let (_, kept) = get(&berthd, &format!("{url}/big?mib=300"), &["--output", "/dev/null"]).await;
    assert_eq!(kept, "");
    let sparse = tempfile::NamedTempFile::new().unwrap();
    sparse.as_file().set_len(300 * MIB).unwrap();
    let file = sparse.path().display().to_string();
    let (status, told) = get(&berthd, &format!("{url}/upload"), &["--request", "POST", "--upload-file", &file]).await;
    assert_eq!((status, told), (200, (300 * MIB).to_string()));
    let grown = berthd.memory().saturating_sub(before) / 1024;
    assert!(grown < 64, "600 MiB went through and {grown} MiB more are in use");

    // What is open through a rule ends with it, and nothing else does.
    let mut ticks = curl(&berthd, &["--no-buffer", &format!("http://{host}:8080/ticks")]);
    let mut ticks = ticks.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = [0; 5];
    ticks.stdout.as_mut().unwrap().read_exact(&mut first).await.unwrap();
    close(&ann, &id, 8080).await;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), ticks.wait_with_output()).await;
    ended.expect("a stream ends within five seconds of its rule").unwrap();
    answers(&berthd, &format!("http://{host}:8080/"), 404).await;
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still here"));

    // Stopped is said; of what is not there nothing is.
    assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
    answers(&berthd, &format!("{url}/"), 503).await;
    let (_, told) = get(&berthd, &format!("{url}/"), &[]).await;
    assert!(told.contains("stopped"), "{told}");
    assert_eq!(get(&berthd, "http://bcdfghjk.compute.berth.local/", &[]).await.0, 404);
    let told = async || berthd.audited(&id).await.contains(&"connection.https".to_owned()).then_some(());
    until("a visit to be in the audit log", 20, told).await;
    ann.removed(&id).await;
}

#[tokio::test]
async fn the_api_is_reached_by_its_name() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let ann = berthd.user(401, "ann");
    let bearer = format!("Authorization: Bearer {}", ann.token);
    let (status, body) = get(&berthd, &format!("{API}/compute/containers"), &["-H", &bearer]).await;
    assert_eq!((status, body.as_str()), (200, "{\"containers\":[]}"));
    let (status, _) = get(&berthd, "http://compute.berth.local/healthz?x=1", &[]).await;
    assert_eq!(status, 308);
    let mut socket =
        websocket(&berthd, "wss://compute.berth.local/compute/ws", &[("authorization", &bearer[15..])]).await;
    let first = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(first.contains("\"containers\""), "{first}");
}
