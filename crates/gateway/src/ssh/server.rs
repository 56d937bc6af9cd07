//! What a person's client asks, one thing after another. Whatever takes time is a task of its own, but for requests whose
//! answers must stand in order.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use berth_core::id::ContainerId;
use berth_sshkit::{Gate, PAUSE, server_config, sound};
use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty, Sig};
use tokio::sync::{Semaphore, oneshot};

use super::connection::Login;
use super::forwards::{Forwards, Place};
use super::guest::{self, Guest, To};
use super::inner::Doors;
use super::jump::Jumper;
use super::name::{Named, name};
use super::requests::{Far, Sessions, Start, answer};
use super::{Ssh, words};
use crate::Keys;
use crate::table::Target;

/// Attempts to log in, after the one that only asks which methods there are.
const ATTEMPTS: usize = 6;

pub(super) fn config(keys: &Keys) -> Config {
    Config { max_auth_attempts: ATTEMPTS + 1, ..server_config(keys.host.clone()) }
}

/// Channels that one connection may have: as many as a container has places, and some that are only told so.
const CHANNELS: usize = 256;

type Result<T> = std::result::Result<T, russh::Error>;

pub(super) struct Server {
    ssh: Arc<Ssh>,
    from: SocketAddr,
    local: IpAddr,
    gate: Arc<Gate>,
    /// Takes the one login that there is.
    tell: Option<oneshot::Sender<(Login, russh::server::Handle)>>,
    login: Option<Login>,
    /// The key that was shown to be the person's, and that does not open what they named.
    other: Option<String>,
    guest: Guest,
    /// Whether a key was shown that opens nothing.
    refused: Arc<AtomicBool>,
    sessions: Sessions,
    /// How many more channels there may be.
    channels: Arc<Semaphore>,
    forwards: Forwards,
}

impl Server {
    pub(super) fn new(
        ssh: Arc<Ssh>,
        from: SocketAddr,
        local: IpAddr,
        tell: oneshot::Sender<(Login, russh::server::Handle)>,
        refused: Arc<AtomicBool>,
    ) -> Self {
        Self {
            from,
            local,
            gate: Gate::new(ssh.waiting.clone()),
            ssh,
            tell: Some(tell),
            login: None,
            other: None,
            guest: Guest::Stranger,
            refused,
            sessions: Sessions::default(),
            channels: Arc::new(Semaphore::new(CHANNELS)),
            forwards: Forwards::default(),
        }
    }

    /// The containers that let this key in now.
    fn accepting(&self, fingerprint: &str) -> Vec<Arc<Target>> {
        let listing = self.ssh.shared.table.accepting(fingerprint);
        listing.iter().map(super::Entry::now).filter(|target| target.accepts(fingerprint)).collect()
    }

    fn judge(&self, user: &str, key: &PublicKey, algorithm: &Algorithm) -> (String, Named) {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if !sound(algorithm) {
            return (fingerprint, Named::Nobody);
        }
        let accepting = self.accepting(&fingerprint);
        let ids = |admits: &dyn Fn(&Target) -> bool| -> Vec<ContainerId> {
            accepting.iter().filter(|target| admits(target)).map(|target| target.id).collect()
        };
        let address = self.ssh.shared.config.dedicated(self.local);
        let addressed = address.map(|address| ids(&|target| target.own_address == Some(address)));
        let named = name(user, &ids(&|_| true), addressed.as_deref());
        (fingerprint, named)
    }

    /// The commands that work with a key.
    fn commands(&self, fingerprint: &str) -> String {
        let place = words::Place {
            host: words::reachable(self.ssh.shared.table.apex()),
            port: self.ssh.shared.config.ssh_port,
        };
        words::commands(place, &self.accepting(fingerprint))
    }

    fn visited(&self) -> Option<Arc<Doors>> {
        match &self.guest {
            Guest::Visitor(doors) => Some(doors.clone()),
            Guest::Stranger | Guest::Jumper { .. } | Guest::Lost { .. } => None,
        }
    }

    async fn forward(&self, to: To, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        match self.visited() {
            Some(doors) => self.spawn(reply, |reply| guest::forward(doors, to, channel, reply)).await,
            None => guest::refuse(reply).await,
        }
    }

    /// A channel's own task, while there may be one more.
    async fn spawn<F>(&self, reply: ChannelOpenHandle, task: impl FnOnce(ChannelOpenHandle) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Ok(permit) = self.channels.clone().try_acquire_owned() else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        let task = task(reply);
        tokio::spawn(async move {
            task.await;
            drop(permit);
        });
    }

    /// The session of a channel, while something can still be asked for it.
    fn far(&self, channel: ChannelId) -> Option<Arc<Far>> {
        self.sessions.get(channel).filter(|far| match far.as_ref() {
            Far::Container(session) => !session.is_started(),
            Far::Words { .. } => true,
        })
    }

    /// Something is to run.
    async fn start(&self, channel: ChannelId, what: Start<'_>, session: &mut Session) -> Result<()> {
        match self.far(channel) {
            Some(far) => far.start(channel, what, session).await,
            None => session.channel_failure(channel),
        }
    }
}

impl Handler for Server {
    type Error = russh::Error;

    /// No is said to keys that do not fit, so that the client offers its next one.
    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth> {
        Ok(match self.judge(user, offer.public_key, offer.algorithm).1 {
            Named::Nobody => {
                self.refused.store(true, Ordering::Relaxed);
                Auth::reject()
            }
            Named::Other if self.other.is_some() => Auth::reject(),
            Named::Other | Named::Jump | Named::Container(..) | Named::Unclear => Auth::Accept,
        })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth> {
        let (fingerprint, named) = self.judge(user, key.public_key, key.algorithm);
        Ok(match named {
            Named::Nobody => Auth::reject(),
            // Another key of the same person may open what they named: the client goes through its keys once more, and
            // only then, when it has none, through the next method, which is how we know that there is none.
            Named::Other => {
                self.other = Some(fingerprint);
                let methods = MethodSet::from(&[MethodKind::PublicKey, MethodKind::KeyboardInteractive][..]);
                Auth::Reject { proceed_with_methods: Some(methods), partial_success: true }
            }
            Named::Jump | Named::Container(..) | Named::Unclear => {
                self.login = Some(Login { fingerprint, named });
                Auth::Accept
            }
        })
    }

    /// Nothing is asked: whoever comes here has shown a key of theirs, and is told what it opens.
    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth> {
        let Some(fingerprint) = self.other.take() else { return Ok(Auth::reject()) };
        self.login = Some(Login { fingerprint, named: Named::Other });
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<()> {
        self.gate.meet(session.remote_sshid());
        let (Some(login), Some(tell)) = (self.login.clone(), self.tell.take()) else {
            return Err(russh::Error::NotAuthenticated);
        };
        let Login { fingerprint, named } = login.clone();
        self.guest = match named {
            Named::Nobody => return Err(russh::Error::NotAuthenticated),
            Named::Jump => Guest::Jumper { words: self.commands(&fingerprint), fingerprint },
            Named::Other | Named::Unclear => Guest::Lost { words: self.commands(&fingerprint) },
            Named::Container(id, _) => {
                let entry = self.ssh.shared.table.get(id).ok_or(russh::Error::NotAuthenticated)?;
                let (ssh, gate) = (self.ssh.clone(), self.gate.clone());
                Guest::Visitor(Arc::new(Doors::new(ssh, entry, self.from, session.handle(), gate)))
            }
        };
        let _gone = tell.send((login, session.handle()));
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<()> {
        let (guest, sessions) = (self.guest.clone(), self.sessions.clone());
        self.spawn(reply, |reply| guest::session(guest, sessions, channel, reply)).await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<()> {
        let host = host.to_owned();
        if let Guest::Jumper { fingerprint, .. } = &self.guest {
            let (ssh, fingerprint, handle) = (self.ssh.clone(), fingerprint.clone(), session.handle());
            let jumper = Jumper { ssh, fingerprint, from: self.from, handle, gate: self.gate.clone() };
            self.spawn(reply, |reply| jumper.to(host, port, channel, reply)).await;
        } else {
            self.forward(To::Tcp { host, port, from: from.to_owned(), from_port }, channel, reply).await;
        }
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<()> {
        self.forward(To::Unix(path.to_owned()), channel, reply).await;
        Ok(())
    }

    async fn tcpip_forward(&mut self, address: &str, port: &mut u32, _session: &mut Session) -> Result<bool> {
        let Some(doors) = self.visited() else { return Ok(false) };
        let bound = self.forwards.tcp(&doors, address, *port).await;
        Ok(bound.map(|bound| *port = bound).is_some())
    }

    async fn cancel_tcpip_forward(&mut self, address: &str, port: u32, _session: &mut Session) -> Result<bool> {
        Ok(self.forwards.cancel(&Place::Tcp(address.to_owned(), port)).await)
    }

    async fn streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool> {
        let Some(doors) = self.visited() else { return Ok(false) };
        Ok(self.forwards.unix(&doors, path).await)
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool> {
        Ok(self.forwards.cancel(&Place::Unix(path.to_owned())).await)
    }

    fn adjust_window(&mut self, channel: ChannelId, _current: u32) -> u32 {
        self.gate.size(channel)
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _session: &mut Session) -> Result<()> {
        if self.gate.arrived(channel, data.len()) {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<()> {
        let yes = match self.far(channel).as_deref() {
            None => false,
            Some(Far::Container(far)) => {
                let sent = far.writer.request_pty(true, term, columns, rows, width, height, modes).await;
                far.answer(sent).await
            }
            Some(Far::Words { terminal, .. }) => {
                terminal.store(true, Ordering::Relaxed);
                true
            }
        };
        answer(yes, channel, session)
    }

    async fn env_request(&mut self, channel: ChannelId, name: &str, value: &str, session: &mut Session) -> Result<()> {
        let yes = match self.far(channel).as_deref() {
            None | Some(Far::Words { .. }) => false,
            Some(Far::Container(far)) => {
                let sent = far.writer.set_env(true, name, value).await;
                far.answer(sent).await
            }
        };
        answer(yes, channel, session)
    }

    async fn agent_request(&mut self, channel: ChannelId, _session: &mut Session) -> Result<bool> {
        Ok(match self.far(channel).as_deref() {
            None | Some(Far::Words { .. }) => false,
            Some(Far::Container(far)) => {
                let sent = far.writer.agent_forward(true).await;
                far.answer(sent).await
            }
        })
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<()> {
        self.start(channel, Start::Shell, session).await
    }

    async fn exec_request(&mut self, channel: ChannelId, command: &[u8], session: &mut Session) -> Result<()> {
        self.start(channel, Start::Exec(command), session).await
    }

    async fn subsystem_request(&mut self, channel: ChannelId, name: &str, session: &mut Session) -> Result<()> {
        self.start(channel, Start::Subsystem(name), session).await
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<()> {
        session.channel_failure(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        session: &mut Session,
    ) -> Result<()> {
        let sent = match self.sessions.get(channel).as_deref() {
            Some(Far::Container(far)) => far.writer.window_change(columns, rows, width, height).await.is_ok(),
            Some(Far::Words { .. }) | None => false,
        };
        answer(sent, channel, session)
    }

    async fn signal(&mut self, channel: ChannelId, signal: Sig, _session: &mut Session) -> Result<()> {
        if let Some(Far::Container(far)) = self.sessions.get(channel).as_deref() {
            let _gone = far.writer.signal(signal).await;
        }
        Ok(())
    }
}
