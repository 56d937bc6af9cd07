//! The life of a container on the real node.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use berth_e2e::berthd::Berthd;
use berth_e2e::{kubectl, until};
use futures::StreamExt;
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;
use tokio_tungstenite::connect_async;

/// Whether the volume's image is mounted on this machine, where the embedded node runs.
fn is_mounted(volume: &str) -> bool {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(volume)
}

#[tokio::test]
async fn from_create_to_delete() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(41, "ann");
    let (mut socket, _) = connect_async(ann.socket_url()).await.unwrap();
    let id = ann.create("one").await;
    let mut seen: Vec<String> = Vec::new();
    while seen.last().map(String::as_str) != Some("running") {
        let frame = tokio::time::timeout(Duration::from_secs(120), socket.next()).await;
        let frame = frame.unwrap_or_else(|_| panic!("gave up waiting for running; seen {seen:?}")).unwrap().unwrap();
        let Ok(value) = serde_json::from_str::<Value>(frame.to_text().unwrap_or_default()) else { continue };
        let status = if value["type"] == "containers" { &value["data"][0]["status"] } else { &value["data"]["status"] };
        if let Some(status) = status.as_str().filter(|status| seen.last().map(String::as_str) != Some(status)) {
            seen.push(status.to_owned());
        }
    }
    assert_eq!(seen, ["pending", "initializing", "running"]);

    let namespace = ann.namespace(&id);
    assert!(kubectl::exists("namespace", &namespace).await);
    assert_eq!(kubectl::sh(&namespace, "echo kept > /root/file && id -u").await.as_deref(), Some("0"));
    let mapping = kubectl::sh(&namespace, "awk '$1 == 0 { print $2 }' /proc/self/uid_map").await.unwrap();
    assert_ne!(mapping, "0", "root inside is nobody outside");

    assert_eq!(ann.post(&id, "stop").await.1["status"], "stopped");
    ann.settled(&id, "stopped").await;
    assert!(!kubectl::exists_in(&namespace, "pod", "machine-0").await);
    assert_eq!(ann.post(&id, "start").await.0, StatusCode::OK);
    ann.settled(&id, "running").await;
    assert_eq!(kubectl::sh(&namespace, "cat /root/file").await.as_deref(), Some("kept"));

    let volume = kubectl::run(&["-n", &namespace, "get", "pvc", "disk", "-o", "jsonpath={.spec.volumeName}"]).await;
    assert!(is_mounted(&volume), "the disk is not mounted at all: its going would show nothing");
    assert_eq!(ann.delete(&id).await, StatusCode::OK);
    assert_eq!(ann.get(&id).await.0, StatusCode::NOT_FOUND);
    let gone = async |kind, name: &str| (!kubectl::exists(kind, name).await).then_some(());
    until("the namespace to go", 60, async || gone("namespace", &namespace).await).await;
    until("the volume to go", 60, async || gone("pv", &volume).await).await;
    until("the disk to be unmounted", 60, async || (!is_mounted(&volume)).then_some(())).await;
    until("the row to go", 60, async || berthd.rows().await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn many_containers_of_several_users_do_not_cross() {
    let berthd = Berthd::start().await;
    let users: Vec<_> = (0..7).map(|number| berthd.user(50 + number, &format!("user{number}"))).collect();
    let creates = users
        .iter()
        .flat_map(|user| (0..3).map(move |number| async move { (user, user.create(&format!("c{number}")).await) }));
    let made = join_all(creates).await;
    assert_eq!(made.len(), 21);
    join_all(made.iter().map(|(user, id)| user.settled(id, "running"))).await;
    for (user, id) in &made {
        let stranger = users.iter().find(|other| other.id != user.id).unwrap();
        assert_eq!(stranger.get(id).await.0, StatusCode::NOT_FOUND);
        assert_eq!(stranger.delete(id).await, StatusCode::NOT_FOUND);
    }
    for (user, id) in &made {
        assert_eq!(user.delete(id).await, StatusCode::OK);
    }
    for (user, id) in &made {
        let namespace = user.namespace(id);
        until("all namespaces to go", 120, async || (!kubectl::exists("namespace", &namespace).await).then_some(()))
            .await;
    }
}
