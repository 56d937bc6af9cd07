//! A berthd of the test's own, on a temporary SQLite file and free ports, with the service account's rights.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use berth_core::access::{Actor, Administer, Reach};
use berth_core::audit::Origin;
use berth_core::id::{ContainerId, UserId};
use berth_core::name::Username;
use berth_core::user::{self as core_user, Source};
use berth_store::AuditFilter;
use chrono::Utc;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{images, install_crypto, kubectl, until};

const DNS_LISTEN: &str = "BERTH_GATEWAY__DNS__LISTEN";
const SECRET: &str = "a secret of at least thirty-two bytes";

#[derive(Debug)]
pub struct Berthd {
    folder: TempDir,
    address: String,
    database: String,
    metrics: String,
    gateway: Ipv4Addr,
    process: Option<Child>,
    client: reqwest::Client,
    /// Settings of this one, as its environment.
    settings: Vec<(&'static str, String)>,
}

/// Where a berthd differs from the usual one of the tests.
#[derive(Debug, Default)]
pub struct Setup {
    /// Absent: `BERTH_E2E_KUBECONFIG`, the credentials of berthd's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Absent: a SQLite file of its own.
    pub database: Option<String>,
    /// In its environment, over those of its file.
    pub settings: Vec<(&'static str, String)>,
}

/// A gateway alone.
#[derive(Debug)]
pub struct Replica {
    folder: TempDir,
    pub address: Ipv4Addr,
    process: Child,
}

impl Replica {
    /// Reports that are still on its disk.
    pub fn spooled(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("spool")).map_or(0, Iterator::count)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            eprintln!("the replica's log:\n{}", log.unwrap_or_default());
        }
    }
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

/// Of this machine, and nobody's yet.
pub(crate) fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// An address of this machine that no other berthd of these tests has.
fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, process[2] | 0x80, process[3], NEXT.fetch_add(1, Ordering::Relaxed))
}

fn program() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/berthd");
    std::env::var_os("BERTHD").map_or_else(built, PathBuf::from)
}

impl Berthd {
    /// Starts it and waits until it is ready.
    pub async fn start() -> Self {
        let mut berthd = Self::configured();
        berthd.launch().await;
        berthd
    }

    /// The same with settings in its environment, such as `BERTH_CLUSTER__IMAGE_VOLUMES`.
    pub async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        let mut berthd = Self::configured();
        berthd.configure(settings);
        berthd.launch().await;
        berthd
    }

    /// With a gateway on a loopback address of its own, at the usual ports; its keys are made.
    pub async fn start_with_gateway(settings: &[(&'static str, &str)]) -> Self {
        let mut berthd = Self::configured();
        berthd.add_gateway();
        berthd.configure(settings);
        berthd.launch().await;
        berthd
    }

    /// The same for one that is still to be launched.
    pub fn add_gateway(&mut self) {
        let keys = self.folder.path().join("gateway");
        berth_gateway::keys::make(&keys).unwrap();
        let addresses = format!("[\"{}\"]", self.gateway);
        self.settings.push(("BERTH_GATEWAY__KEYS", keys.display().to_string()));
        self.settings.push(("BERTH_GATEWAY__ADDRESSES", addresses));
        self.settings.push(("BERTH_GATEWAY__SPOOL", self.folder.path().join("spool").display().to_string()));
    }

    /// A gateway with two addresses for containers to have.
    pub fn add_dedicated(&mut self) -> [IpAddr; 2] {
        self.add_gateway();
        let mut own = [loopback(), loopback()];
        own.sort_unstable();
        self.settings.push(("BERTH_GATEWAY__DEDICATED", format!("[\"{}\", \"{}\"]", own[0], own[1])));
        own.map(IpAddr::from)
    }

    /// Gives its gateway the zone of the containers' names; where it is asked.
    pub fn add_zone(&mut self) -> String {
        let zone = format!("{}:53", self.gateway);
        self.settings.push((DNS_LISTEN, format!("[\"{zone}\"]")));
        self.settings.push(("BERTH_GATEWAY__DNS__ADDRESSES", format!("[\"{}\"]", self.gateway)));
        zone
    }

    /// One more gateway, a process of its own with its own credentials and the keys of this one: a replica.
    pub fn replica(&self, kubeconfig: &Path) -> Replica {
        self.replica_under(Command::new("setpriv"), kubeconfig)
    }

    /// The same on one core alone, as whatever it is measured against.
    pub fn replica_on(&self, core: &str, kubeconfig: &Path) -> Replica {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", core, "setpriv"]);
        self.replica_under(command, kubeconfig)
    }

    fn replica_under(&self, mut command: Command, kubeconfig: &Path) -> Replica {
        let address = loopback();
        let zone = format!("[\"{address}:53\"]");
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = command
            .arg("--pdeathsig=KILL")
            .arg(program())
            .arg("gateway")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("KUBECONFIG", kubeconfig)
            .env("BERTH_SERVER__METRICS_LISTEN", free_address())
            .env("BERTH_GATEWAY__ADDRESSES", format!("[\"{address}\"]"))
            // Read only where there is a zone.
            .envs(self.settings.iter().any(|(name, _)| *name == DNS_LISTEN).then_some((DNS_LISTEN, zone)))
            .env("BERTH_GATEWAY__API", &self.address)
            .env("BERTH_GATEWAY__SPOOL", folder.path().join("spool"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("berthd is built");
        Replica { folder, address, process }
    }

    /// Where its gateway listens, if it has one.
    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// The certificate that people trust to reach it.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("gateway").join(berth_gateway::keys::CA_CERTIFICATE)
    }

    /// The key by which its gateway is known to SSH clients.
    pub fn gateway_host_key(&self) -> String {
        let file = self.folder.path().join("gateway").join(berth_gateway::keys::HOST_KEY);
        let key = ssh_key::PrivateKey::read_openssh_file(&file).expect("the gateway's keys are made");
        key.public_key().to_openssh().expect("a key is written")
    }

    /// Settings over those that it has, for its next launch.
    pub fn configure(&mut self, settings: &[(&'static str, &str)]) {
        self.settings.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
    }

    /// One that `launch` is still to start, so that its database can be filled first.
    pub fn configured() -> Self {
        Self::set_up(Setup::default())
    }

    /// The same, with settings of its own.
    pub fn set_up(setup: Setup) -> Self {
        install_crypto();
        let Setup { kubeconfig, database, settings } = setup;
        let kubeconfig = kubeconfig.unwrap_or_else(service_kubeconfig);
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let metrics = free_address();
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let database = database.unwrap_or_else(|| format!("sqlite://{}/berth.db", folder.path().display()));
        let config = format!(
            "kubeconfig = \"{}\"\n[server]\nlisten = \"{address}\"\nmetrics_listen = \"{metrics}\"\n\
             [database]\nurl = \"{database}\"\n[api.quota]\nmemory_mb = 1048576\n[cluster.isolation]\negress_allow = [\"198.51.100.0/24\"]\n\
             [[instance_types]]\nname = \"nano\"\nmillicores = 500\narch = \"{arch}\"\n",
            kubeconfig.display(),
        );
        std::fs::write(folder.path().join("berth.toml"), config).unwrap();
        Self {
            folder,
            address,
            database,
            metrics,
            gateway: loopback(),
            process: None,
            client: reqwest::Client::new(),
            settings,
        }
    }

    /// Makes the first administrator, as `make up` does: name and password.
    pub fn first_login(&self) -> (String, String) {
        let file = self.folder.path().join("login");
        let mut init = Command::new(program());
        init.arg("init").arg("--credentials").arg(&file).env("BERTH_CONFIG", self.folder.path().join("berth.toml"));
        assert!(init.status().expect("berthd is built").success());
        let written = std::fs::read_to_string(file).unwrap();
        let line = |key| written.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        (line("username: "), line("password: "))
    }

    /// What another command of the program prints, with the same settings.
    pub fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new(program());
        command.args(words).env("BERTH_CONFIG", self.folder.path().join("berth.toml"));
        let output = command.envs(self.settings.iter().map(|(name, value)| (name, value))).output();
        String::from_utf8(output.expect("berthd is built").stdout).expect("text")
    }

    pub fn database_url(&self) -> &str {
        &self.database
    }

    /// Ids of all rows, deleted ones included.
    pub async fn rows(&self) -> Vec<ContainerId> {
        let store = berth_store::open(&self.database).await.expect("the database");
        store.all_ids().await.expect("the rows")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Of its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Starts it again over the same rows.
    pub async fn launch(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        // It ends with the test, even when the test is killed.
        let process = Command::new("setpriv")
            .arg("--pdeathsig=KILL")
            .arg(program())
            .env("BERTH_CONFIG", self.folder.path().join("berth.toml"))
            .env("JWT_SECRET", SECRET)
            .env("BERTH_REGISTRY__ENDPOINT", images::registry().await)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
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

    /// The value of a metric without labels; 0 when it is not there yet.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = self.client.get(format!("http://{}/metrics", self.metrics)).send().await.expect("metrics answer");
        let text = answer.text().await.expect("metrics are text");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a metric is a number"))
    }

    /// What users were recorded to have done to this, oldest first.
    pub async fn audited(&self, target: &str) -> Vec<String> {
        let username = Username::from_claim("reader");
        let reader = core_user::User { id: UserId(1), username, is_admin: true, source: Source::Local };
        let actor = Actor::authenticated(reader, Reach::Login, Origin::local(Utc::now()));
        let grant = actor.may_account::<Administer>().expect("an administrator reads it");
        let filter = AuditFilter { target: Some(target.to_owned()), ..AuditFilter::default() };
        let store = berth_store::open(&self.database).await.expect("the database");
        let lines = store.audit_lines(&grant, &filter, 100).await.expect("the audit log");
        lines.into_iter().rev().map(|line| line.action).collect()
    }

    /// Its resident memory in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().expect("berthd runs"))).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Credentials of the service account that deploy/rbac.yaml makes.
pub fn service_kubeconfig() -> PathBuf {
    std::env::var_os("BERTH_E2E_KUBECONFIG")
        .map(PathBuf::from)
        .expect("BERTH_E2E_KUBECONFIG names berthd's credentials: run make test")
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

    /// The same user with another credential.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub fn address(&self) -> &str {
        &self.berthd.address
    }

    /// The answer to a GET of a path, as bytes.
    pub async fn bytes(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let request = self.berthd.client.get(format!("http://{}{path}", self.berthd.address));
        let answer = request.bearer_auth(&self.token).send().await.expect("berthd answers");
        (answer.status(), answer.bytes().await.expect("a whole answer").to_vec())
    }

    /// The images on offer, and the warning that comes with them.
    pub async fn images(&self) -> (Vec<Value>, Option<String>) {
        let request = self.berthd.client.get(self.berthd.url("/compute/images")).bearer_auth(&self.token);
        let answer = request.send().await.expect("berthd answers");
        assert_eq!(answer.status(), StatusCode::OK);
        let warning = answer.headers().get("warning").map(|value| value.to_str().unwrap().to_owned());
        (answer.json().await.expect("a list of images"), warning)
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

    /// Creates with an idempotency key, so that it may be asked again; no answer is no error: berthd may be dead.
    pub async fn try_create(&self, key: &str, body: &Value) {
        let request = self.berthd.client.post(self.berthd.url("/compute/containers")).bearer_auth(&self.token);
        if let Ok(answer) = request.header("Idempotency-Key", key).json(body).send().await {
            assert_eq!(answer.status(), StatusCode::CREATED);
        }
    }

    /// Calls where no answer is no error; one that comes must be good, or say that the work was done before.
    pub async fn try_call(&self, method: Method, path: &str) {
        let request = self.berthd.client.request(method, self.berthd.url(path)).bearer_auth(&self.token);
        if let Ok(answer) = request.send().await {
            let status = answer.status();
            assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{path}: {status}");
        }
    }

    /// The own containers; `None` when berthd does not answer.
    pub async fn try_list(&self) -> Option<Vec<Value>> {
        let request = self.berthd.client.get(self.berthd.url("/compute/containers")).bearer_auth(&self.token);
        let body: Value = request.send().await.ok()?.json().await.ok()?;
        body["containers"].as_array().cloned()
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

    /// Deletes it and waits until the cluster holds nothing of it.
    pub async fn removed(&self, id: &str) {
        assert_eq!(self.delete(id).await, StatusCode::OK);
        let namespace = self.namespace(id);
        let gone = async || (!kubectl::exists("namespace", &namespace).await).then_some(());
        until(&format!("the namespace {namespace} to go"), 60, gone).await;
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
