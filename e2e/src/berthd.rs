//! A berthd of the test's own, on a temporary SQLite file and free ports, with the service account's rights.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chrono::Utc;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::until;

const SECRET: &str = "a secret of at least thirty-two bytes";

#[derive(Debug)]
pub struct Berthd {
    folder: TempDir,
    address: String,
    process: Option<Child>,
    client: reqwest::Client,
    /// Settings of this one, as its environment.
    settings: Vec<(&'static str, &'static str)>,
}

/// One user of it.
#[derive(Debug, Clone)]
pub struct User<'a> {
    berthd: &'a Berthd,
    pub id: i64,
    pub token: String,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn program() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/berthd");
    std::env::var_os("BERTHD").map_or_else(built, PathBuf::from)
}

impl Berthd {
    /// Starts it and waits until it is ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with settings of its own, such as `BERTH_CLUSTER__IMAGE_VOLUMES`.
    pub async fn start_with(settings: &[(&'static str, &'static str)]) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let kubeconfig = std::env::var("BERTH_E2E_KUBECONFIG")
            .expect("BERTH_E2E_KUBECONFIG names berthd's credentials: run make test");
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let config = format!(
            "kubeconfig = \"{kubeconfig}\"\n[server]\nlisten = \"{address}\"\nmetrics_listen = \"127.0.0.1:{}\"\n\
             [database]\nurl = \"sqlite://{}/berth.db\"\n[cluster.isolation]\negress_allow = [\"198.51.100.0/24\"]\n\
             [[instance_types]]\nname = \"nano\"\nmillicores = 500\narch = \"{arch}\"\n",
            free_port(),
            folder.path().display(),
        );
        std::fs::write(folder.path().join("berth.toml"), config).unwrap();
        let mut berthd =
            Self { folder, address, process: None, client: reqwest::Client::new(), settings: settings.to_vec() };
        berthd.launch().await;
        berthd
    }

    /// Starts it again over the same rows.
    pub async fn launch(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let process = Command::new(program())
            .env("BERTH_CONFIG", self.folder.path().join("berth.toml"))
            .env("JWT_SECRET", SECRET)
            .envs(self.settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("berthd is built: cargo build -p berthd"));
        let ready = async || {
            let answer = self.client.get(format!("http://{}/readyz", self.address)).send().await.ok()?;
            (answer.status() == StatusCode::OK).then_some(())
        };
        until("berthd to be ready", 60, ready).await;
    }

    /// SIGKILL: it gets no chance to finish anything.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().and_then(|()| process.wait()).expect("berthd can be killed");
        }
    }

    pub fn user(&self, id: i64, name: &str) -> User<'_> {
        User { berthd: self, id, token: token(id, name) }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn token(id: i64, name: &str) -> String {
    let claims = json!({ "user_id": id, "username": name, "exp": Utc::now().timestamp() + 7200 });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

impl Drop for Berthd {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("berthd's log:\n{}", self.log());
        }
    }
}

impl User<'_> {
    pub fn socket_url(&self) -> String {
        format!("ws://{}/compute/ws?token={}", self.berthd.address, self.token)
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let request = self.berthd.client.request(method, format!("http://{}{path}", self.berthd.address));
        let request = request.bearer_auth(&self.token);
        let request = if let Some(body) = body { request.json(body) } else { request };
        let answer = request.send().await.expect("berthd answers");
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Creates a small container and returns its id.
    pub async fn create(&self, name: &str) -> String {
        let body = json!({ "name": name, "memory_mb": 128, "storage_gb": 1 });
        let (status, answer) = self.call(Method::POST, "/compute/containers", Some(&body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    pub async fn post(&self, id: &str, verb: &str) -> (StatusCode, Value) {
        self.call(Method::POST, &format!("/compute/containers/{id}/{verb}"), None).await
    }

    pub async fn get(&self, id: &str) -> (StatusCode, Value) {
        self.call(Method::GET, &format!("/compute/containers/{id}"), None).await
    }

    pub async fn delete(&self, id: &str) -> StatusCode {
        self.call(Method::DELETE, &format!("/compute/containers/{id}"), None).await.0
    }

    pub fn namespace(&self, id: &str) -> String {
        format!("compute-{}-{id}", self.id)
    }

    /// Waits until the container shows this status and nothing is under way.
    pub async fn settled(&self, id: &str, status: &str) {
        let what = format!("{id} to be {status}");
        let check = async || {
            let (_, body) = self.get(id).await;
            (body["status"] == status && body["transition"].is_null()).then_some(())
        };
        until(&what, 120, check).await;
    }
}
