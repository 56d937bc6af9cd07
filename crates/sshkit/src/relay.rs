//! A forwarded connection: a channel on one side, a socket on the other.

use std::sync::Arc;
use std::time::Duration;

use russh::server::Msg;
use russh::{Channel, ChannelMsg};
use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{Gate, Inlet, read_from};

/// What a client has sent is still delivered once it has closed the channel or left, within this time.
pub const LAST_WORDS: Duration = Duration::from_secs(30);

/// Until both directions have ended, or the client closes the channel.
pub async fn relay(
    channel: Channel<Msg>,
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    gate: Arc<Gate>,
) {
    let (mut incoming, writer) = channel.split();
    let writer = Arc::new(writer);
    let (source, destination) = split(socket);
    let (inlet, waiting) = Inlet::new(gate, writer.id());
    let mut inlet = Some(inlet);
    // Dropped at the end, and both with it.
    let (mut there, mut back) = (JoinSet::new(), JoinSet::new());
    there.spawn(waiting.write_to(destination));
    let out = writer.clone();
    back.spawn(async move {
        read_from(source, out.clone(), None).await;
        let _gone = out.eof().await;
    });
    while !(there.is_empty() && back.is_empty()) {
        tokio::select! {
            message = incoming.wait() => match message {
                Some(ChannelMsg::Data { data }) => inlet.iter().for_each(|inlet| inlet.give(data.clone())),
                Some(ChannelMsg::Eof) => inlet = None,
                Some(ChannelMsg::Close) | None => {
                    drop(inlet);
                    let _stuck = timeout(LAST_WORDS, there.join_next()).await;
                    return;
                }
                Some(_other) => {}
            },
            Some(_done) = there.join_next() => {}
            Some(_done) = back.join_next() => {}
        }
    }
    let _gone = writer.close().await;
}
