//! A server on a free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use berth_api::pod_io::{Lines, Terminal};
use berth_api::{Api, Config, Images, Platform, PodIo, password};
use berth_core::access::{Actor, Administer, Reach};
use berth_core::audit::Origin;
use berth_core::container::Container;
use berth_core::id::UserId;
use berth_core::image::ImageRef;
use berth_core::instance::{Arch, InstanceTypes};
use berth_core::logs::LogQuery;
use berth_core::name::Username;
use berth_core::pod_io::Unreachable;
use berth_core::quota::Quota;
use berth_core::registry::{Catalogue, Lacking, Offered, Resolved, Unresolved};
use berth_core::terminal::TerminalCommand;
use berth_core::user::{Source, User};
use berth_store::Store;
use chrono::Utc;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::Instant;

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

#[derive(Debug)]
struct OneArchitecture;

impl Platform for OneArchitecture {
    fn architectures(&self) -> Vec<Arch> {
        vec![Arch::Arm64]
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Has `berth/base:latest` for arm64 with this digest, `team/app` in two tags of which `2` is for amd64 alone, and a chart; answers
/// until it is told not to.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) silent: AtomicBool,
}

pub(crate) const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

#[async_trait]
impl Images for Shelf {
    async fn resolve(&self, image: &ImageRef) -> Result<Resolved, Unresolved> {
        let Some(name) = image.as_str().strip_prefix("registry.berth.internal/") else {
            return Err(Unresolved::Elsewhere);
        };
        if self.silent.load(Ordering::Relaxed) {
            return Err(Unresolved::NoAnswer);
        }
        let architectures = match name {
            "berth/base:latest" | "team/app:1" => vec!["arm64".to_owned()],
            "team/app:2" => vec!["amd64".to_owned()],
            "team/chart:1" => return Err(Unresolved::NotAnImage),
            "team/secret:1" => return Err(Unresolved::Forbidden),
            _other => return Err(Unresolved::Absent),
        };
        Ok(Resolved { digest: DIGEST.parse().unwrap(), architectures })
    }

    async fn catalogue(&self) -> Catalogue {
        if self.silent.load(Ordering::Relaxed) {
            return Catalogue { images: Vec::new(), lacking: Some(Lacking::NoAnswer) };
        }
        let offered = |name: &str| Offered {
            name: name.to_owned(),
            image: ImageRef::from_stored(format!("registry.berth.internal/{name}")),
        };
        let images = ["berth/base:bookworm", "berth/base:latest", "team/app:1", "team/app:2"].map(offered).to_vec();
        Catalogue { images, lacking: None }
    }
}

/// No container runs here: whoever gets so far was let through.
#[async_trait]
impl PodIo for OneArchitecture {
    async fn logs(&self, _container: &Container, _query: LogQuery) -> Result<Lines, Unreachable> {
        Err(Unreachable::NotRunning("nothing runs here".to_owned()))
    }

    async fn terminal(&self, _: &Container, _: Option<TerminalCommand>) -> Result<Terminal, Unreachable> {
        Err(Unreachable::Cluster("nothing runs here".to_owned()))
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) store: Arc<dyn Store>,
    api: Api,
    client: reqwest::Client,
    _folder: TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

pub(crate) fn signed(secret: &[u8], user_id: i64, username: &str, seconds: i64) -> String {
    claims(secret, &json!({ "user_id": user_id, "username": username, "exp": Utc::now().timestamp() + seconds }))
}

fn claims(secret: &[u8], claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(secret)).unwrap()
}

impl Server {
    /// With a local administrator `admin`, whose password is `right`.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Of an issuer that is down.
        let oidc = json!({ "issuer": "http://127.0.0.1:1", "client_id": "berth" });
        Self::start_on(listener, oidc, change).await
    }

    pub(crate) async fn start_on(listener: TcpListener, oidc: Value, change: impl FnOnce(&mut Config)) -> Self {
        // Another test of this process may have been first.
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let folder = tempfile::tempdir().unwrap();
        let store = berth_store::open(&format!("sqlite://{}/berth.db", folder.path().display())).await.unwrap();
        let hash = password::hash(SecretString::from("right")).await.unwrap();
        store.add_local_user(&Username::parse("admin").unwrap(), true, &hash, Utc::now()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config {
            public_url: Some(format!("http://{address}").parse().unwrap()),
            oidc: Some(serde_json::from_value(oidc).unwrap()),
            jwt_secret: Some(SecretString::from(String::from_utf8(SECRET.to_vec()).unwrap())),
            quota: Quota { containers: 100, memory_mb: 1 << 20, storage_gb: 10_000, ..Quota::default() },
            ..Config::default()
        };
        change(&mut config);
        config.check().unwrap();
        let shelf = Arc::new(Shelf::default());
        let api = Api::new(store.clone(), config, InstanceTypes::default(), Arc::new(OneArchitecture), shelf.clone());
        let service = berth_api::router(api.clone()).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, shelf, store, api, client: reqwest::Client::new(), _folder: folder }
    }

    /// As berthd does when it is about to end.
    pub(crate) fn end(&self) {
        self.api.stopping().cancel();
    }

    /// Until so many requests wait for a container.
    pub(crate) async fn waiting(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.api.waiting() != count {
            assert!(Instant::now() < deadline, "gave up waiting for {count} requests to wait");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn jwt(&self, user_id: i64, username: &str, seconds: i64) -> String {
        signed(SECRET, user_id, username, seconds)
    }

    /// A token of user 7, with these claims over the usual ones.
    pub(crate) fn claims(&self, other: Value) -> String {
        let mut all = json!({ "user_id": 7, "username": "ann", "exp": Utc::now().timestamp() + 3600 });
        all.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        claims(SECRET, &all)
    }

    /// As another administrator would.
    pub(crate) async fn suspend_account(&self, username: &str) {
        let other =
            User { id: UserId(1), username: Username::from_claim("other"), is_admin: true, source: Source::Local };
        let grant =
            Actor::authenticated(other, Reach::Login, Origin::local(Utc::now())).may_account::<Administer>().unwrap();
        let account = self.store.local_account(&Username::parse(username).unwrap()).await.unwrap().unwrap();
        self.store.set_suspended(&grant, account.user.id, true).await.unwrap();
    }

    /// A service account's token with these scopes.
    pub(crate) fn scoped(&self, user_id: i64, username: &str, scopes: &Value) -> String {
        let exp = Utc::now().timestamp() + 3600;
        let all =
            json!({ "user_id": user_id, "username": username, "exp": exp, "type": "api_token", "scopes": scopes });
        claims(SECRET, &all)
    }

    pub(crate) fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null);
        assert!(headers.contains_key("x-request-id"), "every answer carries its request's id");
        Answer { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(self.request(Method::GET, path, Some(token))).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path, Some(token)).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path, Some(token)).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, token: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, Some(token))).await
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> Answer {
        let body = json!({ "username": username, "password": password });
        self.send(self.request(Method::POST, "/auth/login", None).json(&body)).await
    }
}
