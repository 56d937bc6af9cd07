//! Keys, rules, SSH, mounts and pull policy on the real cluster: what is in the policy, in the route and in the pod.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_e2e::berthd::{Berthd, User};
use berth_e2e::public::PublicHost;
use berth_e2e::ssh::call;
use berth_e2e::{kubectl, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const KEY: &str = include_str!("../../crates/core/tests/keys/ed25519.pub");
const FINGERPRINT: &str = "SHA256:vymujbyaTD3KEY1dibFH4uMamaMmlcM9XO2rJuabifw";
/// A change is to be in force within two seconds; the rest is a busy machine's.
const SOON: u64 = 5;

/// A server in a container, by what the base image holds.
const SERVE: &str = "python3 -c \"import socket,os
s=socket.socket(); s.setsockopt(1,2,1); s.bind(('0.0.0.0',3000)); s.listen()
os.fork() and os._exit(0)
os.setsid()
[os.close(n) for n in (0,1,2)]
while True: s.accept()[0].close()\"";

async fn put(user: &User<'_>, id: &str, part: &str, body: Value) -> Value {
    call(user, Method::PUT, &format!("/compute/containers/{id}/{part}"), body).await
}

async fn open(user: &User<'_>, id: &str, rule: Value) {
    call(user, Method::POST, &format!("/compute/containers/{id}/ingress"), rule).await;
}

async fn add_key(user: &User<'_>) -> i64 {
    call(user, Method::POST, "/compute/ssh-keys", json!({ "name": "laptop", "public_key": KEY })).await["id"]
        .as_i64()
        .unwrap()
}

async fn object(namespace: &str, kind: &str, name: &str) -> Value {
    let text = kubectl::try_run(&["-n", namespace, "get", kind, name, "-o", "json"]).await;
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

async fn route(namespace: &str, id: &str) -> Value {
    object(namespace, "route", id).await["spec"].clone()
}

/// The ports that the policy opens, each with whether public addresses are among its peers.
async fn policy(namespace: &str) -> Vec<(i64, bool)> {
    let policy = object(namespace, "networkpolicy", "berth").await;
    let rules = policy["spec"]["ingress"].as_array().cloned().unwrap_or_default();
    let ports = rules.iter().flat_map(|rule| {
        let public = rule["from"].as_array().unwrap().iter().any(|peer| peer["ipBlock"]["cidr"] == "0.0.0.0/0");
        let gateway = rule["from"].as_array().unwrap().iter().any(|peer| !peer["podSelector"].is_null());
        assert!(gateway, "the gateway is let in wherever anybody is: {rule}");
        rule["ports"].as_array().unwrap().iter().map(move |port| (port["port"].as_i64().unwrap(), public))
    });
    ports.collect()
}

async fn shows<F: Fn(&Value) -> bool>(what: &str, namespace: &str, id: &str, check: F) {
    until(what, SOON, async || Some(route(namespace, id).await).filter(|spec| check(spec)).map(drop)).await;
}

async fn has_policy(what: &str, namespace: &str, expected: &[(i64, bool)]) {
    until(what, SOON, async || (policy(namespace).await == expected).then_some(())).await;
}

/// What changes when a pod is replaced, and when its process is started again.
async fn incarnation(namespace: &str) -> (String, Value) {
    let pod = object(namespace, "pod", "machine-0").await;
    let uid = pod["metadata"]["uid"].as_str().expect("a pod that runs").to_owned();
    (uid, pod["status"]["containerStatuses"][0]["restartCount"].clone())
}

async fn gone(user: &User<'_>, id: &str) {
    assert_eq!(user.delete(id).await, StatusCode::OK);
    let namespace = user.namespace(id);
    until("the namespace to go", 60, async || (!kubectl::exists("namespace", &namespace).await).then_some(())).await;
}

#[tokio::test]
async fn a_rule_opens_its_port_while_it_is_there() {
    let visitor = PublicHost::start();
    let berthd = Berthd::start().await;
    let ann = berthd.user(100, "ann");
    let id = ann.create("rules").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    let before = incarnation(&namespace).await;
    shows("the route", &namespace, &id, |spec| {
        spec["hostname"] == format!("{id}.compute.berth.local")
            && spec["owner"] == json!({ "id": 100, "username": "ann" })
    })
    .await;
    kubectl::sh(&namespace, SERVE).await.expect("a server starts");
    let pod = object(&namespace, "pod", "machine-0").await;
    let address = pod["status"]["podIP"].as_str().unwrap();
    until("the server to listen", 20, async || {
        kubectl::sh(&namespace, "timeout 2 bash -c '</dev/tcp/127.0.0.1/3000'").await.map(drop)
    })
    .await;
    assert!(!visitor.reaches(address, 3000), "nothing is open before there is a rule");

    open(&ann, &id, json!({ "port": 8080, "target_port": 3000 })).await;
    has_policy("the policy to open 3000", &namespace, &[(3000, true)]).await;
    shows("the route to name the rule", &namespace, &id, |spec| {
        spec["rules"] == json!([{ "port": 8080, "targetPort": 3000, "protocol": "http" }])
    })
    .await;
    until("the visitor to be let in", SOON, async || visitor.reaches(address, 3000).then_some(())).await;
    assert!(!visitor.reaches(address, 22022), "a rule opens its own port alone");
    open(&ann, &id, json!({ "port": 443, "target_port": 3000 })).await;
    assert_eq!(ann.get(&id).await.1["https_enabled"], true);
    shows("the route to name both", &namespace, &id, |spec| spec["ports"] == "443:3000 8080:3000").await;
    let table = kubectl::run(&["get", "routes", "-n", &namespace]).await;
    for word in ["NAME", "OWNER", "HOST", "SSH", "PORTS", "AGE", &id, "ann", "false", "443:3000 8080:3000"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }

    for port in [8080, 443] {
        let path = format!("/compute/containers/{id}/ingress/{port}");
        assert_eq!(ann.call(Method::DELETE, &path, None).await.0, StatusCode::OK);
    }
    has_policy("the policy to close 3000", &namespace, &[]).await;
    shows("the route to forget the rules", &namespace, &id, |spec| spec["rules"] == json!([])).await;
    until("the visitor to be kept out", SOON, async || (!visitor.reaches(address, 3000)).then_some(())).await;
    assert_eq!(incarnation(&namespace).await, before, "rules restart nothing");
    gone(&ann, &id).await;
}

#[tokio::test]
async fn ssh_and_its_keys_reach_the_route_without_a_restart() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(101, "ann");
    let id = ann.create("ssh").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    let before = incarnation(&namespace).await;
    let path = format!("/compute/containers/{id}/ssh");
    let (status, answer) = ann.call(Method::PUT, &path, Some(&json!({ "ssh_enabled": true }))).await;
    assert_eq!((status, &answer["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("ssh_enabled")));
    let key = add_key(&ann).await;

    let on = put(&ann, &id, "ssh", json!({ "ssh_enabled": true })).await;
    assert_eq!(on, json!({ "ssh_enabled": true, "ssh_key_ids": [key] }));
    let public = KEY.trim().strip_suffix(" ann@laptop").unwrap();
    let keys = json!([{ "id": key, "fingerprint": FINGERPRINT, "publicKey": public }]);
    shows("the key in the route", &namespace, &id, |spec| {
        spec["ssh"] == json!({ "enabled": true, "port": 22022, "keys": keys })
    })
    .await;
    has_policy("the agent's port to be open to the gateway alone", &namespace, &[(22022, false)]).await;

    assert_eq!(ann.call(Method::DELETE, &format!("/compute/ssh-keys/{key}"), None).await.0, StatusCode::OK);
    shows("the deleted key to leave the route", &namespace, &id, |spec| spec["ssh"]["keys"] == json!([])).await;
    put(&ann, &id, "ssh", json!({ "ssh_enabled": false })).await;
    shows("SSH to be off in the route", &namespace, &id, |spec| spec["ssh"]["enabled"] == false).await;
    has_policy("the agent's port to be closed", &namespace, &[]).await;
    assert_eq!(incarnation(&namespace).await, before, "neither keys nor the toggle restart anything");

    kubectl::run(&["-n", &namespace, "delete", "route", &id]).await;
    shows("a deleted route to come back", &namespace, &id, |spec| spec["container"] == id).await;
    gone(&ann, &id).await;
}

#[tokio::test]
async fn changed_mounts_restart_and_keep_every_paths_data() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(102, "ann");
    let id = ann.create("mounts").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    kubectl::sh(&namespace, "echo kept > /root/file").await.unwrap();
    let first = incarnation(&namespace).await;

    let same = put(&ann, &id, "mounts", json!({ "mount_paths": ["/root"] })).await;
    assert_eq!(same, json!({ "mount_paths": ["/root"], "restarted": false }));
    let set = put(&ann, &id, "mounts", json!({ "mount_paths": ["/var/data", "/root"] })).await;
    assert_eq!(set, json!({ "mount_paths": ["/var/data", "/root"], "restarted": true }));
    let body = ann.get(&id).await.1;
    assert_eq!(body["transition"], "restarting", "{body}");
    ann.settled(&id, "running").await;
    let second = incarnation(&namespace).await;
    assert_ne!(second.0, first.0, "a fresh pod, with the new list");
    assert_eq!(kubectl::sh(&namespace, "cat /root/file && echo too > /var/data/file").await.as_deref(), Some("kept"));
    let mounted = kubectl::sh(&namespace, "grep -c ' /var/data ' /proc/mounts").await;
    assert_eq!(mounted.as_deref(), Some("1"), "on the disk");

    put(&ann, &id, "mounts", json!({ "mount_paths": ["/root"] })).await;
    ann.settled(&id, "running").await;
    assert!(kubectl::sh(&namespace, "cat /var/data/file").await.is_none(), "a removed path is not there");
    put(&ann, &id, "mounts", json!({ "mount_paths": ["/root", "/var/data"] })).await;
    ann.settled(&id, "running").await;
    let back = kubectl::sh(&namespace, "cat /root/file /var/data/file").await;
    assert_eq!(back.as_deref(), Some("kept\ntoo"), "added again, it has its data");
    let third = incarnation(&namespace).await;
    let again = put(&ann, &id, "mounts", json!({ "mount_paths": ["/var/data", "/root"] })).await;
    assert_eq!(again["restarted"], false, "the order means nothing");
    assert_eq!(incarnation(&namespace).await, third);
    gone(&ann, &id).await;
}

#[tokio::test]
async fn a_pull_policy_waits_for_the_next_start() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(103, "ann");
    let id = ann.create("policy").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    let before = incarnation(&namespace).await;
    // As an earlier version made it: the first change of the template must not roll that pod either.
    let rolling = r#"{"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}}}}"#;
    kubectl::run(&["-n", &namespace, "patch", "statefulset", "machine", "--type=merge", "-p", rolling]).await;
    let set = put(&ann, &id, "pull-policy", json!({ "pull_policy": "Always" })).await;
    assert_eq!(set, json!({ "pull_policy": "Always" }));
    let policy_of = async |kind, name, pointer: &str| object(&namespace, kind, name).await.pointer(pointer).cloned();
    let template = "/spec/template/spec/containers/0/imagePullPolicy";
    until("the template to follow", SOON, async || {
        (policy_of("statefulset", "machine", template).await? == "Always").then_some(())
    })
    .await;
    // The StatefulSet's own controller has seen the change when its status says so: whatever it would do has begun.
    until("the change to be noted", 20, async || {
        let set = object(&namespace, "statefulset", "machine").await;
        (set["status"]["observedGeneration"] == set["metadata"]["generation"]).then_some(())
    })
    .await;
    let container = "/spec/containers/0/imagePullPolicy";
    assert_eq!(policy_of("pod", "machine-0", container).await, Some(json!("IfNotPresent")));
    assert_eq!(incarnation(&namespace).await, before);
    ann.settled(&id, "running").await;

    // Even where the start comes before the stop was acted on.
    assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
    assert_eq!(ann.post(&id, "start").await.1["status"], "pending");
    ann.settled(&id, "running").await;
    assert_eq!(policy_of("pod", "machine-0", container).await, Some(json!("Always")));
    assert_ne!(incarnation(&namespace).await.0, before.0);
    gone(&ann, &id).await;
}

#[tokio::test]
async fn killed_right_after_a_reply_it_converges() {
    let mut berthd = Berthd::start().await;
    let id = berthd.user(104, "ann").create("killed").await;
    berthd.user(104, "ann").settled(&id, "running").await;
    let namespace = berthd.user(104, "ann").namespace(&id);
    let before = incarnation(&namespace).await;
    let key = add_key(&berthd.user(104, "ann")).await;

    open(&berthd.user(104, "ann"), &id, json!({ "port": 80, "target_port": 3000 })).await;
    berthd.kill();
    berthd.launch().await;
    until("the rule after a kill", 60, async || (policy(&namespace).await == [(3000, true)]).then_some(())).await;
    until("the rule in the route after a kill", 60, async || {
        (route(&namespace, &id).await["ports"] == "80:3000").then_some(())
    })
    .await;

    put(&berthd.user(104, "ann"), &id, "ssh", json!({ "ssh_enabled": true })).await;
    berthd.kill();
    berthd.launch().await;
    until("SSH in the route after a kill", 60, async || {
        let ssh = &route(&namespace, &id).await["ssh"];
        (ssh["enabled"] == true && ssh["keys"][0]["id"] == key).then_some(())
    })
    .await;
    until("the agent's port after a kill", 60, async || {
        (policy(&namespace).await == [(3000, true), (22022, false)]).then_some(())
    })
    .await;
    berthd.user(104, "ann").settled(&id, "running").await;
    assert_eq!(incarnation(&namespace).await, before, "nothing restarted so far");

    let set = put(&berthd.user(104, "ann"), &id, "mounts", json!({ "mount_paths": ["/root", "/data"] })).await;
    berthd.kill();
    assert_eq!(set["restarted"], true);
    berthd.launch().await;
    let ann = berthd.user(104, "ann");
    ann.settled(&id, "running").await;
    let pod = object(&namespace, "pod", "machine-0").await;
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/data"), "{mounts:?}");

    // Deleting, the route goes first: nobody is led to what is going.
    assert_eq!(ann.delete(&id).await, StatusCode::OK);
    berthd.kill();
    berthd.launch().await;
    until("the namespace to go", 60, async || (!kubectl::exists("namespace", &namespace).await).then_some(())).await;
    assert_eq!(berthd.user(104, "ann").get(&id).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_suspended_user_is_out_and_the_containers_stop() {
    let berthd = Berthd::start_with(&[("ADMIN_USERNAME", "boss")]).await;
    let (boss, ann) = (berthd.user(161, "boss"), berthd.user(162, "ann"));
    let id = ann.create("one").await;
    ann.settled(&id, "running").await;
    let suspension = "/compute/admin/users/162/suspension";
    let suspend = async |suspended: bool| {
        let body = json!({ "suspended": suspended });
        assert_eq!(boss.call(Method::PUT, suspension, Some(&body)).await.0, StatusCode::OK);
    };
    suspend(true).await;
    assert_eq!(ann.get(&id).await.0, StatusCode::FORBIDDEN);
    let gone = async || (!kubectl::exists_in(&ann.namespace(&id), "pod", "machine-0").await).then_some(());
    until("the suspended user's pod to go", 60, gone).await;
    suspend(false).await;
    ann.settled(&id, "stopped").await;
    ann.removed(&id).await;
}
