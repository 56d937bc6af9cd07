//! SSH into the container. Every connection begins with a gateway's grant, and only that grant's keys may log in over it;
//! what is asked then happens in main, through `spawn`, or in the network that main and the agent share.
//!
//! Nothing here is shared between connections but the nonces of grants, and each channel is a task of its own.

mod admission;
mod client;
mod config;
mod forward;
mod link;
mod rescue;
mod session;
mod signals;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use berth_core::id::{ContainerId, Generation};
use berth_grant::Audience;
use berth_sshkit::{Budget, Gate};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, TryAcquireError};

use admission::Admission;
use client::Client;

use crate::say::say;

/// Connections that are open at once, and those among them that have shown no grant yet.
const MAX_OPEN: usize = 256;
const MAX_UNKNOWN: usize = 64;
/// Bytes of clients that nobody has taken yet.
const MAX_WAITING: usize = 24 << 20;

/// What `serve` is told of SSH.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    pub container: ContainerId,
    /// That made this pod.
    pub since: Generation,
    /// Holds `host_key`, OpenSSH's private key file, and `gateway_keys`, public keys by lines.
    pub keys: PathBuf,
    /// Shared with main.
    pub link: PathBuf,
    /// The volume, for the rescue shell.
    pub disk: PathBuf,
}

/// Everything that a connection needs of the agent.
#[derive(Debug)]
pub(crate) struct Context {
    link: PathBuf,
    disk: PathBuf,
    /// Sessions and forwarded connections, of all connections together.
    channels: Arc<Semaphore>,
    /// Bytes of clients that nobody has taken yet.
    waiting: Arc<Budget>,
}

/// Listens and serves until the process ends.
///
/// # Errors
/// When the port cannot be had or the host key cannot be read.
pub fn serve_ssh(settings: &Settings) -> io::Result<()> {
    let host_key = std::fs::read_to_string(settings.keys.join("host_key"))?;
    let config = Arc::new(config::config(&host_key)?);
    // Main's user, whoever that is, puts its socket there, and nobody else may take its place.
    rustix::fs::chmod(&settings.link, rustix::fs::Mode::from_raw_mode(0o1777))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(settings.listen).await?;
        say(&format!("SSH listens on {}", listener.local_addr()?));
        let audience = Audience { container: settings.container, since: settings.since };
        let admission = Arc::new(Admission::new(audience, settings.keys.join("gateway_keys")));
        let context = Arc::new(Context {
            link: settings.link.clone(),
            disk: settings.disk.clone(),
            channels: Arc::new(Semaphore::new(MAX_OPEN * 2)),
            waiting: Budget::new(MAX_WAITING),
        });
        let (open, unknown) = (Arc::new(Semaphore::new(MAX_OPEN)), Arc::new(Semaphore::new(MAX_UNKNOWN)));
        loop {
            let Ok((stream, _gateway)) = listener.accept().await else {
                // Out of descriptors, most likely: the next one may fare better.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            let (Ok(place), Ok(pending)) = (open.clone().try_acquire_owned(), unknown.clone().try_acquire_owned())
            else {
                continue;
            };
            let (config, admission, context) = (config.clone(), admission.clone(), context.clone());
            tokio::spawn(async move {
                let _place = place;
                let admitted = admit(stream, &admission).await;
                drop(pending);
                if let Some((stream, client)) = admitted {
                    let gate = Gate::new(context.waiting.clone());
                    let client = Client::new(client, context, gate);
                    if let Ok(session) = russh::server::run_stream(config, stream, client).await {
                        let _ended = session.await;
                    }
                }
            });
        }
    })
}

/// A connection with its grant; `None` when it has none that counts.
async fn admit(mut stream: TcpStream, admission: &Admission) -> Option<(TcpStream, client::Peer)> {
    stream.set_nodelay(true).ok()?;
    let local = stream.local_addr().ok()?.ip();
    match admission.grant(&mut stream).await {
        Ok(grant) => Some((stream, client::Peer { grant, local })),
        Err(refusal) => {
            // A peer is told nothing.
            say(&format!("a connection was refused: {refusal}"));
            None
        }
    }
}

impl Context {
    /// A place for one more session or forwarded connection.
    fn place(&self) -> Result<tokio::sync::OwnedSemaphorePermit, TryAcquireError> {
        self.channels.clone().try_acquire_owned()
    }
}
