//! One connection: who may log in over it, and what each request becomes. Whatever takes time is a task of its own; here is
//! only said whether it is done at all.

use std::net::IpAddr;
use std::sync::Arc;

use berth_grant::Grant;
use berth_sshkit::{Gate, PAUSE, sound};
use russh::keys::{Algorithm, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};

use super::Context;
use super::forward::{self, Forwards, Place};
use super::link::Link;
use super::session;

/// Whom the gateway vouched for.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) grant: Grant,
    /// Our own address, as the client is told.
    pub(super) local: IpAddr,
}

pub(super) struct Client {
    peer: Peer,
    context: Arc<Context>,
    gate: Arc<Gate>,
    forwards: Forwards,
}

impl Client {
    pub(super) fn new(peer: Peer, context: Arc<Context>, gate: Arc<Gate>) -> Self {
        Self { peer, context, gate, forwards: Forwards::default() }
    }

    /// The grant's keys and no others. The user's name says nothing: a session is the container's own user.
    fn judge(&self, key: &PublicKey, algorithm: &Algorithm) -> Auth {
        if sound(algorithm) && self.peer.grant.keys.iter().any(|granted| granted == key.key_data()) {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }

    fn connection(&self) -> String {
        let from = self.peer.grant.address;
        format!("{} {} {} 22", from.ip(), from.port(), self.peer.local)
    }

    /// Connects as the client asks and relays, without holding up anything else.
    fn forward(&self, to: Place, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let (context, gate) = (self.context.clone(), self.gate.clone());
        tokio::spawn(async move {
            let Ok(_place) = context.place() else { return reply.reject(ChannelOpenFailure::ResourceShortage).await };
            forward::connect(&context, to, channel, reply, gate).await;
        });
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(self.judge(offer.public_key, offer.algorithm))
    }

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(self.judge(key.public_key, key.algorithm))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        self.gate.meet(session.remote_sshid());
        Ok(())
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(Link::open(&self.context.link).err().map(|_| super::rescue::BANNER.to_owned()))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Ok(place) = self.context.place() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        reply.accept().await;
        let task =
            session::Task::new(self.context.clone(), self.gate.clone(), session.handle(), self.connection(), place);
        tokio::spawn(task.run(channel));
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        match u16::try_from(port) {
            Ok(port) => self.forward(Place::Tcp(host.to_owned(), port), channel, reply),
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.forward(Place::Unix(path.to_owned()), channel, reply);
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        let Ok(asked) = u16::try_from(*port) else { return Ok(false) };
        let bound = self.forwards.tcp(address, asked, session.handle(), &self.context, &self.gate).await;
        Ok(bound.map(|bound| *port = bound.into()).is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        Ok(u16::try_from(port).is_ok_and(|port| self.forwards.cancel(&Place::Tcp(address.to_owned(), port))))
    }

    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, Self::Error> {
        Ok(self.forwards.unix(path, session.handle(), &self.context, &self.gate).await)
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool, Self::Error> {
        Ok(self.forwards.cancel(&Place::Unix(path.to_owned())))
    }

    fn adjust_window(&mut self, channel: ChannelId, _current: u32) -> u32 {
        self.gate.size(channel)
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Self::Error> {
        if self.gate.arrived(channel, data.len()) {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    // The channel's own task hears of each request as well, and acts on it. The answer is given here, at once: the library
    // remembers of one request alone whether it wants one.

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if name == session::SFTP { session.channel_success(channel) } else { session.channel_failure(channel) }
    }

    async fn agent_request(&mut self, _channel: ChannelId, _session: &mut Session) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }
}
