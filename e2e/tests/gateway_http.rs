//! Containers and the API by name through the gateway, with clients that people use.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_e2e::berthd::Berthd;
use berth_e2e::web::{answers, close, create, curl, get, host, open};
use serde_json::Value;

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
    ann.removed(&id).await;
}
