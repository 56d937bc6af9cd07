#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use berth_grant::ed25519_dalek::SigningKey;
use berth_grant::{GatewayKeys, report as signature};
use berth_wire::Connections;

use super::*;
use crate::table::tests::target;

#[derive(Default)]
struct Heard {
    down: bool,
    reports: Vec<Connections>,
}

/// As much of the API as a gateway meets.
async fn api(heard: Arc<Mutex<Heard>>) -> std::net::SocketAddr {
    async fn take(State(heard): State<Arc<Mutex<Heard>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let mut heard = heard.lock().unwrap();
        let keys = GatewayKeys::from(vec![SigningKey::from_bytes(&[7; 32]).verifying_key()]);
        if heard.down {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if !signature::is_signed(&body, headers[signature::HEADER].to_str().unwrap(), &keys) {
            return StatusCode::UNAUTHORIZED;
        }
        heard.reports.push(serde_json::from_slice(&body).unwrap());
        StatusCode::NO_CONTENT
    }
    let router = axum::Router::new().route("/compute/gateway/connections", axum::routing::post(take)).with_state(heard);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("gave up waiting for {what}"));
}

#[tokio::test]
async fn what_ended_while_the_api_was_down_is_reported_once_by_the_next_gateway() {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let heard = Arc::new(Mutex::new(Heard { down: true, ..Heard::default() }));
    let reporter = Reporter::new(api(heard.clone()).await);
    let key = SigningKey::from_bytes(&[7; 32]);
    let container = target("bcdfghjk", true);

    let spool = Spool::open(folder.path()).unwrap();
    let (log, ended) = log();
    let mut open = log.open(Spoken::Ssh, &container, Some("SHA256:abc"), [192, 0, 2, 7].into());
    open.received(5);
    open.sent(9);
    drop(open);
    drop(log.open(Spoken::Http, &container, None, [192, 0, 2, 8].into()));
    let stop = CancellationToken::new();
    stop.cancel();
    ended.spool(&spool, &stop).await;
    assert_eq!(spool.waiting().unwrap().len(), 1);
    assert!(reporter.all(&spool, &key).await.is_err());
    assert_eq!(spool.waiting().unwrap().len(), 1);

    // Another process takes over.
    let spool = Spool::open(folder.path()).unwrap();
    heard.lock().unwrap().down = false;
    let run = async { reporter.run(&spool, &key).await };
    tokio::select! {
        () = run => {}
        () = until("the report", || spool.waiting().unwrap().is_empty()) => {}
    }
    let reports = std::mem::take(&mut heard.lock().unwrap().reports);
    let [Connections { connections }] = &reports[..] else { panic!("{reports:?}") };
    let [ssh, http] = &connections[..] else { panic!("{connections:?}") };
    assert_eq!((ssh.protocol, ssh.bytes_in, ssh.bytes_out, ssh.user_id), (Spoken::Ssh, 5, 9, Some(7)));
    assert_eq!((ssh.username.as_deref(), ssh.key.as_deref()), (Some("ann"), Some("SHA256:abc")));
    assert_eq!((http.protocol, http.user_id, &http.key), (Spoken::Http, None, &None));
    assert_eq!(http.container_id, "bcdfghjk");
}
