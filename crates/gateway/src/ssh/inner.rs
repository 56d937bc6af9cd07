//! Inner connections: the gateway logs in to a container's agent with a key of its own that lives as long as the person's
//! connection, and that nothing but the grant ever names.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_core::id::ContainerId;
use berth_sshkit::{Gate, WINDOW, preferred};
use rand::RngExt;
use russh::client::{self, AuthResult, ChannelOpenHandle, Config, Handler, Msg, Session};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelOpenFailure, server};
use ssh_key::PublicKey;
use ssh_key::private::Ed25519Keypair;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Ssh, pair, words};
use crate::agent::{self, Unreached};
use crate::places::Place;
use crate::table::Entry;

/// In a cluster it takes milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// The agent's account of that name; it knows no others.
const USER: &str = "root";
/// Messages of a channel that wait for the person. More wait in the container: the connection is read no further.
const BUFFER: usize = 16;

pub(super) fn config() -> Config {
    Config {
        client_id: russh::SshId::Standard("SSH-2.0-BerthGateway".into()),
        window_size: WINDOW,
        channel_buffer_size: BUFFER,
        preferred: preferred(),
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 8,
        ..Config::default()
    }
}

/// How one person's connection reaches its container.
pub(super) struct Doors {
    ssh: Arc<Ssh>,
    entry: Entry,
    from: SocketAddr,
    key: Arc<PrivateKey>,
    outer: server::Handle,
    gate: Arc<Gate>,
}

/// An open one. It ends when this is dropped.
pub(super) struct Inner {
    pub(super) handle: client::Handle<Agent>,
    banner: Arc<Mutex<String>>,
    refusal: oneshot::Receiver<String>,
    _place: Place<ContainerId>,
}

impl Inner {
    /// What the agent has to say before anything else.
    pub(super) fn banner(&self) -> String {
        self.banner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a channel to the agent did not come about.
pub(super) async fn refusal(inner: Inner, error: russh::Error) -> ChannelOpenFailure {
    let russh::Error::ChannelOpenFailure(kind) = error else { return ChannelOpenFailure::ConnectFailed };
    // The library hands on the kind, and the words apart from it, a moment later.
    match timeout(PATIENCE, inner.refusal).await {
        Ok(Ok(reason)) => ChannelOpenFailure::Other { code: kind.code(), reason },
        Ok(Err(_)) | Err(_) => kind,
    }
}

impl Doors {
    pub(super) fn new(ssh: Arc<Ssh>, entry: Entry, from: SocketAddr, outer: server::Handle, gate: Arc<Gate>) -> Self {
        let key = Arc::new(PrivateKey::from(Ed25519Keypair::from_seed(&rand::rng().random())));
        Self { ssh, entry, from, key, outer, gate }
    }

    pub(super) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    pub(super) fn outer(&self) -> server::Handle {
        self.outer.clone()
    }

    /// # Errors
    /// Words for the person.
    pub(super) async fn open(&self) -> Result<Inner, String> {
        let target = self.entry.now();
        let unreached = |why: Unreached| {
            tracing::debug!(container = %target.id, %why, "a container was not reached");
            words::unreached(&target, &why)
        };
        // Without one nothing says that who answers is the container.
        let host_key = target.ssh.host_key.clone().ok_or(words::NO_HOST_KEY)?;
        let place = self.ssh.places.take(target.id).ok_or(words::TOO_MANY)?;
        let keys = vec![self.key.public_key().key_data().clone()];
        let stream = agent::open(&target, keys, self.from, &self.ssh.shared.keys).await.map_err(unreached)?;
        let banner = Arc::new(Mutex::new(String::new()));
        let (refuse, refusal) = oneshot::channel();
        let agent = Agent {
            refuse: Some(refuse),
            host_key,
            banner: banner.clone(),
            outer: self.outer.clone(),
            gate: self.gate.clone(),
        };
        let log_in = async {
            let mut handle = client::connect_stream(self.ssh.client.clone(), stream, agent).await?;
            let key = PrivateKeyWithHashAlg::new(self.key.clone(), None);
            match handle.authenticate_publickey(USER, key).await? {
                AuthResult::Success => Ok(handle),
                AuthResult::Failure { .. } => Err(russh::Error::NotAuthenticated),
            }
        };
        match timeout(PATIENCE, log_in).await {
            Ok(Ok(handle)) => Ok(Inner { handle, banner, refusal, _place: place }),
            Ok(Err(russh::Error::UnknownKey)) => {
                tracing::error!(container = %target.id, "an agent has another host key than its route says");
                Err(words::WRONG_HOST.to_owned())
            }
            Ok(Err(error)) => {
                tracing::debug!(container = %target.id, %error, "an agent did not let the gateway in");
                Err(words::unreached(&target, &Unreached::Silent))
            }
            Err(_late) => Err(words::unreached(&target, &Unreached::Silent)),
        }
    }
}

/// Whether who answers is the container. Agents have no certificates.
fn is(shown: &PublicKeyOrCertificate, host_key: &PublicKey) -> bool {
    matches!(shown, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == host_key.key_data())
}

/// What an agent asks of the gateway: channels back to the person.
#[derive(Debug)]
pub(super) struct Agent {
    host_key: PublicKey,
    /// Hears of the first channel that is refused; others are not asked for.
    refuse: Option<oneshot::Sender<String>>,
    banner: Arc<Mutex<String>>,
    outer: server::Handle,
    gate: Arc<Gate>,
}

impl Agent {
    /// The person's client decides whether it wants the channel.
    fn back(
        &self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        opened: impl Future<Output = Result<Channel<server::Msg>, russh::Error>> + Send + 'static,
    ) {
        let (outer, gate) = (self.outer.clone(), self.gate.clone());
        tokio::spawn(async move {
            match opened.await {
                Ok(theirs) => {
                    reply.accept().await;
                    let (incoming, writer) = channel.split();
                    pair::run(theirs, (incoming, Arc::new(writer)), outer, gate, None).await;
                }
                Err(russh::Error::ChannelOpenFailure(reason)) => reply.reject(reason).await,
                Err(_gone) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
        });
    }
}

impl Handler for Agent {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(is(key, &self.host_key))
    }

    async fn auth_banner(&mut self, banner: &str, _session: &mut Session) -> Result<(), Self::Error> {
        self.banner.lock().unwrap_or_else(PoisonError::into_inner).push_str(banner);
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _channel: ChannelId,
        _reason: ChannelOpenFailure,
        description: &str,
        _language: &str,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(refuse) = self.refuse.take() {
            let _nobody_waits = refuse.send(description.to_owned());
        }
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (outer, address, from) = (self.outer.clone(), address.to_owned(), from.to_owned());
        self.back(
            channel,
            reply,
            async move { outer.channel_open_forwarded_tcpip(address, port, from, from_port).await },
        );
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (outer, path) = (self.outer.clone(), path.to_owned());
        self.back(channel, reply, async move { outer.channel_open_forwarded_streamlocal(path).await });
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let outer = self.outer.clone();
        self.back(channel, reply, async move { outer.channel_open_agent().await });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_own_host_key() {
        let key = |seed: u8| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32])).public_key().clone();
        assert!(is(&key(1).into(), &key(1)));
        assert!(!is(&key(2).into(), &key(1)));
    }
}
