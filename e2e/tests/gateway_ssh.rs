//! SSH through the gateway of a real berthd, into real containers, with the clients that people have.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Output;

use berth_e2e::berthd::{Berthd, User};
use berth_e2e::ssh::Client;
use berth_e2e::{kubectl, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const APEX: &str = "compute.berth.local";

/// A client that knows the gateway by its name.
async fn client(berthd: &Berthd) -> Client {
    let client = Client::new().await;
    client.trust(APEX, &berthd.gateway_host_key());
    client.configure(&format!("Host {APEX}\nHostName {}\nHostKeyAlias {APEX}", berthd.gateway()));
    client
}

async fn call(user: &User<'_>, method: Method, path: &str, body: Value) -> Value {
    let (status, answer) = user.call(method, path, Some(&body)).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

async fn add_key(user: &User<'_>, name: &str, key: &str) -> i64 {
    let body = json!({ "name": name, "public_key": key });
    call(user, Method::POST, "/compute/ssh-keys", body).await["id"].as_i64().unwrap()
}

async fn set_ssh(user: &User<'_>, id: &str, body: Value) {
    call(user, Method::PUT, &format!("/compute/containers/{id}/ssh"), body).await;
}

/// The host key of a container, as the gateway is told.
async fn host_key(user: &User<'_>, id: &str) -> String {
    let path = "jsonpath={.spec.ssh.hostKey}";
    kubectl::run(&["-n", &user.namespace(id), "get", "route", id, "-o", path]).await
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn every_way_leads_to_the_container() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let ann = berthd.user(4600, "ann");
    let client = client(&berthd).await;
    let key = add_key(&ann, "laptop", &client.user_key()).await;
    let id = ann.create("ssh").await;
    set_ssh(&ann, &id, json!({ "ssh_enabled": true, "ssh_key_ids": [key] })).await;
    ann.settled(&id, "running").await;
    until("the gateway to let the key in", 10, async || {
        let output = client.output("ssh", &[&format!("{id}@{APEX}"), "exit 42"]).await;
        (output.status.code() == Some(42)).then_some(())
    })
    .await;
    client.trust(&format!("{id}.{APEX}"), &host_key(&ann, &id).await);
    let output = client.output("ssh", &["-J", &format!("gw@{APEX}"), &format!("root@{id}.{APEX}"), "hostname"]).await;
    assert_eq!(out(&output), "machine-0", "{output:?}");
    assert_eq!(ann.delete(&id).await, StatusCode::OK);
}
