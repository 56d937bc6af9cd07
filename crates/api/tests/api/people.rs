//! What administrators see and do: users, suspension, the audit log.

use berth_grant::ed25519_dalek::SigningKey;
use berth_grant::{GatewayKeys, report};
use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Answer, Server};

async fn admin(server: &Server) -> String {
    server.login("admin", "right").await.body["token"].as_str().unwrap().to_owned()
}

async fn suspend(server: &Server, admin: &str, user: i64, suspended: bool) -> Answer {
    let path = format!("/compute/admin/users/{user}/suspension");
    let request = server.request(Method::PUT, &path, Some(admin)).json(&json!({ "suspended": suspended }));
    server.send(request).await
}

async fn log(server: &Server, admin: &str, query: &str) -> Vec<Value> {
    let page = server.get(&format!("/compute/admin/audit?{query}"), admin).await;
    assert_eq!(page.status, StatusCode::OK, "{:?}", page.body);
    page.body["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_suspended_user_is_out_until_that_ends() {
    let server = Server::start().await;
    let (admin, ann) = (admin(&server).await, server.jwt(160, "ann", 3600));
    let made = server.post("/compute/containers", &ann, &json!({ "name": "a" })).await;
    let path = format!("/compute/containers/{}", made.body["id"].as_str().unwrap());
    let token = server.post("/auth/tokens", &ann, &json!({ "name": "t" })).await;
    let token = token.body["secret"].as_str().unwrap();
    let url = format!("ws://{}/compute/ws?token={ann}", server.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();

    let suspended = suspend(&server, &admin, 160, true).await;
    assert_eq!(suspended.status, StatusCode::OK);
    assert!(suspended.body["suspended_at"].is_string());
    assert_eq!((&suspended.body["username"], &suspended.body["containers"]), (&json!("ann"), &json!(1)));
    let refused = server.get("/compute/containers", &ann).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::FORBIDDEN, &json!("suspended")));
    assert_eq!(server.get("/auth/me", token).await.status, StatusCode::UNAUTHORIZED);
    let closed = async {
        loop {
            if let tokio_tungstenite::tungstenite::Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() {
                return u16::from(frame.code);
            }
        }
    };
    let code = tokio::time::timeout(std::time::Duration::from_secs(20), closed).await;
    assert_eq!(code.expect("gave up waiting for the socket to be closed"), 4401);
    let all = server.get("/compute/admin/containers", &admin).await;
    assert_eq!((&all.body[0]["owner"], &all.body[0]["status"]), (&json!("ann"), &json!("stopped")));

    let back = suspend(&server, &admin, 160, false).await;
    assert_eq!((back.status, &back.body["suspended_at"]), (StatusCode::OK, &Value::Null));
    assert_eq!(server.get(&path, &ann).await.body["status"], "stopped", "containers stay stopped");
    assert_eq!(server.get("/auth/me", token).await.status, StatusCode::UNAUTHORIZED, "tokens stay ended");
    assert_eq!(server.post(&format!("{path}/start"), &ann, &json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_suspended_account_is_told_so_only_when_it_knows_its_password() {
    let server = Server::start().await;
    let root = server.jwt(161, "root", 3600);
    let admin = admin(&server).await;
    let me = server.get("/auth/me", &admin).await.body["user_id"].as_i64().unwrap();
    let own = suspend(&server, &admin, me, true).await;
    assert_eq!((own.status, &own.body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("user_id")));
    assert_eq!(suspend(&server, &root, me, true).await.status, StatusCode::FORBIDDEN, "no administrator");
    assert_eq!(suspend(&server, &admin, 999, true).await.status, StatusCode::NOT_FOUND);
    let path = "/compute/admin/users/161/suspension";
    for (body, field) in [(json!({}), "suspended"), (json!({ "suspended": "yes" }), "suspended")] {
        let answer = server.send(server.request(Method::PUT, path, Some(&admin)).json(&body)).await;
        assert_eq!((answer.status, &answer.body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)));
    }

    server.suspend_account("admin").await;
    assert_eq!(server.get("/auth/me", &admin).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.login("admin", "wrong").await.status, StatusCode::UNAUTHORIZED);
    let right = server.login("admin", "right").await;
    assert_eq!((right.status, &right.body["code"]), (StatusCode::FORBIDDEN, &json!("suspended")));
    assert!(!right.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn users_are_listed_with_what_they_have() {
    let server = Server::start().await;
    let (admin, ann) = (admin(&server).await, server.jwt(160, "Ann B", 3600));
    server.post("/compute/containers", &ann, &json!({ "name": "a" })).await;
    let users = server.get("/compute/admin/users", &admin).await;
    let users = users.body["users"].as_array().unwrap();
    let [first, second] = &users[..] else { panic!("two users: {users:?}") };
    assert_eq!((&first["id"], &first["username"], &first["source"]), (&json!(160), &json!("ann-b"), &json!("jwt")));
    assert_eq!((&first["containers"], &first["is_admin"]), (&json!(1), &json!(false)));
    assert_eq!((&second["username"], &second["source"]), (&json!("admin"), &json!("local")));
    assert_eq!((&second["is_admin"], &second["suspended_at"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn who_did_what_is_in_the_log() {
    let server = Server::start().await;
    let (admin, ann) = (admin(&server).await, server.jwt(160, "ann", 3600));
    let made = server.post("/compute/containers", &ann, &json!({ "name": "a" })).await;
    let id = made.body["id"].as_str().unwrap().to_owned();
    server.post(&format!("/compute/containers/{id}/stop"), &ann, &json!({})).await;
    let failed = server.login("admin", "wrong").await;
    let denied = server.get("/compute/admin/users", &ann).await;
    assert_eq!((failed.status, denied.status), (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN));

    let all = log(&server, &admin, "").await;
    let seen: Vec<_> =
        all.iter().map(|line| (line["action"].as_str().unwrap(), line["outcome"].as_str().unwrap())).collect();
    let expected = [
        ("admin.call", "denied"),
        ("auth.login", "denied"),
        ("container.stop", "ok"),
        ("container.create", "ok"),
        ("user.create", "ok"),
        ("auth.login", "ok"),
        ("user.create", "ok"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(all[0]["target"], "GET /compute/admin/users");
    assert_eq!(all[0]["request_id"], denied.headers["x-request-id"].to_str().unwrap());
    assert_eq!((&all[1]["username"], &all[1]["user_id"]), (&json!("admin"), &Value::Null));
    assert_eq!((&all[2]["target"], &all[2]["from"]), (&json!(id), &json!("127.0.0.1")));
    assert_eq!(log(&server, &admin, "user=160").await.len(), 4);
    assert_eq!(log(&server, &admin, "user=ann&action=container.stop").await.len(), 1);
    assert_eq!(log(&server, &admin, &format!("target={id}&limit=1")).await.len(), 1);
    assert_eq!(log(&server, &admin, "until=2020-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(log(&server, &admin, "since=2020-01-01T00:00:00%2B02:00").await.len(), 7);
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_bad_questions_are_named() {
    let server = Server::start().await;
    let (admin, ann) = (admin(&server).await, server.jwt(160, "ann", 3600));
    for name in ["a", "b", "c", "d", "e"] {
        server.post("/compute/containers", &ann, &json!({ "name": name })).await;
    }
    let (mut pages, mut ids, mut cursor) = (0, Vec::new(), String::new());
    loop {
        let path = format!("/compute/admin/audit?action=container.create&limit=2{cursor}");
        let page = server.get(&path, &admin).await.body;
        pages += 1;
        ids.extend(page["entries"].as_array().unwrap().iter().map(|line| line["id"].as_i64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((pages, ids.len()), (3, 5));
    assert!(ids.is_sorted_by(|a, b| a > b));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=1", "cursor"),
        ("action=container", "action"),
        ("user=", "user"),
        ("target=%00", "target"),
        ("since=yesterday", "since"),
        ("until=2026-01-15", "until"),
        ("since=2026-01-15T10:30:00Z&until=2026-01-14T10:30:00Z", "until"),
        ("page=2", "page"),
    ] {
        let answer = server.get(&format!("/compute/admin/audit?{query}"), &admin).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {:?}", answer.body);
        assert_eq!(answer.body["field"], field, "{query}");
    }
}

#[tokio::test]
async fn nobody_fills_the_log_by_being_denied() {
    let server = Server::start().await;
    let ann = server.jwt(160, "ann", 3600);
    // Sixty a minute, and one more each second that this takes: a slow machine needs some more calls.
    let mut denied = 0;
    let limited = loop {
        match server.get("/compute/admin/users", &ann).await.status {
            StatusCode::FORBIDDEN if denied < 400 => denied += 1,
            status => break status,
        }
    };
    assert_eq!(limited, StatusCode::TOO_MANY_REQUESTS, "after {denied} denied calls");
    let admin = admin(&server).await;
    assert_eq!(log(&server, &admin, "action=admin.call&limit=500").await.len(), denied);
}

#[tokio::test]
async fn gateways_report_connections_and_nobody_else_does() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let keys = GatewayKeys::from(vec![key.verifying_key()]);
    let server = Server::start_with(|config| config.gateway_keys = Some(keys)).await;
    let (admin, ann) = (admin(&server).await, server.jwt(160, "ann", 3600));
    let made = server.post("/compute/containers", &ann, &json!({ "name": "a" })).await.body;
    let connection = json!({
        "id": "9f86d081884c7d659f86d081884c7d65", "protocol": "ssh", "container_id": made["id"], "user_id": 160,
        "username": "ann", "key": "SHA256:abc", "from": "203.0.113.7", "started_at": "2026-01-15T10:30:00Z",
        "duration_ms": 81250, "bytes_in": 4711, "bytes_out": 1_048_576,
    });
    let report = async |connection: &Value, key: &SigningKey| {
        let body = json!({ "connections": [connection] }).to_string();
        let signature = report::sign(body.as_bytes(), key);
        let request = server.request(Method::POST, "/compute/gateway/connections", None);
        server.send(request.header(report::HEADER, signature).body(body)).await
    };
    let forged = report(&connection, &SigningKey::from_bytes(&[8; 32])).await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED);
    for _twice in 0..2 {
        assert_eq!(report(&connection, &key).await.status, StatusCode::NO_CONTENT);
    }
    let lines = log(&server, &admin, "action=connection.ssh").await;
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["username"], &lines[0]["target"]), (&json!("ann"), &made["id"]));
    assert_eq!(lines[0]["detail"]["bytes_in"], 4711);
    for (field, value) in [
        ("id", json!("9F")),
        ("container_id", json!("x")),
        ("duration_ms", json!(-1)),
        ("username", json!("")),
        ("key", json!("x".repeat(1000))),
    ] {
        let mut bad = connection.clone();
        bad[field] = value;
        let answer = report(&bad, &key).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {:?}", answer.body);
    }
}
