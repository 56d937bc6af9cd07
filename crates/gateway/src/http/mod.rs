//! HTTP and HTTPS: ports 80, 443 and 8000 to 8999 of every address. A connection is told apart by its first byte, a request by its
//! host name and the port that it came to; what a rule stands for is then reached in the container's own pod.

pub(crate) mod accept;
mod answer;
mod body;
mod connection;
mod forward;
mod headers;
mod meter;
mod pool;
mod routing;
mod strict;
mod tally;
mod tunnel;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use berth_core::ingress::PublicPort;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::acme::Acme;
use crate::places::Places;
use crate::tls::{Certificates, Source};
use crate::{Config, Error, Shared};

/// How often idle connections to pods are looked through.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Listeners {
    listeners: Vec<(TcpListener, PublicPort)>,
    certificates: Source,
}

/// What every connection shares.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: pool::Pool,
    pub(crate) requests: meter::Requests,
    pub(crate) tls: TlsAcceptor,
    /// Open connections, by where they come from.
    pub(crate) places: Arc<Places<IpAddr>>,
}

impl Listeners {
    pub(crate) async fn bind(config: &Config, acme: Option<&Acme>) -> Result<Self, Error> {
        let certificates = Source::open(config, acme)?;
        let mut listeners = Vec::new();
        for ip in config.listened() {
            for (here, rule) in config.ports() {
                let address = SocketAddr::new(ip, here);
                let listener = TcpListener::bind(address).await.map_err(|error| Error::Listen { address, error })?;
                listeners.push((listener, rule));
            }
        }
        Ok(Self { listeners, certificates })
    }

    pub(crate) async fn serve(self, shared: Arc<Shared>, stop: CancellationToken) {
        let certificates = match Certificates::new(self.certificates, shared.table.apex()) {
            Ok(certificates) => Arc::new(certificates),
            Err(error) => {
                tracing::error!(%error, "without a certificate the gateway serves no HTTP");
                return stop.cancelled().await;
            }
        };
        let tls = TlsAcceptor::from(Arc::new(crate::tls::server_config(certificates.clone())));
        let places = Places::new(shared.config.max_connections_per_address);
        let context =
            Arc::new(Context { shared, pool: pool::Pool::default(), requests: meter::Requests::new(), tls, places });
        let mut tasks = JoinSet::new();
        for (listener, port) in self.listeners {
            tasks.spawn(accept::listen(context.clone(), listener, port.get(), stop.clone()));
        }
        let sweep = async {
            let mut every = tokio::time::interval(SWEEP);
            loop {
                every.tick().await;
                context.pool.sweep();
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = sweep => {}
            () = certificates.keep_current() => {}
        }
        // Each waits for the connections that it took; berthd's grace ends those that do not end.
        while tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
