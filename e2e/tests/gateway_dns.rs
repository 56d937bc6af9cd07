//! The zone of the containers' names, asked by `dig` over UDP and TCP.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_e2e::berthd::Berthd;
use berth_e2e::dns::dig;
use berth_e2e::until;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn names_of_containers_are_known_while_they_are_there() {
    let mut berthd = Berthd::configured();
    berthd.add_gateway();
    let server = berthd.gateway().to_string();
    let listen = format!("[\"{server}:53\"]");
    berthd.configure(&[
        ("BERTH_GATEWAY__DNS__LISTEN", &listen),
        ("BERTH_GATEWAY__DNS__ADDRESSES", "[\"203.0.113.7\", \"2001:db8::7\"]"),
        ("BERTH_GATEWAY__DNS__NAMESERVERS", "[\"ns1.berth.local\"]"),
    ]);
    berthd.launch().await;
    let ann = berthd.user(4700, "ann");
    let body = json!({ "name": "named", "memory_mb": 64, "storage_gb": 1 });
    let (status, made) = ann.call(Method::POST, "/compute/containers", Some(&body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let id = made["id"].as_str().unwrap().to_owned();
    let name = made["hostname"].as_str().unwrap();
    until("the name to be known", 60, async || {
        dig(&server, &["+short", name, "A"]).await.contains("203.0.113.7").then_some(())
    })
    .await;
    assert_eq!(dig(&server, &["+short", "+tcp", name, "AAAA"]).await.trim(), "2001:db8::7");
    // The gateway's key, and the container's own, which a jump meets.
    assert_eq!(dig(&server, &["+short", name, "SSHFP"]).await.lines().count(), 2);
    assert!(dig(&server, &[name, "TXT"]).await.contains("NOERROR"));
    assert_eq!(dig(&server, &["+short", "compute.berth.local", "NS"]).await.trim(), "ns1.berth.local.");
    let foreign = dig(&server, &["example.com", "A"]).await;
    assert!(foreign.contains("REFUSED") && !foreign.contains(" ra"), "{foreign}");

    ann.removed(&id).await;
    let gone = until("the name to be gone", 30, async || {
        let answer = dig(&server, &[name, "A"]).await;
        answer.contains("NXDOMAIN").then_some(answer)
    })
    .await;
    assert!(gone.contains("SOA") && gone.contains(" aa"), "{gone}");
}
