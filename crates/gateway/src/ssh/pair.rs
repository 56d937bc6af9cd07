//! Two channels, one to the person and one to the container, that are one for both.
//!
//! What the person sends is taken at once, because their other channels come over the same connection; it waits in a queue
//! that their connection's gate counts. What the container sends is passed on before more is read: this channel is alone on
//! its inner connection, or with others of the same forwarded port.

use std::sync::Arc;
use std::time::Duration;

use berth_sshkit::{Gate, Inlet, LAST_WORDS, Writer};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client, server};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::requests::Replies;
use super::words;

/// For the container's side to confirm that it has everything.
const CONFIRMATION: Duration = Duration::from_secs(5);

/// Until either side closes. `replies` is of a session, where requests are answered.
pub(super) async fn run(
    theirs: Channel<server::Msg>,
    (mut coming_back, inner): (ChannelReadHalf, Arc<ChannelWriteHalf<client::Msg>>),
    outer: server::Handle,
    gate: Arc<Gate>,
    replies: Option<Replies>,
) {
    let (mut incoming, writer) = theirs.split();
    let writer = Arc::new(writer);
    let (inlet, waiting) = Inlet::new(gate, writer.id());
    // Ends with this function, whatever it is at.
    let mut taking = JoinSet::new();
    taking.spawn(waiting.write_to(inner.make_writer()));
    let person_gone = CancellationToken::new();

    let down = async {
        while let Some(message) = coming_back.wait().await {
            if matches!(message, ChannelMsg::Close) {
                return;
            }
            // What has nobody to read it is drained, so that the end is heard.
            tokio::select! {
                biased;
                () = person_gone.cancelled() => {}
                () = pass(message, &writer, &outer, replies.as_ref()) => {}
            }
        }
        if replies.is_some() && !person_gone.is_cancelled() {
            let _gone = writer.extended_data_bytes(1, words::LOST.as_bytes()).await;
        }
    };
    let up = async {
        let mut inlet = Some(inlet);
        loop {
            match incoming.wait().await {
                Some(ChannelMsg::Data { data }) => inlet.iter().for_each(|inlet| inlet.give(data.clone())),
                Some(ChannelMsg::Eof) => inlet = None,
                Some(ChannelMsg::Close) | None => break,
                // Requests are the server's.
                Some(_other) => {}
            }
        }
        person_gone.cancel();
        drop(inlet);
        // Who leaves a session breaks it off; to somewhere else, what was sent before the end still arrives.
        if replies.is_none() {
            let _stuck = timeout(LAST_WORDS, taking.join_next()).await;
        }
        let _gone = inner.close().await;
    };
    tokio::pin!(down, up);
    tokio::select! {
        () = &mut down => {
            let _gone = writer.close().await;
        }
        () = &mut up => {
            let _silent = timeout(CONFIRMATION, down).await;
        }
    }
}

async fn pass(message: ChannelMsg, writer: &Writer, outer: &server::Handle, replies: Option<&Replies>) {
    let _gone = match message {
        ChannelMsg::Data { data } => writer.data_bytes(data).await,
        ChannelMsg::ExtendedData { data, ext } => writer.extended_data_bytes(ext, data).await,
        ChannelMsg::Eof => writer.eof().await,
        ChannelMsg::ExitStatus { exit_status } => writer.exit_status(exit_status).await,
        ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag } => outer
            .exit_signal_request(writer.id(), signal_name, core_dumped, error_message, lang_tag)
            .await
            .map_err(|()| russh::Error::SendError),
        ChannelMsg::Success | ChannelMsg::Failure => {
            if let Some(replies) = replies {
                replies.tell(matches!(message, ChannelMsg::Success));
            }
            Ok(())
        }
        _other => Ok(()),
    };
}
