//! Logins and bearers of a real OIDC provider: npm's certified `oidc-provider`, run by each test.
#![allow(clippy::unwrap_used, reason = "test code")]

#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the interface, which use all of it")]
#[path = "../api/harness.rs"]
mod harness;
mod provider;

use berth_core::name::Username;
use chrono::Utc;
use harness::{Answer, Server};
use provider::{Browser, Page, Provider};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

const API: &str = "urn:berth:api";
const SESSION: &str = "__Host-berth";
const ATTEMPT: &str = "__Host-berth-oidc";

/// A server that trusts a provider; `root` is the configured administrator's name.
async fn start() -> (Server, Provider) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let provider = Provider::start(&format!("{url}/auth/oidc/callback"));
    let oidc = json!({
        "issuer": provider.issuer, "client_id": "berth", "client_secret": "a secret of the tests", "audience": API,
        "admin_group": { "claim": "groups", "value": "berth-admins" },
    });
    let server = Server::start_on(listener, oidc, |config| {
        config.admin_username = Some(Username::parse("root").unwrap());
        config.logins_per_minute = 100;
    });
    (server.await, provider)
}

fn base(server: &Server) -> String {
    format!("http://{}", server.address)
}

fn at_home(server: &Server) -> impl Fn(&Url) -> bool + use<> {
    let address = server.address.port();
    move |url: &Url| url.port() == Some(address) && !url.path().starts_with("/auth/")
}

/// A whole login; the session's secret.
async fn login(server: &Server, browser: &mut Browser) -> String {
    let begin = format!("{}/auth/oidc/login?return_to=/containers%3Ftab%3D1", base(server));
    let landed = browser.follow(&begin, at_home(server)).await;
    let landed = landed.unwrap_or_else(|page| panic!("{}: {}", page.status, page.body));
    assert_eq!(landed.as_str(), format!("{}/containers?tab=1", base(server)));
    browser.cookie(&base(server), SESSION).expect("a session")
}

/// Goes to the provider, and stops before the browser comes back to us.
async fn up_to_the_callback(server: &Server, browser: &mut Browser) -> Url {
    let begin = format!("{}/auth/oidc/login", base(server));
    let back = browser.follow(&begin, |url| url.path() == "/auth/oidc/callback").await;
    back.unwrap_or_else(|page| panic!("{}: {}", page.status, page.body))
}

async fn me(server: &Server, token: &str) -> Answer {
    server.get("/auth/me", token).await
}

/// Claims of a good access token for ann, changed by `other`.
fn claims(provider: &Provider, other: &Value) -> Value {
    let now = Utc::now().timestamp();
    let mut all = json!({ "iss": provider.issuer, "aud": API, "sub": "ann-1", "iat": now, "exp": now + 600 });
    all.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    all
}

fn json_of(page: &Page) -> Value {
    serde_json::from_str(&page.body).unwrap()
}

#[tokio::test]
async fn a_browser_logs_in_and_is_the_same_user_again() {
    let (server, provider) = start().await;
    let methods = server.send(server.request(reqwest::Method::GET, "/auth/methods", None)).await;
    let oidc = json!({ "issuer": provider.issuer, "login_url": "/auth/oidc/login" });
    assert_eq!(methods.body, json!({ "password": true, "oidc": oidc }));

    let mut browser = Browser::default();
    let first = login(&server, &mut browser).await;
    assert_eq!(browser.cookie(&base(&server), ATTEMPT), None, "an attempt is made once");
    let ann = me(&server, &first).await;
    assert_eq!((&ann.body["username"], &ann.body["is_admin"]), (&json!("ann-b"), &json!(false)));
    let second = login(&server, &mut browser).await;
    assert_ne!(first, second, "every login has a session of its own");
    assert_eq!(me(&server, &second).await.body, ann.body);
    // What a person may do: make tokens, and containers.
    assert_eq!(server.post("/auth/tokens", &second, &json!({ "name": "t" })).await.status, StatusCode::CREATED);
    assert_eq!(server.post("/compute/containers", &second, &json!({ "name": "a" })).await.status, StatusCode::CREATED);
    assert_eq!(server.login("ann-b", "right").await.status, StatusCode::UNAUTHORIZED, "no password leads there");
}

#[tokio::test]
async fn the_redirect_to_the_issuer_shows_nothing_that_finishes_the_login() {
    let (server, provider) = start().await;
    let mut browser = Browser::default();
    let begin = Url::parse(&format!("{}/auth/oidc/login", base(&server))).unwrap();
    let page = browser.get(&begin, "text/html").await;
    assert_eq!((page.status, page.headers["cache-control"].to_str().unwrap()), (StatusCode::FOUND, "no-store"));
    let to = Url::parse(page.headers["location"].to_str().unwrap()).unwrap();
    assert!(to.as_str().starts_with(&format!("{}/auth?", provider.issuer)));
    let query: std::collections::BTreeMap<_, _> = to.query_pairs().into_owned().collect();
    assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
    assert_eq!(query["redirect_uri"], format!("{}/auth/oidc/callback", base(&server)));
    assert_eq!(query["scope"], "openid profile email");
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    for flag in ["__Host-berth-oidc=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=600"] {
        assert!(cookie.contains(flag), "{flag}: {cookie}");
    }
    for name in ["state", "nonce", "code_challenge"] {
        assert!(!cookie.contains(&query[name]), "{name} is not in the cookie as it is");
    }
    for bad in ["//evil.example", "https://evil.example", "/%5Cevil.example", "evil"] {
        let path = format!("/auth/oidc/login?return_to={bad}");
        let answer = server.send(server.request(reqwest::Method::GET, &path, None)).await;
        assert_eq!((answer.status, &answer.body["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("return_to")));
    }
}

#[tokio::test]
async fn a_callback_that_the_browser_did_not_ask_for_is_refused() {
    let (server, provider) = start().await;
    let mut attacker = Browser::default();
    let callback = up_to_the_callback(&server, &mut attacker).await;
    let mut victim = Browser::default();
    // The attacker's code and state, in a browser that began nothing, and in one that began its own login.
    for begun in [false, true] {
        if begun {
            up_to_the_callback(&server, &mut victim).await;
        }
        let page = victim.get(&callback, "application/json").await;
        assert_eq!((page.status, json_of(&page)["code"].as_str()), (StatusCode::BAD_REQUEST, Some("malformed")));
        assert_eq!(victim.cookie(&base(&server), SESSION), None);
    }
    // The attacker's code under the victim's own state: the nonce and the PKCE verifier are another login's.
    let mut own = up_to_the_callback(&server, &mut victim).await;
    let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let pairs: Vec<_> = own.query_pairs().into_owned().filter(|(name, _)| name != "code").collect();
    own.query_pairs_mut().clear().extend_pairs(pairs).append_pair("code", &code);
    let page = victim.get(&own, "application/json").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{}", page.body);
    assert!(json_of(&page)["detail"].as_str().unwrap().contains("invalid_grant"), "{}", page.body);
    // An answer of another issuer (RFC 9207).
    let mut own = up_to_the_callback(&server, &mut victim).await;
    let pairs: Vec<_> = own.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
    own.query_pairs_mut().clear().extend_pairs(pairs).append_pair("iss", "https://evil.example");
    assert_eq!(victim.get(&own, "application/json").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(victim.cookie(&base(&server), SESSION), None);
    drop(provider);
}

#[tokio::test]
async fn a_refusal_is_a_page_for_people_and_json_for_programs() {
    let (server, provider) = start().await;
    provider.account("refuse").await;
    let mut browser = Browser::default();
    let Err(page) = browser.follow(&format!("{}/auth/oidc/login", base(&server)), at_home(&server)).await else {
        panic!("a refused login went home");
    };
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(page.body.contains("the issuer said access_denied"), "{}", page.body);
    assert_eq!(browser.cookie(&base(&server), SESSION), None);
    let mut callback = up_to_the_callback(&server, &mut browser).await;
    let state = callback.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    callback.query_pairs_mut().clear().append_pair("state", &state).append_pair("error", "<script>alert(1)</script>");
    let page = browser.get(&callback, "text/html").await;
    assert!(page.status == StatusCode::UNAUTHORIZED && !page.body.contains("script"), "{}", page.body);
    let admin = server.login("admin", "right").await.body["token"].as_str().unwrap().to_owned();
    let log = server.get("/compute/admin/audit?action=auth.login", &admin).await.body;
    let denied: Vec<_> = log["entries"].as_array().unwrap().iter().filter(|line| line["outcome"] == "denied").collect();
    assert_eq!(denied.len(), 2);
    assert!(denied.iter().all(|line| line["target"] == provider.issuer), "{denied:?}");
}

#[tokio::test]
async fn names_and_groups_make_administrators_as_configured_only() {
    let (server, provider) = start().await;
    // Whoever calls itself as the configured administrator is none, and does not take the name.
    provider.account("root").await;
    let root = me(&server, &login(&server, &mut Browser::default()).await).await.body;
    assert_eq!((&root["username"], &root["is_admin"]), (&json!("root-oidc"), &json!(false)));
    let jwt = me(&server, &server.jwt(160, "root", 3600)).await.body;
    assert_eq!(
        (&jwt["username"], &jwt["is_admin"]),
        (&json!("root"), &json!(true)),
        "the service that shares our secret"
    );

    provider.account("boss").await;
    let boss = login(&server, &mut Browser::default()).await;
    assert_eq!(me(&server, &boss).await.body["is_admin"], true);
    assert_eq!(server.get("/compute/admin/users", &boss).await.status, StatusCode::OK);
    // A bearer token speaks for itself.
    let groups = json!({ "sub": "ann-1", "groups": ["berth-admins"] });
    let token = provider.sign(&claims(&provider, &groups), &json!({}), "new").await;
    assert_eq!(me(&server, &token).await.body["is_admin"], true);
    let token = provider.sign(&claims(&provider, &json!({})), &json!({}), "new").await;
    assert_eq!(me(&server, &token).await.body["is_admin"], false);
}

#[tokio::test]
async fn a_real_access_token_is_a_bearer() {
    let (server, provider) = start().await;
    let verifier = "v".repeat(64);
    let challenge = openidconnect::PkceCodeChallenge::from_code_verifier_sha256(&openidconnect::PkceCodeVerifier::new(
        verifier.clone(),
    ));
    let mut url = Url::parse(&format!("{}/auth", provider.issuer)).unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", "cli")
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", "http://127.0.0.1:1/cli")
        .append_pair("scope", "openid profile compute")
        .append_pair("resource", API)
        .append_pair("code_challenge", challenge.as_str())
        .append_pair("code_challenge_method", "S256");
    let back = Browser::default().follow(url.as_str(), |url| url.path() == "/cli").await;
    let back = back.unwrap_or_else(|page| panic!("{}: {}", page.status, page.body));
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "cli"),
        ("code", code.as_str()),
        ("redirect_uri", "http://127.0.0.1:1/cli"),
        ("code_verifier", verifier.as_str()),
        ("resource", API),
    ];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = reqwest::Client::new().post(format!("{}/token", provider.issuer));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
    let tokens: Value = request.send().await.unwrap().json().await.unwrap();
    let access = tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}"));
    let ann = me(&server, access).await;
    assert_eq!((ann.status, &ann.body["username"]), (StatusCode::OK, &json!("ann-b")));
    assert_eq!(server.get("/auth/tokens", access).await.status, StatusCode::OK, "it reaches as far as a login");
    // An ID token for another client is no key to this door.
    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(me(&server, id_token).await.status, StatusCode::UNAUTHORIZED);
    // The browser's user is the same one: the subject is.
    assert_eq!(me(&server, &login(&server, &mut Browser::default()).await).await.body["user_id"], ann.body["user_id"]);
}

#[tokio::test]
async fn only_tokens_that_are_right_in_every_way_are_believed() {
    let (server, provider) = start().await;
    let now = Utc::now().timestamp();
    let access = json!({ "typ": "at+jwt" });
    let plain = json!({});
    let table = [
        ("an access token", json!({}), &access, 200),
        ("without a type", json!({}), &plain, 200),
        ("an ID token for us", json!({ "aud": "berth", "nonce": "n" }), &plain, 200),
        ("for more than us", json!({ "aud": [API, "urn:other"] }), &access, 200),
        ("expired within the skew", json!({ "exp": now - 30 }), &access, 200),
        ("issued within the skew", json!({ "iat": now + 30, "nbf": now + 30 }), &access, 200),
        ("expired", json!({ "exp": now - 90 }), &access, 401),
        ("not yet valid", json!({ "nbf": now + 120 }), &access, 401),
        ("from the future", json!({ "iat": now + 120 }), &access, 401),
        ("for somebody else", json!({ "aud": "urn:other" }), &access, 401),
        ("for nobody", json!({ "aud": [] }), &access, 401),
        ("an ID token for others too", json!({ "aud": ["berth", "other"] }), &plain, 401),
        ("of another issuer", json!({ "iss": "https://evil.example" }), &access, 401),
        ("of an issuer that looks alike", json!({ "iss": format!("{}/", provider.issuer) }), &access, 401),
        ("without a subject", json!({ "sub": "" }), &access, 401),
        ("of another type", json!({}), &json!({ "typ": "logout+jwt" }), 401),
        ("with the name of another key", json!({}), &json!({ "kid": "nobody's" }), 401),
    ];
    for (what, other, header, status) in table {
        let token = provider.sign(&claims(&provider, &other), header, "new").await;
        let answer = me(&server, &token).await;
        assert_eq!(answer.status.as_u16(), status, "{what}: {:?}", answer.body);
    }

    let good = provider.sign(&claims(&provider, &json!({})), &access, "new").await;
    let parts: Vec<&str> = good.split('.').collect();
    let other = provider.sign(&claims(&provider, &json!({ "sub": "boss-1" })), &access, "new").await;
    let swapped = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
    assert_eq!(me(&server, &swapped).await.status, StatusCode::UNAUTHORIZED, "another's claims under this signature");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
    assert_eq!(me(&server, &unsigned).await.status, StatusCode::UNAUTHORIZED, "no signature");
    for secret in [&b"a secret of the tests"[..], &b"a secret of at least thirty-two bytes"[..]] {
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let forged =
            jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims(&provider, &json!({})), &key).unwrap();
        assert_eq!(me(&server, &forged).await.status, StatusCode::UNAUTHORIZED, "a shared secret");
    }
    // The other way round: a token of the shared secret's service does not become the issuer's.
    assert_eq!(me(&server, &server.jwt(161, "ben", 600)).await.body["user_id"], 161);
}

#[tokio::test]
async fn keys_rotate() {
    let (server, provider) = start().await;
    let sign = async |key| provider.sign(&claims(&provider, &json!({})), &json!({}), key).await;
    let before = sign("new").await;
    assert_eq!(me(&server, &before).await.status, StatusCode::OK);
    provider.rotate().await;
    assert_eq!(me(&server, &sign("new").await).await.status, StatusCode::OK, "a new key is found at once");
    assert_eq!(me(&server, &before).await.status, StatusCode::UNAUTHORIZED, "the old one was withdrawn");
    let mut browser = Browser::default();
    login(&server, &mut browser).await;
    provider.rotate().await;
    browser.forget();
    login(&server, &mut browser).await;

    // Names of keys that nobody has make us ask a few times, not each time.
    for number in 0..30 {
        let header = json!({ "kid": format!("made-up-{number}") });
        let token = provider.sign(&claims(&provider, &json!({})), &header, "new").await;
        assert_eq!(me(&server, &token).await.status, StatusCode::UNAUTHORIZED);
    }
    let counts = provider.counts().await;
    assert!(counts["jwks"].as_i64().unwrap() <= 5, "{counts}");
}

#[tokio::test]
async fn an_issuer_that_is_down_is_named_and_everything_else_works() {
    let (server, mut provider) = start().await;
    let token = provider.sign(&claims(&provider, &json!({})), &json!({}), "new").await;
    provider.stop();
    for path in ["/auth/oidc/login", "/auth/me"] {
        let bearer = (path == "/auth/me").then_some(token.as_str());
        let answer = server.send(server.request(reqwest::Method::GET, path, bearer)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {:?}", answer.body);
        assert!(answer.body["detail"].as_str().unwrap().contains(&provider.issuer), "{:?}", answer.body);
        assert!(answer.headers.contains_key("retry-after"));
    }
    let admin = server.login("admin", "right").await;
    assert_eq!(admin.status, StatusCode::OK);
    assert_eq!(me(&server, admin.body["token"].as_str().unwrap()).await.status, StatusCode::OK);
    assert_eq!(me(&server, &server.jwt(160, "ann", 600)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_issuer_that_goes_down_leaves_its_bearers_be_and_logins_say_so() {
    let (server, mut provider) = start().await;
    let token = provider.sign(&claims(&provider, &json!({})), &json!({}), "new").await;
    assert_eq!(me(&server, &token).await.status, StatusCode::OK);
    let mut browser = Browser::default();
    let session = login(&server, &mut browser).await;
    let callback = up_to_the_callback(&server, &mut browser).await;
    provider.stop();
    assert_eq!(me(&server, &token).await.status, StatusCode::OK, "its keys are known");
    assert_eq!(me(&server, &session).await.status, StatusCode::OK, "the session is ours");
    let page = browser.get(&callback, "application/json").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.body);
    assert!(page.body.contains(&provider.issuer));
}

#[tokio::test]
async fn a_suspended_person_of_the_issuer_is_told_so() {
    let (server, provider) = start().await;
    let mut browser = Browser::default();
    let session = login(&server, &mut browser).await;
    let id = me(&server, &session).await.body["user_id"].as_i64().unwrap();
    let admin = server.login("admin", "right").await.body["token"].as_str().unwrap().to_owned();
    let path = format!("/compute/admin/users/{id}/suspension");
    let suspend = server.request(reqwest::Method::PUT, &path, Some(&admin)).json(&json!({ "suspended": true }));
    assert_eq!(server.send(suspend).await.status, StatusCode::OK);
    assert_eq!(me(&server, &session).await.status, StatusCode::UNAUTHORIZED);
    let token = provider.sign(&claims(&provider, &json!({})), &json!({}), "new").await;
    let answer = me(&server, &token).await;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::FORBIDDEN, &json!("suspended")));
    let callback = up_to_the_callback(&server, &mut browser).await;
    let page = browser.get(&callback, "application/json").await;
    assert_eq!((page.status, json_of(&page)["code"].as_str()), (StatusCode::FORBIDDEN, Some("suspended")));
}
