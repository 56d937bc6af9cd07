//! SSH into containers. SSH sends no host name, so [`name`] says how a container is named all the same; then either the
//! bytes of an end-to-end session are passed on ([`jump`]), or the session ends here and goes on in another one that only
//! this gateway can open ([`inner`], [`pair`]).
//!
//! Nothing is shared between people's connections but counts. Each channel of a person has an inner connection of its own:
//! the library's client cannot hold back one channel of several, a TCP connection can.

mod connection;
mod ended;
mod forwards;
mod guest;
mod inner;
mod jump;
mod name;
mod pair;
mod requests;
mod server;
mod unknown;
mod wire;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_core::id::ContainerId;
use berth_sshkit::Budget;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::places::Places;
use crate::table::Entry;
use crate::{Config, Error, Shared};

/// Bytes that people sent and no container has taken yet, of all connections together.
const MAX_WAITING: usize = 256 << 20;
/// To one container, or with one key. An agent has 256; a second gateway, and this one's successor, are to find some free.
const MAX_OPEN: usize = 192;
/// After an `accept` that failed, for want of descriptors most likely.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Listeners(Vec<TcpListener>);

/// What every connection shares.
#[derive(Debug)]
struct Ssh {
    shared: Arc<Shared>,
    server: Arc<russh::server::Config>,
    client: Arc<russh::client::Config>,
    unknown: Arc<unknown::Unknown>,
    /// Connections to a container's agent.
    places: Arc<Places<ContainerId>>,
    /// Connections of people, by the fingerprint of their key.
    logins: Arc<Places<String>>,
    waiting: Arc<Budget>,
    stop: CancellationToken,
}

impl Listeners {
    pub(crate) async fn bind(config: &Config) -> Result<Self, Error> {
        let mut listeners = Vec::new();
        for ip in config.listened() {
            let address = SocketAddr::new(ip, config.ssh_port);
            let listener = TcpListener::bind(address).await.map_err(|error| Error::Listen { address, error })?;
            listeners.push(listener);
        }
        Ok(Self(listeners))
    }

    pub(crate) async fn serve(self, shared: Arc<Shared>, stop: CancellationToken) {
        let ssh = Arc::new(Ssh {
            server: Arc::new(server::config(&shared.keys)),
            client: Arc::new(inner::config()),
            unknown: Arc::default(),
            places: Places::new(MAX_OPEN),
            logins: Places::new(MAX_OPEN),
            waiting: Budget::new(MAX_WAITING),
            stop,
            shared,
        });
        let accepting: JoinSet<()> = self.0.into_iter().map(|listener| accept(ssh.clone(), listener)).collect();
        accepting.join_all().await;
    }
}

/// Until asked to stop; then the connections are told, and end.
async fn accept(ssh: Arc<Ssh>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ssh.stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, from)) => drop(connections.spawn(connection::run(ssh.clone(), stream, from))),
            Err(error) => {
                tracing::warn!(%error, "SSH connections cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.join_all().await;
}
