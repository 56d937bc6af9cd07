//! Raw TCP: a port of an address that one container alone has. Nothing that is said is looked at, and nothing is added.

mod splice;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use berth_core::connection::Spoken;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::http::accept::tune;
use crate::table::Entry;

/// To reach the container.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection through which nothing goes for this long does not keep a gateway that is to stop.
const QUIET: Duration = Duration::from_millis(500);

/// Whose a connection is.
pub(crate) struct Place {
    entry: Entry,
    address: IpAddr,
    port: u16,
}

impl Place {
    /// `local` is what was connected to, as this machine sees it, `port` as rules name it.
    pub(crate) fn find(shared: &Shared, local: IpAddr, port: u16) -> Option<Self> {
        let address = shared.config.dedicated(local)?;
        Some(Self { entry: shared.table.raw(address, port)?, address, port })
    }

    fn leads_to(&self) -> Option<SocketAddr> {
        self.entry.now().raw_address(self.address, self.port)
    }

    /// Returns once it leads elsewhere or nowhere.
    async fn gone(&self, leads_to: SocketAddr) {
        let (address, port) = (self.address, self.port);
        self.entry.clone().until_not(|target| target.raw_address(address, port) == Some(leads_to)).await;
    }
}

/// Until both ends have said all, or the rule no longer stands. There are no words for a stranger here: what leads nowhere
/// is closed.
pub(crate) async fn serve(shared: &Shared, place: Place, client: TcpStream, peer: SocketAddr, stop: CancellationToken) {
    let Some(leads_to) = place.leads_to() else { return };
    let connections = metrics::gauge!("berth_gateway_connections", "protocol" => "tcp");
    connections.increment(1.0);
    let mut open = shared.log.open(Spoken::Tcp, &place.entry.now(), None, peer.ip());
    let (read, written) = (AtomicU64::new(0), AtomicU64::new(0));
    tokio::select! {
        ended = relay(&client, leads_to, &read, &written) => {
            if let Err(error) = ended {
                tracing::debug!(%peer, port = place.port, %error, "a raw connection broke");
            }
        }
        () = place.gone(leads_to) => {}
        () = quiet(&stop, &read, &written) => {}
    }
    connections.decrement(1.0);
    let count = |direction: &'static str, bytes: &AtomicU64| {
        let bytes = bytes.load(Ordering::Relaxed);
        metrics::counter!("berth_gateway_bytes_total", "protocol" => "tcp", "direction" => direction).increment(bytes);
        bytes
    };
    open.received(count("in", &read));
    open.sent(count("out", &written));
}

async fn relay(client: &TcpStream, leads_to: SocketAddr, read: &AtomicU64, written: &AtomicU64) -> std::io::Result<()> {
    let server = tokio::time::timeout(CONNECT, TcpStream::connect(leads_to)).await??;
    tune(&server)?;
    tokio::try_join!(splice::pass(client, &server, read), splice::pass(&server, client, written))?;
    Ok(())
}

/// Returns once the gateway is to stop and nothing goes through any more.
async fn quiet(stop: &CancellationToken, read: &AtomicU64, written: &AtomicU64) {
    stop.cancelled().await;
    let moved = || read.load(Ordering::Relaxed) + written.load(Ordering::Relaxed);
    loop {
        let before = moved();
        tokio::time::sleep(QUIET).await;
        if moved() == before {
            return;
        }
    }
}
