//! SSH through the gateway of a real berthd, into real containers, with the clients that people have.
#![allow(clippy::unwrap_used, reason = "test code")]

mod clients;
mod ends;
mod flood;
mod forwards;
mod refusals;
mod tools;
mod vscode;

use std::process::Output;

use berth_e2e::berthd::{Berthd, User};
use berth_e2e::ssh::{Client, add_key, call, set_ssh};
use berth_e2e::{kubectl, until};
use reqwest::Method;
use serde_json::Value;

const APEX: &str = "compute.berth.local";
/// Hosts of the client's settings, one for each way of naming a container.
const WAYS: [&str; 5] = ["by-user", "by-root-user", "by-both", "by-key", "by-jump"];

/// A client that knows the gateway by its name.
async fn client(berthd: &Berthd) -> Client {
    let client = Client::new().await;
    client.trust(APEX, &berthd.gateway_host_key());
    client.configure(&format!("Host {APEX}\nHostName {}\nHostKeyAlias {APEX}", berthd.gateway()));
    client
}

/// Hosts of the client's settings that are this container.
async fn know(client: &Client, user: &User<'_>, berthd: &Berthd, id: &str) {
    client.trust(&format!("{id}.{APEX}"), &host_key(user, id).await);
    let gateway = berthd.gateway();
    let host = |way: &str, name: &str| format!("Host {way}\nUser {name}\nHostName {gateway}\nHostKeyAlias {APEX}\n");
    client.configure(&format!(
        "{}{}{}{}Host by-jump\nUser root\nHostName {id}.{APEX}\nProxyJump gw@{APEX}\n",
        host("by-user", id),
        host("by-root-user", &format!("root+{id}")),
        host("by-both", &id.to_uppercase()),
        host("by-key", "root"),
    ));
}

/// The host key of a container, as the gateway is told.
async fn host_key(user: &User<'_>, id: &str) -> String {
    let path = "jsonpath={.spec.ssh.hostKey}";
    kubectl::run(&["-n", &user.namespace(id), "get", "route", id, "-o", path]).await
}

/// Waits until this host of the client's settings can be logged in to.
async fn opens(client: &Client, host: &str) {
    until(&format!("{host} to open"), 30, async || {
        client.output("ssh", &[host, "exit 42"]).await.status.code().filter(|code| *code == 42).map(drop)
    })
    .await;
}

/// A container of Ann's, with a client that can reach it by all ways.
async fn machine(berthd: &Berthd, user: &User<'_>) -> (Client, String) {
    let client = client(berthd).await;
    let key = add_key(user, "laptop", &client.user_key()).await;
    let id = user.create("ssh").await;
    set_ssh(user, &id, true, &[key]).await;
    user.settled(&id, "running").await;
    know(&client, user, berthd, &id).await;
    opens(&client, "by-user").await;
    (client, id)
}

/// Keys that are not of ed25519.
async fn other_keys(client: &Client, user: &User<'_>, id: &str) {
    let mut keys = call(user, Method::GET, &format!("/compute/containers/{id}/ssh"), Value::Null).await["ssh_key_ids"]
        .as_array()
        .map(|ids| ids.iter().filter_map(Value::as_i64).collect::<Vec<_>>())
        .unwrap();
    for kind in ["rsa", "ecdsa"] {
        keys.push(add_key(user, kind, &client.make_key_of(kind, kind).await).await);
    }
    set_ssh(user, id, true, &keys).await;
    for kind in ["rsa", "ecdsa"] {
        let config = std::fs::read_to_string(client.path("config")).unwrap();
        let path = |name: &str| client.path(name).display().to_string();
        std::fs::write(client.path("other"), config.replace(&path("user"), &path(kind))).unwrap();
        for way in ["by-user", "by-jump"] {
            until(&format!("a key of {kind} to open {way}"), 10, async || {
                let output = client.output("ssh", &["-F", &path("other"), way, "hostname"]).await;
                (out(&output) == "machine-0").then_some(())
            })
            .await;
        }
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// One container for everything that does not end it.
#[tokio::test]
async fn every_way_leads_to_the_container_with_every_tool() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let ann = berthd.user(4600, "ann");
    let (client, id) = machine(&berthd, &ann).await;
    let namespace = ann.namespace(&id);
    kubectl::sh(&namespace, forwards::SERVE).await.expect("a server starts");
    tools::bring_rsync(&client).await;
    for way in WAYS {
        tools::commands(&client, way).await;
        tools::terminal(&client, way).await;
        tools::files(&client, way).await;
        tools::folders(&client, way).await;
        forwards::everything(&client, way).await;
    }
    tools::multiplexing(&client, &berthd, "by-user").await;
    tools::much_data(&client, "by-user", 1024, 128).await;
    tools::much_data(&client, "by-jump", 128, 1024).await;
    clients::dropbear(&client, &berthd, &id).await;
    clients::python(&client, &berthd, &id).await;
    other_keys(&client, &ann, &id).await;
    // The same gateway after a restart.
    let before = berthd.gateway_host_key();
    let mut berthd = berthd;
    let (_, session) = ends::open(&client, "by-user").await;
    let pid = rustix::process::Pid::from_raw(berthd.pid().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = session.wait_with_output().await.unwrap();
    assert!(err(&output).contains("the gateway is being restarted"), "{output:?}");
    berthd.kill();
    berthd.launch().await;
    opens(&client, "by-user").await;
    opens(&client, "by-jump").await;
    assert_eq!(berthd.gateway_host_key(), before);
    berthd.user(4600, "ann").removed(&id).await;
}
