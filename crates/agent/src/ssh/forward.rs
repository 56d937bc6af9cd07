//! Connections that are forwarded, to where the client says and back to it. TCP happens here, in the network that main and the
//! agent share; sockets of the file system are main's, so `spawn` makes them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use berth_sshkit::{Gate, relay};
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Context;
use super::link::Link;
use crate::link::{Ask, Bytes};

/// For a connection to be made.
const PATIENCE: Duration = Duration::from_secs(30);
/// Listeners of one connection.
const MAX: usize = 64;

/// Where something listens, as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp(String, u16),
    Unix(String),
}

/// Connects first: what cannot be reached is told as such.
pub(super) async fn connect(
    context: &Context,
    to: Place,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
    gate: Arc<Gate>,
) {
    match to {
        Place::Tcp(host, port) => match timeout(PATIENCE, tcp(&host, port)).await {
            Ok(Ok(socket)) => {
                reply.accept().await;
                relay(channel, socket, gate).await;
            }
            Ok(Err(error)) => reply.reject(failed(&error.to_string())).await,
            Err(_late) => reply.reject(failed("it does not answer")).await,
        },
        Place::Unix(path) => match unix(context, &path).await {
            Ok((socket, _link)) => {
                reply.accept().await;
                relay(channel, socket, gate).await;
            }
            Err(error) => reply.reject(failed(&error.to_string())).await,
        },
    }
}

fn failed(words: &str) -> ChannelOpenFailure {
    const CONNECT_FAILED: u32 = 2;
    ChannelOpenFailure::Other { code: CONNECT_FAILED, reason: words.to_owned() }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // Whatever the image's /etc/hosts says: the container itself.
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) if host.eq_ignore_ascii_case("localhost") => LOOPBACK.map(|address| (address, port).into()).to_vec(),
        Err(_) => lookup_host((host, port)).await?.collect(),
    };
    let socket = TcpStream::connect(addresses.as_slice()).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

async fn unix(context: &Context, path: &str) -> io::Result<(UnixStream, Link)> {
    let link = Link::open(&context.link)?;
    let socket = link.opened(&Ask::Connect(Bytes(path.as_bytes().to_vec()))).await?;
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    Ok((UnixStream::from_std(socket)?, link))
}

/// The listeners that a client asked for. They and their connections end with it.
#[derive(Default)]
pub(super) struct Forwards(HashMap<Place, JoinSet<()>>);

impl Forwards {
    /// The port that is listened on; `None` when it cannot be.
    pub(super) async fn tcp(
        &mut self,
        address: &str,
        port: u16,
        handle: Handle,
        context: &Arc<Context>,
        gate: &Arc<Gate>,
    ) -> Option<u16> {
        if self.0.len() >= MAX || self.0.contains_key(&Place::Tcp(address.to_owned(), port)) {
            return None;
        }
        // As OpenSSH does unless it is told otherwise: for processes of the container, not for its neighbours.
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let port = first.local_addr().ok()?.port();
        let second = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok();
        let mut tasks = JoinSet::new();
        for listener in [Some(first), second].into_iter().flatten() {
            let (address, handle, context, gate) = (address.to_owned(), handle.clone(), context.clone(), gate.clone());
            tasks.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((socket, from)) = listener.accept().await {
                    while connections.try_join_next().is_some() {}
                    let Ok(place) = context.place() else { continue };
                    let (address, handle, gate) = (address.clone(), handle.clone(), gate.clone());
                    connections.spawn(async move {
                        let _place = place;
                        let _nodelay = socket.set_nodelay(true);
                        let (from, from_port) = (from.ip().to_string(), from.port().into());
                        let opened = handle.channel_open_forwarded_tcpip(address, port.into(), from, from_port).await;
                        if let Ok(channel) = opened {
                            relay(channel, socket, gate).await;
                        }
                    });
                }
            });
        }
        self.0.insert(Place::Tcp(address.to_owned(), port), tasks);
        Some(port)
    }

    pub(super) async fn unix(&mut self, path: &str, handle: Handle, context: &Arc<Context>, gate: &Arc<Gate>) -> bool {
        let place = Place::Unix(path.to_owned());
        if self.0.len() >= MAX || self.0.contains_key(&place) {
            return false;
        }
        let Ok(link) = Link::open(&context.link) else { return false };
        let Ok(listener) = link.opened(&Ask::Listen(Bytes(path.as_bytes().to_vec()))).await else { return false };
        let Ok(listener) = listening(listener) else { return false };
        let (path, context, gate) = (path.to_owned(), context.clone(), gate.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // The socket leaves main's file system with it.
            let _link = link;
            accept(listener, context, gate, move || {
                let (path, handle) = (path.clone(), handle.clone());
                async move { handle.channel_open_forwarded_streamlocal(path).await }
            })
            .await;
        });
        self.0.insert(place, tasks);
        true
    }

    /// Whether there was one.
    pub(super) fn cancel(&mut self, place: &Place) -> bool {
        self.0.remove(place).is_some()
    }
}

pub(super) fn listening(listener: OwnedFd) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(listener);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Opens a channel to the client for each connection that comes.
pub(super) async fn accept<F>(listener: UnixListener, context: Arc<Context>, gate: Arc<Gate>, open: impl Fn() -> F)
where
    F: Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((socket, _from)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let Ok(place) = context.place() else { continue };
        let (gate, opened) = (gate.clone(), open());
        connections.spawn(async move {
            let _place = place;
            if let Ok(channel) = opened.await {
                relay(channel, socket, gate).await;
            }
        });
    }
}
