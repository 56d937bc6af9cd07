//! A gateway that is a process of its own, with the rights of deploy/rbac-gateway.yaml: it serves while berthd, its database and
//! the API server are all away, and reports afterwards what it did meanwhile.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Stdio;

use berth_e2e::berthd::Berthd;
use berth_e2e::ssh::Client;
use berth_e2e::tcp_proxy::TcpProxy;
use berth_e2e::{kubectl, until};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const APEX: &str = "compute.berth.local";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_on_while_everything_else_is_down() {
    let mut berthd = Berthd::start_with_gateway(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("kubeconfig");
    kubectl::credentials_of("berth-gateway", &credentials).await;
    let mut proxy = TcpProxy::start(&credentials).await;
    let replica = berthd.replica(&proxy.kubeconfig());
    let client = Client::new().await;
    // A replica has the same host key.
    client.trust(APEX, &berthd.gateway_host_key());
    client.configure(&format!("Host {APEX}\nHostName {}\nHostKeyAlias {APEX}", replica.address));
    let id = {
        let ann = berthd.user(4750, "ann");
        let body = json!({ "name": "laptop", "public_key": client.user_key() });
        let (_, key) = ann.call(Method::POST, "/compute/ssh-keys", Some(&body)).await;
        let body = json!({
            "name": "alone", "memory_mb": 128, "storage_gb": 1, "ssh_enabled": true, "ssh_key_ids": [key["id"]],
        });
        let (_, made) = ann.call(Method::POST, "/compute/containers", Some(&body)).await;
        let id = made["id"].as_str().unwrap().to_owned();
        ann.settled(&id, "running").await;
        id
    };
    let target = format!("{id}@{APEX}");
    let hello = async || {
        let output = client.output("ssh", &[&target, "echo hello"]).await;
        (output.stdout == b"hello\n").then_some(())
    };
    until("the replica to let the key in", 20, hello).await;
    let mut open = client.command("ssh").args([&target, "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let open = open.as_mut().unwrap();
    let (mut to, mut from) = (open.stdin.take().unwrap(), BufReader::new(open.stdout.take().unwrap()).lines());
    to.write_all(b"before\n").await.unwrap();
    assert_eq!(from.next_line().await.unwrap().unwrap(), "before");
    let told = async || berthd.audited(&id).await.contains(&"connection.ssh".to_owned()).then_some(());
    until("the first connection to be in the audit log", 20, told).await;
    let before = connections(&berthd, &id).await;

    proxy.down();
    berthd.kill();
    to.write_all(b"meanwhile\n").await.unwrap();
    assert_eq!(from.next_line().await.unwrap().unwrap(), "meanwhile");
    hello().await.expect("a new connection, with nothing but the gateway and the pod");
    drop(to);
    assert!(open.wait().await.unwrap().success());
    until("both to be on the replica's disk", 20, async || (replica.spooled() > 0).then_some(())).await;

    proxy.up().await;
    berthd.launch().await;
    until("what ended meanwhile to be in the audit log", 60, async || {
        (connections(&berthd, &id).await == before + 2).then_some(())
    })
    .await;
    until("the replica's disk to be empty", 20, async || (replica.spooled() == 0).then_some(())).await;
    berthd.user(4750, "ann").removed(&id).await;
}

async fn connections(berthd: &Berthd, id: &str) -> usize {
    berthd.audited(id).await.iter().filter(|action| *action == "connection.ssh").count()
}
