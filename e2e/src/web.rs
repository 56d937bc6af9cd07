//! A container that serves, and clients that reach it through a gateway.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

use crate::berthd::{Berthd, User};
use crate::{kubectl, until};

/// Where `web` listens in the container.
pub const INSIDE: u16 = 3000;

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/web")
}

/// Creates a container in which [`crate`]'s `web` serves, and returns its id.
pub async fn create(user: &User<'_>, name: &str) -> String {
    let id = user.create(name).await;
    user.settled(&id, "running").await;
    serve(&user.namespace(&id)).await;
    id
}

/// `web`, small enough to be sent around.
pub async fn strip(to: &Path) {
    let stripped = Command::new("strip").arg("-o").arg(to).arg(program()).status().await;
    assert!(stripped.expect("binutils are installed").success(), "web is built: cargo build --workspace");
}

/// Starts `web` in a container that runs.
pub async fn serve(namespace: &str) {
    let small = tempfile::NamedTempFile::new().unwrap();
    strip(small.path()).await;
    let line = "cat > /tmp/web && chmod +x /tmp/web && (setsid /tmp/web 3000 </dev/null >/dev/null 2>&1 &)";
    let mut copy =
        kubectl::command(&["-n", namespace, "exec", "-i", "machine-0", "-c", "main", "--", "bash", "-c", line]);
    let status = copy.stdin(std::fs::File::open(small.path()).unwrap()).status().await;
    assert!(status.expect("kubectl runs").success(), "web is copied into the container");
    until("web to listen", 20, async || {
        kubectl::sh(namespace, "timeout 2 bash -c '</dev/tcp/127.0.0.1/3000'").await.map(drop)
    })
    .await;
}

pub async fn open(user: &User<'_>, id: &str, port: u16) {
    let rule = json!({ "port": port, "target_port": INSIDE });
    let (status, answer) = user.call(Method::POST, &format!("/compute/containers/{id}/ingress"), Some(&rule)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

pub async fn close(user: &User<'_>, id: &str, port: u16) {
    let path = format!("/compute/containers/{id}/ingress/{port}");
    assert_eq!(user.call(Method::DELETE, &path, None).await.0, StatusCode::OK);
}

pub fn host(id: &str) -> String {
    format!("{id}.compute.berth.local")
}

/// curl, which reaches every name at this berthd's gateway and trusts its authority.
pub fn curl(berthd: &Berthd, words: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--connect-to"]);
    command.arg(format!("::{}:", berthd.gateway())).arg("--cacert").arg(berthd.authority()).args(words);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Status and body of a GET; status 0 when there is no answer.
pub async fn get(berthd: &Berthd, url: &str, words: &[&str]) -> (u16, String) {
    let mut all = vec!["--write-out", "\n%{http_code}", url];
    all.extend(words);
    let Output { stdout, .. } = curl(berthd, &all).output().await.expect("curl runs");
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("curl writes a status");
    (status.parse().expect("a status"), body.to_owned())
}

/// Waits for a status.
pub async fn answers(berthd: &Berthd, url: &str, status: u16) {
    until(&format!("{url} to answer {status}"), 20, async || (get(berthd, url, &[]).await.0 == status).then_some(()))
        .await;
}
