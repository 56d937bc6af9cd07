//! Bytes from and to a channel. What comes in is taken at once, so that no channel ever holds up the connection's others, and
//! waits for its destination here, counted by the connection's gate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use russh::server::Msg;
use russh::{ChannelId, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use crate::Gate;

pub type Writer = Arc<ChannelWriteHalf<Msg>>;

/// Pieces smaller than this are put together.
const PIECE: usize = 4096;

#[derive(Debug)]
struct Queue {
    gate: Arc<Gate>,
    channel: ChannelId,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<BytesMut>,
    /// Nothing more is given.
    ended: bool,
    /// Nothing more is taken.
    gone: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Into a destination. Dropping it closes that, once everything was taken.
#[derive(Debug)]
pub struct Inlet(Arc<Queue>);

/// What [`Inlet`] was given.
#[derive(Debug)]
pub struct Waiting(Arc<Queue>);

impl Inlet {
    pub fn new(gate: Arc<Gate>, channel: ChannelId) -> (Self, Waiting) {
        let queue = Queue { gate, channel, state: Mutex::default(), changed: Notify::new() };
        let queue = Arc::new(queue);
        (Self(queue.clone()), Waiting(queue))
    }

    /// A destination that is gone takes everything, as a closed pipe does for whoever does not look.
    pub fn give(&self, data: Bytes) {
        let mut state = self.0.state();
        if state.gone {
            return;
        }
        self.0.gate.add(self.0.channel, data.len());
        match state.pieces.back_mut() {
            Some(last) if last.len() + data.len() <= PIECE => last.extend_from_slice(&data),
            Some(_) | None => state.pieces.push_back(BytesMut::from(data)),
        }
        drop(state);
        self.0.changed.notify_one();
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_one();
    }
}

impl Waiting {
    /// Until all is written, or the destination takes no more.
    pub async fn write_to(self, mut destination: impl AsyncWrite + Unpin) {
        while let Some(piece) = self.next().await {
            let written = destination.write_all(&piece).await;
            self.0.gate.remove(self.0.channel, piece.len());
            if written.is_err() {
                return;
            }
        }
        let _gone = destination.shutdown().await;
    }

    async fn next(&self) -> Option<BytesMut> {
        loop {
            {
                let mut state = self.0.state();
                if let Some(piece) = state.pieces.pop_front() {
                    return Some(piece);
                }
                if state.ended {
                    return None;
                }
            }
            self.0.changed.notified().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gone = true;
        let left = state.pieces.drain(..).map(|piece| piece.len()).sum();
        self.0.gate.remove(self.0.channel, left);
    }
}

/// Until the source ends, or nobody wants more of it. `extended` is 1 for standard error.
pub async fn read_from(mut source: impl AsyncRead + Unpin, writer: Writer, extended: Option<u32>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(32 * 1024);
        match source.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let data = buffer.split().freeze();
        let sent = match extended {
            Some(kind) => writer.extended_data_bytes(kind, data).await,
            None => writer.data_bytes(data).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
