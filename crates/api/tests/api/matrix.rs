//! Every operation of the description × every kind of caller that must not get through. An operation that this table does
//! not know fails the test.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

/// Who may call.
#[derive(Clone, Copy, PartialEq)]
enum Door {
    Public,
    /// The own account; a token without the scope is refused.
    Scoped,
    /// One container of the own; strangers do not learn that it exists.
    Owned,
    /// Anybody who is known.
    Known,
    /// People who logged in; tokens are refused.
    Login,
    Admin,
    /// Gateways, which sign what they send; nobody else, administrators neither.
    Gateway,
}

const DOORS: &[(&str, &str, Door)] = &[
    ("get", "/compute/containers", Door::Scoped),
    ("post", "/compute/containers", Door::Scoped),
    ("get", "/compute/containers/{id}", Door::Owned),
    ("delete", "/compute/containers/{id}", Door::Owned),
    ("post", "/compute/containers/{id}/start", Door::Owned),
    ("post", "/compute/containers/{id}/stop", Door::Owned),
    ("get", "/compute/containers/{id}/events", Door::Owned),
    ("get", "/compute/containers/{id}/wait", Door::Owned),
    ("put", "/compute/containers/{id}/pull-policy", Door::Owned),
    ("get", "/compute/containers/{id}/mounts", Door::Owned),
    ("put", "/compute/containers/{id}/mounts", Door::Owned),
    ("get", "/compute/containers/{id}/ssh", Door::Owned),
    ("put", "/compute/containers/{id}/ssh", Door::Owned),
    ("get", "/compute/containers/{id}/ingress", Door::Owned),
    ("post", "/compute/containers/{id}/ingress", Door::Owned),
    ("delete", "/compute/containers/{id}/ingress/{port}", Door::Owned),
    ("get", "/compute/images", Door::Scoped),
    ("get", "/compute/ssh-keys", Door::Scoped),
    ("post", "/compute/ssh-keys", Door::Scoped),
    ("delete", "/compute/ssh-keys/{key_id}", Door::Scoped),
    ("get", "/compute/instance-types", Door::Scoped),
    ("get", "/compute/quota", Door::Scoped),
    ("get", "/compute/ws", Door::Scoped),
    ("get", "/compute/containers/{id}/logs", Door::Owned),
    ("get", "/compute/containers/{id}/terminal", Door::Owned),
    ("get", "/compute/admin/containers", Door::Admin),
    ("get", "/compute/admin/users", Door::Admin),
    ("put", "/compute/admin/users/{user_id}/suspension", Door::Admin),
    ("get", "/compute/admin/audit", Door::Admin),
    ("post", "/compute/gateway/connections", Door::Gateway),
    ("post", "/auth/login", Door::Public),
    ("post", "/auth/logout", Door::Known),
    ("get", "/auth/me", Door::Known),
    ("get", "/auth/methods", Door::Public),
    ("get", "/auth/oidc/login", Door::Public),
    ("get", "/auth/oidc/callback", Door::Public),
    ("get", "/auth/tokens", Door::Login),
    ("post", "/auth/tokens", Door::Login),
    ("delete", "/auth/tokens/{token_id}", Door::Login),
    ("get", "/healthz", Door::Public),
    ("get", "/readyz", Door::Public),
    ("get", "/openapi.json", Door::Public),
];

#[tokio::test]
async fn no_operation_lets_a_wrong_caller_through() {
    let server = Server::start().await;
    let owner = server.jwt(7, "ann", 3600);
    let created = server.post("/compute/containers", &owner, &json!({ "name": "mine" })).await;
    let id = created.body["id"].as_str().unwrap().to_owned();
    let revoked = revoked_token(&server).await;
    let expired = server.jwt(7, "ann", -10);
    // Another container's scope, which opens nothing else.
    let narrow = server.scoped(7, "ann", &json!({ "compute.7.containers.bcdfghjk": ["read"] }));
    let stranger = server.jwt(8, "ben", 3600);

    let description: Value = serde_json::from_str(&berth_api::openapi_json().unwrap()).unwrap();
    let mut seen = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let known = DOORS.iter().find(|(m, p, _)| m == method && p == path);
            let (_, _, door) =
                known.unwrap_or_else(|| panic!("{method} {path} is not in the matrix: say who may call it"));
            seen += 1;
            let mut url = path.replace("{id}", &id).replace("{token_id}", "1").replace("{key_id}", "1");
            url = url.replace("{port}", "80").replace("{user_id}", "7");
            let call = async |token: Option<&str>| status(&server, method, &url, token).await;
            let what = format!("{method} {path}");
            if *door == Door::Public {
                assert!(![StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&call(None).await), "{what}");
                continue;
            }
            for (who, token) in [("anonymous", None), ("expired", Some(&expired)), ("revoked", Some(&revoked))] {
                assert_eq!(call(token.map(String::as_str)).await, StatusCode::UNAUTHORIZED, "{what} as {who}");
            }
            match door {
                Door::Public | Door::Known => {}
                Door::Gateway => assert_eq!(call(Some(&stranger)).await, StatusCode::UNAUTHORIZED, "{what} as a user"),
                Door::Scoped | Door::Login | Door::Admin => {
                    assert_eq!(call(Some(&narrow)).await, StatusCode::FORBIDDEN, "{what} with a wrong scope");
                }
                Door::Owned => {
                    assert_eq!(call(Some(&narrow)).await, StatusCode::FORBIDDEN, "{what} with a wrong scope");
                    assert_eq!(call(Some(&stranger)).await, StatusCode::NOT_FOUND, "{what} as another user");
                }
            }
            if *door == Door::Admin {
                assert_eq!(call(Some(&stranger)).await, StatusCode::FORBIDDEN, "{what} as no administrator");
            }
        }
    }
    assert_eq!(seen, DOORS.len(), "the matrix knows an operation that is gone");
    assert_eq!(
        server.get(&format!("/compute/containers/{id}"), &owner).await.body["status"],
        "pending",
        "nobody changed it"
    );
}

async fn status(server: &Server, method: &str, path: &str, token: Option<&str>) -> StatusCode {
    let method: Method = method.to_uppercase().parse().unwrap();
    let mut request = server.request(method.clone(), path, token);
    if path.ends_with("/ws") || path.ends_with("/terminal") {
        request = request
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    } else if method == Method::POST || method == Method::PUT {
        request = request.json(&body(path));
    }
    request.send().await.unwrap().status()
}

/// What the owner could send there.
fn body(path: &str) -> Value {
    match path.rsplit('/').next().unwrap_or_default() {
        "login" => json!({ "username": "x", "password": "x" }),
        "pull-policy" => json!({ "pull_policy": "Always" }),
        "mounts" => json!({ "mount_paths": ["/data"] }),
        "ssh" => json!({ "ssh_enabled": false }),
        "ingress" => json!({ "port": 80 }),
        "ssh-keys" => json!({ "name": "x", "public_key": include_str!("../../../core/tests/keys/ed25519.pub") }),
        _ => json!({ "name": "x" }),
    }
}

async fn revoked_token(server: &Server) -> String {
    let login = server.login("admin", "right").await;
    let session = login.body["token"].as_str().unwrap();
    let made = server.post("/auth/tokens", session, &json!({ "name": "t" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let secret = made.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/auth/me", &secret).await.status, StatusCode::OK);
    assert_eq!(server.get("/auth/tokens", &secret).await.status, StatusCode::FORBIDDEN, "tokens do not make tokens");
    server.delete(&format!("/auth/tokens/{}", made.body["id"]), session).await;
    secret
}
