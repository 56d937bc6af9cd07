//! Keys, rules, SSH and settings of a container, over HTTP.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

const ED25519: &str = include_str!("../../../core/tests/keys/ed25519.pub");
const ECDSA: &str = include_str!("../../../core/tests/keys/ecdsa-b256.pub");

async fn container(server: &Server, token: &str) -> String {
    let created = server.post("/compute/containers", token, &json!({ "name": "a" })).await;
    assert_eq!(created.status, StatusCode::CREATED, "{:?}", created.body);
    format!("/compute/containers/{}", created.body["id"].as_str().unwrap())
}

async fn key(server: &Server, token: &str, name: &str, line: &str) -> Value {
    let added = server.post("/compute/ssh-keys", token, &json!({ "name": name, "public_key": line })).await;
    assert_eq!(added.status, StatusCode::CREATED, "{:?}", added.body);
    added.body
}

#[tokio::test]
async fn keys_are_added_listed_and_removed() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    assert_eq!(server.get("/compute/ssh-keys", &token).await.body, json!({ "ssh_keys": [] }));
    let one = key(&server, &token, "laptop", ED25519).await;
    assert_eq!((&one["name"], &one["public_key"]), (&json!("laptop"), &json!(ED25519.trim_end())));
    assert_eq!(one["fingerprint"], "SHA256:vymujbyaTD3KEY1dibFH4uMamaMmlcM9XO2rJuabifw");
    assert!(one["created_at"].as_str().unwrap().ends_with('Z') && one["last_used_at"].is_null());
    let other_comment = json!({ "name": "b", "public_key": ED25519.replace("ann@laptop", "ben") });
    let again = server.post("/compute/ssh-keys", &token, &other_comment).await;
    assert_eq!((again.status, &again.body["field"]), (StatusCode::CONFLICT, &json!("public_key")));
    key(&server, &server.jwt(8, "ben", 3600), "mine too", ED25519).await;
    let two = key(&server, &token, "desk", ECDSA).await;
    let listed = server.get("/compute/ssh-keys", &token).await.body;
    assert_eq!(listed, json!({ "ssh_keys": [two, one] }));
    let path = format!("/compute/ssh-keys/{}", one["id"]);
    assert_eq!(server.delete(&path, &server.jwt(8, "ben", 3600)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.delete(&path, &token).await.body, json!({ "status": "ok" }));
    assert_eq!(server.delete(&path, &token).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.delete("/compute/ssh-keys/x", &token).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/compute/quota", &token).await.body["ssh_keys"], json!({ "used": 1, "limit": 10 }));
}

#[tokio::test]
async fn tokens_reach_keys_by_their_scope() {
    let server = Server::start().await;
    let reader = server.scoped(7, "ann", &json!({ "compute.7.keys": ["read"] }));
    let writer = server.scoped(7, "ann", &json!({ "compute.7.keys": ["create", "delete"] }));
    let body = json!({ "name": "a", "public_key": ED25519 });
    assert_eq!(server.get("/compute/ssh-keys", &reader).await.status, StatusCode::OK);
    assert_eq!(server.post("/compute/ssh-keys", &reader, &body).await.status, StatusCode::FORBIDDEN);
    let added = server.post("/compute/ssh-keys", &writer, &body).await;
    assert_eq!(added.status, StatusCode::CREATED);
    assert_eq!(server.get("/compute/ssh-keys", &writer).await.status, StatusCode::FORBIDDEN);
    let path = format!("/compute/ssh-keys/{}", added.body["id"]);
    assert_eq!(server.delete(&path, &reader).await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.delete(&path, &writer).await.status, StatusCode::OK);
}

#[tokio::test]
async fn rules_come_and_go_and_443_is_https() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let path = container(&server, &token).await;
    let rules = format!("{path}/ingress");
    assert_eq!(server.get(&rules, &token).await.body, json!({ "rules": [] }));
    let made = server.post(&rules, &token, &json!({ "port": 8080, "target_port": 3000 })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let (port, target) = (&made.body["port"], &made.body["target_port"]);
    assert_eq!((port, target, &made.body["protocol"]), (&json!(8080), &json!(3000), &json!("http")));
    assert!(made.body["id"].is_i64() && made.body["created_at"].is_i64(), "unix seconds: {:?}", made.body);
    let taken = server.post(&rules, &token, &json!({ "port": 8080 })).await;
    assert_eq!((taken.status, &taken.body["field"]), (StatusCode::CONFLICT, &json!("port")));
    let raw = json!({ "port": 8022, "target_port": 22, "protocol": "tcp" });
    let homeless = server.post(&rules, &token, &raw).await;
    assert_eq!(
        (homeless.status, &homeless.body["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("protocol")),
        "it has no address of its own"
    );
    let https = async || server.get(&path, &token).await.body["https_enabled"].clone();
    assert_eq!(https().await, false);
    let secure = server.post(&rules, &token, &json!({ "port": 443 })).await;
    assert_eq!(secure.body["target_port"], 443, "the same unless it is named");
    assert_eq!(https().await, true);
    let listed = server.get(&rules, &token).await.body;
    assert_eq!(listed, json!({ "rules": [secure.body, made.body] }));
    assert_eq!(server.delete(&format!("{rules}/443"), &token).await.body, json!({ "status": "ok" }));
    assert_eq!(https().await, false);
    for gone in ["443", "80", "x", "99999999999999999999"] {
        assert_eq!(server.delete(&format!("{rules}/{gone}"), &token).await.status, StatusCode::NOT_FOUND, "{gone}");
    }
}

#[tokio::test]
async fn raw_tcp_has_a_port_of_an_address_for_itself() {
    let address = "203.0.113.7";
    let server = Server::start_with(|config| config.addresses = vec![address.parse().unwrap()].into()).await;
    let (ann, bob) = (server.jwt(7, "ann", 3600), server.jwt(8, "bob", 3600));
    let (of_ann, of_bob) = (container(&server, &ann).await, container(&server, &bob).await);
    assert_eq!(server.get(&of_ann, &ann).await.body["external_ip"], address);
    let raw = json!({ "port": 8022, "target_port": 22, "protocol": "tcp" });
    let made = server.post(&format!("{of_ann}/ingress"), &ann, &raw).await;
    assert_eq!((made.status, &made.body["protocol"]), (StatusCode::CREATED, &json!("tcp")));
    for rule in [raw, json!({ "port": 8022 })] {
        let taken = server.post(&format!("{of_bob}/ingress"), &bob, &rule).await;
        assert_eq!((taken.status, &taken.body["field"]), (StatusCode::CONFLICT, &json!("port")), "{:?}", taken.body);
        assert!(taken.body["detail"].as_str().unwrap().contains(address), "it says where: {:?}", taken.body);
    }
    assert_eq!(
        server.post(&format!("{of_bob}/ingress"), &bob, &json!({ "port": 8023 })).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn ssh_is_turned_on_for_somebody_only() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let path = container(&server, &token).await;
    let ssh = format!("{path}/ssh");
    assert_eq!(server.get(&ssh, &token).await.body, json!({ "ssh_enabled": false, "ssh_key_ids": [] }));
    let on = json!({ "ssh_enabled": true });
    let refused = server.put(&ssh, &token, &on).await;
    assert_eq!((refused.status, &refused.body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("ssh_enabled")));
    assert!(refused.body["detail"].as_str().unwrap().contains("/compute/ssh-keys"), "it says what to do");
    let one = key(&server, &token, "laptop", ED25519).await["id"].clone();
    let set = server.put(&ssh, &token, &on).await;
    assert_eq!((set.status, set.body), (StatusCode::OK, json!({ "ssh_enabled": true, "ssh_key_ids": [one] })));
    assert_eq!(server.get(&path, &token).await.body["ssh_enabled"], true);
    let two = key(&server, &token, "desk", ECDSA).await["id"].clone();
    let both = server.put(&ssh, &token, &json!({ "ssh_enabled": true, "ssh_key_ids": [two, one] })).await;
    assert_eq!(both.body["ssh_key_ids"], json!([one, two]));
    server.delete(&format!("/compute/ssh-keys/{one}"), &token).await;
    assert_eq!(server.get(&ssh, &token).await.body, json!({ "ssh_enabled": true, "ssh_key_ids": [two] }));
    let off = server.put(&ssh, &token, &json!({ "ssh_enabled": false })).await;
    assert_eq!(off.body, json!({ "ssh_enabled": false, "ssh_key_ids": [two] }));
}

#[tokio::test]
async fn mounts_and_pull_policy() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let path = container(&server, &token).await;
    let mounts = format!("{path}/mounts");
    assert_eq!(server.get(&mounts, &token).await.body, json!({ "mount_paths": ["/root"] }));
    let set = server.put(&mounts, &token, &json!({ "mount_paths": ["/root", "/var/data"] })).await;
    assert_eq!(set.body, json!({ "mount_paths": ["/root", "/var/data"], "restarted": false }), "nothing runs here");
    assert_eq!(server.get(&path, &token).await.body["mount_paths"], json!(["/root", "/var/data"]));
    let policy = json!({ "pull_policy": "Always" });
    let set = server.put(&format!("{path}/pull-policy"), &token, &policy).await;
    assert_eq!((set.status, &set.body), (StatusCode::OK, &policy));
    assert_eq!(server.get(&path, &token).await.body["pull_policy"], "Always");
}

#[tokio::test]
async fn every_bad_value_is_named() {
    let server = Server::start().await;
    let token = server.jwt(7, "ann", 3600);
    let path = container(&server, &token).await;
    let keys = || "/compute/ssh-keys".to_owned();
    let of = |part: &str| format!("{path}/{part}");
    let long = "x".repeat(1 << 15);
    for (method, url, body, field) in [
        (Method::POST, keys(), json!({ "public_key": ED25519 }), "name"),
        (Method::POST, keys(), json!({ "name": "", "public_key": ED25519 }), "name"),
        (Method::POST, keys(), json!({ "name": "a\nb", "public_key": ED25519 }), "name"),
        (Method::POST, keys(), json!({ "name": "x".repeat(64), "public_key": ED25519 }), "name"),
        (Method::POST, keys(), json!({ "name": "a" }), "public_key"),
        (Method::POST, keys(), json!({ "name": "a", "public_key": 1 }), "public_key"),
        (Method::POST, keys(), json!({ "name": "a", "public_key": "" }), "public_key"),
        (Method::POST, keys(), json!({ "name": "a", "public_key": long }), "public_key"),
        (Method::POST, keys(), json!({ "name": "a", "public_key": format!("{ED25519}{ECDSA}") }), "public_key"),
        (Method::POST, keys(), json!({ "name": "a", "public_key": format!("no-pty {ED25519}") }), "public_key"),
        (
            Method::POST,
            keys(),
            json!({ "name": "a", "public_key": "-----BEGIN OPENSSH PRIVATE KEY-----" }),
            "public_key",
        ),
        (Method::POST, keys(), json!({ "name": "a", "public_key": ED25519, "kind": 1 }), "kind"),
        (Method::POST, of("ingress"), json!({}), "port"),
        (Method::POST, of("ingress"), json!({ "port": 22 }), "port"),
        (Method::POST, of("ingress"), json!({ "port": 9000 }), "port"),
        (Method::POST, of("ingress"), json!({ "port": -80 }), "port"),
        (Method::POST, of("ingress"), json!({ "port": "80" }), "port"),
        (Method::POST, of("ingress"), json!({ "port": 80.5 }), "port"),
        (Method::POST, of("ingress"), json!({ "port": 80, "target_port": 0 }), "target_port"),
        (Method::POST, of("ingress"), json!({ "port": 80, "target_port": 65536 }), "target_port"),
        (Method::POST, of("ingress"), json!({ "port": 80, "target_port": 22022 }), "target_port"),
        (Method::POST, of("ingress"), json!({ "port": 80, "protocol": "udp" }), "protocol"),
        (Method::POST, of("ingress"), json!({ "port": 80, "protocol": "tcp" }), "protocol"),
        (Method::POST, of("ingress"), json!({ "port": 80, "prot": "tcp" }), "prot"),
        (Method::PUT, of("ssh"), json!({}), "ssh_enabled"),
        (Method::PUT, of("ssh"), json!({ "ssh_enabled": "yes" }), "ssh_enabled"),
        (Method::PUT, of("ssh"), json!({ "ssh_enabled": true }), "ssh_enabled"),
        (Method::PUT, of("ssh"), json!({ "ssh_enabled": true, "ssh_key_ids": [99] }), "ssh_key_ids"),
        (Method::PUT, of("ssh"), json!({ "ssh_enabled": true, "ssh_key_ids": ["x"] }), "ssh_key_ids"),
        (Method::PUT, of("mounts"), json!({}), "mount_paths"),
        (Method::PUT, of("mounts"), json!({ "mount_paths": [] }), "mount_paths"),
        (Method::PUT, of("mounts"), json!({ "mount_paths": ["/lib64"] }), "mount_paths"),
        (Method::PUT, of("mounts"), json!({ "mount_paths": ["/a", "/a/b"] }), "mount_paths"),
        (Method::PUT, of("mounts"), json!({ "mount_paths": null }), "mount_paths"),
        (Method::PUT, of("pull-policy"), json!({}), "pull_policy"),
        (Method::PUT, of("pull-policy"), json!({ "pull_policy": "Never" }), "pull_policy"),
        (Method::PUT, of("pull-policy"), json!({ "pull_policy": "" }), "pull_policy"),
    ] {
        let answer = server.send(server.request(method, &url, Some(&token)).json(&body)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{url} {field}: {:?}", answer.body);
        assert_eq!(answer.body["field"], field, "{url}: {:?}", answer.body);
    }
    assert_eq!(server.get("/compute/ssh-keys", &token).await.body, json!({ "ssh_keys": [] }));
    assert_eq!(server.get(&of("ingress"), &token).await.body, json!({ "rules": [] }));
    assert_eq!(server.get(&of("mounts"), &token).await.body, json!({ "mount_paths": ["/root"] }));
}
