//! Every connection to a container, told to the API once it has ended: written to disk first, so that an API that is down
//! and a gateway that is restarted lose nothing that was written.

mod report;
mod spool;

use std::net::IpAddr;
use std::time::Duration;

use berth_core::connection::{Connection, ConnectionId, Spoken};
use berth_core::name::Username;
use chrono::{DateTime, Utc};
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use report::Reporter;
pub(crate) use spool::Spool;

use crate::table::Target;

/// Connections that end at once and are not on disk yet.
const QUEUE: usize = 4096;
/// One report: with the longest names well below the 64 KiB that the API reads.
const BATCH: usize = 100;
/// How long what has ended may wait for company.
const LINGER: Duration = Duration::from_millis(500);

/// Where connections are told of. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Log(mpsc::Sender<Connection>);

/// The other end of a [`Log`].
#[derive(Debug)]
pub(crate) struct Ended(mpsc::Receiver<Connection>);

pub(crate) fn log() -> (Log, Ended) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Log(sender), Ended(receiver))
}

/// A connection that is open. It is recorded when it is dropped, however that comes.
#[derive(Debug)]
pub(crate) struct Open {
    log: Log,
    spoken: Spoken,
    container: berth_core::id::ContainerId,
    user: Option<(berth_core::id::UserId, Username)>,
    key: Option<String>,
    from: IpAddr,
    started: DateTime<Utc>,
    since: Instant,
    bytes_in: u64,
    bytes_out: u64,
}

impl Log {
    /// `key` is the fingerprint of who logged in; that is the container's owner.
    pub(crate) fn open(&self, spoken: Spoken, target: &Target, key: Option<&str>, from: IpAddr) -> Open {
        let owner = || (target.owner, Username::from_stored(target.username.clone()));
        Open {
            log: self.clone(),
            spoken,
            container: target.id,
            user: key.map(|_| owner()),
            key: key.map(str::to_owned),
            from,
            started: Utc::now(),
            since: Instant::now(),
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

impl Open {
    /// Bytes from the visitor.
    pub(crate) fn received(&mut self, bytes: u64) {
        self.bytes_in += bytes;
    }

    /// Bytes to the visitor.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let ended = Connection {
            id: ConnectionId::from_random(rand::rng().random()),
            spoken: self.spoken,
            container: self.container,
            user: self.user.take(),
            key: self.key.take(),
            from: self.from,
            started: self.started,
            lasted: chrono::TimeDelta::from_std(self.since.elapsed()).unwrap_or_default(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        };
        // Never waits: whoever ends a connection must not hang on the disk.
        if let Err(error) = self.log.0.try_send(ended) {
            lost(1, &error.to_string());
        }
    }
}

fn lost(connections: u64, why: &str) {
    tracing::error!(connections, why, "connections will be missing in the audit log");
    metrics::counter!("berth_gateway_audit_lost_total").increment(connections);
}

impl Ended {
    #[cfg(test)]
    pub(crate) async fn next(&mut self) -> Option<Connection> {
        self.0.recv().await
    }

    /// Writes what has ended to the spool; after `stop` what is in the queue already, and returns.
    pub(crate) async fn spool(mut self, spool: &Spool, stop: &CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let read = tokio::select! {
                read = self.0.recv_many(&mut batch, BATCH) => read,
                () = stop.cancelled() => {
                    self.0.close();
                    self.0.recv_many(&mut batch, BATCH).await
                }
            };
            if read == 0 {
                return;
            }
            let full = async { while batch.len() < BATCH && self.0.recv_many(&mut batch, BATCH).await > 0 {} };
            tokio::select! {
                _company = tokio::time::timeout(LINGER, full) => {}
                () = stop.cancelled() => {}
            }
            for report in batch.chunks(BATCH) {
                spool.keep(report);
            }
            batch.clear();
        }
    }
}

#[cfg(test)]
mod tests;
