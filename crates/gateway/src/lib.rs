//! The gateway: how people reach containers by SSH, HTTP, HTTPS and raw TCP. It holds no credential of the database; all that it knows
//! of containers are their routes and the addresses of their pods, which it watches, so it serves on while everything else
//! of Berth is down.

mod acme;
mod agent;
mod audit;
mod config;
mod dns;
mod http;
pub mod keys;
mod places;
mod ssh;
mod table;
mod tcp;
mod tls;

use std::sync::Arc;

pub use acme::Settings as Acme;
pub use kube::Client;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use dns::Dns;
pub use keys::Keys;
use table::Table;

/// What every listener shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) table: Arc<Table>,
    pub(crate) log: audit::Log,
    pub(crate) acme: Option<acme::Acme>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listening on {address}: {error}")]
    Listen { address: std::net::SocketAddr, error: std::io::Error },
    #[error("gateway.spool: {folder}: {error}")]
    Spool { folder: String, error: std::io::Error },
    #[error("gateway.dns.nameservers: {0}")]
    Nameservers(String),
    #[error("the gateway's certificate: {0}")]
    Certificate(tls::Failed),
}

/// Listening already, serving nobody yet.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    ended: audit::Ended,
    spool: audit::Spool,
    dns: dns::Listeners,
    ssh: ssh::Listeners,
    http: http::Listeners,
}

impl Gateway {
    /// # Errors
    /// [`Error::Listen`] names the address that cannot be had, the others the setting.
    pub async fn bind(config: Config, keys: Keys, domain: &str) -> Result<Self, Error> {
        let spool = audit::Spool::open(&config.spool)
            .map_err(|error| Error::Spool { folder: config.spool.display().to_string(), error })?;
        let (log, ended) = audit::log();
        let table = Arc::new(Table::new(domain));
        let acme = acme::Acme::new(&config, table.apex())?;
        let shared = Arc::new(Shared { table, config, keys, log, acme });
        let dns = dns::Listeners::bind(&shared).await?;
        let ssh = ssh::Listeners::bind(&shared.config).await?;
        let http = http::Listeners::bind(&shared.config, shared.acme.as_ref()).await?;
        Ok(Self { shared, ended, spool, dns, ssh, http })
    }

    /// Serves until asked to stop, and then until what is under way has ended. Connections that come before the routes are
    /// known wait for them.
    pub async fn run(self, client: Client, stop: CancellationToken) {
        let (listed, serving) = (Arc::new(Notify::new()), Notify::new());
        let looked = async {
            if let Some(acme) = &self.shared.acme {
                acme.looked().await;
            }
        };
        let serve = async {
            tokio::select! {
                () = async { tokio::join!(listed.notified(), looked) ; } => {}
                () = stop.cancelled() => return,
            }
            tracing::info!("the gateway serves");
            serving.notify_one();
            tokio::join!(
                self.dns.serve(self.shared.clone(), stop.clone()),
                self.ssh.serve(self.shared.clone(), stop.clone()),
                self.http.serve(self.shared.clone(), stop.clone()),
            );
        };
        let report = async {
            match self.shared.config.api {
                Some(api) => audit::Reporter::new(api).run(&self.spool, &self.shared.keys.grant).await,
                None => std::future::pending().await,
            }
        };
        let certificates = async {
            match &self.shared.acme {
                Some(acme) => acme.run(client.clone(), &serving).await,
                None => std::future::pending().await,
            }
        };
        // What ends last is still written down.
        let served = CancellationToken::new();
        let all = async {
            tokio::select! {
                () = table::follow(client.clone(), self.shared.table.clone(), listed.clone()) => {}
                () = report => {}
                () = certificates => {}
                () = serve => {}
            }
            served.cancel();
        };
        tokio::join!(all, self.ended.spool(&self.spool, &served));
    }
}
