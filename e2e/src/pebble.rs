//! An ACME authority of the test's own, which asks a gateway's zone for its challenges. It rejects some nonces at random, as it
//! does by default.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{install_crypto, kubectl, until};

#[derive(Debug, Clone, Copy)]
pub enum Version {
    /// Of before RFC 9773: it does not say when to renew.
    Debian,
    Upstream,
}

#[derive(Debug)]
pub struct Pebble {
    folder: TempDir,
    version: Version,
    zone: String,
    listen: String,
    management: String,
    process: Option<Child>,
}

impl Pebble {
    /// One that `launch` is still to start; it asks `zone`, an address and port.
    pub fn configured(version: Version, zone: &str, lifetime_seconds: u32) -> Self {
        install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let openssl = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=pebble", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", &path("key.pem"), "-out", &path("https.pem")])
            .output();
        assert!(openssl.expect("openssl is installed").status.success(), "pebble's own certificate");
        let (listen, management) = (crate::berthd::free_address(), crate::berthd::free_address());
        let config = json!({ "pebble": {
            "listenAddress": listen, "managementListenAddress": management,
            "certificate": path("https.pem"), "privateKey": path("key.pem"), "httpPort": 5002, "tlsPort": 5001,
            "certificateValidityPeriod": lifetime_seconds,
            "profiles": { "default": { "description": "", "validityPeriod": lifetime_seconds } },
        } });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        Self { folder, version, zone: zone.to_owned(), listen, management, process: None }
    }

    pub async fn launch(&mut self) {
        let program = match self.version {
            Version::Debian => PathBuf::from("/usr/bin/pebble"),
            Version::Upstream => Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/pebble/pebble"),
        };
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let process = Command::new("setpriv")
            .arg("--pdeathsig=KILL")
            .arg(program)
            .args(["-dnsserver", &self.zone, "-config"])
            .arg(self.folder.path().join("config.json"))
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn();
        self.process = Some(process.expect("pebble is installed, and built by e2e/pebble/build.sh"));
        until("pebble to answer", 20, async || self.client().get(self.directory()).send().await.ok()).await;
    }

    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.listen)
    }

    /// Who vouches for the directory's HTTPS.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("https.pem")
    }

    /// A file with who vouches for its certificates.
    pub async fn authority(&self) -> PathBuf {
        let answer = self.client().get(format!("https://{}/roots/0", self.management)).send().await;
        let file = self.folder.path().join("authority.pem");
        std::fs::write(&file, answer.expect("pebble answers").text().await.expect("PEM")).unwrap();
        file
    }

    /// From now on it says that this certificate should have been renewed an hour ago.
    pub async fn wants_renewed(&self, certificate: &str) {
        let window = json!({ "suggestedWindow": { "start": "2020-01-01T00:00:00Z", "end": "2020-01-01T01:00:00Z" } });
        let body = json!({ "certificate": certificate, "ariResponse": window.to_string() });
        let url = format!("https://{}/set-renewal-info/", self.management);
        let answer = self.client().post(url).json(&body).send().await.expect("pebble answers");
        let (status, answer) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{status}: {answer}");
    }

    /// Certificates that it signed.
    pub fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn client(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(&std::fs::read(self.root()).unwrap()).unwrap();
        reqwest::Client::builder().user_agent("berth-e2e").tls_certs_only([root]).build().unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().and_then(|()| process.wait()).expect("pebble can be killed");
        }
        if std::thread::panicking() {
            eprintln!("pebble's log:\n{}", self.log());
        }
    }
}

/// A Secret for gateways of this test alone, with the rights of deploy/rbac-gateway.yaml on it. `state` is what it begins with.
pub async fn secret(name: &str, state: &Value) {
    let named = json!({ "name": name, "namespace": "berth-system" });
    let account = |name: &str| json!({ "kind": "ServiceAccount", "name": name, "namespace": "berth-system" });
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "Secret", "metadata": named, "stringData": { "state.json": state.to_string() } },
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": named, "rules": [
            { "apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["list", "watch", "update"] },
        ] },
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": named,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": [account("berth-gateway"), account("berthd")] },
    ] });
    kubectl::run(&["-n", "berth-system", "delete", "secret", name, "--ignore-not-found"]).await;
    kubectl::apply(&objects).await.expect("a Secret and the right to it");
}

/// One key of it, as text.
pub async fn kept(name: &str, key: &str) -> String {
    let template = format!("{{{{index .data \"{key}\" | base64decode}}}}");
    kubectl::run(&["-n", "berth-system", "get", "secret", name, "-o", &format!("go-template={template}")]).await
}
