//! New connections: which protocol they speak is seen at their first byte.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Door};
use super::{Context, meter};
use crate::places::{Place, network};
use crate::tcp;

/// From a connection's start to its first byte, and from there to the end of the handshake.
const FIRST_BYTE: Duration = Duration::from_secs(10);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// When no more files can be opened, those who wait are accepted a little later.
const BREATH: Duration = Duration::from_millis(100);
/// A peer that vanished without a word is noticed after four minutes; what is sent to it, is acknowledged or given up by then.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(30)).with_retries(6);
const UNACKNOWLEDGED: Duration = Duration::from_secs(240);
/// The record type that a TLS connection begins with, and no HTTP method.
const TLS_HANDSHAKE: u8 = 0x16;

pub(crate) async fn listen(context: Arc<Context>, listener: TcpListener, port: u16, stop: CancellationToken) {
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match context.places.take(network(peer.ip())) {
                Some(seat) => drop(open.spawn(visit(context.clone(), stream, peer, port, seat, stop.clone()))),
                // Closed without a word: an answer by TLS would cost what the limit is to save.
                None => meter::too_many(),
            },
            Err(error) => {
                tracing::debug!(port, %error, "a connection was not accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    // Nobody else is to come in while those who are in finish.
    drop(listener);
    open.close();
    open.wait().await;
}

async fn visit(
    context: Arc<Context>,
    stream: TcpStream,
    peer: SocketAddr,
    port: u16,
    seat: Place<IpAddr>,
    stop: CancellationToken,
) {
    let (tuned, local) = (tune(&stream), stream.local_addr());
    // Nothing that is said there is looked at.
    if let Some(place) = local.ok().and_then(|local| tcp::Place::find(&context.shared, local.ip(), port)) {
        return tcp::serve(&context.shared, place, stream, peer, stop).await;
    }
    let first = tokio::select! {
        first = tokio::time::timeout(FIRST_BYTE, first_byte(&stream)) => first,
        () = stop.cancelled() => return,
    };
    let (Ok(()), Ok(Ok(Some(first)))) = (tuned, first) else { return };
    if first != TLS_HANDSHAKE && port != 443 {
        let door = Door { port, peer, tls: false, sni: None };
        return connection::serve(context, Box::new(stream), door, seat, false, stop).await;
    }
    match tokio::time::timeout(HANDSHAKE, context.tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let (sni, h2) = agreed(&stream);
            let door = Door { port, peer, tls: true, sni };
            connection::serve(context, Box::new(stream), door, seat, h2, stop).await;
        }
        Ok(Err(error)) => {
            meter::handshake_failed();
            tracing::debug!(%peer, port, %error, "a TLS handshake failed");
        }
        Err(_too_long) => meter::handshake_failed(),
    }
}

fn agreed(stream: &TlsStream<TcpStream>) -> (Option<String>, bool) {
    let session = stream.get_ref().1;
    (session.server_name().map(str::to_owned), session.alpn_protocol() == Some(b"h2"))
}

/// Read without taking it; `None` when there never is one.
async fn first_byte(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let read = stream.peek(&mut byte).await?;
    Ok((read == 1).then_some(byte[0]))
}

pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}
