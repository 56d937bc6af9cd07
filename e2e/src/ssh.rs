//! OpenSSH's programs with a folder of their own: keys, known hosts and settings, and nothing of whoever runs the tests.

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::berthd::User;

/// The key that is offered unless another one is asked for.
const USER: &str = "user";

#[derive(Debug)]
pub struct Client {
    folder: TempDir,
}

impl Client {
    /// With a key, and knowing no host.
    pub async fn new() -> Self {
        let client = Self { folder: tempfile::tempdir().unwrap() };
        client.make_key(USER).await;
        let path = |name: &str| client.path(name).display().to_string();
        let config = format!(
            "Host *\nIdentityFile {}\nUserKnownHostsFile {}\nStrictHostKeyChecking yes\nIdentitiesOnly yes\n\
             IdentityAgent none\nBatchMode yes\nConnectTimeout 20\n",
            path(USER),
            path("known_hosts"),
        );
        fs::write(client.path("config"), config).unwrap();
        client
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Of ed25519; its line of a `.pub` file.
    pub async fn make_key(&self, name: &str) -> String {
        self.make_key_of("ed25519", name).await
    }

    /// The same of another kind.
    pub async fn make_key_of(&self, kind: &str, name: &str) -> String {
        let mut keygen = Command::new("ssh-keygen");
        let made = keygen.args(["-q", "-N", "", "-t", kind, "-f"]).arg(self.path(name)).status().await;
        assert!(made.expect("ssh-keygen runs").success());
        self.public_key(name)
    }

    pub fn public_key(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    /// Of the key that is offered unless another one is asked for.
    pub fn user_key(&self) -> String {
        self.public_key(USER)
    }

    /// The path of the same key in dropbear's own form.
    pub async fn dropbear_key(&self) -> String {
        let key = self.path("dropbear").display().to_string();
        let mut convert = Command::new("dropbearconvert");
        let made = convert.args(["openssh", "dropbear"]).arg(self.path(USER)).arg(&key).output().await.unwrap();
        assert!(made.status.success(), "{made:?}");
        key
    }

    /// The one key of a host.
    pub fn trust(&self, host: &str, key: &str) {
        let known = fs::read_to_string(self.path("known_hosts")).unwrap_or_default();
        let others = known.lines().filter(|line| line.split(' ').next() != Some(host));
        let all: String = others.chain([format!("{host} {key}").as_str()]).map(|line| format!("{line}\n")).collect();
        fs::write(self.path("known_hosts"), all).unwrap();
    }

    /// Lines for `ssh_config`, before those that are there.
    pub fn configure(&self, lines: &str) {
        let config = fs::read_to_string(self.path("config")).unwrap();
        fs::write(self.path("config"), format!("{lines}\n{config}")).unwrap();
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(self.path("config")).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub async fn output(&self, program: &str, words: &[&str]) -> Output {
        self.command(program).args(words).output().await.expect("an OpenSSH program runs")
    }
}

/// An API call that is to succeed.
pub async fn call(user: &User<'_>, method: Method, path: &str, body: Value) -> Value {
    let (status, answer) = user.call(method, path, Some(&body)).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

/// Registers a key and returns its id.
pub async fn add_key(user: &User<'_>, name: &str, key: &str) -> i64 {
    let body = json!({ "name": name, "public_key": key });
    call(user, Method::POST, "/compute/ssh-keys", body).await["id"].as_i64().unwrap()
}

pub async fn set_ssh(user: &User<'_>, id: &str, enabled: bool, keys: &[i64]) {
    let body = json!({ "ssh_enabled": enabled, "ssh_key_ids": keys });
    call(user, Method::PUT, &format!("/compute/containers/{id}/ssh"), body).await;
}
