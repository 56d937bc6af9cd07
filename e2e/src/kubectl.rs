//! kubectl, as the cluster's administrator.

use std::path::Path;
use std::process::Stdio;

use kube::config::Kubeconfig;
use secrecy::SecretString;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::berthd::service_kubeconfig;

/// The program and its words: the node's own where it was built here.
pub fn words(words: &[&str]) -> Vec<String> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/node/bin/kube-node");
    let program = if built.exists() {
        vec![built.display().to_string(), "kubectl".to_owned()]
    } else {
        vec!["kubectl".to_owned()]
    };
    program.into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
}

pub fn command(words: &[&str]) -> Command {
    let all = self::words(words);
    let (program, arguments) = all.split_first().expect("there is a program");
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// What it prints; `None` when it fails.
pub async fn try_run(words: &[&str]) -> Option<String> {
    let output = command(words).output().await.expect("kubectl runs");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub async fn run(words: &[&str]) -> String {
    let output = command(words).output().await.expect("kubectl runs");
    assert!(output.status.success(), "kubectl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Writes credentials of another service account of ours to a file.
pub async fn credentials_of(name: &str, file: &Path) {
    let token = run(&["-n", "berth-system", "create", "token", name, "--duration=2h"]).await;
    let mut config = Kubeconfig::read_from(service_kubeconfig()).expect("the service account's kubeconfig");
    config.auth_infos[0].auth_info.get_or_insert_default().token = Some(SecretString::from(token));
    let text = serde_json::to_string(&config).expect("a kubeconfig as JSON");
    std::fs::write(file, text).expect("a kubeconfig");
}

/// Applies objects; `None` when the cluster refuses.
pub async fn apply(objects: &serde_json::Value) -> Option<()> {
    let mut child = command(&["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("kubectl runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(objects.to_string().as_bytes()).await.expect("kubectl reads");
    drop(input);
    child.wait().await.expect("kubectl ends").success().then_some(())
}

/// Runs a line of bash in the container of a namespace; `None` when it fails there.
pub async fn sh(namespace: &str, line: &str) -> Option<String> {
    try_run(&["-n", namespace, "exec", "machine-0", "-c", "main", "--", "bash", "-c", line]).await
}

pub async fn exists(kind: &str, name: &str) -> bool {
    !run(&["get", kind, name, "--ignore-not-found", "-o", "name"]).await.is_empty()
}

pub async fn exists_in(namespace: &str, kind: &str, name: &str) -> bool {
    let found = try_run(&["-n", namespace, "get", kind, name, "--ignore-not-found", "-o", "name"]).await;
    found.is_some_and(|line| !line.is_empty())
}
