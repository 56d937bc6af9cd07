//! After an upgrade: bytes that mean nothing to the gateway, both ways.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::connection::Visit;
use super::forward::Active;
use super::routing::Ground;

const BUFFER: usize = 16 * 1024;

/// Open for as long as both ends and the ground are; however quiet, since peers that vanished are noticed below.
pub(crate) fn open(visit: Arc<Visit>, ground: Ground, client: OnUpgrade, server: OnUpgrade, active: Active) {
    tokio::spawn(async move {
        let _active = active;
        let relay = async {
            let (client, server) = tokio::try_join!(client, server).ok()?;
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await.ok()
        };
        tokio::select! {
            _ended = relay => {}
            () = ground.gone() => {}
            () = visit.stop.cancelled() => {}
        }
    });
}
