//! What somebody who has logged in may do, and how each channel of theirs begins.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use russh::server::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelMsg, client};
use tokio::time::timeout;

use super::inner::{Doors, Inner, PATIENCE, refusal};
use super::jump::{failed, prohibited};
use super::pair;
use super::requests::{Far, Session, Sessions};

/// Who somebody turned out to be.
#[derive(Clone)]
pub(super) enum Guest {
    /// Nobody has logged in.
    Stranger,
    Jumper {
        fingerprint: String,
        words: String,
    },
    /// Of one container.
    Visitor(Arc<Doors>),
    /// With a key that opens containers, and without a word that says which.
    Lost {
        words: String,
    },
}

/// Where a channel that is not a session leads.
#[derive(Debug)]
pub(super) enum To {
    Tcp { host: String, port: u32, from: String, from_port: u32 },
    Unix(String),
}

/// A session in the container, or words where there can be none.
pub(super) async fn session(guest: Guest, sessions: Sessions, channel: Channel<Msg>, reply: ChannelOpenHandle) {
    let opened = match guest {
        Guest::Stranger => return,
        Guest::Jumper { words, .. } | Guest::Lost { words } => Err(words),
        Guest::Visitor(doors) => opened(&doors).await.map(|opened| (doors, opened)),
    };
    match opened {
        Ok((doors, (inner, ours))) => {
            let (incoming, writer) = ours.split();
            let writer = Arc::new(writer);
            let (far, replies) = Session::new(writer.clone());
            let _entered = sessions.enter(channel.id(), Far::Container(far));
            reply.accept().await;
            let banner = inner.banner();
            if !banner.is_empty() {
                let _gone = channel.extended_data_bytes(1, banner.into_bytes()).await;
            }
            pair::run(channel, (incoming, writer), doors.outer(), doors.gate(), Some(replies)).await;
        }
        Err(text) => {
            let _entered = sessions.enter(channel.id(), Far::Words { text, terminal: AtomicBool::new(false) });
            reply.accept().await;
            let (mut incoming, _writer) = channel.split();
            while !matches!(incoming.wait().await, Some(ChannelMsg::Close) | None) {}
        }
    }
}

async fn opened(doors: &Doors) -> Result<(Inner, Channel<client::Msg>), String> {
    let inner = doors.open().await?;
    match timeout(PATIENCE, inner.handle.channel_open_session()).await {
        Ok(Ok(ours)) => Ok((inner, ours)),
        Ok(Err(_)) | Err(_) => Err(super::words::TOO_MANY.to_owned()),
    }
}

/// A connection from inside the container to where the person says.
pub(super) async fn forward(doors: Arc<Doors>, to: To, channel: Channel<Msg>, reply: ChannelOpenHandle) {
    let inner = match doors.open().await {
        Ok(inner) => inner,
        Err(words) => return reply.reject(failed(words)).await,
    };
    let ours = match to {
        To::Tcp { host, port, from, from_port } => {
            inner.handle.channel_open_direct_tcpip(host, port, from, from_port).await
        }
        To::Unix(path) => inner.handle.channel_open_direct_streamlocal(path).await,
    };
    match ours {
        Ok(ours) => {
            reply.accept().await;
            let (incoming, writer) = ours.split();
            pair::run(channel, (incoming, Arc::new(writer)), doors.outer(), doors.gate(), None).await;
        }
        Err(error) => reply.reject(refusal(inner, error).await).await,
    }
}

/// What somebody without a container hears who wants to be led on.
pub(super) async fn refuse(reply: ChannelOpenHandle) {
    reply.reject(prohibited(super::words::NO_SUCH)).await;
}
