//! A gateway that is a process of its own, with the rights of deploy/rbac-gateway.yaml: it serves while berthd, its database and
//! the API server are all away, and reports afterwards what it did meanwhile.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Stdio;

use berth_e2e::berthd::{Berthd, User};
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
    let id = create(&berthd.user(4750, "ann"), &client).await;
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

/// A container that this client's key opens.
async fn create(user: &User<'_>, client: &Client) -> String {
    let body = json!({ "name": "laptop", "public_key": client.user_key() });
    let (_, key) = user.call(Method::POST, "/compute/ssh-keys", Some(&body)).await;
    let body = json!({
        "name": "alone", "memory_mb": 128, "storage_gb": 1, "ssh_enabled": true, "ssh_key_ids": [key["id"]],
    });
    let (_, made) = user.call(Method::POST, "/compute/containers", Some(&body)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    user.settled(&id, "running").await;
    id
}

/// The controller is down, so that nobody puts the route right again.
#[tokio::test]
async fn what_has_another_host_key_than_its_route_says_is_not_the_container() {
    let mut berthd = Berthd::start_with_gateway(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("kubeconfig");
    kubectl::credentials_of("berth-gateway", &credentials).await;
    let replica = berthd.replica(&credentials);
    let client = Client::new().await;
    client.trust(APEX, &berthd.gateway_host_key());
    client.configure(&format!("Host {APEX}\nHostName {}\nHostKeyAlias {APEX}", replica.address));
    let id = create(&berthd.user(4751, "ann"), &client).await;
    let namespace = berthd.user(4751, "ann").namespace(&id);
    let (by_user, inside) = (format!("{id}@{APEX}"), format!("root@{id}.{APEX}"));
    client.configure(&format!("Host {id}.{APEX}\nProxyJump gw@{APEX}"));
    let of_route = ["-n", &namespace, "get", "route", &id, "-o", "jsonpath={.spec.ssh.hostKey}"];
    let right = kubectl::run(&of_route).await;
    client.trust(&format!("{id}.{APEX}"), &right);
    let hello = async |to: &str| {
        let output = client.output("ssh", &[to, "echo hello"]).await;
        (output.stdout == b"hello\n").then_some(())
    };
    until("the replica to let the key in", 20, async || hello(&by_user).await).await;
    hello(&inside).await.expect("a jump to the container");

    berthd.kill();
    let wrong = client.make_key("wrong").await;
    let wrong = wrong.rsplit_once(' ').expect("a comment").0;
    let say = async |key: &str| {
        let patch = json!({ "spec": { "ssh": { "hostKey": key } } }).to_string();
        kubectl::run(&["-n", &namespace, "patch", "route", &id, "--type=merge", "-p", &patch]).await;
    };
    say(wrong).await;
    until("the gateway to refuse what is not the container", 20, async || {
        let output = client.output("ssh", &[&by_user, "echo hello"]).await;
        let told =
            String::from_utf8_lossy(&output.stderr).contains("what answers for this container is not the container");
        (told && output.stdout.is_empty() && !output.status.success()).then_some(())
    })
    .await;
    // By a jump the client itself sees who answers: whoever goes by the route, as SSHFP records do, is warned.
    hello(&inside).await.expect("a jump, for who knows the right key");
    client.trust(&format!("{id}.{APEX}"), wrong);
    let output = client.output("ssh", &[&inside, "echo hello"]).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{told}");
    assert!(output.stdout.is_empty() && output.status.code() == Some(255), "{output:?}");

    say(&right).await;
    until("the gateway to know the container again", 20, async || hello(&by_user).await).await;
    berthd.launch().await;
    berthd.user(4751, "ann").removed(&id).await;
}

async fn connections(berthd: &Berthd, id: &str) -> usize {
    berthd.audited(id).await.iter().filter(|action| *action == "connection.ssh").count()
}
