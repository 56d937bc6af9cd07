//! A log as `text/plain`. Nothing may hide in it: browsers are told not to guess another type, for the bytes are a tenant's.

use std::io;

use axum::body::Body;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::lifeline::{End, Lifeline, STUCK, Task};
use crate::pod_io::Lines;

/// Bytes that are written together.
const BATCH: usize = 64 * 1024;

const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(super) fn respond(lifeline: Lifeline, lines: Lines) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        metrics::gauge!("berth_log_streams").increment(1.0);
        let end = pour(lifeline, lines, &sender).await.err();
        metrics::gauge!("berth_log_streams").decrement(1.0);
        if let Some(end) = end {
            // An answer that is broken off is not taken for a whole one. The client may be gone already.
            let _unheard = sender.try_send(Err(io::Error::other(format!("{end:?}")))).is_err();
        }
    });
    let body = stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|bytes| (bytes, receiver)));
    (HEADERS, Body::from_stream(body)).into_response()
}

/// `Ok` at the end of the log, and when the client left.
async fn pour(mut lifeline: Lifeline, mut lines: Lines, sender: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), End> {
    lifeline.check_credential().await?;
    loop {
        tokio::select! {
            beat = lifeline.beat() => {
                // There is nothing to ping here: the connection itself tells when the client is gone.
                lifeline.heard.now();
                match lifeline.attend(beat).await? {
                    Task::Ping | Task::Hint(_) | Task::Nothing => {}
                }
            }
            () = sender.closed() => return Ok(()),
            line = lines.next() => {
                let Some(line) = line else { return Ok(()) };
                let mut batch = BytesMut::new();
                push(&mut batch, &line?.to_bytes());
                while batch.len() < BATCH && let Some(Some(line)) = lines.next().now_or_never() {
                    push(&mut batch, &line?.to_bytes());
                }
                match timeout(STUCK, sender.send(Ok(batch.freeze()))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return Err(End::Gone),
                }
            }
        }
    }
}

fn push(batch: &mut BytesMut, line: &[u8]) {
    batch.extend_from_slice(line);
    batch.extend_from_slice(b"\n");
}
