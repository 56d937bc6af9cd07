//! What clients may send before somebody has taken it.
//!
//! The library widens a channel's window as soon as bytes arrive, to a size that all channels of a connection share and that
//! it asks for each time. To read no further instead would also stop the client's own widening: a filter that is sent much
//! and answers much would wait for itself. So the size is what is turned down: to [`CLOSED`], while the channel that asks has
//! more waiting than it should. Such a channel is sent two bytes at a time, each of which asks anew; everything else flows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::ChannelId;

/// Bytes that a client may send ahead on one channel.
pub const WINDOW: u32 = 2 << 20;
/// The library widens a window once less than half of the size is left: with 2, when nothing is.
const CLOSED: u32 = 2;
/// Between two widenings of that size, so that a stuck channel costs no work.
pub const PAUSE: Duration = Duration::from_millis(10);
/// Bytes that may wait for one destination before its window is closed.
const LIMIT: usize = WINDOW as usize;

/// Bytes that may wait for all destinations of a process together, before every window is closed.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }
}

/// Of one connection.
#[derive(Debug)]
pub struct Gate {
    all: Arc<Budget>,
    waiting: Mutex<HashMap<ChannelId, usize>>,
}

impl Gate {
    /// `all` is shared by every connection.
    pub fn new(all: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { all, waiting: Mutex::default() })
    }

    pub fn add(&self, channel: ChannelId, bytes: usize) {
        *self.waiting().entry(channel).or_default() += bytes;
        self.all.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn remove(&self, channel: ChannelId, bytes: usize) {
        let mut waiting = self.waiting();
        if let Some(left) = waiting.get_mut(&channel) {
            *left -= bytes;
            if *left == 0 {
                waiting.remove(&channel);
            }
        }
        self.all.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The size to which windows are widened next.
    pub fn size(&self, channel: ChannelId) -> u32 {
        let own = self.waiting().get(&channel).copied().unwrap_or(0);
        if own > LIMIT || self.all.used.load(Ordering::Relaxed) > self.all.limit { CLOSED } else { WINDOW }
    }

    /// Whether bytes came one by one because the channel is stuck.
    pub fn is_closed(&self, channel: ChannelId, bytes: usize) -> bool {
        bytes <= CLOSED as usize && self.size(channel) == CLOSED
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ChannelId, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
