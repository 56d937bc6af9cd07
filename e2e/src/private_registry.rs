//! A registry that wants a password, which the node's runtime and berthd reach by a name of its own.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::images::{self, Pushed};
use crate::until;

/// `berth:right`
const HTPASSWD: &str = "berth:$2y$05$abcdefghijklmnopqrstuu8xaCxxL82bnl.UY74PMksDxIJShppPC\n";

#[derive(Debug)]
pub struct PrivateRegistry {
    /// As references name it.
    pub name: String,
    address: String,
    folder: TempDir,
    process: Option<Child>,
    /// Where the node's runtime is told of it.
    hosts: PathBuf,
}

impl PrivateRegistry {
    /// Listens where the node reaches this machine. It wants no password before `close`.
    pub async fn open(name: &str) -> Self {
        let node = images::registry().await;
        let node = node.trim_start_matches("http://");
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.connect(node).expect("a way to the node");
        let ip = socket.local_addr().expect("an address on that way").ip();
        let address = TcpListener::bind((ip, 0)).and_then(|free| free.local_addr()).expect("a free port").to_string();
        let data = std::env::var_os("BERTH_DATA").expect("BERTH_DATA is the node's folder: run make test");
        let hosts = Path::new(&data).join("etc/certs.d").join(name);
        fs::create_dir_all(&hosts).expect("the runtime's folder of registries");
        let told = format!("[host.\"http://{address}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
        fs::write(hosts.join("hosts.toml"), told).expect("the runtime is told");
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Self { name: name.to_owned(), address, folder, process: None, hosts };
        registry.serve(false).await;
        registry
    }

    /// From now on it wants a password.
    pub async fn close(&mut self) {
        self.stop();
        self.serve(true).await;
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Pushes the base image with another main process under this repository and tag.
    pub fn push(&self, name: &str, entrypoint: &[&str]) -> Pushed {
        images::push_to(&self.endpoint(), &format!("{}/{name}", self.name), entrypoint, &[])
    }

    /// A file that holds this password.
    pub fn password_file(&self, password: &str) -> String {
        let file = self.folder.path().join(password);
        fs::write(&file, format!("{password}\n")).unwrap();
        file.to_str().unwrap().to_owned()
    }

    async fn serve(&mut self, private: bool) {
        let file = |name| self.folder.path().join(name);
        let mut config = json!({
            "version": "0.1",
            "log": { "level": "error", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": file("data") } },
            "http": { "addr": self.address },
        });
        if private {
            fs::write(file("htpasswd"), HTPASSWD).unwrap();
            config["auth"] = json!({ "htpasswd": { "realm": "test", "path": file("htpasswd") } });
        }
        fs::write(file("config.yml"), config.to_string()).unwrap();
        let process = Command::new("setpriv")
            .args(["--pdeathsig=KILL", "docker-registry", "serve"])
            .arg(file("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("docker-registry is installed: scripts/prereqs.sh"));
        let answers = async || tokio::net::TcpStream::connect(&self.address).await.ok().map(drop);
        until("the private registry", 20, answers).await;
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().and_then(|()| process.wait()).expect("the registry can be killed");
        }
    }
}

impl Drop for PrivateRegistry {
    fn drop(&mut self) {
        self.stop();
        fs::remove_dir_all(&self.hosts).expect("the runtime's folder of this registry");
    }
}
