//! What is told of a connection once it is over. It has no secrets in it.

use std::net::SocketAddr;

use berth_core::id::{ContainerId, UserId};
use chrono::{DateTime, Utc};

use super::name::Way;

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// One of its ends closed it, or is not there any more.
    Left,
    /// The key was removed, SSH was turned off, or the container was deleted.
    Withdrawn,
    /// The gateway stops.
    Stopping,
}

/// One connection, or one destination of a jump.
#[derive(Debug)]
pub(super) struct Ended {
    /// The fingerprint of the key that logged in.
    pub(super) who: String,
    /// Absent for somebody who reached none.
    pub(super) container: Option<ContainerId>,
    pub(super) owner: Option<UserId>,
    pub(super) way: Option<Way>,
    pub(super) from: SocketAddr,
    /// Bytes from the person and to the person, as they went over the network.
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) started: DateTime<Utc>,
    pub(super) ended: DateTime<Utc>,
    pub(super) reason: Reason,
}

impl Ended {
    /// The one place where it is told.
    pub(super) fn record(self) {
        let Self { who, container, owner, way, from, up, down, started, ended, reason } = self;
        let (container, owner) = (container.map(tracing::field::display), owner.map(|owner| owner.0));
        let (way, seconds) = (way.map(Way::label), (ended - started).num_seconds());
        tracing::info!(who, container, owner, way, %from, up, down, %started, seconds, ?reason, "an SSH connection ended");
    }
}
