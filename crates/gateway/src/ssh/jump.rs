//! A jump: a forwarded connection of the user `gw` whose destination names a container. Its bytes are an SSH session of
//! their own, encrypted up to the container's agent, and pass as they are.

use std::net::SocketAddr;
use std::sync::Arc;

use berth_core::connection::Spoken;
use berth_sshkit::{Gate, relay};
use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio_util::sync::CancellationToken;

use super::ended::Reason;
use super::name::destination;
use super::wire::Wire;
use super::{Ssh, words};
use crate::agent;
use crate::table::{Entry, Target};

const PORT: u32 = 22;

/// Who jumps.
pub(super) struct Jumper {
    pub(super) ssh: Arc<Ssh>,
    pub(super) fingerprint: String,
    pub(super) from: SocketAddr,
    pub(super) handle: Handle,
    pub(super) gate: Arc<Gate>,
}

impl Jumper {
    /// The container of this name, for this key; what is not this key's is as if it were not there.
    fn find(&self, host: &str, port: u32) -> Option<Entry> {
        let table = &self.ssh.shared.table;
        let id = destination(host, |host| table.id_of(host)).filter(|_| port == PORT)?;
        table.get(id).filter(|entry| entry.now().accepts(&self.fingerprint))
    }

    pub(super) async fn to(self, host: String, port: u32, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let Some(entry) = self.find(&host, port) else { return reply.reject(prohibited(words::NO_SUCH)).await };
        let target = entry.now();
        let Some(_place) = self.ssh.places.take(target.id) else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        // Who logs in inside is not seen here, so all may, and the connection stands for all of them.
        let keys = target.ssh.keys.iter().map(|key| key.key.key_data().clone()).collect();
        let stream = match agent::open(&target, keys, self.from, &self.ssh.shared.keys).await {
            Ok(stream) => stream,
            Err(why) => return reply.reject(failed(words::unreached(&target, &why))).await,
        };
        let mut recorded = self.ssh.shared.log.open(Spoken::Ssh, &target, Some(&self.fingerprint), self.from.ip());
        // Read from the container is what goes to the person.
        let (wire, passed) = Wire::new(stream, &CancellationToken::new());
        let id = channel.id();
        reply.accept().await;
        let reason = tokio::select! {
            () = relay(channel, wire, self.gate) => Reason::Left,
            () = entry.until_not(|now| all_stand(&target, now)) => {
                let _gone = self.handle.close(id).await;
                Reason::Withdrawn
            }
        };
        let (down, up) = passed.both();
        recorded.received(up);
        recorded.sent(down);
        tracing::debug!(from = %self.from, who = self.fingerprint, container = %target.id, ?reason, "a jump ended");
    }
}

/// Whether every key that the agent was told of may still log in: whichever it was that did must not stay. What was stopped,
/// by its owner or because the owner was suspended, lets nobody finish.
fn all_stand(granted: &Target, now: &Target) -> bool {
    now.ssh.enabled
        && (granted.stopped || !now.stopped)
        && granted.ssh.keys.iter().all(|key| now.accepts(&key.fingerprint))
}

pub(super) fn prohibited(words: &str) -> ChannelOpenFailure {
    const PROHIBITED: u32 = 1;
    ChannelOpenFailure::Other { code: PROHIBITED, reason: words.to_owned() }
}

pub(super) fn failed(reason: String) -> ChannelOpenFailure {
    const CONNECT_FAILED: u32 = 2;
    ChannelOpenFailure::Other { code: CONNECT_FAILED, reason }
}
