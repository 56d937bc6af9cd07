//! The API server goes away and comes back; others take away what is ours. The rows stay the truth.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_e2e::berthd::{Berthd, Setup, service_kubeconfig};
use berth_e2e::tcp_proxy::TcpProxy;
use berth_e2e::{kubectl, until};
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_down_is_told_and_waited_for() {
    let mut proxy = TcpProxy::start(&service_kubeconfig()).await;
    let mut berthd = Berthd::set_up(Setup { kubeconfig: Some(proxy.kubeconfig()), ..Setup::default() });
    berthd.launch().await;
    let ann = berthd.user(91, "ann");
    let id = ann.create("before").await;
    ann.settled(&id, "running").await;

    proxy.down();
    let told = async || {
        let (status, body) = ann.call(Method::GET, "/readyz", None).await;
        (status == StatusCode::SERVICE_UNAVAILABLE).then_some(body)
    };
    let body = until("readyz to say what is down", 30, told).await;
    assert!(body["detail"].as_str().unwrap().contains("Kubernetes API server"), "{body}");
    // Intents are still taken, and nothing is claimed that was not seen.
    assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
    let later = ann.create("meanwhile").await;
    assert_eq!(ann.get(&later).await.1["status"], "pending");
    assert_eq!(ann.get(&id).await.1["transition"], "stopping");

    proxy.up().await;
    // The recovery that is promised, not the container's own start.
    let ready = async || (ann.call(Method::GET, "/readyz", None).await.0 == StatusCode::OK).then_some(());
    until("readyz to be well again", 30, ready).await;
    let at_work = async || {
        let namespace = ann.namespace(&later);
        kubectl::exists("namespace", &namespace).await.then_some(())
    };
    until("the work that waited to go on", 30, at_work).await;
    tokio::join!(ann.settled(&id, "stopped"), ann.settled(&later, "running"));
    tokio::join!(ann.removed(&id), ann.removed(&later));
}

#[tokio::test]
async fn what_others_take_away_is_made_again() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(92, "ann");
    let id = ann.create("one").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    let uid = async |kind: &str, name: &str| {
        let words = ["-n", &namespace, "get", kind, name, "-o", "jsonpath={.metadata.uid}"];
        kubectl::try_run(&words).await.filter(|uid| !uid.is_empty())
    };
    for (kind, name) in
        [("networkpolicy", "berth"), ("resourcequota", "berth"), ("statefulset", "machine"), ("pod", "machine-0")]
    {
        let before = uid(kind, name).await.unwrap();
        kubectl::run(&["-n", &namespace, "delete", kind, name, "--wait=false"]).await;
        let again = async || uid(kind, name).await.filter(|now| *now != before).map(drop);
        until(&format!("the {kind} to be made again"), 60, again).await;
    }
    ann.settled(&id, "running").await;
    ann.removed(&id).await;
}

#[tokio::test]
async fn leftovers_without_a_row_are_removed_and_others_are_left_alone() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(93, "ann");
    let id = ann.create("one").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    let label = "jsonpath={.metadata.labels.berth\\.dev/installation}";
    let ours = kubectl::run(&["get", "namespace", &namespace, "-o", label]).await;
    let left = |name: &str, installation: &str, container: &str| {
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": {
            "berth.dev/installation": installation, "berth.dev/container": container,
        }}})
    };
    assert!(kubectl::apply(&left("compute-93-zzzzzzz2", &ours, "zzzzzzz2")).await.is_some());
    assert!(kubectl::apply(&left("compute-93-zzzzzzz3", "another", "zzzzzzz3")).await.is_some());
    assert!(kubectl::apply(&left("compute-93-zzzzzzz4", &ours, "zzzzzzz5")).await.is_some());
    let gone = async || (!kubectl::exists("namespace", "compute-93-zzzzzzz2").await).then_some(());
    until("the leftover to be swept", 150, gone).await;
    assert!(kubectl::exists("namespace", "compute-93-zzzzzzz3").await, "another installation's");
    assert!(kubectl::exists("namespace", "compute-93-zzzzzzz4").await, "a name that its label contradicts");
    kubectl::run(&["delete", "namespace", "compute-93-zzzzzzz3", "compute-93-zzzzzzz4", "--wait=false"]).await;
    ann.removed(&id).await;
}
