//! A gateway on a loopback address of its own, over a table that the test fills, and servers that stand for containers'.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use berth_core::id::{ContainerId, Generation, UserId};
use berth_core::names::Names;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::http::Listeners;
use crate::keys::{self, CA_CERTIFICATE};
use crate::table::{Protocol, Rule, Ssh, Table, Target};
use crate::{Config, Keys, Shared, audit};

pub(super) const ANN: &str = "bcdfghjk";
pub(super) const BOB: &str = "vwxzbcdf";
/// What stands for ports 80, 443 and 8000 here.
const PORTS: [(u16, u16); 3] = [(80, 10080), (443, 10443), (8000, 65530)];
/// Far above what anything here takes on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(10);

pub(super) fn host(id: &str) -> String {
    format!("{id}.compute.example.com")
}

pub(super) struct Site {
    ip: IpAddr,
    /// That containers may have for their own.
    pub(super) own: [IpAddr; 2],
    pub(super) table: Arc<Table>,
    pub(super) stop: CancellationToken,
    folder: TempDir,
    /// What goes to the audit log.
    pub(super) ended: audit::Ended,
}

impl Site {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with_api(api: Option<SocketAddr>) -> Self {
        Self::with(|config| config.api = api).await
    }

    /// On ports and with keys of its own.
    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let process = std::process::id().to_be_bytes();
        let address = || -> IpAddr {
            Ipv4Addr::new(127, process[2] & 0x7f, process[3], NEXT.fetch_add(1, Ordering::Relaxed)).into()
        };
        let (ip, own) = (address(), [address(), address()]);
        let folder = tempfile::tempdir().unwrap();
        keys::make(folder.path()).unwrap();
        let mut config = Config {
            keys: Some(folder.path().to_owned()),
            addresses: vec![ip],
            dedicated: own.to_vec().into(),
            http_port: PORTS[0].1,
            https_port: PORTS[1].1,
            base_port: PORTS[2].1,
            ..Config::default()
        };
        change(&mut config);
        let listeners = Listeners::bind(&config, None).await.unwrap();
        let table = Arc::new(Table::new("example.com"));
        let keys = Keys::load(folder.path()).unwrap();
        let stop = CancellationToken::new();
        let (log, ended) = audit::log();
        let shared = Arc::new(Shared { config, keys, table: table.clone(), log, acme: None });
        tokio::spawn(listeners.serve(shared, stop.clone()));
        Self { ip, own, table, stop, folder, ended }
    }

    /// Where a public port is listened on.
    pub(super) fn at(&self, port: u16) -> SocketAddr {
        let (_, here) = PORTS.iter().find(|(public, _)| *public == port).unwrap();
        SocketAddr::new(self.ip, *here)
    }

    /// All public ports lead to one server, in whose place there may be nothing yet.
    pub(super) fn route(&self, id: &str, server: Option<SocketAddr>) {
        let port = server.map_or(1, |server| server.port());
        let rules = PORTS.iter().map(|(public, _)| (*public, Rule { target: port, protocol: Protocol::Http }));
        self.put(id, server.map(|server| server.ip()), rules.collect(), false);
    }

    /// Ports 80 and 8000 are open, the latter for raw TCP at this address.
    pub(super) fn put_raw(&self, id: &str, own: IpAddr, server: SocketAddr) {
        let rule = |protocol| Rule { target: server.port(), protocol };
        let rules = [(80, rule(Protocol::Http)), (8000, rule(Protocol::Tcp))];
        self.put(id, Some(server.ip()), rules.into(), false);
        let target = self.table.get(id.parse().unwrap()).unwrap().now();
        self.table.set_route(target.id, Some(Target { own_address: Some(own), ..target.as_ref().clone() }));
    }

    pub(super) fn put(&self, id: &str, ip: Option<IpAddr>, rules: BTreeMap<u16, Rule>, stopped: bool) {
        let names = Names::new(UserId(7), id.parse().unwrap());
        let target = Target {
            id: names.id,
            owner: names.owner,
            username: "ann".to_owned(),
            hostname: host(id),
            rules,
            ssh: Ssh { enabled: false, port: 22022, keys: Vec::new(), host_key: None },
            own_address: None,
            stopped,
            generation: Generation(1),
            address: None,
        };
        self.table.set_address(names.id, ip);
        self.table.set_route(names.id, Some(target));
    }

    pub(super) fn forget(&self, id: &str) {
        self.table.set_route(id.parse::<ContainerId>().unwrap(), None);
    }

    pub(super) async fn connect(&self, port: u16) -> TcpStream {
        TcpStream::connect(self.at(port)).await.unwrap()
    }

    /// The same at another of the gateway's addresses.
    pub(super) async fn connect_at(&self, ip: IpAddr, port: u16) -> TcpStream {
        TcpStream::connect(SocketAddr::new(ip, self.at(port).port())).await.unwrap()
    }

    /// Sends this and reads all there is until the connection ends.
    pub(super) async fn exchange(&self, port: u16, request: &str) -> String {
        let mut stream = self.connect(port).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await
    }

    /// A GET over a connection of its own.
    pub(super) async fn get(&self, port: u16, host: &str, more: &str) -> String {
        let request = format!("GET /?secret HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
        self.exchange(port, &request).await
    }

    pub(super) async fn handshake(
        &self,
        port: u16,
        name: &str,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake_trusting(&self.folder.path().join(CA_CERTIFICATE), port, name, protocols).await
    }

    pub(super) async fn handshake_trusting(
        &self,
        authority: &Path,
        port: u16,
        name: &str,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(name.to_owned().try_into().unwrap(), self.connect(port).await).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("gave up waiting for {what}"))
}

/// What comes before the connection ends, however it does.
pub(super) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _end = soon("a connection to end", stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads on until what came ends with this.
pub(super) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.ends_with(end) {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            assert!(length > 0, "it ended before {end:?}: {text:?}");
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    soon(&format!("{end:?} to come"), read).await;
    text
}

/// The next line of what `lines` is written to.
pub(super) async fn next<T>(what: &str, told: &mut mpsc::UnboundedReceiver<T>) -> T {
    soon(what, told.recv()).await.unwrap_or_else(|| panic!("nobody tells of {what}"))
}

/// A server whose connections the test serves itself.
pub(super) async fn server() -> (SocketAddr, mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if tell.send(stream).is_err() {
                return;
            }
        }
    });
    (address, told)
}

/// A server that answers each request with this, and tells what it was asked, head by head.
pub(super) async fn answering(answer: &'static str) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (address, mut connections) = server().await;
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(mut stream) = connections.recv().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut text = Vec::new();
                while stream.read_buf(&mut text).await.is_ok_and(|length| length > 0) {
                    if text.ends_with(b"\r\n\r\n") {
                        let _test_is_over = tell.send(String::from_utf8_lossy(&std::mem::take(&mut text)).into_owned());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (address, told)
}
