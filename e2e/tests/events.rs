//! What happens to a container is told in order and in plain words, stays when the pod is gone and berthd was killed, and can be
//! waited for.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use berth_e2e::berthd::{Berthd, Setup, User, service_kubeconfig};
use berth_e2e::{images, kubectl, until};
use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;

/// How a container comes to run, in order.
const START: [&str; 6] = ["volume", "scheduled", "pulled", "seeding", "started", "ready"];

async fn events(user: &User<'_>, id: &str) -> Vec<Value> {
    let (status, body) = user.call(Method::GET, &format!("/compute/containers/{id}/events"), None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["events"].as_array().unwrap().clone()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Those of `wanted` that were told, in the order in which they were.
fn only<'a>(events: &'a [Value], wanted: &[&str]) -> Vec<&'a str> {
    types(events).into_iter().filter(|kind| wanted.contains(kind)).collect()
}

async fn told(user: &User<'_>, id: &str, kind: &str) -> Value {
    let found = async || events(user, id).await.into_iter().find(|event| event["type"] == kind);
    until(&format!("{kind} to be told"), 120, found).await
}

async fn create(user: &User<'_>, body: Value) -> String {
    let (status, answer) = user.call(Method::POST, "/compute/containers", Some(&body)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn wait(user: &User<'_>, id: &str, goal: &str, seconds: u64) -> Value {
    let path = format!("/compute/containers/{id}/wait?for={goal}&timeout={seconds}");
    let (status, body) = user.call(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

#[tokio::test]
async fn a_life_is_told_in_order_and_kept() {
    let mut berthd = Berthd::start().await;
    let never = Berthd::start_with(&[("BERTH_CLUSTER__IMAGE_VOLUMES", "never")]).await;
    let (id, before) = {
        let ann = berthd.user(4300, "ann");
        let (mut socket, _) = connect_async(ann.socket_url()).await.unwrap();
        let id = ann.create("one").await;
        assert_eq!(wait(&ann, &id, "running", 120).await["reached"], true);
        let all = events(&ann, &id).await;
        assert_eq!(types(&all)[0], "created");
        assert_eq!(only(&all, &START), START, "{all:?}");
        assert!(all.iter().all(|event| event["count"] == 1), "{all:?}");
        for event in &all {
            let message = event["message"].as_str().unwrap();
            for inner in ["machine-0", "compute-", "10.", "pvc-", "berth/agent", "kubelet"] {
                assert!(!message.contains(inner), "{message}");
            }
        }

        let mut over_socket: Vec<Value> = Vec::new();
        while over_socket.last().is_none_or(|event| event["type"] != "ready") {
            let frame = tokio::time::timeout(Duration::from_secs(60), socket.next()).await;
            let frame =
                frame.unwrap_or_else(|_| panic!("gave up waiting for ready: {over_socket:?}")).unwrap().unwrap();
            let Ok(value) = serde_json::from_str::<Value>(frame.to_text().unwrap_or_default()) else { continue };
            if value["type"] == "container_event" {
                let mut data = value["data"].clone();
                assert_eq!(data.as_object_mut().unwrap().remove("container_id"), Some(json!(id)));
                over_socket.push(data);
            }
        }
        assert_eq!(over_socket, all, "the same, each once");

        assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
        assert_eq!(wait(&ann, &id, "stopped", 120).await["reached"], true);
        assert!(!kubectl::exists_in(&ann.namespace(&id), "pod", "machine-0").await);
        let all = events(&ann, &id).await;
        let ends = ["stop_requested", "stopping", "stopped"];
        assert_eq!(only(&all, &ends), ends, "{all:?}");
        assert_eq!(only(&all, &START), START);
        (id, all)
    };

    berthd.kill();
    berthd.launch().await;
    let ann = berthd.user(4300, "ann");
    assert_eq!(events(&ann, &id).await, before, "nothing is lost, nothing is told twice");
    // By when it starts again, everything that the cluster still keeps of the first time was read once more.
    assert_eq!(ann.post(&id, "start").await.0, StatusCode::OK);
    assert_eq!(wait(&ann, &id, "running", 120).await["reached"], true);
    let all = events(&ann, &id).await;
    assert_eq!(all[..before.len()], before);
    let again = ["start_requested", "scheduled", "pulled", "seeding", "started", "ready"];
    assert_eq!(only(&all[before.len()..], &again), again, "{all:?}");
    assert!(!types(&all[before.len()..]).contains(&"volume"), "the disk is the same");
    ann.removed(&id).await;

    let ben = never.user(4301, "ben");
    let id = ben.create("one").await;
    assert_eq!(wait(&ben, &id, "running", 120).await["reached"], true);
    let all = events(&ben, &id).await;
    assert_eq!(only(&all, &START), START, "without image volumes: {all:?}");
    ben.removed(&id).await;
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let berthd = Berthd::start().await;
    let grows = images::push("told-grows", &["python3", "-c", "grown = b'x' * (1 << 30)"]).await;
    let exits = images::push("told-exits", &["sh", "-c", "exit 3"]).await;
    let user = berthd.user(4302, "ann");
    let of = |name: &str, image: &str| json!({ "name": name, "image": image, "memory_mb": 64, "storage_gb": 1 });
    let grown = create(&user, of("grows", &grows)).await;
    let lacks = create(&user, of("lacks", &images::push_lost("told-lacks").await)).await;
    let ended = create(&user, of("ends", &exits)).await;

    let oom = told(&user, &grown, "oom").await;
    assert!(oom["message"].as_str().unwrap().contains("more than its memory"), "{oom}");
    let failed = told(&user, &lacks, "pull_failed").await;
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("cannot be pulled") && message.contains("not found"), "{message}");
    let exited = told(&user, &ended, "exited").await;
    assert!(exited["message"].as_str().unwrap().contains("exit code 3"), "{exited}");
    told(&user, &ended, "back_off").await;
    let counted = async || {
        let found = events(&user, &lacks).await;
        let failed: Vec<_> = found.into_iter().filter(|event| event["type"] == "pull_failed").collect();
        (failed.len() == 1 && failed[0]["count"].as_i64() > Some(1)).then_some(())
    };
    until("a pull that fails again to be counted up in its event", 120, counted).await;
    let hopeless = wait(&user, &lacks, "running", 600).await;
    assert_eq!((&hopeless["reached"], &hopeless["reason"]), (&json!(false), &json!("ImagePullFailed")));
    for id in [&grown, &lacks, &ended] {
        user.removed(id).await;
    }
}

#[tokio::test]
async fn waiting_waits() {
    let berthd = Berthd::start().await;
    let (ann, ben) = (berthd.user(4303, "ann"), berthd.user(4304, "ben"));
    let id = ann.create("one").await;
    let waiting = async |count: f64| {
        let seen = async || (berthd.metric("berth_waiting_requests").await == count).then_some(());
        until("the requests to wait", 60, seen).await;
    };
    let (running, settled) = tokio::join!(wait(&ann, &id, "running", 120), wait(&ann, &id, "settled", 120));
    assert_eq!((&running["reached"], &settled["reached"]), (&json!(true), &json!(true)));
    assert_eq!(running["container"]["status"], "running");

    let stop = async {
        waiting(1.0).await;
        ann.post(&id, "stop").await;
    };
    let (stopped, ()) = tokio::join!(wait(&ann, &id, "stopped", 120), stop);
    assert_eq!((&stopped["reached"], &stopped["transition"]), (&json!(true), &Value::Null));
    assert!(!kubectl::exists_in(&ann.namespace(&id), "pod", "machine-0").await);

    let namespace = ann.namespace(&id);
    let delete = async {
        waiting(1.0).await;
        assert_eq!(ann.delete(&id).await, StatusCode::OK);
    };
    let (deleted, ()) = tokio::join!(wait(&ann, &id, "deleted", 120), delete);
    assert_eq!((&deleted["reached"], &deleted["container"]), (&json!(true), &Value::Null));
    assert!(!kubectl::exists("namespace", &namespace).await, "it is really gone");
    assert!(berthd.rows().await.is_empty());
    assert_eq!(wait(&ben, &id, "deleted", 600).await["reached"], true);

    // More memory than the node has.
    let body = json!({ "name": "big", "memory_mb": 200_000, "storage_gb": 1 });
    let big = create(&ann, body).await;
    let placed = async || (ann.get(&big).await.1["reason"] == "Unschedulable").then_some(());
    until("the scheduler to say no", 60, placed).await;
    let late = wait(&ann, &big, "settled", 1).await;
    assert_eq!((&late["reached"], &late["reason"]), (&json!(false), &json!("Unschedulable")));
    assert!(late["message"].as_str().unwrap().contains("memory"), "{late}");
    let why = told(&ann, &big, "unschedulable").await;
    assert!(!why["message"].as_str().unwrap().contains("preemption"), "{why}");
    ann.removed(&big).await;
}

/// Credentials with all of berthd's rights but to watch events, as an older deploy/rbac.yaml gives them.
async fn deaf_kubeconfig(folder: &std::path::Path) -> std::path::PathBuf {
    let name = "berthd-e2e-deaf";
    let mut role: Value =
        serde_json::from_str(&kubectl::run(&["get", "clusterrole", "berthd", "-o", "json"]).await).unwrap();
    role["metadata"] = json!({ "name": name });
    for rule in role["rules"].as_array_mut().unwrap() {
        if rule["resources"] == json!(["events"]) {
            rule["verbs"] = json!(["list"]);
        }
    }
    let account = json!({ "kind": "ServiceAccount", "name": name, "namespace": "berth-system" });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name }, "subjects": [account],
    });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": "berth-system" } });
    for object in [role, account, binding] {
        kubectl::apply(&object).await.unwrap();
    }
    let token = kubectl::run(&["-n", "berth-system", "create", "token", name]).await;
    let usual = std::fs::read_to_string(service_kubeconfig()).unwrap();
    let (before, rest) = usual.split_once("token: \"").expect("a token");
    let (_, after) = rest.split_once('"').unwrap();
    let path = folder.join("kubeconfig");
    std::fs::write(&path, format!("{before}token: \"{token}\"{after}")).unwrap();
    path
}

#[tokio::test]
async fn without_the_right_to_watch_events_most_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = Some(deaf_kubeconfig(folder.path()).await);
    let mut berthd = Berthd::set_up(Setup { kubeconfig, ..Setup::default() });
    berthd.launch().await;
    let ann = berthd.user(4305, "ann");
    let id = ann.create("one").await;
    let image = images::push_lost("deaf-lacks").await;
    let lacks = json!({ "name": "lacks", "image": image, "memory_mb": 64, "storage_gb": 1 });
    let lacks = create(&ann, lacks).await;
    assert_eq!(wait(&ann, &id, "running", 120).await["reached"], true);
    let all = events(&ann, &id).await;
    assert_eq!(only(&all, &START), START, "{all:?}");
    told(&ann, &lacks, "pull_failed").await;
    until("its log to say what is missing", 60, async || {
        berthd.log().contains("events cannot be watched").then_some(())
    })
    .await;
    for id in [&id, &lacks] {
        ann.removed(id).await;
    }
}
