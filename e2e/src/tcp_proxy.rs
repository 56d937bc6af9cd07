//! A TCP proxy in front of the API server, which can be taken down: then nothing listens, and open connections are cut.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    upstream: String,
    folder: TempDir,
    up: Option<CancellationToken>,
}

impl TcpProxy {
    /// In front of the server of `kubeconfig`.
    pub async fn start(kubeconfig: &Path) -> Self {
        let mut config = Kubeconfig::read_from(kubeconfig).expect("the service account's kubeconfig");
        let cluster = config.clusters[0].cluster.as_mut().expect("a cluster");
        let server = cluster.server.take().expect("a server");
        let upstream = server.trim_start_matches("https://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        cluster.server = Some(format!("https://{address}"));
        cluster.tls_server_name = Some("kubernetes".to_owned());
        let folder = tempfile::tempdir().expect("a folder");
        let text = serde_json::to_string(&config).expect("a kubeconfig as JSON");
        std::fs::write(folder.path().join("kubeconfig"), text).expect("a kubeconfig");
        let mut proxy = Self { address, upstream, folder, up: None };
        proxy.serve(listener);
        proxy
    }

    /// What berthd is given.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub fn down(&mut self) {
        if let Some(up) = self.up.take() {
            up.cancel();
        }
    }

    pub async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the port that was listened on before");
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let up = CancellationToken::new();
        self.up = Some(up.clone());
        let upstream = self.upstream.clone();
        tokio::spawn(async move {
            // Dropped when the proxy goes down, and all connections with it.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    () = up.cancelled() => return,
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { return };
                        connections.spawn(relay(client, upstream.clone()));
                    }
                }
            }
        });
    }
}

async fn relay(mut client: TcpStream, upstream: String) {
    if let Ok(mut server) = TcpStream::connect(upstream).await {
        // How a connection ends is for the two ends to judge.
        let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await.is_err();
    }
}
