//! An HTTP proxy between a berthd and the API server. It sees every request, and can kill berthd with SIGKILL at the k-th one that
//! changes something of the tests' containers: before the API server hears of it, or after it did and before berthd hears so.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use futures::TryStreamExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use secrecy::ExposeSecret;
use serde_json::json;
use tempfile::TempDir;

/// On which side of the API server's work berthd dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

#[derive(Debug)]
struct Trap {
    /// Requests that still pass.
    left: usize,
    side: Side,
    pid: u32,
}

#[derive(Debug, Clone)]
pub struct ApiProxy {
    upstream: String,
    client: reqwest::Client,
    /// Only requests that speak of this count.
    about: String,
    trap: Arc<Mutex<Option<Trap>>>,
    folder: Arc<TempDir>,
}

impl ApiProxy {
    /// In front of the server of `kubeconfig`; counts what is about namespaces that begin with `about`.
    pub async fn start(kubeconfig: &Path, about: &str) -> Self {
        crate::install_crypto();
        let read = Kubeconfig::read_from(kubeconfig).expect("the service account's kubeconfig");
        let token = read.auth_infos[0].auth_info.as_ref().and_then(|info| info.token.clone()).expect("a token");
        let options = KubeConfigOptions::default();
        let config =
            kube::Config::from_custom_kubeconfig(read, &options).await.expect("the service account's kubeconfig");
        let roots = config.root_cert.iter().flatten();
        let roots = roots.map(|der| reqwest::Certificate::from_der(der).expect("a certificate authority"));
        let client = reqwest::Client::builder().tls_certs_only(roots).build().expect("a client");
        let upstream = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let proxy = Self { upstream, client, about: about.to_owned(), trap: Arc::default(), folder };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{ "name": "proxy", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "proxy", "user": { "token": token.expose_secret() } }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
        });
        std::fs::write(proxy.kubeconfig(), text.to_string()).expect("a kubeconfig");
        let router = Router::new().fallback(pass).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        proxy
    }

    /// What berthd is given.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Kills the process at the k-th change from now on, k from 1.
    pub fn kill_at(&self, k: usize, side: Side, pid: u32) {
        *self.locked() = Some(Trap { left: k - 1, side, pid });
    }

    /// Takes the trap away; whether it had not sprung.
    pub fn disarm(&self) -> bool {
        self.locked().take().is_some()
    }

    pub fn has_sprung(&self) -> bool {
        self.locked().is_none()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Trap>> {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trap, when this request is the one to die at.
    fn count(&self, method: &Method, path: &str, body: &[u8]) -> Option<Trap> {
        let changes = *method != Method::GET && (path.contains(&self.about) || contains(body, self.about.as_bytes()));
        let mut trap = self.locked();
        match trap.as_mut() {
            Some(armed) if changes && armed.left == 0 => trap.take(),
            Some(armed) if changes => {
                armed.left -= 1;
                None
            }
            Some(_) | None => None,
        }
    }

    async fn forward(&self, method: Method, path: &str, headers: HeaderMap, body: Bytes) -> reqwest::Result<Response> {
        let mut request = self.client.request(method, format!("{}{path}", self.upstream)).body(body);
        for name in [header::AUTHORIZATION, header::ACCEPT, header::CONTENT_TYPE] {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
            response = response.header(header::CONTENT_TYPE, kind);
        }
        Ok(response.body(Body::from_stream(answer.bytes_stream().into_stream())).expect("a response"))
    }
}

async fn pass(State(proxy): State<ApiProxy>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let trap = proxy.count(&method, &path, &body);
    if let Some(trap) = trap.as_ref().filter(|trap| trap.side == Side::Before) {
        kill(trap.pid);
        return status(StatusCode::BAD_GATEWAY);
    }
    let answer = proxy.forward(method, &path, headers, body).await;
    if let Some(trap) = trap {
        kill(trap.pid);
    }
    answer.unwrap_or_else(|_| status(StatusCode::BAD_GATEWAY))
}

fn status(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("berthd can be killed");
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
